"""Long work, and how it tells whoever watches how far it is.

Here: the interface. Not here: progress bars (`terminal`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol


class Work(Protocol):
    """Somebody who is told of long work."""

    def begin(self, what: str, total_bytes: int) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        """Begin a piece of work.

        Args:
            what: What is done, e.g. ``"fetching"``.
            total_bytes: How much there is of it; 0 where that is not known.

        Returns:
            A context for the work, giving a function to be called, from any thread, with the number
            of bytes just done.
        """


class Unwatched:
    """Nobody watches."""

    @contextlib.contextmanager
    def begin(self, what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        """Tell nobody."""
        yield lambda _: None
