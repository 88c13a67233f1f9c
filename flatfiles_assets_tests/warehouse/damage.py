"""What disks do to files."""

from __future__ import annotations

from pathlib import Path


def flip_a_bit(path: Path, share: float = 0.5) -> None:
    """Change one bit, so far into the file, as a share of its length."""
    content = bytearray(path.read_bytes())
    content[int((len(content) - 1) * share)] ^= 4
    path.write_bytes(content)


def flip_a_bit_of(path: Path, text: bytes) -> None:
    """Change one bit of the first place where a text stands."""
    content = bytearray(path.read_bytes())
    content[content.index(text)] ^= 1
    path.write_bytes(content)
