"""The pictures of the inventory: whole in one file, safe with any text, and readable without colours."""

from __future__ import annotations

import base64
import datetime as dt
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
from click.testing import CliRunner

from flatfiles_assets.calendars import sessions
from flatfiles_assets.cli import main
from flatfiles_assets.cli.status_page import status_page, year_svg
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.assets.status_picture import inventory_markdown, year_png
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import market_key
from flatfiles_assets.warehouse.inventory import SessionStatus, colour_of, place
from flatfiles_assets.warehouse.session_states import SESSION_STATES, STATES
from flatfiles_assets_tests.platform import Platform

NOW = dt.datetime(2024, 7, 1, 12, tzinfo=dt.timezone.utc)
EVERY_STATE = [
    SessionStatus(day, state, rows=7, detail="because <b>&")
    for day, state in zip(sessions("XNYS", "2024-01-02", "2024-02-01"), STATES, strict=False)
]


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open_tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "img"):
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag


def _pixels(png: bytes) -> list[list[str]]:
    """The colours of a palette PNG, row by row."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = {}, 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        kind, body = png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack(">I", png[position + 8 + length : position + 12 + length])
        assert checksum == zlib.crc32(kind + body)
        chunks[kind] = body
        position += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    palette = ["#" + chunks[b"PLTE"][place : place + 3].hex() for place in range(0, len(chunks[b"PLTE"]), 3)]
    raw = zlib.decompress(chunks[b"IDAT"])
    assert len(raw) == height * (width + 1)
    return [[palette[n] for n in raw[y * (width + 1) + 1 : (y + 1) * (width + 1)]] for y in range(height)]


def test_the_page_needs_nothing_but_itself_and_runs_nothing():
    text = status_page({"stocks_daily": EVERY_STATE, "options_daily": []}, {"stocks_daily": "Stocks"}, NOW)
    page = _Page(text)
    assert page.open_tags == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    addresses = [value for name, value in page.attributes if name in ("src", "href") and value]
    assert all(value.startswith("#") for value in addresses)
    assert "url(" not in text
    assert "nothing asked for yet" in text


def test_whatever_an_error_says_stays_text():
    hostile = SessionStatus(dt.date(2024, 1, 2), "failed", detail='</title><script>alert("x")</script>')
    text = status_page({"<feed>": [hostile]}, {"<feed>": "<i>"}, NOW)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "<feed>" not in text
    assert _Page(text).open_tags == []


def test_every_session_is_a_square_that_says_its_date_state_and_reason():
    svg = year_svg(2024, EVERY_STATE)
    titles = re.findall(r"<title>(.*?)</title>", svg)
    assert len(titles) == len(STATES)
    for status, title in zip(EVERY_STATE, titles, strict=True):
        assert title.startswith(f"{status.session}: {SESSION_STATES[status.state].label}, 7 rows")
        assert title.endswith("because &lt;b&gt;&amp;")
    assert 'role="img"' in svg
    assert "1 corrupt file" in svg


def test_what_went_wrong_can_be_told_without_colours():
    wrong = {"stale", "refused", "corrupt", "not_entitled", "not_published", "failed"}
    letters = {SESSION_STATES[state].letter for state in wrong}
    assert len(letters) == len(wrong)
    assert "" not in letters
    assert len({look.colour for look in SESSION_STATES.values()}) == len(SESSION_STATES)


def test_a_session_is_darker_the_more_of_it_is_in_quarantine():
    day = dt.date(2024, 1, 2)
    shades = [colour_of(SessionStatus(day, "present", 1, share)) for share in (0.0, 0.001, 0.1, 1.0)]
    assert shades[0] == SESSION_STATES["present"].colour
    assert shades == sorted(shades, reverse=True)
    assert len(set(shades)) == 4


def test_days_of_a_week_are_a_column_and_years_begin_at_its_top_left():
    assert place(dt.date(2024, 1, 1)) == (0, 0)
    assert place(dt.date(2024, 1, 5)) == (0, 4)
    assert place(dt.date(2024, 1, 8)) == (1, 0)
    assert place(dt.date(2023, 1, 1)) == (0, 6)
    assert place(dt.date(2023, 1, 2)) == (1, 0)
    assert place(dt.date(2024, 12, 31))[0] <= 53


def test_the_small_picture_has_the_same_colours_in_the_same_places():
    pixels = _pixels(year_png(EVERY_STATE))
    for status in EVERY_STATE:
        column, row = place(status.session)
        assert pixels[row * 6 + 2][column * 6 + 2] == colour_of(status)
    assert pixels[2][2] == "#ffffff"  # New Year's Day


def test_the_picture_in_the_ui_stays_small_over_twenty_years():
    days = sessions("XNYS", "2004-01-01", "2024-12-31")
    text = inventory_markdown([SessionStatus(day, "present", rows=1) for day in days])
    assert "| 2024 |" in text
    assert "| 2004 |" not in text
    assert len(text) < 10_000


def test_the_latest_partition_of_a_run_carries_the_picture_and_the_page_shows_the_same(
    platform: Platform, tmp_path: Path
):
    platform.put("2024-01-02")
    platform.put("2024-01-04", "truncated")
    platform.put("2024-01-05")
    platform.run(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"])

    key = market_key(get_dataset("stocks_daily"))
    found = {}
    with open_instance(platform.home) as instance:
        for day in ("2024-01-02", "2024-01-05"):
            (record,) = instance.fetch_materializations(
                dg.AssetRecordsFilter(key, asset_partitions=[day]), limit=1
            ).records
            found[day] = record.asset_materialization.metadata
    assert "inventory" not in found["2024-01-02"]
    markdown = found["2024-01-05"]["inventory"].value
    assert "2 present, 1 corrupt file, 1 not published" in markdown
    encoded = re.search(r"data:image/png;base64,([^)]+)\)", markdown)
    assert encoded is not None
    column, row = place(dt.date(2024, 1, 4))
    assert _pixels(base64.b64decode(encoded[1]))[row * 6][column * 6] == SESSION_STATES["corrupt"].colour

    path = tmp_path / "status.html"
    result = CliRunner().invoke(main, ["status", "stocks_daily", "--html", str(path)])
    assert result.exit_code == 0, result.output
    page = path.read_text(encoding="utf-8")
    assert "2024-01-04: corrupt file" in page
    assert page.count("<title>2024-01-0") == 4
