import datetime as dt
import gzip
import io
import zlib

import pandas as pd
import pyarrow as pa
import pytest

from flatfiles_assets.demo.market import SyntheticMarket, vendor_schema
from flatfiles_assets.demo.vendor_files import (
    BYTE_FAULTS,
    TABLE_FAULTS,
    object_key,
    to_csv,
    to_csv_gz,
    vendor_file,
)

HEADER = b"ticker,volume,open,close,high,low,window_start,transactions\n"
DAY = dt.date(2024, 1, 2)


@pytest.fixture(scope="module")
def day_bars() -> pa.Table:
    return SyntheticMarket(n_symbols=60).day_bars(DAY)


def rows(payload: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(gzip.decompress(payload)), keep_default_na=False)


def table(volume: list[float]) -> pa.Table:
    count = len(volume)
    return pa.table(
        {
            "ticker": ["AAPL", "NA", "TRUE"][:count],
            "volume": volume,
            "open": [187.15, 25.0, 0.0101][:count],
            "close": [185.64, 25.5, 0.01][:count],
            "high": [188.44, 26.0, 0.02][:count],
            "low": [183.885, 24.0, 0.0001][:count],
            "window_start": [1704171600000000000] * count,
            "transactions": [1008871, 3, 1][:count],
        },
        schema=vendor_schema("stocks_daily"),
    )


def test_numbers_are_written_as_the_vendor_writes_them() -> None:
    assert to_csv(table([82488674.0, 100.0, 12345678901.0])) == (
        HEADER
        + b"AAPL,82488674,187.15,185.64,188.44,183.885,1704171600000000000,1008871\n"
        + b"NA,100,25,25.5,26,24,1704171600000000000,3\n"
        + b"TRUE,12345678901,0.0101,0.01,0.02,0.0001,1704171600000000000,1\n"
    )


def test_fractional_volumes_have_decimals_beside_whole_ones() -> None:
    lines = to_csv(table([82488674.123456, 100.0])).splitlines()
    assert lines[1].startswith(b"AAPL,82488674.123456,187.15,")
    assert lines[2].startswith(b"NA,100,25,")


def test_the_same_table_gives_the_same_bytes_without_a_time_stamp(day_bars: pa.Table) -> None:
    payload = to_csv_gz(day_bars)
    assert payload == to_csv_gz(day_bars)
    assert payload[:2] == b"\x1f\x8b"
    assert payload[4:8] == bytes(4), "the gzip header's time"


def test_written_values_are_read_back_exactly(day_bars: pa.Table) -> None:
    read = pa.csv.read_csv(
        io.BytesIO(gzip.decompress(to_csv_gz(day_bars))),
        convert_options=pa.csv.ConvertOptions(
            column_types=day_bars.schema, strings_can_be_null=False, null_values=[]
        ),
    )
    assert read.equals(day_bars)


@pytest.mark.parametrize(
    ("feed", "key"),
    [
        ("stocks_daily", "us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz"),
        ("stocks_minute", "us_stocks_sip/minute_aggs_v1/2024/01/2024-01-02.csv.gz"),
        ("options_daily", "us_options_opra/day_aggs_v1/2024/01/2024-01-02.csv.gz"),
        ("options_minute", "us_options_opra/minute_aggs_v1/2024/01/2024-01-02.csv.gz"),
    ],
)
def test_keys_are_the_vendors(feed: str, key: str) -> None:
    assert object_key(feed, DAY) == key


def test_the_options_prefix_is_a_choice_that_leaves_stocks_alone() -> None:
    assert object_key("options_daily", DAY, options_prefix="us_options").startswith("us_options/day_aggs_v1/")
    assert object_key("stocks_daily", DAY, options_prefix="us_options").startswith("us_stocks_sip/")


def test_a_misdated_file_stamps_every_row_one_day_later(day_bars: pa.Table) -> None:
    assert (rows(vendor_file(day_bars, "misdated")).window_start == 1704171600000000000 + 86400 * 10**9).all()


def test_a_header_only_file_is_its_header(day_bars: pa.Table) -> None:
    assert gzip.decompress(vendor_file(day_bars, "header_only")) == HEADER


def test_a_truncated_file_begins_well_and_does_not_end(day_bars: pa.Table) -> None:
    payload = vendor_file(day_bars, "truncated")
    assert vendor_file(day_bars).startswith(payload)
    assert zlib.decompressobj(wbits=31).decompress(payload).startswith(HEADER)
    with pytest.raises(EOFError):
        gzip.decompress(payload)


def test_a_flipped_byte_shows_at_the_end_only(day_bars: pa.Table) -> None:
    payload = vendor_file(day_bars, "flipped_byte")
    assert len(payload) == len(vendor_file(day_bars))
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(payload)


def test_row_faults_hit_some_rows_and_spare_the_others(day_bars: pa.Table) -> None:
    whole = rows(vendor_file(day_bars))
    duplicated = rows(vendor_file(day_bars, "duplicated_rows"))
    assert duplicated.duplicated().sum() == 3
    assert duplicated.drop_duplicates().equals(whole)
    exchanged = rows(vendor_file(day_bars, "high_below_low"))
    assert (exchanged.high < exchanged.low).sum() == 1
    assert (rows(vendor_file(day_bars, "negative_price")).low < 0).sum() == 1
    assert (rows(vendor_file(day_bars, "empty_ticker")).ticker == "").sum() == 1
    assert (rows(vendor_file(day_bars, "one_row_in_1970")).window_start < 10**17).sum() == 1
    bad = rows(vendor_file(day_bars, "bad_rows"))
    assert bad.duplicated().any()
    assert (bad.ticker == "").any()
    assert (bad.high < bad.low).any()


def test_column_faults_change_the_header(day_bars: pa.Table) -> None:
    assert list(rows(vendor_file(day_bars, "renamed_column")).columns)[1] == "vol"
    assert "transactions" not in rows(vendor_file(day_bars, "missing_column")).columns
    reordered = rows(vendor_file(day_bars, "reordered_columns"))
    assert list(reordered.columns) == sorted(day_bars.column_names)
    assert reordered[day_bars.column_names].equals(rows(vendor_file(day_bars)))


def test_a_file_cut_mid_session_is_whole_gzip_with_the_morning_only() -> None:
    minutes = SyntheticMarket(n_symbols=8).minute_bars(DAY)
    cut = rows(vendor_file(minutes, "cut_mid_session"))
    assert 0 < len(cut) < minutes.num_rows
    assert cut.window_start.max() < max(minutes["window_start"].to_pylist()) - 3 * 3600 * 10**9


def test_sound_oddities_hold_the_same_rows(day_bars: pa.Table) -> None:
    content = to_csv(day_bars)
    members = vendor_file(day_bars, "several_members")
    assert gzip.decompress(members) == content
    assert len(zlib.decompressobj(wbits=31).decompress(members)) < len(content)
    assert vendor_file(day_bars, "not_gzip") == content
    assert vendor_file(day_bars, "zero_bytes") == b""


def test_every_fault_has_its_own_name_and_an_unknown_one_is_refused(day_bars: pa.Table) -> None:
    assert not set(TABLE_FAULTS) & set(BYTE_FAULTS)
    with pytest.raises(KeyError):
        vendor_file(day_bars, "no such fault")
