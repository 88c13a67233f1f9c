"""Names and cells of others are text on Dagster's pages: no picture, no link, no HTML."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.assets.directories import describe_files
from flatfiles_assets.defs.assets.flat_files import market_table
from flatfiles_assets.defs.assets.range_report import RangeReport
from flatfiles_assets.defs.assets.table_metadata import markdown_table, preview_table
from flatfiles_assets.defs.checks.results import result_of
from flatfiles_assets.defs.checks.verdicts import Verdict
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.escaping import from_markdown
from flatfiles_assets.ingest.directories.directories import read_directory
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.market_warehouse import load_bars

PICTURE = "![t](/graphql?query=mutation%7BlaunchRun%7D)"
HOSTILE = (PICTURE, "<img src=http://evil.example/x.png>", "[a](http://evil.example)", "a|b", "`x`", "**x**")
RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table")
DAY = dt.date(2024, 1, 2)
KEY = dg.AssetKey(["market", "x"])


def _shown(source: str) -> list[str]:
    """The texts of a page, after seeing that they are nothing but texts."""
    tokens = RENDERER.parse(source)
    inline = [child for token in tokens if token.type == "inline" for child in token.children or ()]
    kinds = {token.type for token in [*tokens, *inline]}
    assert not {kind for kind in kinds if "image" in kind or "html" in kind or "link" in kind}, source
    return ["".join(child.content for child in token.children or ()) for token in tokens if token.children]


def test_a_table_has_as_many_cells_as_values():
    shown = _shown(markdown_table(["name", PICTURE], [(text, 1) for text in HOSTILE]))
    assert [text.replace("\u2060", "") for text in shown[2::2]] == list(HOSTILE)
    assert len(shown) == 2 + 2 * len(HOSTILE)


def test_a_preview_shows_the_tickers_as_they_stand(tmp_path: Path):
    warehouse = Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=60)
    load_bars(warehouse, SyntheticMarket(3), [DAY])
    with warehouse.writer("test") as transaction:
        transaction.execute("UPDATE market.stocks_daily SET ticker = ?", [PICTURE])
    preview = preview_table(warehouse, market_table(get_dataset("stocks_daily")), DAY)
    assert PICTURE in _shown(preview.md_str)


def test_what_became_of_each_file_is_text(tmp_path: Path):
    (tmp_path / "![t](x).csv").write_text("symbol,date,x\nA,2020-01-01,1\n")
    (tmp_path / "<img src=x>.bin").write_bytes(b"\0\1")
    found = read_directory(tmp_path)
    shown = _shown(describe_files(found))
    assert "![t](x).csv" in shown
    assert "<img src=x>.bin" in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_reasons_and_verdicts_are_text_where_the_pages_show_markdown(text: str):
    result = result_of(dg.AssetCheckKey(KEY, "c"), Verdict(passed=False, description=f"odd: {text}"))
    assert result.description is not None
    assert _shown(result.description)
    assert from_markdown(result.description) == f"odd: {text}"

    report = RangeReport([KEY])
    report.failed(KEY, "2024-01-02", CorruptFile("damaged", where=text))

    @dg.asset(key=KEY, partitions_def=dg.StaticPartitionsDefinition(["2024-01-02"]))
    def recording(context) -> None:
        report.record(context)

    done = dg.materialize([recording], partition_key="2024-01-02")
    (observed,) = [event for event in done.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    description = observed.asset_observation_data.asset_observation.description
    assert _shown(description)
    assert from_markdown(description) == f"{text}: damaged."
