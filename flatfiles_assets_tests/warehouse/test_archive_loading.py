"""Rows of an archive that no session can take are kept, each under a session that is asked for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.warehouse.archive_loading import LoadedYear, load_year
from flatfiles_assets.warehouse.connection import Warehouse

DAYS = sessions("XNYS", dt.date(2006, 1, 1), dt.date(2006, 12, 31))
GOOD = [f"IBM,{day},10,12,9,11,{1000 + place}" for place, day in enumerate(DAYS)]


@pytest.fixture
def load(warehouse: Warehouse, tmp_path: Path):
    def loaded(*rows: str, days: list[dt.date] = DAYS) -> LoadedYear:
        folder = tmp_path / "2006"
        folder.mkdir(exist_ok=True)
        text = "\n".join(["Symbol,Date,Open,High,Low,Close,Volume", *GOOD, *rows])
        (folder / "2006.csv").write_text(text)
        return load_year(folder, 2006, days, warehouse)

    return loaded


def _quarantine(warehouse: Warehouse) -> dict[str, dt.date]:
    """By the row as it stood, under which session it is kept."""
    return dict(warehouse.reader().sql("SELECT row, trade_date FROM market.quarantine").fetchall())


@pytest.mark.parametrize(
    ("row", "kept_under"),
    [
        ("IBM,2006-07-01,10,12,9,11,1", dt.date(2006, 7, 3)),
        ("IBM,2006-12-30,10,12,9,11,1", DAYS[0]),
        ("IBM,2007-03-01,10,12,9,11,1", DAYS[0]),
        ("IBM,2005-03-01,10,12,9,11,1", DAYS[0]),
        ("IBM,soon,10,12,9,11,1", DAYS[0]),
        ("IBM,2006-07-03,10,12,,11,1", dt.date(2006, 7, 3)),
    ],
    ids=["a Saturday", "after the last session", "next year", "last year", "no date", "no low"],
)
def test_a_rejected_row_is_kept_under_a_session_of_its_year(load, warehouse, row: str, kept_under: dt.date):
    loaded = load(row)

    assert sum(loaded.rows_by_session.values()) == len(GOOD)
    (found,) = _quarantine(warehouse).items()
    assert "10" in found[0]
    assert found[1] == kept_under
    assert loaded.rejected_by_session[kept_under] == 1
    assert sum(loaded.rejected_by_session.values()) == 1


def test_a_rejected_row_of_a_session_that_was_not_asked_for_waits_for_it(load, warehouse):
    load("IBM,2006-07-03,10,12,,11,1", days=DAYS[:5])
    assert not warehouse.reader().table("market.quarantine").to_arrow().num_rows
