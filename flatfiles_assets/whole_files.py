"""Small files that appear whole or not at all, and the hash of a file of any size.

Here: what is written from memory at once. Not here: files that grow while others look for what killed
processes left of them (`download/atomic_files.py`), and hashes of bytes that pass on the way to a disk
(`download/integrity.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any, BinaryIO

_CHUNK_BYTES = 2**20


def write_text(path: Path, text: str) -> None:
    """Put text, as UTF-8, under a name; others see what was there before, or all of it.

    Raises:
        OSError: It could not be written; what was there before is there still.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            # A name that was given before its bytes were on disk would stand for nothing after a power cut.
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, document: Any) -> None:
    """Put a document, one value a line, under a name; see `write_text`."""
    write_text(path, json.dumps(document, indent=1) + "\n")


def sha256_of(file: BinaryIO) -> tuple[str, int]:
    """Hexadecimal SHA-256, and length in bytes, of what is left to read of an open file."""
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes
