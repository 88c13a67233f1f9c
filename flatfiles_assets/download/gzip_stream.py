"""Gzip as it arrives: members in a row, checked to the last byte.

Here: a push decoder over isal. Not here: CSV (`ingest`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from isal import igzip_lib

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAGIC = b"\x1f\x8b"
GzipVerdict = Literal["intact", "empty", "plain", "broken"]
"""Whole gzip; no bytes at all; something that does not begin like gzip; begins like it and fails."""

# Untyped in isal's stubs, where it is an instance.
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]
_PLAIN = "the data do not begin like gzip"
# Bounds the memory that a chunk can expand to; this much stays in the processor's cache.
_OUTPUT_BYTES = 128 * 1024
# Files of numbers shrink to a tenth; what shrinks to less than this was made to.
_MOST_EXPANSION = 250
_ALWAYS_ALLOWED_BYTES = 64 * 2**20


class BrokenGzip(Exception):
    """The stream is not whole gzip; the argument says why."""


class GzipDecoder:
    """Decodes a gzip stream chunk by chunk, verifying each member's length and CRC-32.

    Args:
        bounded: Whether a stream that grows beyond all measure is refused: where what it decodes to is kept.
    """

    def __init__(self, *, bounded: bool = False) -> None:
        self._bounded = bounded
        self._taken_bytes = 0
        self._given_bytes = 0
        self._member = _new_member()
        self._started = False
        self._padding = False

    def decode(self, data: Buffer) -> Iterator[bytes]:
        """Yield what a chunk decodes to, in pieces of bounded size.

        Raises:
            BrokenGzip: The data are damaged, or something that is not gzip follows a member.
        """
        rest: Buffer = data
        self._taken_bytes += len(memoryview(data))
        while len(memoryview(rest)):
            if self._member.eof or not self._started:
                rest = self._skip_padding(rest)
                if not len(memoryview(rest)):
                    return
                self._member, self._started = _new_member(), True
            for piece in self._decode_member(rest):
                self._given_bytes += len(piece)
                if self._bounded and self._given_bytes > max(
                    _ALWAYS_ALLOWED_BYTES, _MOST_EXPANSION * self._taken_bytes
                ):
                    raise BrokenGzip(f"the gzip data grow to more than {_MOST_EXPANSION} times their size")
                yield piece
            rest = self._member.unused_data if self._member.eof else b""

    def _decode_member(self, data: Buffer) -> Iterator[bytes]:
        try:
            piece = self._member.decompress(data, _OUTPUT_BYTES)
            while piece or not (self._member.needs_input or self._member.eof):
                yield piece
                if self._member.eof or self._member.needs_input:
                    return
                piece = self._member.decompress(b"", _OUTPUT_BYTES)
        except _IsalError as error:
            raise BrokenGzip(f"the gzip data are damaged: {error}") from None

    def _skip_padding(self, data: Buffer) -> Buffer:
        # Tapes and some tools pad with zero bytes after the last member; gzip(1) accepts that.
        if not self._started:
            return data
        stripped = bytes(data).lstrip(b"\0")
        self._padding = self._padding or len(stripped) < len(memoryview(data))
        if stripped and self._padding:
            raise BrokenGzip("data follow the padding after the last gzip member")
        return stripped

    def finish(self) -> None:
        """Declare the end of the stream.

        Raises:
            BrokenGzip: It ended within a member.
        """
        if self._started and not self._member.eof:
            raise BrokenGzip("the gzip data end before their end-of-stream mark")


def _new_member() -> igzip_lib.IgzipDecompressor:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


class GzipCheck:
    """Judges a stream without keeping what it decodes to."""

    def __init__(self) -> None:
        self._decoder: GzipDecoder | None = None
        self._head = b""
        self.detail = ""

    def update(self, data: Buffer) -> None:
        """Take the next chunk."""
        if self.detail:
            return
        if self._decoder is None:
            data = self._head + bytes(data) if self._head else data
            if len(memoryview(data)) < len(MAGIC):
                self._head = bytes(data)
                return
            if not is_gzip(data):
                self.detail = _PLAIN
                return
            self._decoder = GzipDecoder()
        try:
            for _ in self._decoder.decode(data):
                pass
        except BrokenGzip as error:
            self.detail = str(error)

    def verdict(self) -> GzipVerdict:
        """The judgement over everything that was given; `detail` then says what is wrong."""
        if self._decoder is None:
            is_empty = not self._head and not self.detail
            self.detail = "the object has no bytes" if is_empty else _PLAIN
            return "empty" if is_empty else "plain"
        if not self.detail:
            try:
                self._decoder.finish()
            except BrokenGzip as error:
                self.detail = str(error)
        return "broken" if self.detail else "intact"


def is_gzip(data: Buffer) -> bool:
    """Whether the bytes begin with gzip's magic number."""
    return bytes(memoryview(data)[: len(MAGIC)]) == MAGIC


def decompress(data: Buffer) -> bytes:
    """Decode whole gzip in memory, all members.

    Raises:
        BrokenGzip: It is truncated or damaged.
    """
    decoder = GzipDecoder(bounded=True)
    pieces = list(decoder.decode(data))
    decoder.finish()
    return b"".join(pieces)
