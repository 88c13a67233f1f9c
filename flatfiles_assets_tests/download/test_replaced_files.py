"""A raw file that the store has replaced stays under its checksum, until a rule lets it go."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from pathlib import Path

import pytest

from flatfiles_assets.download.replaced_files import FOLDER, beyond, keep, replaced_files

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.timezone.utc)


def _replace(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    keep(path, sha256, folder / "metadata")
    successor = folder / "successor"
    successor.write_bytes(b"new " + content)
    successor.replace(path)
    return sha256


@pytest.mark.parametrize("links", [True, False])
def test_its_bytes_are_found_by_their_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool):
    if not links:  # as on file systems that give a file one name

        def refuse(*_: object) -> None:
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", refuse)
    sha256 = _replace(tmp_path, "2024-01-02.csv.gz", b"old")
    again = _replace(tmp_path, "2024-01-02.csv.gz", b"old")
    (kept,) = replaced_files(tmp_path / "metadata")
    assert sha256 == again == kept.sha256
    assert kept.path == tmp_path / "metadata" / FOLDER / f"{sha256}.csv.gz"
    assert kept.path.read_bytes() == b"old"
    assert (tmp_path / "2024-01-02.csv.gz").read_bytes() == b"new old"
    assert kept.is_whole
    kept.path.write_bytes(b"odd")
    assert not kept.is_whole


def test_a_file_that_is_gone_already_is_none_to_keep(tmp_path: Path):
    keep(tmp_path / "a.csv.gz", "0" * 64, tmp_path / "metadata")
    assert replaced_files(tmp_path / "metadata") == []


def test_age_and_size_let_the_longest_replaced_go_first(tmp_path: Path):
    for days, content in ((400, b"oldest"), (10, b"older"), (1, b"last")):
        sha256 = _replace(tmp_path, "a.csv", content)
        at = (NOW - dt.timedelta(days=days)).timestamp()
        os.utime(tmp_path / "metadata" / FOLDER / f"{sha256}.csv", (at, at))
    files = replaced_files(tmp_path / "metadata")

    def gone(keep_days: int, keep_bytes: int | None) -> list[bytes]:
        found = beyond(files, now=NOW, keep_days=keep_days, keep_bytes=keep_bytes)
        return [file.path.read_bytes() for file in found]

    assert gone(0, None) == []
    assert gone(365, None) == [b"oldest"]
    assert gone(5, None) == [b"older", b"oldest"]
    assert gone(0, 4) == [b"older", b"oldest"]
    assert gone(365, 9) == [b"oldest"]
    assert gone(365, 8) == [b"older", b"oldest"]
