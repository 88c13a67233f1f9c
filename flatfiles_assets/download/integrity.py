"""Is what arrived what the store holds?

Here: digests of the bytes, computed as they pass, and what they prove against an ETag. Not here:
what to do about a difference (`transfer.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING

from flatfiles_assets.download.descriptors import read_at
from flatfiles_assets.download.gzip_stream import GzipCheck, GzipVerdict

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MD5_ETAG = re.compile(r"[0-9a-f]{32}")
_READ_BYTES = 4 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Digest:
    """What is known of a run of bytes.

    Attributes:
        size_bytes: Length.
        sha256: Hexadecimal SHA-256.
        md5: Hexadecimal MD5, to compare with an ETag.
        gzip: Verdict on the gzip stream; None where it was not examined.
        gzip_detail: What is wrong with the gzip stream, or empty.
    """

    size_bytes: int
    sha256: str
    md5: str
    gzip: GzipVerdict | None = None
    gzip_detail: str = ""


class Digester:
    """Computes a `Digest` chunk by chunk; hashlib and isal release the GIL meanwhile."""

    def __init__(self, *, check_gzip: bool) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._gzip = GzipCheck() if check_gzip else None
        self._size_bytes = 0

    def update(self, data: Buffer) -> None:
        """Take the next chunk."""
        self._size_bytes += len(memoryview(data))
        self._sha256.update(data)
        self._md5.update(data)
        if self._gzip:
            self._gzip.update(data)

    def digest(self) -> Digest:
        """The digest of everything that was given."""
        verdict = self._gzip.verdict() if self._gzip else None
        detail = self._gzip.detail if self._gzip else ""
        return Digest(self._size_bytes, self._sha256.hexdigest(), self._md5.hexdigest(), verdict, detail)


def digest_bytes(data: Buffer, *, check_gzip: bool) -> Digest:
    """The digest of bytes in memory."""
    digester = Digester(check_gzip=check_gzip)
    digester.update(data)
    return digester.digest()


def digest_descriptor(descriptor: int, *, check_gzip: bool) -> Digest:
    """The digest of an open file, from its first byte."""
    digester = Digester(check_gzip=check_gzip)
    offset = 0
    while data := read_at(descriptor, _READ_BYTES, offset):
        digester.update(data)
        offset += len(data)
    return digester.digest()


def clean_etag(etag: str | None) -> str | None:
    """An ETag without quotes and weakness mark, as servers differ in sending them."""
    return etag.removeprefix("W/").strip('"') if etag else None


def is_md5(etag: str | None) -> bool:
    """Whether an ETag has the form of an MD5 (not that of a multipart upload).

    Without an MD5, only the length and the gzip's CRC speak for what arrived: a byte changed on the
    way cannot be noticed in the gzip's header, nor anywhere in an object that is not gzip.
    """
    return bool(etag and _MD5_ETAG.fullmatch(etag))


def is_gzip_name(key: str) -> bool:
    """Whether a key's name promises gzip."""
    return key.lower().endswith(".gz")
