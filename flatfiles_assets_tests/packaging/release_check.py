"""What must be true before a version is tagged: ``make release-check``.

The state of the checkout, the version and the changelog. Lint, tests, documentation and the wheel are the
other targets that `make release-check` runs.
"""

from __future__ import annotations

import re
import subprocess
import sys

from flatfiles_assets import __version__
from flatfiles_assets_tests.packaging.from_wheel import ROOT


def problems(version: str, changelog: str, tags: set[str], changed: str) -> list[str]:
    """Why a version cannot be tagged; none where it can.

    Args:
        version: Of the package.
        changelog: Text of the changelog.
        tags: Tags that there are.
        changed: What `git status --porcelain` says.
    """
    found = []
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        found.append(f"{version} is no version to release: write MAJOR.MINOR.PATCH")
    if f"v{version}" in tags:
        found.append(f"v{version} is tagged already: raise __version__")
    section = re.search(
        rf"^## {re.escape(version)}\b.*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if section is None or not section[1].strip():
        found.append(f"CHANGELOG.md says nothing of {version}")
    if _section(changelog, "Unreleased"):
        found.append("CHANGELOG.md has lines under Unreleased: they belong to this version")
    if changed.strip():
        found.append("the checkout has changes that are not committed")
    return found


def _section(changelog: str, heading: str) -> str:
    found = re.search(
        rf"^## {re.escape(heading)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def main() -> int:
    """Print what is wrong; 0 if nothing is."""
    found = problems(
        __version__,
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        set(_git("tag").split()),
        _git("status", "--porcelain"),
    )
    for problem in found:
        print(problem)
    return bool(found)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
