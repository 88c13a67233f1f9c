"""Records of splits and dividends become rows; what cannot be used is named, never guessed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.ingest.reference import (
    MalformedReference,
    dropped_file,
    read_dropped_file,
    reference_records,
)

SPLIT = {"ticker": "AAPL", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "id": "x"}
DIVIDEND = {"ticker": "KO", "ex_dividend_date": "2024-03-14", "cash_amount": 0.485}


def test_the_vendors_records_become_rows():
    market = SyntheticMarket(40)
    splits = reference_records("splits", market.splits(), "api")
    dividends = reference_records("dividends", market.dividends(dt.date(2024, 1, 1)), "api")

    assert splits.table.num_rows == len(market.splits())
    apple = splits.table.to_pandas().query("ticker == 'AAPL'").iloc[-1]
    assert (apple.execution_date, apple.split_from, apple.split_to) == (dt.date(2020, 8, 31), 1.0, 4.0)
    assert dividends.table.num_rows == len(market.dividends(dt.date(2024, 1, 1)))
    assert set(dividends.table.column("currency").to_pylist()) == {"USD"}
    assert splits.rejected == dividends.rejected == ()


def test_a_repeated_record_is_one_row():
    assert reference_records("splits", [SPLIT, dict(SPLIT)], "api").table.num_rows == 1


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("ticker", "", "no ticker"),
        ("ticker", None, "no ticker"),
        ("execution_date", "2020-13-01", "execution_date is '2020-13-01'"),
        ("split_to", 0, "split_to is 0"),
        ("split_from", -1, "split_from is -1"),
        ("split_from", "nan", "split_from is nan"),
        ("split_to", "many", "split_to is 'many'"),
    ],
)
def test_an_unusable_record_is_left_out_and_named(field: str, value: object, reason: str):
    records = reference_records("splits", [SPLIT, {**SPLIT, field: value}], "api")
    assert records.table.num_rows == 1
    (rejected,) = records.rejected
    assert rejected.startswith("record 2")
    assert reason in rejected


def test_a_source_without_one_usable_record_is_refused():
    with pytest.raises(MalformedReference, match="execution_date"):
        reference_records("splits", [{"symbol": "AAPL", "when": "2020-08-31"}], "splits.csv")


def test_a_dividend_without_a_currency_is_in_dollars_and_another_currency_is_kept():
    rows = reference_records("dividends", [DIVIDEND, {**DIVIDEND, "currency": "CAD"}], "api").table
    assert sorted(rows.column("currency").to_pylist()) == ["CAD", "USD"]


def test_csv_and_parquet_drops_hold_the_same_and_tickers_stay_text(tmp_path: Path):
    """NA, NULL and TRUE are companies; any guessing reader would lose them."""
    records = [
        {**SPLIT, "ticker": ticker, "split_from": "1", "split_to": "2"} for ticker in ("NA", "TRUE", "NULL")
    ]
    lines = [",".join(SPLIT), *(",".join(map(str, record.values())) for record in records)]
    (tmp_path / "splits.csv").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    from_csv = reference_records("splits", read_dropped_file(dropped_file(tmp_path, "splits")), "drop").table
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "splits.parquet")
    from_parquet = reference_records(
        "splits", read_dropped_file(dropped_file(tmp_path, "splits")), "drop"
    ).table

    assert from_csv.column("ticker").to_pylist() == ["NA", "NULL", "TRUE"]
    assert from_csv.equals(from_parquet)


def test_a_file_that_is_not_what_its_ending_says_is_refused(tmp_path: Path):
    (tmp_path / "dividends.parquet").write_bytes(b"ticker,ex_date\n")
    with pytest.raises(MalformedReference, match="parquet"):
        read_dropped_file(tmp_path / "dividends.parquet")


def test_dates_of_parquet_columns_are_understood(tmp_path: Path):
    table = pa.table(
        {
            "symbol": ["KO"],
            "date": pa.array([dt.date(2024, 3, 14)]).cast(pa.timestamp("us")),
            "amount": [0.485],
        }
    )
    pq.write_table(table, tmp_path / "dividends.parquet")
    rows = reference_records("dividends", read_dropped_file(tmp_path / "dividends.parquet"), "drop").table
    assert rows.column("ex_date").to_pylist() == [dt.date(2024, 3, 14)]
