"""A series that goes from an archive to the flat files and back is in one source's terms throughout."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.archive_terms import archive_terms
from flatfiles_assets.warehouse.audit import judge_everything
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.prices import read_bars
from flatfiles_assets.warehouse.tables import DAILY_PRICES, SPLITS, get_table
from flatfiles_assets.warehouse.unified_prices import Precedence, held_sessions, unified_query
from flatfiles_assets_tests.market_warehouse import load_securities, sessions
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

FLAT, ARCHIVE = get_table(("market", "stocks_daily")), get_table(("market", "historical_daily"))
DAYS = sessions("2007-01-03", "2008-12-31")
# What only the archive has, between sessions that only or also the flat files have.
HOLE = [day for day in DAYS if dt.date(2008, 2, 1) <= day <= dt.date(2008, 5, 9)]
SPLIT = dt.date(2008, 3, 14)

Bar = tuple[float, float]  # close and volume


def published(day: dt.date) -> Bar:
    """A price that falls to half at the split, and the shares that then trade double."""
    number = DAYS.index(day)
    drift = 80 * (1 + 0.1 * np.sin(number / 9)) * (1 + 0.0001 * number)
    return (drift, 1e6) if day < SPLIT else (drift / 2, 2e6)


def adjusted(day: dt.date) -> Bar:
    """As vendors deliver who have adjusted for everything since."""
    close, volume = published(day)
    return (close / 2, volume * 2) if day < SPLIT else (close, volume)


def table(schema, bars: dict[dt.date, dict[str, Bar]]) -> pa.Table:
    rows = []
    for day, of_day in sorted(bars.items()):
        for ticker, (close, volume) in sorted(of_day.items()):
            row = dict.fromkeys(schema.column_names)
            prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
            row |= {"trade_date": day, "ticker": ticker, "volume": volume, **prices}
            for name in schema.arrow_schema.names:
                if row.get(name) is None and not schema.arrow_schema.field(name).nullable:
                    kind = schema.arrow_schema.field(name).type
                    row[name] = 0 if pa.types.is_integer(kind) else "x" if pa.types.is_string(kind) else None
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema.arrow_schema)


def make(
    path: Path,
    flat: dict[str, Callable[[dt.date], Bar]],
    archive: dict[str, Callable[[dt.date], Bar]],
    *,
    flat_days: Collection[dt.date] = frozenset(DAYS) - frozenset(HOLE),
    archive_days: Collection[dt.date] = frozenset(DAYS),
    splits: Collection[tuple[str, dt.date, float, float]] = (("SPLT", SPLIT, 1, 2),),
    precedence: Precedence = Precedence(),  # noqa: B008  (frozen)
) -> Warehouse:
    """Both sources, unified as the asset unifies them."""
    warehouse = Warehouse(path, lock_timeout_seconds=PATIENCE_SECONDS)
    with warehouse.writer("test") as transaction:
        for schema, series, days in ((FLAT, flat, flat_days), (ARCHIVE, archive, archive_days)):
            bars = {
                day: {t: bar(day) for t, bar in series.items() if not np.isnan(bar(day)[0])} for day in days
            }
            transaction.replace(schema, table(schema, bars), {"trade_date": sorted(days)})
        rows = [
            {**dict.fromkeys(SPLITS.column_names), "id": f"{n}", "ticker": ticker, "execution_date": day,
             "split_from": split_from, "split_to": split_to, "source": "test"}
            for n, (ticker, day, split_from, split_to) in enumerate(splits)
        ]  # fmt: skip
        transaction.replace_all(SPLITS, pa.Table.from_pylist(rows, schema=SPLITS.arrow_schema))
    reader = warehouse.reader()
    unified = unified_query(DAYS, held_sessions(reader, DAYS), precedence)
    both = reader.sql(unified.sql, unified.parameters).to_arrow().sort_by("trade_date")
    with warehouse.writer("test") as transaction:
        transaction.replace(
            DAILY_PRICES,
            both.select(DAILY_PRICES.column_names).cast(DAILY_PRICES.arrow_schema),
            {"trade_date": DAYS},
        )
    load_securities(warehouse)
    return warehouse


def read(warehouse: Warehouse, ticker: str = "SPLT") -> dict[dt.date, Bar]:
    bars = read_bars(warehouse.reader(), DAYS, [ticker]).table
    names = ("trade_date", "close", "volume")
    columns = (bars.column(name).to_pylist() for name in names)
    return {day: (close, volume) for day, close, volume in zip(*columns, strict=True)}


def assert_published(found: dict[dt.date, Bar]) -> None:
    assert sorted(found) == DAYS
    for day in DAYS:
        assert found[day] == pytest.approx(published(day), rel=1e-12), day


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "warehouse.duckdb"


def test_an_archive_that_is_adjusted_is_read_as_published(path: Path):
    """Before the flat files begin, on both sides of the split, and after them."""
    began = [day for day in DAYS if dt.date(2008, 2, 1) <= day < dt.date(2008, 3, 10)]
    warehouse = make(path, {"SPLT": published}, {"SPLT": adjusted}, flat_days=set(began))
    found = read(warehouse)

    for day in DAYS:
        if day <= began[-1]:
            assert found[day] == pytest.approx(published(day), rel=1e-12), day
    (before, after) = archive_terms(warehouse.reader(), DAYS[0], DAYS[-1]).spans
    assert (before.price_factor, before.volume_factor, before.last) == (2.0, 0.5, dt.date(2008, 1, 31))
    # The flat files end before the split: the archive's bars after them stay in the terms seen last, and
    # the record of the split finds no jump in them.
    assert (after.price_factor, after.first) == (2.0, dt.date(2008, 3, 10))


def test_terms_that_change_within_a_stretch_change_at_the_recorded_split(path: Path):
    assert_published(read(make(path, {"SPLT": published}, {"SPLT": adjusted})))


@pytest.mark.parametrize("adjust", ["splits", "none"])
def test_returns_across_the_sources_are_those_of_the_price(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adjust: str
):
    """The split is confirmed by bars in one source's terms, and applied once."""
    warehouse = make(path, {"SPLT": published}, {"SPLT": adjusted})
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    assert load_settings().warehouse_path == path
    found = DataIntegration().create_unified_dataset(
        ["SPLT"], DAYS[0], DAYS[-1], data_types=("prices",), adjust=adjust
    )

    (span,) = found.attrs["metadata"]["archive_terms"]
    assert (span["first"], span["last"], span["price_factor"]) == ("2008-02-01", "2008-03-13", 2.0)
    truth = np.array([adjusted(day)[0] if adjust == "splits" else published(day)[0] for day in DAYS])
    np.testing.assert_allclose(found["close"].to_numpy(), truth, rtol=1e-12)
    judged = [
        (row["verdict"], row["session"], row["applied"])
        for row in judge_everything(warehouse.reader()).to_pylist()
    ]
    assert judged == [("confirmed", SPLIT, True), ("archive_terms", HOLE[0], True)]


