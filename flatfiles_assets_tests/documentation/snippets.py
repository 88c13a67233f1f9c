"""The snippets of a page, and how they are run: in order, in one process, on the demo's data.

A block that cannot run (it needs a vendor's credentials, say) has a comment before it that says why:
``<!-- not run: why -->``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(
    r"(?P<not_run><!-- not run: [^\n]+ -->\n+)?^(?P<indent> *)```python\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


def pages() -> list[Path]:
    """The front door and every page that has a snippet of Python."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if python_blocks(page)]


def python_blocks(page: Path) -> list[str]:
    """The blocks of a page that run, in their order."""
    return [
        re.sub(rf"^{found['indent']}", "", found["code"], flags=re.MULTILINE)
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
        if not found["not_run"]
    ]


def run(page: Path, data_dir: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the blocks of a page as a reader would, one after the other."""
    environment = {**os.environ, "FLATFILES_DATA_DIR": str(data_dir), "MPLBACKEND": "Agg"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(python_blocks(page))],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
