"""How slow a transfer may be, and how long a body may be that nobody announced.

Here: the least rate, and reading a boto3 body piece by piece under both limits. A read timeout alone
does not end a transfer: one byte a second is never silent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from flatfiles_assets.download.answers import transfer_failed
from flatfiles_assets.download.errors import TransferFailed
from flatfiles_assets.download.faults import damaged, incomplete, translated
from flatfiles_assets.errors import FlatFilesError

LEAST_BYTES_PER_SECOND = 4096
"""A quarter of what a slow telephone line gave; less is no transfer that anybody waits for."""

UNKNOWN_SIZE = -1
"""Length of an object of which no answer and no listing says it."""

LONG_BYTES = 16 * 2**20
"""Above this a length that an answer announces is compared with the listing before the body is read."""

MOST_UNANNOUNCED_BYTES = 2 * 2**30
"""The longest body of which no answer and no listing says how long it is: such may have no end."""


def patience(size_bytes: int, timeout_seconds: float) -> float:
    """The longest that so many bytes may take, seconds."""
    return timeout_seconds + size_bytes / LEAST_BYTES_PER_SECOND


def too_slow(where: str, size_bytes: int, timeout_seconds: float) -> TransferFailed:
    """The error for a transfer below the least rate."""
    waited = patience(size_bytes, timeout_seconds)
    return transfer_failed(
        where,
        f"{size_bytes:,} bytes took more than {waited:.0f} s: less than {LEAST_BYTES_PER_SECOND:,} a second",
    )


def read_in_pieces(
    body: Any, bucket: str, key: str, *, where: str, piece_bytes: int, size_bytes: int, timeout_seconds: float
) -> Iterator[bytes]:
    """A boto3 response's body, closed at the end.

    Args:
        body: The response's ``Body``.
        bucket: Bucket's name.
        key: Key.
        where: The object, for messages.
        piece_bytes: Length of the pieces; only the last is shorter.
        size_bytes: How long it should be; `UNKNOWN_SIZE` where nobody says it.
        timeout_seconds: Longest silence.

    Raises:
        TransferFailed: The network failed, or is slower than the least rate.
        DamagedTransfer: The body is longer than it should be.
    """
    # What has arrived, without waiting for as much as was asked for.
    stream = getattr(body, "_raw_stream", body)
    read = getattr(stream, "read1", stream.read)
    total, ended = 0, False
    most_bytes = MOST_UNANNOUNCED_BYTES if size_bytes == UNKNOWN_SIZE else size_bytes
    failure: FlatFilesError | None = None
    try:
        while not (ended or failure):
            piece = bytearray()
            deadline = time.monotonic() + patience(piece_bytes, timeout_seconds)
            while len(piece) < piece_bytes and not (ended or failure):
                try:
                    with translated(bucket, key):
                        data = read(piece_bytes - len(piece))
                except FlatFilesError as error:
                    failure = error
                    break
                ended = not data
                piece += data
                if time.monotonic() > deadline:
                    failure = too_slow(where, piece_bytes, timeout_seconds)
            total += len(piece)
            if total > most_bytes:
                if size_bytes == UNKNOWN_SIZE:
                    raise damaged(
                        where, f"more than {most_bytes:,} bytes, and nothing says how long the object is"
                    )
                raise incomplete(where, most_bytes, total)
            if ended and total < size_bytes:
                failure = transfer_failed(where, "the connection was cut in the middle of the answer")
            if piece:
                yield bytes(piece)
        # After what had arrived: a transfer that is resumed goes on from there.
        if failure:
            raise failure
    finally:
        body.close()
