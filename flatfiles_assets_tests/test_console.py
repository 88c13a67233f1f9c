"""Whatever is printed on the console is text: no markup, and no command to the terminal."""

from __future__ import annotations

import builtins
import importlib.util
import io
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from flatfiles_assets.console import PlainConsole, console, draws_bars, styled

HOSTILE = "[red]a[/red] [/b] :smile: \x1b]0;title\x07 \x9b31m [restated]"


def _printed(*what: object, width: int = 400) -> str:
    out = io.StringIO()
    PlainConsole(
        file=out, force_terminal=True, width=width, markup=False, emoji=False, highlight=False
    ).print(*what)
    return out.getvalue()


def test_the_consoles_of_commands_know_no_markup(capsys):
    console().print(HOSTILE, soft_wrap=True)
    table = Table(HOSTILE, title="[b]t[/b]", box=None)
    table.add_row("[/red]")
    console().print(table)
    console().rule("[/x]")
    out = capsys.readouterr().out
    assert "[red]a[/red] [/b] :smile:" in out
    assert "[restated]" in out
    assert "[/red]" in out.split("\n", 2)[2]
    assert "[b]t[/b]" in out
    assert "[/x]" in out


@given(st.text(alphabet=st.characters(max_codepoint=0x2100), max_size=40))
def test_no_text_reaches_the_terminal_as_a_command(text):
    table = Table(text, box=None)
    table.add_row(Text(text, style="red"))
    for shown in (_printed(text), _printed(table), _printed(styled("red", text, text))):
        # Rich's own styles are the only escape sequences.
        left = shown.replace("\x1b[31m", "").replace("\x1b[0m", "").replace("\x1b[1m", "")
        assert not [each for each in left if not each.isprintable() and each not in "\n\u00a0\u2009\u202f"]


def test_the_description_of_a_bar_is_text():
    out = io.StringIO()
    plain = PlainConsole(file=out, force_terminal=True, width=80, markup=False)
    with Progress(TextColumn("{task.description}", markup=False), console=plain) as bars:
        bars.add_task("[/red]\x1b]0;x\x07")
    assert "[/red]" in out.getvalue()
    assert "\x1b]0;" not in out.getvalue()


class ZMQInteractiveShell:
    """What Rich tells a notebook by."""


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_without_widgets_has_no_bar_and_is_not_warned_at_each_refresh(monkeypatch, widgets):
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    found = importlib.util.find_spec("json") if widgets else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: {"ipywidgets": found}[name])
    plain = console(stderr=True)
    assert plain.is_jupyter
    assert draws_bars(plain) is widgets
    if not widgets:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Progress(console=plain, disable=not draws_bars(plain)) as bars:
                task = bars.add_task("x", total=3)
                for _ in range(3):
                    bars.advance(task)
                    bars.refresh()
