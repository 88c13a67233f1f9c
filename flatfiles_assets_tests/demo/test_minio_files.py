import csv
import datetime as dt
import gzip
import io
import random
import zipfile
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flatfiles_assets import calendars
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.minio_directories import directory_objects
from flatfiles_assets.demo.minio_files import (
    HistoricalLayout,
    historical_bars,
    historical_minute_bars,
    hostile_zip,
    write_bars_zip,
    write_year_zip,
)
from flatfiles_assets.errors import InvalidArgument

pytestmark = pytest.mark.slow

SYMBOLS = ["AAPL", "KO", "NA", "TRUE", "BRK.B", "BUCY"]


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(n_symbols=30)


@pytest.fixture(scope="module")
def may(market: SyntheticMarket) -> pa.Table:
    bars = historical_bars(market, 2008, SYMBOLS)
    return bars.filter(pa.compute.equal(pa.compute.month(bars["trade_date"]), 5))


def read_back(payload: bytes, layout: HistoricalLayout) -> list[dict[str, object]]:
    """What the archive says, read by the layout with nothing but the standard library."""
    found = []
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        for member in archive.namelist():
            content = archive.read(member)
            text = (gzip.decompress(content) if member.endswith(".gz") else content).decode(layout.encoding)
            assert ("\r\n" in text) == layout.crlf
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=layout.separator))
            fields = layout.fields()
            if layout.header:
                assert lines.pop(0) == [layout.heading(field) for field in fields]
            name = PurePosixPath(member).name.removesuffix(layout.extension).removeprefix(layout.name_prefix)
            for line in lines:
                row = dict(zip(fields, line, strict=True))
                day = row.get("date")
                date_format = layout.date_format if day is not None else layout.file_date_format
                numbers = ("open", "high", "low", "close", "volume")
                found.append(
                    {
                        "trade_date": dt.datetime.strptime(day or name, date_format).date(),  # noqa: DTZ007
                        "ticker": row.get("ticker", name),
                        **{field: float(row[field].replace(",", ".")) for field in numbers},
                    }
                )
    return sorted(found, key=lambda row: (row["trade_date"], row["ticker"]))


CHOICES = {
    "arrangement": ["long", "per_symbol", "per_day"],
    "separator": [",", "\t", ";", "|"],
    "header": [True, False],
    "date_format": ["%Y%m%d", "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S", "%d-%b-%Y"],
    "heading_style": ["title", "lower", "upper", "angle"],
    "date_heading": [None, "timestamp"],
    "ticker_heading": [None, "Symbol"],
    "volume_heading": [None, "Vol"],
    "adjusted_close": [True, False],
    "named_fields_repeated": [True, False],
    "extension": [".csv", ".txt", ".CSV", ".csv.gz"],
    "folder": ["", "deep/er"],
    "nested": [True, False],
    "name_prefix": ["", "table_"],
    "file_date_format": ["%Y-%m-%d", "%Y%m%d"],
    "encoding": ["utf-8", "utf-8-sig", "latin-1", "utf-16"],
    "quoted": [True, False],
    "crlf": [True, False],
    "newest_first": [True, False],
}


def random_layouts(count: int) -> list[HistoricalLayout]:
    chooser = random.Random(5)
    layouts = [
        HistoricalLayout(**{name: chooser.choice(values) for name, values in CHOICES.items()})
        for _ in range(count)
    ]
    commas = [HistoricalLayout(separator=";", decimal_comma=True, quoted=quoted) for quoted in (True, False)]
    return layouts + commas


@pytest.mark.parametrize(
    "layout",
    random_layouts(60),
    ids=lambda layout: f"{layout.arrangement}-{layout.extension}-{layout.encoding}",
)
def test_every_combination_of_choices_says_the_same_bars(may: pa.Table, layout: HistoricalLayout) -> None:
    truth = may.drop_columns(["adj_close"]).to_pylist()
    assert read_back(write_bars_zip(may, layout, "2008"), layout) == truth


def test_a_year_has_every_session_at_the_prices_of_the_flat_files(market: SyntheticMarket) -> None:
    bars = historical_bars(market, 2008, ["KO"])
    assert bars["trade_date"].to_pylist() == calendars.sessions("XNYS", "2008-01-01", "2008-12-31")
    day = dt.date(2008, 5, 20)
    (historical,) = [row for row in bars.to_pylist() if row["trade_date"] == day]
    (flat,) = market.day_bars(day, ["KO"]).to_pylist()
    assert all(historical[name] == flat[name] for name in ("open", "high", "low", "close", "volume"))


