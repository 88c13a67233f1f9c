"""The ledger: what is remembered of every key."""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import sqlite3
import threading

import pytest

from flatfiles_assets.download.errors import LedgerFailed
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

WHEN = dt.datetime(2024, 1, 3, 16, 0, 1, 500, tzinfo=dt.timezone.utc)


def good(key, etag="e1", **changes):
    fields = {
        "key": key,
        "etag": etag,
        "size_bytes": 10,
        "sha256": f"sha-{etag}",
        "last_modified": WHEN,
        "fetched_at": WHEN,
        "attempts": 2,
        "state": "downloaded",
        "attempted_at": WHEN,
        "mtime_ns": 7,
    }
    return LedgerEntry(**{**fields, **changes})


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "metadata" / "ledger.sqlite") as ledger:
        yield ledger


def test_an_entry_comes_back_as_it_was_recorded(ledger):
    ledger.record(good("a"))
    assert ledger.get("a") == good("a")
    assert ledger.get("b") is None


def test_a_failure_keeps_what_is_known_of_the_good_file(ledger):
    ledger.record(good("a"))
    ledger.record(LedgerEntry.failure("a", "failed", "503", attempts=6))
    entry = ledger.get("a")
    assert (entry.state, entry.message, entry.attempts) == ("failed", "503", 6)
    assert (entry.etag, entry.sha256, entry.fetched_at, entry.mtime_ns) == ("e1", "sha-e1", WHEN, 7)
    assert entry.has_file


def test_a_success_clears_the_message_and_replaces_the_file(ledger):
    ledger.record(LedgerEntry.failure("a", "not_published", "404"))
    assert not ledger.get("a").has_file
    ledger.record(good("a", "e2"))
    entry = ledger.get("a")
    assert (entry.state, entry.message, entry.etag) == ("downloaded", None, "e2")


def test_the_history_keeps_every_attempt(ledger):
    ledger.record(good("a", "e1"))
    ledger.record(LedgerEntry.failure("a", "failed", "503"))
    ledger.record(good("a", "e2"))
    ledger.record(good("b"))
    assert [(entry.state, entry.etag) for entry in ledger.history("a")] == [
        ("downloaded", "e1"),
        ("failed", None),
        ("downloaded", "e2"),
    ]


def test_marking_changes_the_state_and_is_no_attempt(ledger):
    ledger.record(good("a"))
    ledger.mark("a", "corrupt", "found by verify")
    entry = ledger.get("a")
    assert (entry.state, entry.message, entry.sha256) == ("corrupt", "found by verify", "sha-e1")
    assert len(ledger.history("a")) == 1


def test_many_keys_are_read_and_prefixes_are_plain_text(ledger):
    keys = [f"p/{number:04}" for number in range(1200)]
    ledger.record_many([good(key) for key in keys] + [good("p_/x"), good("q%")])
    assert list(ledger.get_many([*keys, "none"])) == keys
    assert [entry.key for entry in ledger.entries("p_")] == ["p_/x"]
    assert [entry.key for entry in ledger.entries("q%")] == ["q%"]
    assert len(list(ledger.entries())) == 1202


def test_a_ledger_that_cannot_be_used_says_so(tmp_path):
    damaged = tmp_path / "ledger.sqlite"
    damaged.write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerFailed, match=r"ledger\.sqlite.*not a database.*move it away"):
        Ledger(damaged)
    (tmp_path / "file").touch()
    with pytest.raises(LedgerFailed, match="check permissions"):
        Ledger(tmp_path / "file" / "ledger.sqlite")


def test_a_batch_is_recorded_whole_or_not_at_all(ledger):
    with pytest.raises(sqlite3.IntegrityError):
        ledger.record_many([good("a"), good("b", state=None)])
    assert ledger.get("a") is None
    ledger.record(good("c"))
    assert ledger.get("c")


def test_it_is_there_after_reopening(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record(good("a"))
    ledger.record(good("b"))  # opens again
    with Ledger(path) as other:
        assert [entry.key for entry in other.entries()] == ["a", "b"]
    ledger.close()


def test_threads_share_one_ledger(ledger):
    def write(worker):
        for number in range(20):
            ledger.record(good(f"{worker}/{number}"))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(ledger.entries())) == 80


def _write_entries(path, worker):
    with Ledger(path) as ledger:
        for number in range(25):
            ledger.record_many([good(f"{worker}/{number}"), LedgerEntry.failure("shared", "failed", None)])


def test_processes_that_begin_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "new" / "ledger.sqlite"
    processes = [context.Process(target=_write_entries, args=(path, worker)) for worker in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with Ledger(path) as ledger:
        assert len(list(ledger.entries())) == 76
        assert len(ledger.history("shared")) == 75


def test_a_forked_child_uses_a_connection_of_its_own(ledger):
    ledger.record(good("parent"))
    process = multiprocessing.get_context("fork").Process(target=ledger.record, args=(good("child"),))
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0
    assert {entry.key for entry in ledger.entries()} == {"parent", "child"}


def test_a_ledger_of_a_newer_version_is_refused_by_name_and_an_older_one_is_brought_up_to_date(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record(good("a"))
    for version, accepted in ((0, True), (99, False)):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        if accepted:
            with Ledger(path) as ledger:
                assert ledger.get("a")
            with contextlib.closing(sqlite3.connect(path)) as connection:
                assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        else:
            with pytest.raises(LedgerFailed, match=r"newer version.*99"):
                Ledger(path)
