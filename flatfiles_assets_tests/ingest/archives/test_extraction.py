"""Yearly ZIPs are extracted safely, whole or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flatfiles_assets.errors import CorruptFile, FlatFilesError
from flatfiles_assets.ingest.archives import folder_swap
from flatfiles_assets.ingest.archives.extraction import (
    ArchiveLimits,
    ExtractionFailed,
    UnsafeArchive,
    extract_archive,
    is_extraction_of,
    read_manifest,
    verify_extracted,
)
from flatfiles_assets_tests.ingest.archives.hostile_archives import CORPUS, Entry, plain_zip, zip_of

YEAR = {"2008/AAPL.csv": b"Date,Close\n2008-01-02,1.5\n" * 40, "2008/empty.csv": b"", "README": b"read me"}


def _tree(folder: Path) -> dict[str, bytes | None]:
    """Every file's contents and every folder, hidden ones too."""
    paths = sorted(path for path in folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def _archive(folder: Path, data: bytes, name: str = "2008.zip") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_an_archive_is_extracted_with_a_manifest_of_every_member(tmp_path: Path) -> None:
    data = plain_zip(YEAR)
    seen: list[int] = []
    manifest = extract_archive(_archive(tmp_path, data), tmp_path / "2008", on_bytes=seen.append)
    assert {name: (tmp_path / "2008" / name).read_bytes() for name in YEAR} == YEAR
    assert [(member.path, member.size_bytes, member.sha256) for member in manifest.members] == [
        (name, len(content), hashlib.sha256(content).hexdigest()) for name, content in YEAR.items()
    ]
    assert manifest.archive_sha256 == hashlib.sha256(data).hexdigest()
    assert manifest.archive_size_bytes == len(data)
    assert sum(seen) == manifest.size_bytes == sum(map(len, YEAR.values()))
    assert read_manifest(tmp_path / "2008") == manifest
    assert is_extraction_of(tmp_path / "2008", manifest.archive_sha256)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2008", "2008.zip"]


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_usual_compression_is_read(tmp_path: Path, compression: int) -> None:
    extract_archive(_archive(tmp_path, plain_zip(YEAR, compression)), tmp_path / "2008")
    assert (tmp_path / "2008" / "2008" / "AAPL.csv").read_bytes() == YEAR["2008/AAPL.csv"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_every_size_come_out_whole(tmp_path: Path, compression: int) -> None:
    """Small members are read in one go and large ones streamed: the border must not show."""
    digits = b"".join(b"%d\n" % number for number in range(300_000))
    sizes = [0, 1, 2**20 - 1, 2**20, 2**20 + 1, len(digits)]
    members = {f"{size}.csv": digits[:size] for size in sizes}
    manifest = extract_archive(_archive(tmp_path, plain_zip(members, compression)), tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in members} == members
    assert [(member.size_bytes, member.sha256) for member in manifest.members] == [
        (len(content), hashlib.sha256(content).hexdigest()) for content in members.values()
    ]
    assert {member.status for member in verify_extracted(tmp_path / "out")} == {"ok"}


def test_folders_accents_and_streamed_archives_are_ordinary(tmp_path: Path) -> None:
    names = ["folder/", "folder/sub/", "folder/sub/Société.csv", "PRN.csv", "brk.b.csv", "a b.csv"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            if name.endswith("/"):
                archive.writestr(name, b"")
            else:  # written without knowing its size first: with a data descriptor
                with archive.open(name, "w") as member:
                    member.write(b"1\n")
    manifest = extract_archive(tmp_path / "a.zip", tmp_path / "out")
    assert [member.path for member in manifest.members] == names[2:]
    assert (tmp_path / "out" / "folder" / "sub").is_dir()


def test_a_nested_archive_becomes_a_folder(tmp_path: Path) -> None:
    inner = plain_zip({"AAPL.csv": b"1", "deep/IBM.csv": b"2"})
    manifest = extract_archive(
        _archive(tmp_path, plain_zip({"q1/Jan.ZIP": inner, "readme.txt": b"3"})), tmp_path / "2008"
    )
    assert [member.path for member in manifest.members] == [
        "q1/Jan/AAPL.csv",
        "q1/Jan/deep/IBM.csv",
        "readme.txt",
    ]
    assert not (tmp_path / "2008" / "q1" / "Jan.ZIP").exists()


@pytest.mark.parametrize("title", CORPUS)
def test_a_hostile_or_broken_archive_is_refused_and_changes_nothing(tmp_path: Path, title: str) -> None:
    year = tmp_path / "cache" / "historical" / "2008"
    extract_archive(_archive(tmp_path, plain_zip(YEAR)), year)
    hostile = _archive(tmp_path, CORPUS[title]())
    before = _tree(tmp_path)
    with pytest.raises((UnsafeArchive, CorruptFile)) as refusal:
        extract_archive(hostile, year)
    assert str(hostile) in str(refusal.value)
    assert refusal.value.next_step
    assert "\x1b" not in str(refusal.value)
    assert _tree(tmp_path) == before
    with pytest.raises((UnsafeArchive, CorruptFile)):
        extract_archive(hostile, tmp_path / "elsewhere" / "2008")
    assert _tree(tmp_path) == {**before, "elsewhere": None}


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("name: parent folder", UnsafeArchive),
        ("bomb: declares ten bytes", UnsafeArchive),
        ("overlap: local headers quoted in stored blocks", UnsafeArchive),
        ("encrypted", UnsafeArchive),
        ("damage: wrong checksum", CorruptFile),
        ("damage: no table of contents", CorruptFile),
    ],
)
def test_malice_and_damage_are_told_apart(tmp_path: Path, title: str, kind: type[FlatFilesError]) -> None:
    with pytest.raises(kind):
        extract_archive(_archive(tmp_path, CORPUS[title]()), tmp_path / "out")


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = plain_zip(YEAR)
    for length in range(0, len(whole), 7):
        with pytest.raises((CorruptFile, UnsafeArchive)):
            extract_archive(_archive(tmp_path, whole[:length]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["CON", "nul.csv", "sub/Com1.txt", "aux .csv", "LPT9", "PRN.csv"])
def test_names_of_devices_are_refused_where_they_are_devices(tmp_path: Path, name: str) -> None:
    archive = _archive(tmp_path, zip_of(Entry(name.encode())))
    with pytest.raises(UnsafeArchive, match="device"):
        extract_archive(archive, tmp_path / "out", limits=ArchiveLimits(refuse_device_names=True))
    extract_archive(archive, tmp_path / "out", limits=ArchiveLimits(refuse_device_names=False))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (ArchiveLimits(max_members=2), "too many members"),
        (ArchiveLimits(max_total_bytes=1_000), "expands too far"),
        (ArchiveLimits(max_expansion_ratio=2, ratio_free_bytes=100), "expands too far"),
    ],
)
def test_the_limits_are_the_users_to_set(tmp_path: Path, limits: ArchiveLimits, message: str) -> None:
    archive = _archive(tmp_path, plain_zip(YEAR))
    with pytest.raises(UnsafeArchive, match=message):
        extract_archive(archive, tmp_path / "out", limits=limits)
    extract_archive(archive, tmp_path / "out")


