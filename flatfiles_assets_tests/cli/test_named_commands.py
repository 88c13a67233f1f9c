"""Every command of ours that a text of ours names is one that there is, with its options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import flatfiles_assets
from flatfiles_assets.cli import main

PACKAGE = Path(flatfiles_assets.__file__).parent
COMMAND = re.compile(r"\bflatfiles ((?:--?)?[a-z][a-z-]*(?: [^\s`'\",;.)]+)*)")
# Words after "flatfiles" that are prose.
PROSE = re.compile(r"`?flatfiles (?:is|and|or|has|does)\b")


def texts(tree: ast.AST) -> Iterator[str]:
    """Every string of a module, pieces of others shown as {}."""
    inside = {
        id(piece) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def named_commands() -> list[tuple[str, str]]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            for match in COMMAND.finditer(text):
                if not PROSE.match(match[0]):
                    found.add((path.relative_to(PACKAGE).as_posix(), match[1].split("\n")[0]))
    return sorted(found)


def problem(words: list[str]) -> str | None:
    """Why there is no such command; None where there is."""
    command: click.Command = main
    context = click.Context(main)
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        following = command.get_command(context, words[0])
        if following is None:
            return f"{command.name} has no {words[0]!r}"
        command, words = following, words[1:]
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {
        "--help",
        "-h",
    }
    for word in words:
        if word.startswith("-") and len(word) > 1 and word.split("=")[0] not in options:
            return f"{command.name} has no option {word}"
    return None


def test_all_commands_that_are_named_are_found():
    commands = named_commands()
    assert len(commands) > 40
    assert ("data_integration/option_quotes.py", "run directories") in commands


@pytest.mark.parametrize(("where", "command"), named_commands())
def test_a_command_that_is_named_exists(where, command):
    assert problem(command.split()) is None, where


def test_a_job_that_is_named_exists():
    from flatfiles_assets.definitions import build_defs

    named = {command.split()[1] for _, command in named_commands() if command.startswith("run ")}
    jobs = {job.name for job in build_defs().resolve_all_job_defs()}
    assert named - {"JOB", "{}"} <= jobs


def test_what_there_is_not_is_noticed():
    assert problem(["directories"]) == "main has no 'directories'"
    assert problem(["minio", "load"]) == "minio has no 'load'"
    assert problem(["backfill", "stocks_daily", "--from", "2024-01-02"]) == "backfill has no option --from"
