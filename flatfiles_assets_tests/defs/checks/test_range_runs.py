"""What a range run records of its checks: each once, whatever the length of the range."""

from __future__ import annotations

import dagster as dg

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.checks.feed_checks import feed_check_specs
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets_tests.platform import Platform


def test_a_check_is_planned_and_evaluated_once_for_a_range(platform: Platform):
    days = platform.put_range("2024-01-02", "2024-01-05")
    (run,) = platform.run(days)
    assert run.succeeded, run.message

    with open_instance(platform.home) as instance:
        for spec in feed_check_specs(get_dataset("stocks_daily")):
            history = instance.event_log_storage.get_asset_check_execution_history(spec.key, limit=10)
            assert len(history) == 1, spec.name
            assert history[0].evaluation is not None
        evaluations = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert len(evaluations) == len(feed_check_specs(get_dataset("stocks_daily")))
