"""Range runs from this process, whatever was opened and closed in it before."""

from __future__ import annotations

import gc

from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets_tests.platform import Platform


def test_a_run_does_not_ask_an_instance_that_was_closed(platform: Platform, tmp_path):
    """Dagster remembers the instance in force when another was opened; that one may be gone by then."""
    platform.put("2024-01-02")
    first, second = open_instance(tmp_path / "first"), open_instance(tmp_path / "second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    del first, second
    gc.collect()

    (run,) = platform.run(["2024-01-02"])

    assert run.succeeded, run.message
