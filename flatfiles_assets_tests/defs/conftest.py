"""Whoever operates the platform."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets_tests.defs.platform_operator import WEEK, Operator
from flatfiles_assets_tests.fault_proxy import FaultProxy
from flatfiles_assets_tests.platform import Platform


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    from flatfiles_assets.definitions import build_defs

    return build_defs("")


@pytest.fixture
def operator(
    platform: Platform,
    defs: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Operator]:
    monkeypatch.setenv("FLATFILES_SYNC_START", WEEK[0])
    with open_instance(platform.home) as instance:
        yield Operator(instance, defs)


@pytest.fixture
def proxy(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with FaultProxy(platform.server.endpoint_url) as between:
        monkeypatch.setenv("FLATFILES_ENDPOINT_URL", between.endpoint_url)
        monkeypatch.setenv("FLATFILES_MAX_RETRIES", "0")
        yield between
