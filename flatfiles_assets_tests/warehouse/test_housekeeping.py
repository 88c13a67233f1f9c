"""What is removed can be had again, what is not proven stays, and a compacted warehouse is the same."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.cli.prune import first_kept
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.warehouse.errors import WarehouseMissing
from flatfiles_assets.warehouse.housekeeping import compact, prunable_files, prune
from flatfiles_assets.warehouse.tables import get_table
from flatfiles_assets_tests.platform import Platform

STOCKS = get_dataset("stocks_daily")
DAYS = ["2024-01-02", "2024-01-03", "2024-01-04"]


def _flatfiles(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def _raw(platform: Platform, day: str) -> Path:
    return platform.data_dir / f"flatfiles_cache/us_stocks_sip/day_aggs_v1/2024/01/{day}.csv.gz"


def _prunable(platform: Platform, before: dt.date = dt.date(2030, 1, 1)) -> list[str]:
    with FileCache(platform.data_dir / "flatfiles_cache") as cache:
        found = prunable_files(
            STOCKS, S3Catalog(platform.bucket, "us_options_opra"), cache, platform.warehouse, before
        )
    return [file.session.isoformat() for file in found]


@pytest.fixture
def loaded(platform: Platform) -> Platform:
    for day in DAYS:
        platform.put(day)
    (run,) = platform.run(DAYS)
    assert run.succeeded, run.message
    return platform


def test_pruning_is_a_dry_run_until_it_is_confirmed(loaded: Platform):
    assert "3 file(s)" in _flatfiles("prune", "--older-than", "30")
    assert all(_raw(loaded, day).exists() for day in DAYS)

    _flatfiles("prune", "--older-than", "30", "--feed", "stocks_daily", "--yes")
    assert not any(_raw(loaded, day).exists() for day in DAYS)
    assert "0 file(s)" in _flatfiles("prune", "--older-than", "30")


def test_only_files_whose_every_row_is_stored_from_these_bytes_can_go(loaded: Platform):
    with loaded.warehouse.writer("lose a row") as transaction:
        transaction.execute(
            "DELETE FROM market.stocks_daily WHERE trade_date = '2024-01-02' AND ticker = "
            "(SELECT min(ticker) FROM market.stocks_daily WHERE trade_date = '2024-01-02')"
        )
        transaction.execute("UPDATE market.files SET sha256 = 'another' WHERE trade_date = '2024-01-03'")
    assert _prunable(loaded) == ["2024-01-04"]
    assert _prunable(loaded, before=dt.date(2024, 1, 4)) == []


def test_what_is_pruned_is_noted_before_the_first_file_goes(loaded: Platform):
    """A process that dies while it removes files must leave none that is gone and counts as there."""
    with FileCache(loaded.data_dir / "flatfiles_cache") as cache:
        catalog = S3Catalog(loaded.bucket, "us_options_opra")
        files = prunable_files(STOCKS, catalog, cache, loaded.warehouse, dt.date(2030, 1, 1))
        # A folder in a file's place: removing it ends the pruning in the middle.
        _raw(loaded, DAYS[1]).unlink()
        _raw(loaded, DAYS[1]).mkdir()
        with pytest.raises(OSError, match=DAYS[1]):
            prune(cache, files)
        assert not _raw(loaded, DAYS[0]).exists()
        assert set(cache.ledger.pruned([file.key for file in files])) == {file.key for file in files}


def test_a_pruned_file_is_not_fetched_again_unless_it_was_replaced(loaded: Platform):
    _flatfiles("prune", "--older-than", "30", "--yes")
    loaded.put(DAYS[1], "bad_rows")
    before = loaded.rows("SELECT count(*) FROM market.stocks_daily WHERE trade_date = '2024-01-02'")

    (run,) = loaded.run(DAYS)

    assert "row_count" not in run.message
    assert [_raw(loaded, day).exists() for day in DAYS] == [False, True, False]
    assert loaded.rows("SELECT count(*) FROM market.stocks_daily WHERE trade_date = '2024-01-02'") == before
    assert '"present": 3' in _flatfiles("status", "stocks_daily", "--json")


def test_a_verification_takes_no_pruned_file_for_a_lost_one(loaded: Platform):
    _flatfiles("prune", "--older-than", "30", "--yes")
    _flatfiles("verify", "stocks_daily")


def test_reloading_brings_a_pruned_file_back(loaded: Platform):
    _flatfiles("prune", "--older-than", "30", "--yes")
    (run,) = loaded.run(DAYS[:1], reload=True)
    assert run.succeeded, run.message
    assert [_raw(loaded, day).exists() for day in DAYS] == [True, False, False]


def test_a_pruned_file_comes_back_when_the_warehouse_has_lost_its_rows(loaded: Platform):
    _flatfiles("prune", "--older-than", "30", "--yes")
    with loaded.warehouse.writer("lose a session") as transaction:
        transaction.execute("DELETE FROM market.stocks_daily WHERE trade_date = '2024-01-03'")
        transaction.execute("DELETE FROM market.files WHERE trade_date = '2024-01-03'")
    (run,) = loaded.run(DAYS)
    assert run.succeeded, run.message
    assert [_raw(loaded, day).exists() for day in DAYS] == [False, True, False]
    assert loaded.rows("SELECT count(*) > 0 FROM market.stocks_daily WHERE trade_date = '2024-01-03'") == [
        (True,)
    ]


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        ((30, "days"), dt.date(2024, 6, 14)),
        ((1, "sessions"), dt.date(2024, 7, 12)),
        ((6, "sessions"), dt.date(2024, 7, 5)),
        ((0, "sessions"), dt.date(2024, 7, 15)),
        ((100_000, "days"), dt.date(2002, 1, 1)),
    ],
)
def test_age_is_counted_in_days_or_in_sessions(age: tuple[int, str], kept: dt.date):
    assert first_kept(STOCKS, age, dt.date(2024, 7, 14)) == kept


def test_an_age_that_is_none_is_a_usage_error():
    result = CliRunner().invoke(main, ["prune", "--older-than", "soon"])
    assert result.exit_code == 2
    assert "60sessions" in result.output


def test_a_compacted_warehouse_holds_the_same_in_less_space(loaded: Platform):
    with loaded.warehouse.writer("make a hole") as transaction:
        transaction.execute("CREATE TABLE ballast AS SELECT random() AS x FROM range(1000000)")
    with loaded.warehouse.writer("write behind it") as transaction:
        transaction.execute("CREATE TABLE behind AS SELECT random() AS x FROM range(100000)")
    with loaded.warehouse.writer("make a hole") as transaction:
        transaction.execute("DROP TABLE ballast")
    query = "SELECT * FROM market.stocks_daily"
    before = loaded.rows(query)

    size_before, size_after = compact(loaded.warehouse)

    assert size_after < size_before / 2
    assert loaded.warehouse.path.stat().st_size == size_after
    assert loaded.rows(query) == before
    description = get_table(("market", "stocks_daily")).description
    assert loaded.rows("SELECT comment FROM duckdb_tables() WHERE table_name = 'stocks_daily'") == [
        (description,)
    ]
    nullable = loaded.rows(
        "SELECT is_nullable FROM duckdb_columns() "
        "WHERE table_name = 'stocks_daily' AND column_name = 'ticker'"
    )
    assert nullable == [(False,)]
    (run,) = loaded.run(DAYS, reload=True)
    assert run.succeeded, run.message


def test_a_compaction_that_fails_leaves_the_warehouse_as_it_was(loaded: Platform):
    before = loaded.warehouse.path.read_bytes()
    blocker = loaded.warehouse.path.with_name("warehouse.duckdb.compacted")
    blocker.mkdir()
    with pytest.raises(OSError, match="compacted"):
        compact(loaded.warehouse)
    blocker.rmdir()
    assert loaded.warehouse.path.read_bytes() == before


def test_there_must_be_a_warehouse_to_compact(platform: Platform):
    with pytest.raises(WarehouseMissing):
        compact(platform.warehouse)