def test_limits_count_nested_members_together(tmp_path: Path) -> None:
    archive = _archive(tmp_path, plain_zip({"a.zip": plain_zip({"1": b"", "2": b""}), "b": b""}))
    with pytest.raises(UnsafeArchive, match="too many members"):
        extract_archive(archive, tmp_path / "out", limits=ArchiveLimits(max_members=3))
    extract_archive(archive, tmp_path / "out", limits=ArchiveLimits(max_members=4))


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_expands(tmp_path: Path) -> None:
    written = 0

    def count(size_bytes: int) -> None:
        nonlocal written
        written += size_bytes

    with pytest.raises(UnsafeArchive):
        extract_archive(
            _archive(tmp_path, CORPUS["bomb: declares ten bytes"]()), tmp_path / "out", on_bytes=count
        )
    assert 0 < written < 8_000_000


@given(position=st.integers(0, 10_000), value=st.integers(0, 255), count=st.integers(1, 4))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_damage_never_yields_other_bytes_or_names(
    tmp_path: Path, position: int, value: int, count: int
) -> None:
    data = bytearray(plain_zip(YEAR))
    for index in range(count):
        data[(position * (index + 1) * 31) % len(data)] = value
    target = tmp_path / "in" / "out"
    try:
        manifest = extract_archive(_archive(tmp_path, bytes(data)), target)
    except (UnsafeArchive, CorruptFile):
        pass
    else:
        for member in manifest.members:
            assert (target / member.path).resolve().is_relative_to(target)
            assert (target / member.path).read_bytes() in YEAR.values()
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "2008.zip"}


def test_a_year_extracted_again_holds_only_the_new_members(tmp_path: Path) -> None:
    extract_archive(_archive(tmp_path, plain_zip({"old.csv": b"1", "both.csv": b"1"})), tmp_path / "2008")
    manifest = extract_archive(_archive(tmp_path, plain_zip({"both.csv": b"2"})), tmp_path / "2008")
    assert sorted(path.name for path in (tmp_path / "2008").iterdir()) == [".manifest.json", "both.csv"]
    assert read_manifest(tmp_path / "2008") == manifest


