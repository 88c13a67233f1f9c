"""What the ETags of a store mean: MD5, as they usually do, or something else of the same form.

Some servers (rclone with xxh128, some appliances) send 32 hexadecimal digits that are no MD5. Evidence
decides, never one transfer: two that brought the same bytes, from a store of which no ETag has been an
MD5 yet. Here: that decision, remembered for each store as long as the process lives. Not here: where it is
kept for later processes (`ledger.py`).
"""

from __future__ import annotations

import logging
import threading
from typing import Literal, Protocol

from flatfiles_assets.download.integrity import Digest

_log = logging.getLogger(__name__)


class EtagNotes(Protocol):
    """Keeps, from one process to the next, of which stores the ETags are no MD5."""

    def has_other_etags(self, endpoint_url: str, bucket: str) -> bool:
        """Whether that was noted of a store."""
        ...

    def note_other_etags(self, endpoint_url: str, bucket: str) -> None:
        """Note it."""
        ...

    def forget_other_etags(self, endpoint_url: str, bucket: str) -> None:
        """It has turned out not to be so."""
        ...


class StoreEtags:
    """What is known of one store's ETags.

    Args:
        name: The store, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._meaning: Literal["md5", "other"] | None = None

    @property
    def are_no_md5(self) -> bool:
        """Whether it is settled that an MD5 cannot be compared with them."""
        return self._meaning == "other"

    def recall(self) -> None:
        """An earlier process has settled that they are no MD5; what this one has seen itself goes before."""
        self._meaning = self._meaning or "other"

    def matched(self) -> None:
        """An ETag was the MD5 of what arrived: from now on a difference is damage."""
        self._meaning = "md5"

    def differed_twice(self) -> bool:
        """Two transfers of one object agree, and both differ from its ETag; whether that settles it."""
        if self._meaning is None:
            _log.warning(
                "%s: its ETags look like MD5 and are not; files from it are compared by length and, where "
                "they are compressed, by their own checksums",
                self._name,
            )
            self._meaning = "other"
        return self._meaning == "other"


class Agreement:
    """Whether two transfers of one object, in the same state, have brought the same bytes."""

    def __init__(self) -> None:
        self._seen: set[tuple[str | None, str]] = set()

    def is_second(self, etag: str | None, digest: Digest) -> bool:
        """Take note of a transfer; true where one before it brought the same."""
        found = (etag, digest.sha256)
        if found in self._seen:
            return True
        self._seen.add(found)
        return False


_stores: dict[tuple[str, str], StoreEtags] = {}
_lock = threading.Lock()


def etags_of(endpoint_url: str, bucket: str) -> StoreEtags:
    """What this process knows of a store's ETags."""
    with _lock:
        return _stores.setdefault((endpoint_url, bucket), StoreEtags(f"{endpoint_url}/{bucket}"))
