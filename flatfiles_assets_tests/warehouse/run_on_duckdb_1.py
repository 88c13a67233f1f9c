"""Run the tests of the warehouse on DuckDB 1.5.5, whatever version is installed.

``python -m flatfiles_assets_tests.warehouse.run_on_duckdb_1 [pytest options]`` puts that version
in a folder of its own, once, and starts pytest with the folder first on the path. The environment
is left as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "1.5.5"
ROOT = Path(__file__).parents[2]
TESTS = (
    "flatfiles_assets_tests/warehouse",
    "flatfiles_assets_tests/defs/test_io_manager.py",
    "flatfiles_assets_tests/defs/test_stock_defects.py",
    "flatfiles_assets_tests/ingest/flat_files/test_staging.py",
)


def installed_folder() -> Path:
    """The folder with that version in it, filled if it is not."""
    cache = Path(sys.prefix) / "cache"
    if not os.access(sys.prefix, os.W_OK):
        cache = Path(tempfile.gettempdir()) / "flatfiles_assets_cache"
    folder = cache / f"duckdb-{VERSION}-python{sys.version_info.major}.{sys.version_info.minor}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Filled under another name first: a folder that exists is a whole one.
        with tempfile.TemporaryDirectory(dir=cache) as partial:
            target = Path(partial) / "site"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*pip, "--target", str(target), f"duckdb=={VERSION}"], check=True)
            target.rename(folder)
    return folder


def main(options: list[str]) -> int:
    """Install if need be, run the tests, return pytest's exit code."""
    python_path = os.pathsep.join(filter(None, [str(installed_folder()), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": python_path}
    check = f"import duckdb; assert duckdb.__version__ == {VERSION!r}, duckdb.__version__"
    subprocess.run([sys.executable, "-c", check], check=True, env=environment, cwd=ROOT)
    command = [sys.executable, "-m", "pytest", *TESTS, *options]
    return subprocess.run(command, check=False, env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
