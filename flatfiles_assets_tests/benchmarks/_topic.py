"""One topic in a process of its own: `python -m flatfiles_assets_tests.benchmarks._topic NAME FILE`.

What another topic leaves in a process (threads, memory in pieces) is not measured with it.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path


def main(name: str, results: Path) -> None:
    """Measure a topic and write its rows as JSON."""
    module = importlib.import_module(f"flatfiles_assets_tests.benchmarks.{name}")
    results.write_text(json.dumps([dataclasses.asdict(row) for row in module.run()]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
