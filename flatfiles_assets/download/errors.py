"""Everything that can go wrong between a bucket and the disk, as types.

Here: one class per cause, with the ledger state it leads to. Not here: how a raw answer of a server
is recognised (`faults.py`) and which of these are tried again (`retries.py`).
"""

from __future__ import annotations

from typing import Any, Literal, cast

from flatfiles_assets.errors import CorruptFile, FlatFilesError

__all__ = [
    "AuthenticationFailed",
    "BucketNotFound",
    "CorruptFile",
    "DamagedTransfer",
    "DownloadError",
    "LedgerFailed",
    "NotEntitled",
    "NotPublished",
    "ObjectChanged",
    "RequestRejected",
    "State",
    "StorageFailed",
    "Throttled",
    "TransferFailed",
    "state_of",
]

State = Literal["downloaded", "not_published", "not_entitled", "corrupt", "failed"]
"""What the last attempt at a key came to."""


class DownloadError(FlatFilesError):
    """A file could not be fetched.

    Attributes:
        attempts: Requests that were made before giving up.
        settled: Whether a retry loop has already judged it.
    """

    attempts: int = 1
    settled: bool = False

    def after(self, attempts: int) -> DownloadError:
        """The same error, saying how many attempts preceded it."""
        if self.settled or attempts == 1:
            self.settled = True
            return self
        tried = f"tried {attempts} times"
        error = type(self)(
            self.what,
            where=self.where,
            why=f"{self.why} ({tried})" if self.why else tried,
            next_step=self.next_step,
        )
        error.attempts, error.settled = attempts, True
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), {"attempts": self.attempts, "settled": self.settled})


class NotPublished(DownloadError):
    """The store answered 404: the object does not exist (yet)."""

    state = "not_published"


class NotEntitled(DownloadError):
    """The store answered 403 again and again: the account may list the object, not read it."""

    state = "not_entitled"


class Throttled(DownloadError):
    """The store asked to slow down (429, 503 or a throttling 403) until the retries were used up."""


class AuthenticationFailed(DownloadError):
    """The store does not accept the access key, the secret or the clock of this machine."""


class TransferFailed(DownloadError):
    """The network or the server failed (5xx, reset, stall, short or damaged body) in every attempt."""


class DamagedTransfer(TransferFailed):
    """What arrived is not what the store holds: another length or another checksum."""


class ObjectChanged(DownloadError):
    """The object was replaced during every attempt to read it."""


class BucketNotFound(DownloadError):
    """The bucket does not exist at this endpoint."""


class RequestRejected(DownloadError):
    """The store refused the request in a way that repeating it cannot mend."""


class StorageFailed(DownloadError):
    """The local disk refused the file: full, read-only, or a folder where a file should be."""


class LedgerFailed(DownloadError):
    """The ledger cannot be read or written: locked for too long, damaged, or no room for it."""


def state_of(error: FlatFilesError) -> State:
    """State that an error of a fetch leaves in the ledger."""
    is_of_fetch = isinstance(error, (CorruptFile, DownloadError))
    return cast("State", error.state) if is_of_fetch else "failed"
