"""Gzip to the last byte: members, padding, and what may follow neither."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatfiles_assets.download.gzip_stream import BrokenGzip, GzipCheck, GzipDecoder, decompress

MEMBER = gzip.compress(b"ticker,close\nKO,60\n")


def _decoded(data: bytes, chunk_bytes: int) -> bytes:
    decoder = GzipDecoder()
    pieces = []
    for start in range(0, len(data), chunk_bytes):
        pieces += decoder.decode(data[start : start + chunk_bytes])
    decoder.finish()
    return b"".join(pieces)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.integers(0, 40), st.integers(1, 64))
def test_members_in_a_row_and_padding_decode_however_they_are_cut(
    members: list[bytes], padding: int, chunk_bytes: int
):
    data = b"".join(map(gzip.compress, members)) + bytes(padding)
    assert _decoded(data, chunk_bytes) == b"".join(members)


@pytest.mark.parametrize("chunk_bytes", [1, 7, len(MEMBER), len(MEMBER) + 8, 10_000])
@pytest.mark.parametrize("after", [MEMBER, b"more"], ids=["a member", "text"])
def test_whatever_follows_the_padding_is_damage(after: bytes, chunk_bytes: int):
    """A file that was overwritten by a longer one's end must not read as both."""
    data = MEMBER + bytes(8) + after
    with pytest.raises(BrokenGzip, match="padding"):
        _decoded(data, chunk_bytes)
    with pytest.raises(BrokenGzip, match="padding"):
        decompress(data)
    check = GzipCheck()
    check.update(data)
    assert check.verdict() == "broken"
