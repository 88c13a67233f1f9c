"""The package works where Linux's own modules and calls are missing: Windows and macOS lack some.

Each test runs a process in which our modules cannot import `fcntl` or `uvloop`, and `os` has none of the
calls that Windows lacks. Libraries keep theirs: they have their own ways there.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flatfiles_assets_tests.s3_servers import S3Server

pytestmark = pytest.mark.slow

# `os.name` stays: pathlib and subprocess read it. What hangs on it alone is tested by the constant.
_WITHOUT = """
import builtins, os, sys, signal

HIDDEN = {"fcntl", "uvloop", "resource", "pwd", "grp", "termios", "pty"}
_import = builtins.__import__

def hiding(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.startswith("flatfiles_assets") and name.split(".")[0] in HIDDEN:
        raise ImportError(f"no module named {name!r} on this system", name=name)
    return _import(name, globals, locals, fromlist, level)

builtins.__import__ = hiding
for call in ("fdatasync", "pread", "pwrite", "execve", "geteuid", "getuid", "fchmod", "sched_getaffinity"):
    if hasattr(os, call):
        delattr(os, call)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGQUIT"):
    delattr(signal, name)
"""


def run_without(code: str, *arguments: str, cwd: Path) -> str:
    """Run code in such a process and return what it prints."""
    script = _WITHOUT + textwrap.dedent(code)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments], capture_output=True, text=True, cwd=cwd
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_module_is_imported_without_what_other_systems_lack(tmp_path: Path) -> None:
    said = run_without(
        """
        import importlib, pkgutil
        import flatfiles_assets
        names = [
            module.name
            for module in pkgutil.walk_packages(flatfiles_assets.__path__, "flatfiles_assets.")
            if not module.name.endswith("__main__")
        ]
        for name in names:
            importlib.import_module(name)
        print(len(names))
        """,
        cwd=tmp_path,
    )
    assert int(said) > 200


@pytest.mark.parametrize("pinned", [False, True], ids=["as on Linux", "open files are pinned"])
def test_files_are_fetched_without_what_other_systems_lack(
    s3: S3Server, tmp_path: Path, pinned: bool
) -> None:
    """Small files, and a large one in ranges that lie beside each other in one file."""
    bucket = s3.new_bucket()
    large = bytes(range(256)) * 4096
    s3.client().put_object(Bucket=bucket, Key="small", Body=b"line\r\n\x1aafter")
    s3.client().put_object(Bucket=bucket, Key="large", Body=large)
    run_without(
        """
        bucket, endpoint, key_id, secret, pinned = sys.argv[1:]
        import flatfiles_assets.download.atomic_files as atomic_files
        import flatfiles_assets.download.partial_file as partial_file
        atomic_files.OPEN_FILES_ARE_PINNED = partial_file.OPEN_FILES_ARE_PINNED = pinned == "True"
        from pathlib import Path
        from flatfiles_assets.download.cache import FileCache
        from flatfiles_assets.download.connection import S3Connection
        from flatfiles_assets.download.fetch import fetch_files
        from flatfiles_assets.download.transfer import TransferLimits

        connection = S3Connection(endpoint, key_id, secret)
        with FileCache(Path("cache")) as cache:
            limits = TransferLimits(1024, ranges_above_bytes=64 * 1024, part_bytes=100_000)
            for result in fetch_files(connection, bucket, cache, ["small", "large"], limits=limits):
                assert not isinstance(result, Exception), result
        """,
        bucket,
        s3.endpoint_url,
        s3.access_key_id,
        s3.secret_access_key,
        str(pinned),
        cwd=tmp_path,
    )
    assert (tmp_path / "cache" / "small").read_bytes() == b"line\r\n\x1aafter"
    assert (tmp_path / "cache" / "large").read_bytes() == large
    assert not [path for path in (tmp_path / "cache").glob(".*") if path.suffix in (".tmp", ".partial")]


def test_a_working_folder_is_locked_and_replaced_without_flock(tmp_path: Path) -> None:
    run_without(
        """
        from pathlib import Path
        from flatfiles_assets.ingest.archives.folder_swap import replace_folder, working_folder

        target = Path("2008")
        for text in ("first", "second"):
            with working_folder(target) as folder:
                (folder / "file").write_text(text)
                replace_folder(folder, target)
        """,
        cwd=tmp_path,
    )
    assert (tmp_path / "2008" / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["2008"]


def test_a_home_is_opened_without_flock(tmp_path: Path) -> None:
    said = run_without(
        """
        from flatfiles_assets.defs.instance.home import open_instance
        with open_instance("home") as instance:
            print(instance.event_log_storage.get_pool_limits()[0].name)
        """,
        cwd=tmp_path,
    )
    assert said.strip() == "duckdb_writer"
