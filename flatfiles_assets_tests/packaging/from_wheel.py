"""Install the built wheel into empty environments and use it there, as other people do.

``python -m flatfiles_assets_tests.packaging.from_wheel`` builds the wheel and, for each supported Python
that is to be had here, installs ``flatfiles-assets[demo]`` at the locked versions into an empty
environment, imports every module and runs the quick tests of the core against the installed package. On
this Python it also runs `flatfiles demo`. A Python that is not to be had is named and passed over.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORTED = ("3.10", "3.11", "3.12", "3.13")

# Quick, and spread over every library whose version differs between Pythons.
QUICK_TESTS = (
    "flatfiles_assets_tests/algorithms/test_momentum.py",
    "flatfiles_assets_tests/download/test_s3_catalog.py",
    "flatfiles_assets_tests/ingest/test_quality.py",
    "flatfiles_assets_tests/test_calendars.py",
    "flatfiles_assets_tests/test_datasets.py",
    "flatfiles_assets_tests/test_settings.py",
    "flatfiles_assets_tests/warehouse/test_transaction.py",
)
TEST_TOOLS = ("hypothesis", "pytest", "pytest-timeout")

_IMPORT_ALL = """
import importlib, pkgutil, flatfiles_assets
assert "site-packages" in flatfiles_assets.__file__, flatfiles_assets.__file__
modules = [m.name for m in pkgutil.walk_packages(flatfiles_assets.__path__, "flatfiles_assets.")]
for name in modules:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(modules), "modules")
"""


def interpreter(version: str) -> str | None:
    """A Python of that minor version: this one, one on the path, or one of pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    kept = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
    found = shutil.which(f"python{version}")
    # pyenv's own stand-in on the path fails for a version that is not switched on.
    return str(kept[-1]) if kept else found if found and "shims" not in found else None


def build_wheel(folder: Path) -> Path:
    """The wheel of this source tree."""
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, python: str, folder: Path, *options: str) -> Path:
    """An empty environment with ``wheel[demo]`` at the lock's versions; returns its programs' folder."""
    _run(python, "-m", "venv", folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run(*pip, "--constraint", ROOT / "requirements.lock", f"{wheel}[demo]", *options)
    return programs


def size_mib(folder: Path) -> float:
    """Size of a folder's files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 2**20


def use(programs: Path, scratch: Path) -> str:
    """Import everything and run the quick tests, none of it from the source tree; pytest's last line."""
    python = programs / "python"
    _run(python, "-W", "ignore", "-c", _IMPORT_ALL, cwd=scratch)
    # The tests alone, so that what they import can only be the installed package.
    shutil.copytree(ROOT / "flatfiles_assets_tests", scratch / "flatfiles_assets_tests", dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", scratch)
    tests = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUICK_TESTS)
    return _run(*tests, cwd=scratch, quiet=True).strip().rpartition("\n")[2]


def demo(programs: Path, scratch: Path) -> None:
    """Run the demo and look into its warehouse, with nothing but the environment's own programs."""
    _run(programs / "flatfiles", "demo", "--data-dir", scratch / "demo", cwd=scratch)
    count = "SELECT count(*) > 0 AS loaded FROM market.stocks_daily"
    environment = {"FLATFILES_DATA_DIR": str(scratch / "demo")}
    said = _run(programs / "flatfiles", "sql", count, cwd=scratch, environment=environment, quiet=True)
    if not re.search(r"(?i)\btrue\b", said):
        raise SystemExit(f"the demo loaded nothing: {said}")


def try_on(version: str, wheel: Path, folder: Path) -> None:
    """Install the wheel on one Python and use it; a Python that is not to be had is named."""
    python = interpreter(version)
    if python is None:
        print(f"Python {version}: not to be had here", flush=True)
        return
    scratch = folder / version
    scratch.mkdir()
    is_ours = python == sys.executable
    # As a user's, with everything compiled, once; elsewhere only what is imported is compiled.
    programs = install(wheel, python, scratch / "venv", *(() if is_ours else ("--no-compile",)))
    size, count = size_mib(scratch / "venv"), _distributions(programs)
    uncompiled = "" if is_ours else " before compilation"
    print(
        f"Python {version}: {wheel.name}[demo], {count} distributions, {size:,.0f} MiB{uncompiled}",
        flush=True,
    )
    if is_ours:
        demo(programs, scratch)
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run(*pip, "--constraint", ROOT / "requirements.lock", *TEST_TOOLS)
    print(f"Python {version}: {use(programs, scratch)}", flush=True)
    shutil.rmtree(scratch)


def main(versions: Sequence[str]) -> int:
    """Try some Pythons, or every supported one where none is named; 0 if all that are to be had work."""
    with tempfile.TemporaryDirectory(prefix="flatfiles-wheel-") as name:
        wheel = build_wheel(Path(name))
        # Two at a time: pip and the tests keep one processor each.
        with ThreadPoolExecutor(2) as pool:
            tried = [pool.submit(try_on, each, wheel, Path(name)) for each in versions or SUPPORTED]
        for each in tried:
            each.result()
    return 0


def _distributions(programs: Path) -> int:
    listed = _run(programs / "python", "-m", "pip", "list", "--format", "freeze", quiet=True)
    return len(listed.splitlines())


def _run(
    *command: str | Path,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
    quiet: bool = False,
) -> str:
    # Nothing of this source tree and of its settings reaches the environment that is tried.
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV", "DAGSTER_HOME")
        and not name.startswith(("FLATFILES_", "MINIO_", "POLYGON_", "MASSIVE_"))
    }
    result = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env={**clean, **(environment or {})},
        stdout=subprocess.PIPE if quiet else None,
        text=True,
    )
    if result.returncode:
        print(result.stdout or "", flush=True)
        raise SystemExit(f"{' '.join(map(str, command))} ended with {result.returncode}")
    return result.stdout or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
