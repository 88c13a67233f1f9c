"""The terminal, for every command: Rich without its markup, and nothing that a terminal would obey.

Here: `console`, and text with a style. Not here: what is drawn on it.

Tickers, cells of a query and messages of stores are text: ``[restated]`` stays as it stands, and an
escape sequence is shown instead of carried out. Styles are given by `Text`, never by markup.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from flatfiles_assets.escaping import printable_lines


class PlainConsole(Console):
    """A console on which whatever is printed is text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The renderable's segments; what a terminal would obey is written out in all but Rich's own."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)


def console(*, stderr: bool = False) -> Console:
    """The console of standard output, or of standard error."""
    return PlainConsole(stderr=stderr, markup=False, emoji=False, highlight=False)


def styled(style: str, text: str, rest: str = "") -> Text:
    """A text in a style, and what follows it in none."""
    return Text.assemble((text, style), rest)
