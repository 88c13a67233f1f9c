"""The terminal, for every command: Rich without its markup, and nothing that a terminal would obey.

Here: `console`, and text with a style. Not here: what is drawn on it.

Tickers, cells of a query and messages of stores are text: ``[restated]`` stays as it stands, and an
escape sequence is shown instead of carried out. Styles are given by `Text`, never by markup.
"""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text, TextType

from flatfiles_assets.escaping import printable_lines

_WIDTH_OF_A_FILE = 4000


class PlainConsole(Console):
    """A console on which whatever is printed is text."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as Rich's text, written out before anything is measured by it."""
        return super().render_str(printable_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The renderable's segments; what a terminal would obey is written out in all but Rich's own."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)

    def rule(self, title: TextType = "", **options: Any) -> None:
        """A line across the terminal, with a title; in a file, the title."""
        if self.is_terminal:
            super().rule(title, **options)
        else:
            self.print(Text.assemble("── ", title if isinstance(title, Text) else str(title), " ──"))


def console(*, stderr: bool = False) -> Console:
    """The console of standard output, or of standard error.

    What is piped or written to a file has no width: nothing of it is cut or wrapped. A character that the
    stream's encoding lacks is written out and ends no command.
    """
    show_every_character()
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream is not None and stream.isatty() else _WIDTH_OF_A_FILE
    return PlainConsole(stderr=stderr, markup=False, emoji=False, highlight=False, width=width)


def draws_bars(console: Console) -> bool:
    """Whether progress can be drawn: on a terminal, or in a notebook that has the widgets for it.

    Without ipywidgets Rich warns at each refresh instead, which a notebook keeps.
    """
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal


def show_every_character() -> None:
    """Let standard output and error take every character, whatever the locale says they are encoded in."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def styled(style: str, text: str, rest: str = "") -> Text:
    """A text in a style, and what follows it in none."""
    return Text.assemble((text, style), rest)