def test_adjusted_closes_are_divided_by_later_splits_and_by_those_only(market: SyntheticMarket) -> None:
    rows = historical_bars(market, 2008, ["BUCY"]).to_pylist()
    before = [row for row in rows if row["trade_date"] < dt.date(2008, 5, 28)]
    after = [row for row in rows if row["trade_date"] >= dt.date(2008, 5, 28)]
    assert before
    assert after
    assert all(row["adj_close"] == round(row["close"] / 2, 4) for row in before)
    assert all(row["adj_close"] == row["close"] for row in after)


def test_test_tickers_are_in_no_archive(market: SyntheticMarket) -> None:
    assert "ZVZZT" in market.tickers
    assert "ZVZZT" not in historical_bars(market, 2009)["ticker"].to_pylist()


def test_file_names_lie_where_the_layout_says(market: SyntheticMarket) -> None:
    def names(layout: HistoricalLayout) -> list[str]:
        payload = write_year_zip(market, 2008, layout)
        return zipfile.ZipFile(io.BytesIO(payload)).namelist()

    assert names(HistoricalLayout(extension=".TXT", folder="data")) == ["data/2008.TXT"]
    per_symbol = names(HistoricalLayout("per_symbol", nested=True, name_prefix="table_"))
    assert "A/table_AAPL.csv" in per_symbol
    assert len({name.casefold() for name in per_symbol}) == len(per_symbol)
    per_day = names(HistoricalLayout("per_day", nested=True, file_date_format="%Y%m%d", extension=".csv.gz"))
    assert per_day[0] == "01/20080102.csv.gz"
    assert len(per_day) == 253


def test_the_same_arguments_give_the_same_archive(market: SyntheticMarket) -> None:
    layout = HistoricalLayout("per_symbol", extension=".csv.gz")
    assert write_year_zip(market, 2003, layout, ["KO"]) == write_year_zip(market, 2003, layout, ["KO"])


def test_intraday_bars_are_written_in_new_york_time(market: SyntheticMarket) -> None:
    session = dt.date(2008, 7, 1)
    bars = historical_minute_bars(market, [session], ["AAPL"])
    layout = HistoricalLayout(heading_style="angle", date_format="%Y%m%d", time_format="%H:%M")
    archive = zipfile.ZipFile(io.BytesIO(write_bars_zip(bars, layout, "intraday")))
    lines = archive.read("intraday.csv").decode().splitlines()
    assert lines[0] == "<DATE>,<TIME>,<TICKER>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOLUME>"
    (opening,) = [line for line in lines if line.startswith("20080701,09:30,")]
    (day_bar,) = market.day_bars(session, ["AAPL"]).to_pylist()
    assert float(opening.split(",")[3]) == day_bar["open"]


def test_further_members_are_kept_as_they_are(may: pa.Table) -> None:
    payload = write_bars_zip(may, HistoricalLayout(), "2008", {"README.txt": b"hello"})
    assert zipfile.ZipFile(io.BytesIO(payload)).read("README.txt") == b"hello"


def test_a_decimal_comma_between_commas_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="decimal comma"):
        HistoricalLayout(decimal_comma=True)


def test_the_hostile_archive_has_a_sound_member_and_one_that_leaves_the_directory() -> None:
    archive = zipfile.ZipFile(io.BytesIO(hostile_zip(2005)))
    assert archive.namelist() == ["2005.csv", "../../outside.csv"]
    assert archive.testzip() is None


def test_the_four_directories_hold_tables_in_differing_forms_and_files_that_are_none(
    market: SyntheticMarket,
) -> None:
    objects = directory_objects(market)
    assert {key.split("/")[0] for key in objects} == {"financials", "us_financials", "options", "samples"}
    old, new = (
        objects[f"financials/{quarter}.csv"].decode().splitlines()[0].split(",")
        for quarter in ("2008Q4", "2023Q1")
    )
    assert set(new) - set(old) == {"sector"}
    income = pq.read_table(io.BytesIO(objects["us_financials/income_statements.parquet"]))
    assert {"symbol", "period_end", "filed"} <= set(income.column_names)
    assert {"NA", "TRUE"} <= set(income["symbol"].to_pylist())
    assert objects["us_financials/balance_sheets.csv"].startswith(b"Symbol;PeriodEnd;Filed;")
    archived = gzip.decompress(objects["us_financials/archive/2007/income_statements.csv.gz"])
    assert archived.startswith(b"symbol,period_end,")
    assert objects["us_financials/methodology.pdf"].startswith(b"%PDF")
    assert objects["samples/AAPL_2008.csv"].startswith(b"Date,Ticker,Open,")
