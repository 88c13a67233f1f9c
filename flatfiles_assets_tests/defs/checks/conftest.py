"""The platform of the asset tests, and what its checks last said."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets_tests.platform import Platform

ENDED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


class CheckLog:
    """The last evaluation of each check, as the UI shows it."""

    def __init__(self, platform: Platform) -> None:
        self._home = platform.home

    def __call__(self, name: str, asset: str = "market/stocks_daily") -> dg.AssetCheckEvaluation:
        key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name)
        with open_instance(self._home) as instance:
            (record,) = instance.event_log_storage.get_asset_check_execution_history(
                key, limit=1, status=ENDED
            )
        assert record.evaluation is not None
        return record.evaluation


@pytest.fixture
def last_check(platform: Platform) -> CheckLog:
    return CheckLog(platform)
