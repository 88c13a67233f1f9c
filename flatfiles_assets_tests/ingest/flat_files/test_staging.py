"""Many files go in; what comes out is sorted, complete and free of what failed."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flatfiles_assets.calendars import day_bounds_ns
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.errors import CorruptFile, InvalidArgument, MisdatedFile, UnexpectedColumns
from flatfiles_assets.ingest.flat_files.staging import Stage
from flatfiles_assets.ingest.quality import QUARANTINE_SCHEMA, AllRowsRejected

DAILY = get_dataset("stocks_daily")
MINUTE = get_dataset("stocks_minute")
TRADES = get_dataset("stocks_trades")
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
JAN_2, JAN_3, JAN_4 = (dt.date(2024, 1, day) for day in (2, 3, 4))
MINUTE_NS = 60 * 10**9

# Rows stay in Arrow, or move to DuckDB with every batch: the outcome must be the same.
LIMITS = pytest.mark.parametrize("limit_bytes", [256 * 2**20, 1])


def start_ns(session: dt.date) -> int:
    return day_bounds_ns(session, "America/New_York")[0]


def bar(ticker: str, stamp_ns: int, volume: float = 100.0, price: float = 10.0) -> str:
    return f"{ticker},{volume},{price},{price},{price},{price},{stamp_ns},7"


def write(path, lines, header=HEADER):
    path.write_bytes(gzip.compress("\n".join([header, *lines, ""]).encode()))
    return path


@pytest.fixture
def stage_of(tmp_path):
    """Builds stages that are closed at the end."""
    opened = []

    def build(dataset=DAILY, limit_bytes=256 * 2**20, **options):
        opened.append(Stage(dataset, arrow_limit_bytes=limit_bytes, **options))
        return opened[-1]

    yield build
    for stage in opened:
        stage.close()


def add(stage, tmp_path, session, lines, header=HEADER):
    return stage.add(write(tmp_path / f"{session}.csv.gz", lines, header), f"key/{session}.csv.gz", session)


def accepted(stage) -> list[dict]:
    reader = stage.accepted()
    assert reader.schema == stage.dataset.table_schema
    return reader.read_all().to_pylist()


@LIMITS
def test_files_come_out_with_the_tables_schema_sorted_by_session_and_ticker(stage_of, tmp_path, limit_bytes):
    stage = stage_of(limit_bytes=limit_bytes)
    for session, tickers in ((JAN_3, "CAB"), (JAN_2, "ba"), (JAN_4, "AZa")):
        add(stage, tmp_path, session, [bar(ticker, start_ns(session)) for ticker in tickers])
    rows = accepted(stage)
    assert [(row["trade_date"].day, row["ticker"]) for row in rows] == [
        *((2, ticker) for ticker in "ab"),
        *((3, ticker) for ticker in "ABC"),
        *((4, ticker) for ticker in "AZa"),
    ]
    assert stage.rows == 8
    assert "window_start" not in rows[0]


@LIMITS
def test_minute_bars_are_sorted_by_ticker_and_time_and_keep_their_instant(stage_of, tmp_path, limit_bytes):
    stage = stage_of(MINUTE, limit_bytes)
    opening = start_ns(JAN_2) + 9 * 60 * MINUTE_NS
    stamps = [opening + minute * MINUTE_NS for minute in (2, 0, 1)]
    add(stage, tmp_path, JAN_2, [bar(ticker, stamp) for ticker in "BA" for stamp in stamps])
    rows = accepted(stage)
    assert [row["ticker"] for row in rows] == list("AAABBB")
    assert rows[0]["window_start"] == dt.datetime(2024, 1, 2, 14, 0, tzinfo=dt.timezone.utc)
    assert [row["window_start"].minute for row in rows] == [0, 1, 2] * 2


def test_what_is_returned_counts_every_row_of_the_file(stage_of, tmp_path):
    stage = stage_of()
    now = start_ns(JAN_2)
    lines = [bar("A", now), "oops", bar("ZVZZT", now), bar("B", now, -1.0), bar("A", now), bar("B", now)]
    staged = add(stage, tmp_path, JAN_2, lines)
    assert (staged.rows_read, staged.rows_accepted) == (6, 2)
    assert staged.rows_rejected == {"unparsable": 1, "test_ticker": 1, "negative": 1, "duplicate": 1}
    assert (staged.key, staged.session) == ("key/2024-01-02.csv.gz", JAN_2)
    assert staged.seconds > 0
    rejected = stage.rejected()
    assert rejected.schema == QUARANTINE_SCHEMA
    assert rejected["row_number"].to_pylist() == [2, 3, 4, 5]


def test_a_header_only_file_is_told_by_its_rows_read(stage_of, tmp_path):
    stage = stage_of()
    staged = add(stage, tmp_path, JAN_2, [])
    assert (staged.rows_read, staged.rows_accepted, staged.rows_rejected) == (0, 0, {})
    assert accepted(stage) == []
    assert stage.rejected().num_rows == 0


# --- duplicates


@LIMITS
@pytest.mark.parametrize(
    ("second", "reason"), [(100.0, "identical to row 1"), (101.0, "conflicts with row 1")]
)
def test_of_rows_with_one_key_the_first_is_kept(stage_of, tmp_path, limit_bytes, second, reason):
    stage = stage_of(MINUTE, limit_bytes)
    now = start_ns(JAN_2)
    lines = [bar("A", now), bar("B", now), bar("A", now, second), bar("A", now + MINUTE_NS)]
    staged = add(stage, tmp_path, JAN_2, lines)
    assert staged.rows_rejected == {"duplicate": 1}
    assert [(row["ticker"], row["volume"]) for row in accepted(stage)] == [
        ("A", 100.0),
        ("A", 100.0),
        ("B", 100.0),
    ]
    (row,) = stage.rejected().to_pylist()
    assert (row["row_number"], row["rule"], row["ticker"]) == (3, "duplicate", "A")
    assert row["reason"].startswith(reason)
    assert json.loads(row["row"])["volume"] == second


def test_a_ticker_has_one_day_bar_whether_stamped_midnight_or_at_the_close(stage_of, tmp_path):
    stage = stage_of()
    midnight = start_ns(JAN_2)
    staged = add(stage, tmp_path, JAN_2, [bar("A", midnight), bar("A", midnight + 16 * 60 * MINUTE_NS)])
    assert staged.rows_rejected == {"duplicate": 1}


def test_a_broken_row_does_not_make_a_duplicate_of_the_good_one(stage_of, tmp_path):
    stage = stage_of()
    staged = add(stage, tmp_path, JAN_2, [bar("A", start_ns(JAN_2), -5.0), bar("A", start_ns(JAN_2))])
    assert staged.rows_rejected == {"negative": 1}
    assert [row["volume"] for row in accepted(stage)] == [100.0]


def test_tickers_that_differ_in_case_are_not_duplicates(stage_of, tmp_path):
    staged = add(stage_of(), tmp_path, JAN_2, [bar(t, start_ns(JAN_2)) for t in ("BCpC", "BCPC", "bcpc")])
    assert staged.rows_accepted == 3


def test_the_same_key_in_two_sessions_is_no_duplicate(stage_of, tmp_path):
    stage = stage_of()
    for session in (JAN_2, JAN_3):
        assert (
            add(
                stage, tmp_path, session, [bar("B", start_ns(session)), bar("A", start_ns(session))]
            ).rows_accepted
            == 2
        )


def test_trades_may_repeat_and_keep_their_order(stage_of, tmp_path):
    stage = stage_of(TRADES)
    header = ",".join(column.name for column in TRADES.columns)
    stamp = start_ns(JAN_2)
    lines = [f'{ticker},"12,37",0,4,{n},{stamp},1.5,1,{stamp},100,3,,' for n, ticker in enumerate("BABA")]
    assert add(stage, tmp_path, JAN_2, lines, header).rows_accepted == 4
    assert [(row["ticker"], row["id"]) for row in accepted(stage)] == [
        ("A", "1"),
        ("A", "3"),
        ("B", "0"),
        ("B", "2"),
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.tuples(st.sampled_from("ABé"), st.integers(0, 3), st.integers(0, 1)), max_size=20),
    limit_bytes=st.sampled_from([1, 2**28]),
    is_sorted=st.booleans(),
)
def test_duplicates_are_those_that_plain_python_finds(tmp_path, keys, limit_bytes, is_sorted):
    keys = sorted(keys, key=lambda key: (key[0].encode(), key[1])) if is_sorted else keys
    lines = [bar(ticker, start_ns(JAN_2) + n * MINUTE_NS, volume) for ticker, n, volume in keys]
    with Stage(MINUTE, arrow_limit_bytes=limit_bytes) as stage:
        staged = add(stage, tmp_path, JAN_2, lines)
        rows, rejected = accepted(stage), stage.rejected().to_pylist()
    first_rows: dict[tuple, int] = {}
    expected = {}
    for number, (ticker, n, volume) in enumerate(keys, start=1):
        first = first_rows.setdefault((ticker, n), number)
        if first != number:
            same = keys[first - 1][2] == volume
            expected[number] = (
                f"identical to row {first}" if same else f"conflicts with row {first}, which is kept"
            )
    assert {row["row_number"]: row["reason"] for row in rejected} == expected
    assert len(rows) == staged.rows_accepted == len(first_rows)
    assert [(r["ticker"].encode(), r["window_start"]) for r in rows] == sorted(
        (r["ticker"].encode(), r["window_start"]) for r in rows
    )


# --- files that fail


@LIMITS
def test_nothing_of_a_corrupt_file_remains_and_the_next_one_is_staged(stage_of, tmp_path, limit_bytes):
    stage = stage_of(limit_bytes=limit_bytes)
    add(stage, tmp_path, JAN_2, [bar("A", start_ns(JAN_2))])
    # Long enough that whole blocks are staged before the end is found missing.
    rng = random.Random(1)
    lines = [bar(f"T{n:06}", start_ns(JAN_3), rng.randint(-1000, 10**9)) for n in range(60_000)]
    path = write(tmp_path / "cut.csv.gz", lines)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CorruptFile, match="key/cut"):
        stage.add(path, "key/cut", JAN_3)
    add(stage, tmp_path, JAN_4, [bar("A", start_ns(JAN_4))])
    assert [row["trade_date"] for row in accepted(stage)] == [JAN_2, JAN_4]
    assert stage.rejected().num_rows == 0
    assert stage.rows == 2
    assert add(stage, tmp_path, JAN_3, [bar("A", start_ns(JAN_3))]).rows_accepted == 1


def test_a_file_with_another_header_leaves_nothing(stage_of, tmp_path):
    stage = stage_of()
    with pytest.raises(UnexpectedColumns):
        add(stage, tmp_path, JAN_2, [bar("A", start_ns(JAN_2))], header=HEADER.replace("open", "opening"))
    assert (stage.rows, accepted(stage), stage.rejected().num_rows) == (0, [], 0)


def test_a_file_whose_every_row_is_misdated_fails_and_its_rows_are_kept_for_quarantine(stage_of, tmp_path):
    stage = stage_of()
    with pytest.raises(MisdatedFile) as caught:
        add(stage, tmp_path, JAN_2, [bar("A", start_ns(JAN_3)), bar("B", -68_400_000_000_000)])
    assert "none of the 2 rows belongs to session 2024-01-02" in str(caught.value)
    assert "is on 1969-12-31, 2024-01-03" in str(caught.value)
    assert accepted(stage) == []
    assert stage.rejected()["rule"].to_pylist() == ["misdated"] * 2


def test_a_file_without_one_acceptable_row_fails_and_says_why(stage_of, tmp_path):
    stage = stage_of()
    with pytest.raises(AllRowsRejected, match="unparsable 2, misdated 1"):
        add(stage, tmp_path, JAN_2, ["oops", "oops", bar("A", start_ns(JAN_3))])
    assert stage.rejected().num_rows == 3
    assert accepted(stage) == []


def test_one_misdated_row_does_not_fail_the_file(stage_of, tmp_path):
    staged = add(stage_of(), tmp_path, JAN_2, [bar("A", start_ns(JAN_3)), bar("B", start_ns(JAN_2))])
    assert (staged.rows_accepted, staged.rows_rejected) == (1, {"misdated": 1})


def test_a_session_is_staged_once(stage_of, tmp_path):
    stage = stage_of()
    add(stage, tmp_path, JAN_2, [bar("A", start_ns(JAN_2))])
    with pytest.raises(InvalidArgument, match="staged already"):
        add(stage, tmp_path, JAN_2, [bar("A", start_ns(JAN_2))])
    assert stage.rows == 1


# --- life of a stage


@LIMITS
def test_a_cleared_stage_takes_the_same_session_again(stage_of, tmp_path, limit_bytes):
    stage = stage_of(limit_bytes=limit_bytes)
    for ticker in "AB":
        add(stage, tmp_path, JAN_2, [bar(ticker, start_ns(JAN_2)), "oops"])
        assert [row["ticker"] for row in accepted(stage)] == [ticker]
        assert stage.rejected().num_rows == 1
        stage.clear()
        assert (stage.rows, accepted(stage), stage.rejected().num_rows) == (0, [], 0)


def test_files_may_be_added_after_reading(stage_of, tmp_path):
    stage = stage_of(limit_bytes=1)
    for position, session in enumerate((JAN_2, JAN_3, JAN_4), start=1):
        add(stage, tmp_path, session, [bar("B", start_ns(session)), bar("A", start_ns(session))])
        assert len(accepted(stage)) == 2 * position


@pytest.mark.slow
def test_more_rows_than_the_memory_limit_are_spilled_and_come_out_sorted(stage_of, tmp_path):
    spill = tmp_path / "spill"
    stage = stage_of(MINUTE, 2**20, memory_limit="150MB", temp_directory=spill)
    stamps = [start_ns(JAN_2) + minute * MINUTE_NS for minute in range(900, 0, -1)]
    lines = [bar(f"{n:010}{n:030}", stamp) for n in range(900) for stamp in stamps]
    staged = add(stage, tmp_path, JAN_2, lines)
    assert staged.rows_accepted == len(lines)
    last = None
    for batch in stage.accepted():
        table = pa.Table.from_batches([batch])
        assert table.equals(table.sort_by([("ticker", "ascending"), ("window_start", "ascending")]))
        first = (batch["ticker"][0].as_py(), batch["window_start"][0].as_py())
        assert last is None or last < first
        last = (batch["ticker"][-1].as_py(), batch["window_start"][-1].as_py())
    assert spill.exists()


def test_a_closed_stage_leaves_no_directory_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Stage(DAILY):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.sampled_from(["ok", "ok2", "negative", "oops", "misdated", "test", "empty"]),
        min_size=1,
        max_size=30,
    )
)
def test_accepted_and_rejected_rows_always_make_up_the_rows_read(tmp_path, lines):
    now = start_ns(JAN_2)
    forms = {
        "ok": bar("A", now),
        "ok2": bar("B", now),
        "negative": bar("A", now, -1.0),
        "oops": "1,2",
        "misdated": bar("A", now - 1),
        "test": bar("ZVZZT", now),
        "empty": bar("", now),
    }
    with Stage(DAILY) as stage:
        try:
            staged = add(stage, tmp_path, JAN_2, [forms[line] for line in lines])
        except (MisdatedFile, AllRowsRejected):
            assert stage.rejected().num_rows == len(lines)
            assert accepted(stage) == []
            return
        assert staged.rows_read == len(lines)
        assert staged.rows_accepted == len(accepted(stage))
        assert sum(staged.rows_rejected.values()) == stage.rejected().num_rows
        assert staged.rows_accepted + stage.rejected().num_rows == len(lines)