def test_verification_tells_missing_from_changed(tmp_path: Path) -> None:
    manifest = extract_archive(_archive(tmp_path, plain_zip(YEAR)), tmp_path / "2008")
    assert {member.status for member in verify_extracted(tmp_path / "2008")} == {"ok"}
    changed = tmp_path / "2008" / "2008" / "AAPL.csv"
    data = bytearray(changed.read_bytes())
    data[100] ^= 1
    changed.write_bytes(data)
    (tmp_path / "2008" / "README").unlink()
    statuses = {member.path: member.status for member in verify_extracted(tmp_path / "2008")}
    assert statuses == {"2008/AAPL.csv": "changed", "2008/empty.csv": "ok", "README": "missing"}
    assert not is_extraction_of(tmp_path / "2008", manifest.archive_sha256)
    assert list(verify_extracted(tmp_path / "nothing")) == []


def test_an_archive_that_changed_since_its_download_is_not_extracted(tmp_path: Path) -> None:
    data = plain_zip(YEAR)
    with pytest.raises(CorruptFile, match="not the one"):
        extract_archive(_archive(tmp_path, data), tmp_path / "2008", expected_sha256="0" * 64)
    assert not (tmp_path / "2008").exists()
    expected = hashlib.sha256(data).hexdigest()
    extract_archive(tmp_path / "2008.zip", tmp_path / "2008", expected_sha256=expected)


def test_a_disk_that_refuses_is_reported_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExtractionFailed, match="file"):
        extract_archive(_archive(tmp_path, plain_zip(YEAR)), tmp_path / "file" / "2008")
    with pytest.raises(ExtractionFailed, match="No such file"):
        extract_archive(tmp_path / "none.zip", tmp_path / "2008")


DIES_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from flatfiles_assets.ingest.archives import folder_swap
from flatfiles_assets.ingest.archives.extraction import extract_archive, read_manifest, verify_extracted
folder, swap = Path(sys.argv[1]), sys.argv[2]
year = folder / "year" / "2008"
if swap == "two steps":
    folder_swap._exchanged = lambda new, target: False
STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "ctypes.dlsym"}

def extract_and_die_at(step):
    steps = 0
    def count(event, arguments):
        nonlocal steps
        if event in STEPS:
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    extract_archive(folder / "b.zip", year)

step, survived = 0, False
while not survived:
    step += 1
    extract_archive(folder / "a.zip", year)
    child = os.fork()
    if not child:
        extract_and_die_at(step)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    survived = status == 0
    assert survived or os.WTERMSIG(status) == signal.SIGKILL
    if swap == "exchange":
        assert year.is_dir(), f"missing after step {step}"
    manifest = read_manifest(year)
    assert manifest, f"neither old nor new after step {step}"
    assert {member.status for member in verify_extracted(year)} == {"ok"}, step
    assert len(list(year.iterdir())) == len(manifest.members) + 1, step
    print(manifest.archive)
"""


@pytest.mark.parametrize("swap", ["exchange", "two steps"])
def test_an_extraction_killed_at_any_step_leaves_the_old_state_or_the_new(tmp_path: Path, swap: str) -> None:
    for version in ("a", "b"):
        _archive(
            tmp_path, plain_zip({f"{version}{i}.csv": version.encode() for i in range(6)}), f"{version}.zip"
        )
    finished = subprocess.run(
        [sys.executable, "-c", DIES_AT_EVERY_STEP, str(tmp_path), swap], capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    found = finished.stdout.split()
    assert found == sorted(found), "old until a certain step, new from then on"
    assert found.count("a.zip") > 10
    assert found.count("b.zip") > 5
    extract_archive(tmp_path / "a.zip", tmp_path / "year" / "2008")
    assert [path.name for path in (tmp_path / "year").iterdir()] == ["2008"], "leftovers are cleared away"


def test_the_working_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with folder_swap.working_folder(tmp_path / "2008") as folder:
        (folder / "half").touch()
        extract_archive(_archive(tmp_path, plain_zip(YEAR)), tmp_path / "2008")
        assert (folder / "half").exists()
    assert not folder.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the exchange is a call of Linux")
def test_a_folder_is_never_missing_while_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "n").touch()
    (tmp_path / "old").mkdir()
    old_inode = (tmp_path / "old").stat().st_ino
    assert folder_swap._exchanged(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "n").exists()
    assert (tmp_path / "new").stat().st_ino == old_inode
