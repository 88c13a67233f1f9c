"""What a difference between bucket, ledger and warehouse leads to."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.remote_changes import (
    Change,
    Comparison,
    compare,
    plan_ranges,
    reason_to_fetch,
    retry_delay,
)

NOW = dt.datetime(2024, 3, 1, 18, 0, tzinfo=dt.timezone.utc)
DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)
SESSION = dt.date(2024, 1, 3)


def _item(
    session: dt.date = SESSION, etag: str = "a", modified_at: dt.datetime = NOW - 30 * DAY
) -> RemoteObject:
    return RemoteObject(f"k/{session}", etag, 10, modified_at)


def _copy(session: dt.date = SESSION, etag: str = "a", state: str = "downloaded") -> LedgerEntry:
    fetched_at = NOW - 2 * DAY
    return LedgerEntry(
        f"k/{session}", etag, 10, f"sha-{etag}", fetched_at, fetched_at, 1, state, attempted_at=fetched_at
    )


def _failure(state: str, ago: dt.timedelta, session: dt.date = SESSION) -> LedgerEntry:
    entry = LedgerEntry.failure(f"k/{session}", state, "why")
    return dataclasses.replace(entry, attempted_at=NOW - ago)


def _reason(entry: LedgerEntry | None, item: RemoteObject, failures: int = 1) -> str | None:
    return reason_to_fetch(entry, item, failed_attempts=lambda _: failures, now=NOW)


def _compare(items: list[RemoteObject], entries: list[LedgerEntry], stored: dict | None = None) -> Comparison:
    return compare(
        {dt.date.fromisoformat(item.key[2:]): item for item in items},
        {entry.key: entry for entry in entries},
        stored,
        failed_attempts=lambda _: 1,
        now=NOW,
    )


def test_what_was_never_attempted_is_new():
    assert _reason(None, _item()) == "new"


def test_what_is_as_listed_is_left_alone():
    assert _reason(_copy(), _item()) is None


@pytest.mark.parametrize("other", [{"etag": "b"}, {"size_bytes": 11}])
def test_another_etag_or_size_is_a_replacement(other):
    assert _reason(_copy(), dataclasses.replace(_item(), **other)) == "replaced"


def test_without_etags_the_time_of_the_last_change_decides():
    entry = dataclasses.replace(_copy(), etag=None)
    item = dataclasses.replace(_item(), etag=None, last_modified=entry.last_modified)
    assert _reason(entry, item) is None
    assert _reason(entry, dataclasses.replace(item, last_modified=NOW)) == "replaced"


def test_a_damaged_copy_is_fetched_again_once_a_day():
    assert _reason(_copy(state="corrupt"), _item()) == "damaged"
    fresh = dataclasses.replace(_copy(state="corrupt"), fetched_at=NOW - HOUR)
    assert _reason(fresh, _item()) is None


@pytest.mark.parametrize(
    ("state", "ago", "failures", "due"),
    [
        ("failed", 29 * MINUTE, 1, False),
        ("failed", 31 * MINUTE, 1, True),
        ("failed", 31 * MINUTE, 2, False),
        ("failed", 61 * MINUTE, 2, True),
        ("not_published", 31 * MINUTE, 1, True),
        ("failed", DAY, 50, True),
        ("corrupt", 6 * DAY, 1, False),
        ("corrupt", 7 * DAY, 1, True),
        ("not_entitled", 20 * DAY, 1, False),
    ],
)
def test_a_failure_rests_before_it_is_tried_again(state, ago, failures, due):
    assert _reason(_failure(state, ago), _item(), failures) == ("retry" if due else None)


@pytest.mark.parametrize("state", ["corrupt", "not_entitled", "failed"])
def test_an_object_that_changed_after_the_failure_is_tried_at_once(state):
    item = _item(modified_at=NOW - MINUTE)
    assert _reason(_failure(state, 5 * MINUTE), item) == "retry"


def test_a_vendor_whose_clock_is_ahead_is_not_asked_at_every_tick():
    item = _item(modified_at=NOW + DAY)
    assert _reason(_failure("corrupt", 5 * MINUTE), item, failures=3) == "retry"
    assert _reason(_failure("corrupt", 5 * MINUTE), item, failures=4) is None


def test_an_object_that_changed_shortly_before_a_refusal_gets_one_more_chance():
    """The clocks of the store and of this machine may differ."""
    first = _failure("corrupt", 2 * HOUR)
    item = _item(modified_at=first.attempted_at - 10 * MINUTE)
    assert _reason(first, item) == "retry"
    second = dataclasses.replace(first, attempted_at=NOW - HOUR)
    assert _reason(second, item, failures=2) is None


def test_an_attempt_in_the_future_delays_nothing():
    assert _reason(_failure("failed", -DAY), _item()) == "retry"


def test_a_current_file_whose_rows_are_of_another_is_loaded():
    items, entries = [_item()], [_copy()]
    assert [c.why for c in _compare(items, entries, {SESSION: "sha-old"}).changes] == ["not loaded"]
    assert [c.why for c in _compare(items, entries, {}).changes] == ["not loaded"]
    assert _compare(items, entries, {SESSION: "sha-a"}).current == {SESSION}
    assert _compare(items, entries, None).current == {SESSION}, "a warehouse in use says nothing"


def test_what_is_gone_from_the_bucket_is_named_and_leads_to_no_run():
    found = _compare([], [_copy(), _failure("failed", DAY, dt.date(2024, 1, 4))])
    assert found.deleted == (f"k/{SESSION}",)
    assert found.changes == ()


def test_once_a_week_the_last_denied_session_of_a_month_is_tried():
    days = [dt.date(2024, 1, 2), dt.date(2024, 1, 3), dt.date(2024, 2, 1)]
    denied = [_failure("not_entitled", 8 * DAY, day) for day in days]
    found = _compare([_item(day) for day in days], denied)
    assert [change.session for change in found.changes] == [days[1], days[2]]
    assert list(found.waiting) == [days[0]]


def test_a_month_is_tried_whole_once_a_file_of_it_could_be_had():
    days = [dt.date(2024, 1, 2), dt.date(2024, 1, 3), dt.date(2024, 1, 4)]
    denied = [_failure("not_entitled", 3 * DAY, day) for day in days[:2]]
    found = _compare([_item(day) for day in days], [*denied, _copy(days[2])])
    assert [change.session for change in found.changes] == days[:2]


def test_the_fingerprint_changes_with_the_object_and_with_every_attempt():
    def fingerprint(item: RemoteObject, entry: LedgerEntry | None) -> str:
        (change,) = _compare([item], [entry] if entry else []).changes
        return change.fingerprint

    seen = {
        fingerprint(_item(), None),
        fingerprint(_item(etag="b"), None),
        fingerprint(_item(), _failure("failed", 2 * HOUR)),
        fingerprint(_item(), _failure("failed", 3 * HOUR)),
    }
    assert len(seen) == 4
    assert fingerprint(_item(), None) in seen


def test_delays_double_and_are_bounded():
    delays = [retry_delay(n) for n in (0, 1, 2, 3, 7, 1000)]
    assert delays == [30 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, DAY, DAY]


SESSIONS = [dt.date(2024, 1, 1) + n * DAY for n in range(40)]


@settings(max_examples=60, deadline=None)
@given(
    wanted=st.sets(st.sampled_from(SESSIONS)),
    current=st.sets(st.sampled_from(SESSIONS)),
    longest=st.integers(1, 12),
    bridge=st.integers(0, 4),
)
def test_ranges_cover_every_change_once_and_touch_nothing_that_would_fail(wanted, current, longest, bridge):
    changes = [Change(session, "new", str(session)) for session in wanted]
    ranges = plan_ranges(SESSIONS, changes, frozenset(current - wanted), longest=longest, bridge=bridge)

    covered = [day for r in ranges for day in SESSIONS if r.first <= day <= r.last]
    assert len(covered) == len(set(covered))
    assert wanted <= set(covered) <= wanted | current
    assert sorted(change.session for r in ranges for change in r.changes) == sorted(wanted)
    assert all(SESSIONS.index(r.last) - SESSIONS.index(r.first) < longest for r in ranges)
    assert [r.first for r in ranges] == sorted((r.first for r in ranges), reverse=True)


def test_a_short_gap_of_current_sessions_is_bridged_and_a_failed_one_is_not():
    changes = [Change(SESSIONS[0], "new", "0"), Change(SESSIONS[2], "new", "2")]
    assert len(plan_ranges(SESSIONS, changes, frozenset([SESSIONS[1]]), longest=9, bridge=1)) == 1
    assert len(plan_ranges(SESSIONS, changes, frozenset(), longest=9, bridge=1)) == 2


def test_the_same_work_has_the_same_name():
    changes = [Change(SESSIONS[0], "new", "a"), Change(SESSIONS[1], "new", "b")]
    one, two = (
        plan_ranges(SESSIONS, c, frozenset(), longest=9, bridge=0)[0] for c in (changes, changes[::-1])
    )
    assert one.digest == two.digest
    other = plan_ranges(
        SESSIONS, [changes[0], Change(SESSIONS[1], "new", "c")], frozenset(), longest=9, bridge=0
    )
    assert other[0].digest != one.digest
