"""A feed that somebody declares in YAML has all that a feed of the registry has."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from flatfiles_assets import datasets
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.components import FlatFileFeed
from flatfiles_assets.demo.vendor_files import vendor_file
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse import tables
from flatfiles_assets.warehouse.declared_feeds import FeedDeclaration, dataset_of, declare, read_declaration
from flatfiles_assets_tests.platform import MARKET, Platform

pytestmark = pytest.mark.slow

ATTRIBUTES = {
    "name": "venue_daily",
    "prefix": "my_venue",
    "vendor_type": "day_v1",
    "title": "My venue, one bar per ticker and day",
    "first_session": "2020-01-02",
    "like": "stocks_daily",
}
COLUMNS = [
    {"name": "ticker", "type": "text", "description": "Symbol"},
    {"name": "value", "type": "number", "description": "Index points"},
    {"name": "window_start", "type": "nanoseconds", "description": "Start of the value, UTC"},
]


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """What a test declares is gone afterwards."""
    before = [(module._REGISTERED, dict(module._REGISTERED)) for module in (datasets, tables)]
    yield
    for registered, contents in before:
        registered.clear()
        registered.update(contents)


def _write(folder: Path, **changed: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"type": "flatfiles_assets.defs.components.FlatFileFeed", "attributes": ATTRIBUTES | changed}
    path = folder / "defs.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_declared_feed_goes_from_the_bucket_to_its_table(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _write(tmp_path / "feeds" / "venue")
    monkeypatch.setenv("FLATFILES_FEEDS_DIR", str(tmp_path / "feeds"))
    day = dt.date(2024, 1, 2)
    platform.server.client().put_object(
        Bucket=platform.bucket,
        Key=f"my_venue/day_v1/2024/01/{day}.csv.gz",
        Body=vendor_file(MARKET.day_bars(day)),
    )

    (run,) = platform.run([str(day)], job="venue_daily")

    assert run.succeeded, run.message
    ((stored,),) = platform.rows("SELECT count(*) FROM market.venue_daily")
    ((rejected,),) = platform.rows("SELECT count(*) FROM market.quarantine WHERE feed = 'venue_daily'")
    assert stored + rejected == MARKET.day_bars(day).num_rows
    assert stored > 20
    # In a process of its own: the commands list the feeds that there are when they are made.
    command = [sys.executable, "-m", "flatfiles_assets", "status", "venue_daily"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "venue_daily" in shown.stdout


def test_it_is_a_component_of_a_project_of_somebody_elses():
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=FlatFileFeed,
            defs_yaml_contents={
                "type": "flatfiles_assets.defs.components.FlatFileFeed",
                "attributes": ATTRIBUTES,
            },
        )
        with sandbox.load_component_and_build_defs(defs_path=path) as (_, defs):
            graph = defs.resolve_asset_graph()
            names = {key.to_user_string() for key in graph.get_all_asset_keys()}
            checks = {key.name for key in graph.asset_check_keys}
            jobs = {job.name for job in defs.resolve_all_job_defs()}
    assert {"raw/venue_daily", "market/venue_daily"} <= names
    assert {"checksum", "schema", "row_count", "ohlc", "fresh"} <= checks
    assert "venue_daily" in jobs


def test_columns_of_its_own_become_the_tables_columns():
    declared = {name: value for name, value in ATTRIBUTES.items() if name != "like"}
    dataset = declare(FeedDeclaration(**declared, columns=COLUMNS))
    assert get_dataset("venue_daily") is dataset
    assert tables.get_table(("market", "venue_daily")).column_names == (
        "trade_date",
        "ticker",
        "window_start",
        "value",
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"like": None}, "either `like` or `columns`"),
        ({"like": "no_such_feed"}, "is not a data type"),
        ({"like": None, "columns": COLUMNS[1:]}, "ticker"),
        ({"like": None, "columns": [*COLUMNS, COLUMNS[0]]}, "stands twice"),
        ({"unique_key": ["symbol"]}, "symbol"),
        ({"name": "Venue Daily"}, "no name of a feed"),
        ({"first_session": "soon"}, "soon"),
        ({"publish_time": "noon"}, "no time of day"),
        ({"prefix": "us_stocks_sip", "vendor_type": "day_aggs_v1"}, "'stocks_daily' already"),
        ({"name": "stocks_minute"}, "already"),
        ({"calender": "XNYS"}, "calender"),
    ],
    ids=str,
)
def test_a_declaration_that_is_no_feed_says_what_is_wrong(tmp_path: Path, changed: dict, said: str):
    with pytest.raises(InvalidArgument, match=said):
        declare(read_declaration(_write(tmp_path, **changed)))


def test_a_date_needs_no_quotes_and_a_second_declaration_changes_nothing(tmp_path: Path):
    path = _write(tmp_path)
    path.write_text(path.read_text().replace("'2020-01-02'", "2020-01-02"))
    assert declare(read_declaration(path)) == declare(read_declaration(path))
    assert dataset_of(read_declaration(path)).first_session == dt.date(2020, 1, 2)


def test_a_file_that_is_no_declaration_is_named(tmp_path: Path):
    path = tmp_path / "notes.yaml"
    path.write_text("- just a list\n")
    with pytest.raises(InvalidArgument, match=r"notes\.yaml"):
        read_declaration(path)
