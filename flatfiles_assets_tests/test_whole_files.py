import hashlib
import io
import json
import os

import pytest

from flatfiles_assets.whole_files import sha256_of, write_json, write_text


def test_a_file_is_replaced_by_the_whole_of_another_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "state.json"
    write_json(path, {"a": [1, "ü"]})
    with path.open(encoding="utf-8") as before:
        write_json(path, {"a": []})
        # Whoever has the old one open reads all of it still.
        assert json.load(before) == {"a": [1, "ü"]}
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": []}
    assert [left.name for left in tmp_path.iterdir()] == ["state.json"]


def test_what_was_there_stays_when_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "state.txt"
    write_text(path, "before")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "after")
    assert path.read_text(encoding="utf-8") == "before"
    assert [left.name for left in tmp_path.iterdir()] == ["state.txt"]


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_a_files_hash_is_that_of_all_its_bytes(size):
    data = os.urandom(size)
    assert sha256_of(io.BytesIO(data)) == (hashlib.sha256(data).hexdigest(), size)
