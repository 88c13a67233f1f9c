"""A fair queue before one file: many readers or one writer, in the order in which they came.

Here: tickets. Whoever wants the file draws the next ticket, a small file that its owner keeps
locked; a reader waits until no writer is before it, a writer until nobody is. The kernel drops the
lock of a process that dies, however it dies, so a ticket that can be locked by somebody else is
void, and what a ticket says about its owner is never out of date. Not here: DuckDB, whose own lock
on its file remains the last word (`database.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import random
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from flatfiles_assets.errors import UNWRITABLE
from flatfiles_assets.warehouse.errors import WarehouseBusy

Mode = Literal["read", "write"]

_SHORTEST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who owns a ticket, as its owner wrote it down."""

    pid: int
    thread_id: int
    host: str
    program: str
    mode: Mode
    purpose: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.program}: {self.purpose}), since {self.since}"


class FileQueue:
    """First come, first served, among processes and threads, for readers and writers of one file.

    Args:
        directory: Where the tickets lie; it is made when first needed. All users of the file must
            name the same directory, on a file system with working locks.
        guarded_path: The file that is guarded, for messages.
    """

    def __init__(self, directory: Path, guarded_path: Path) -> None:
        self._directory = directory
        self._guarded_path = guarded_path

    @contextlib.contextmanager
    def turn(self, mode: Mode, purpose: str, timeout_seconds: float) -> Iterator[None]:
        """Wait for one's turn, hold it for the body, give it up at the end.

        Args:
            mode: ``"read"`` shares the turn with other readers, ``"write"`` shares it with nobody.
            purpose: What for, in words, for those who wait.
            timeout_seconds: How long to wait at most.

        Raises:
            WarehouseBusy: It took longer than that, or this very thread holds the file in a way
                that excludes the new turn; the message names the first who is in the way.
        """
        try:
            ticket = self._draw(mode, purpose, timeout_seconds)
        except OSError as error:
            # Who cannot write in the folder (another's, a read-only mount, a full disk) cannot queue
            # in it; DuckDB's own lock still keeps them safe.
            if mode == "write" or error.errno not in UNWRITABLE:
                raise
            yield
            return
        try:
            self._await_turn(ticket, mode, timeout_seconds)
            yield
        finally:
            ticket.discard()

    def _draw(self, mode: Mode, purpose: str, timeout_seconds: float) -> _Ticket:
        self._directory.mkdir(parents=True, exist_ok=True)
        counter = _lock_at(self._directory / "counter.lock")
        try:
            # Held only while one ticket is numbered, so waiting long for it means a stopped process.
            counter.acquire(timeout=timeout_seconds, poll_interval=_SHORTEST_PAUSE_SECONDS)
        except Timeout:
            raise self._busy(timeout_seconds, "another process is stuck while it queues") from None
        try:
            number = max((other.number for other in self._tickets()), default=0) + 1
            # What dead processes left is in nobody's way, and would be looked at for ever.
            for other in self._tickets():
                other.is_alive()
            return _Ticket.draw(self._directory, number, mode, purpose)
        finally:
            counter.release()

    def _tickets(self) -> list[_Ticket]:
        return [_Ticket(path) for path in self._directory.glob("*-*.ticket")]

    def _await_turn(self, ticket: _Ticket, mode: Mode, timeout_seconds: float) -> None:
        # Later tickets have higher numbers, so those in the way now are all that ever will be.
        in_the_way = sorted(
            (
                other
                for other in self._tickets()
                if other.number < ticket.number and "write" in (mode, other.mode)
            ),
            key=lambda other: other.number,
        )
        deadline = time.monotonic() + timeout_seconds
        pause_seconds = _SHORTEST_PAUSE_SECONDS
        while in_the_way := [other for other in in_the_way if other.is_alive()]:
            holder = in_the_way[0].holder()
            if holder and (holder.pid, holder.thread_id) == (os.getpid(), threading.get_ident()):
                raise self._busy(0, f"this very thread already holds it ({holder.purpose})")
            if time.monotonic() >= deadline:
                others = len(in_the_way) - 1
                ahead = f", and {others} more came before" if others else ""
                raise self._busy(timeout_seconds, f"it is held by {holder or 'a process unknown'}{ahead}")
            time.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _busy(self, waited_seconds: float, why: str) -> WarehouseBusy:
        waited = f"waited {waited_seconds:g} s; " if waited_seconds else ""
        return busy(self._guarded_path, waited + why)


def busy(path: Path, why: str) -> WarehouseBusy:
    """The error of whoever waited too long for a file."""
    return WarehouseBusy(
        "the warehouse is in use",
        where=str(path),
        why=why,
        next_step="wait until that is done, or end it, and try again; "
        "FLATFILES_LOCK_TIMEOUT_SECONDS sets how long to wait",
    )


class _Ticket:
    """A place in the queue: ``<number>-<mode>-<nonce>.ticket``, and beside it who owns it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        number, self.mode, _ = path.stem.split("-")
        self.number = int(number)
        self._lock: FileLock | None = None

    @classmethod
    def draw(cls, directory: Path, number: int, mode: Mode, purpose: str) -> _Ticket:
        # The nonce keeps a name from ever being used twice: a probe of a ticket that is gone can
        # then never meet a new one.
        ticket = cls(directory / f"{number:09d}-{mode}-{secrets.token_hex(4)}.ticket")
        ticket._lock = _lock_at(ticket._path)
        ticket._lock.acquire(timeout=0)
        try:
            ticket._write_down(mode, purpose)
        except BaseException:
            # Left locked, it would be in everybody's way for as long as this process lives.
            ticket.discard()
            raise
        return ticket

    def _write_down(self, mode: Mode, purpose: str) -> None:
        holder = Holder(
            pid=os.getpid(),
            thread_id=threading.get_ident(),
            host=socket.gethostname(),
            program=Path(sys.argv[0] or sys.executable).name,
            mode=mode,
            purpose=purpose,
            since=dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
        # Of no use once its process is dead: not worth the flush of `write_json` at every turn.
        self._holder_path.write_text(json.dumps(dataclasses.asdict(holder)), encoding="utf-8")

    @property
    def _holder_path(self) -> Path:
        return self._path.with_suffix(".json")

    def is_alive(self) -> bool:
        """Whether its owner lives and has not given it up; removes it if not."""
        if not self._path.exists():
            return False
        probe = _lock_at(self._path)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        self._remove()
        probe.release()
        return False

    def holder(self) -> Holder | None:
        """Who owns it; None if that was not yet, or is no longer, written down."""
        try:
            return Holder(**json.loads(self._holder_path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None

    def discard(self) -> None:
        self._remove()
        if self._lock is not None:
            self._lock.release()

    def _remove(self) -> None:
        for path in (self._holder_path, self._path):
            with contextlib.suppress(OSError):
                path.unlink()


def _lock_at(path: Path) -> FileLock:
    # Not thread-local: a generator's end may run in another thread than its beginning.
    return FileLock(path, thread_local=False)
