"""A file of an archive: where it is, and what it is called."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: Where it is; of a file that had to be rewritten as text, where the text is.
        name: Its path below the year's directory, with ``/``: for reports, and for what it says.
    """

    path: Path
    name: str