def test_terms_that_change_nobody_knows_where_are_left_out(path: Path):
    warehouse = make(path, {"SPLT": published}, {"SPLT": adjusted}, splits=())
    found = read(warehouse)
    assert sorted(found) == [day for day in DAYS if day not in HOLE]
    (span,) = archive_terms(warehouse.reader(), DAYS[0], DAYS[-1]).spans
    assert (span.first, span.last, span.price_factor) == (HOLE[0], HOLE[-1], None)


def test_sources_in_the_same_terms_are_left_alone(path: Path):
    def nearly(day: dt.date) -> Bar:
        return published(day)[0] * 1.004, published(day)[1]

    warehouse = make(path, {"SPLT": published, "OTHR": published}, {"SPLT": published, "OTHR": nearly})
    assert not archive_terms(warehouse.reader(), DAYS[0], DAYS[-1]).spans
    assert_published(read(warehouse))


def test_an_archive_adjusted_for_dividends_moves_no_price_at_its_end(path: Path):
    """Its volumes are those of the exchange."""
    flat = [day for day in DAYS if day >= dt.date(2008, 6, 2)]

    def reduced(day: dt.date) -> Bar:
        return adjusted(day)[0] * 0.93, adjusted(day)[1]

    found = read(make(path, {"SPLT": published}, {"SPLT": reduced}, flat_days=set(flat)))
    day = dt.date(2008, 5, 30)
    assert found[day] == pytest.approx(published(day), rel=1e-12)


def test_two_companies_under_one_ticker_are_not_joined(path: Path):
    """Prices far apart, without a steady ratio: the flat files' company is the one that is read."""

    def another(day: dt.date) -> Bar:
        return 7 + (DAYS.index(day) % 5), 3e4

    found = read(make(path, {"SPLT": published}, {"SPLT": another}, splits=()))
    assert sorted(found) == [day for day in DAYS if day not in HOLE]


def test_a_symbol_filled_from_the_archive_within_sessions_of_the_flat_files(path: Path):
    def with_gaps(day: dt.date) -> Bar:
        return (np.nan, np.nan) if day in HOLE and day < SPLIT else published(day)

    warehouse = make(
        path,
        {"SPLT": with_gaps, "OTHR": published},
        {"SPLT": lambda day: (published(day)[0] / 3, published(day)[1] * 3), "OTHR": published},
        flat_days=frozenset(DAYS),
        precedence=Precedence(fill="symbols"),
    )
    assert_published(read(warehouse))


def test_a_split_between_the_sessions_compared_does_not_mislead(path: Path):
    """The session next to the stretch is in its terms, those further away are not."""
    begins = dt.date(2008, 3, 12)
    warehouse = make(
        path,
        {"SPLT": published},
        {"SPLT": adjusted},
        flat_days=frozenset(day for day in DAYS if day >= begins),
    )
    assert_published(read(warehouse))


def test_other_sessions_cost_and_change_nothing(path: Path):
    warehouse = make(path, {"SPLT": published}, {"SPLT": adjusted})
    assert not archive_terms(warehouse.reader(), dt.date(2008, 6, 2), dt.date(2008, 12, 31)).spans
    assert not archive_terms(warehouse.reader(), DAYS[0], DAYS[-1], {"OTHR"}).spans
