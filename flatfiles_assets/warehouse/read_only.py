"""Reading sessions that read the warehouse and nothing else: no other file, no other database, no network.

Here: what a session's DuckDB is allowed, and which statements it takes. Not here: opening the file
(`database.py`) and running queries (`reading.py`).

DuckDB's own READ_ONLY covers the attached file as long as it stays attached; who may detach it, copy
over it or load an extension is not held by it. Its switch for external access leaves the file itself
and the folder for spilled rows open, since it needs both, so statements that could reach them are
refused before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from flatfiles_assets.warehouse.errors import ReadOnlyViolation

# What DuckDB judges by itself: on a file attached to be read it refuses every change.
_JUDGED_BY_DUCKDB = frozenset(
    {
        "SELECT", "RELATION", "EXPLAIN", "PRAGMA", "CALL", "SET", "VARIABLE_SET", "TRANSACTION",
        "CREATE", "CREATE_FUNC", "DROP", "ALTER", "INSERT", "UPDATE", "DELETE", "MERGE_INTO",
        "ANALYZE", "VACUUM",
    }
)  # fmt: skip
# Of a past there is only a view, in memory, which DuckDB would let be changed to no effect.
_CHANGES = frozenset({"CREATE", "DROP", "ALTER", "INSERT", "UPDATE", "DELETE", "MERGE_INTO", "VACUUM"})
_WITH_FILES = _JUDGED_BY_DUCKDB | {"COPY", "EXPORT"}
# Extensions are fetched from the network, and are code.
_NO_EXTENSIONS = ("autoinstall_known_extensions", "autoload_known_extensions")

_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_TEXT = re.compile(r"'((?:[^']|'')*)'|\$\w*\$(.*?)\$\w*\$", re.DOTALL)

#: How people get at other files.
FILES_NEXT_STEP = (
    "export with `flatfiles sql --allow-files …` or open_warehouse(allow_files=True); for another database "
    "open a DuckDB of your own"
)


def confine(connection: duckdb.DuckDBPyConnection, *, allow_files: bool, lock: bool) -> None:
    """Let a connection read what is attached, and nothing else from now on.

    Args:
        connection: With the warehouse attached.
        allow_files: Whether queries may read and write other files.
        lock: Whether its settings are settled, too.
    """
    for setting in _NO_EXTENSIONS:
        connection.execute(f"SET {setting} = false")
    # A name in a query is a table's, never one of a variable of ours.
    connection.execute("SET python_enable_replacements = false")
    if not allow_files:
        connection.execute("SET enable_external_access = false")
    if lock:
        connection.execute("SET lock_configuration = true")


def check_statements(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    path: Path,
    *,
    allow_files: bool,
    changes_nothing: bool = False,
) -> None:
    """Refuse statements that would reach beyond the warehouse, or write over it.

    What DuckDB cannot parse is left to DuckDB to refuse.

    Raises:
        ReadOnlyViolation: One of them would; the message says how exports are opened.
    """
    allowed = _WITH_FILES if allow_files else _JUDGED_BY_DUCKDB
    for kind, text in _kinds(connection, query):
        if changes_nothing and kind in _CHANGES:
            raise ReadOnlyViolation("the past can only be read", where=kind.replace("_", " "))
        if kind not in allowed:
            raise ReadOnlyViolation(
                "this session only reads the warehouse",
                where=kind.replace("_", " "),
                why="the statement would reach another file, database or extension",
                next_step=FILES_NEXT_STEP,
            )
        if kind in ("COPY", "EXPORT") and _names(text, path):
            raise ReadOnlyViolation(
                "this session does not write over the warehouse",
                where=str(path),
                next_step="name another file",
            )


def _kinds(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[str, str]]:
    """Each statement's kind and text; of one to be explained also the one within, which may be run."""
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error:
        return
    for statement in statements:
        kind = statement.type.name
        yield kind, statement.query
        if kind == "EXPLAIN":
            within = list(_kinds(connection, _explained(statement.query)))
            yield from within or [("INVALID", statement.query)]


def _explained(statement: str) -> str:
    """``EXPLAIN ANALYZE (FORMAT JSON) x`` without what precedes ``x``."""
    tokens = [position for position, _ in duckdb.tokenize(statement)]
    ends = [*tokens[1:], len(statement)]
    words = [
        _COMMENT.sub("", statement[start:end]).strip().lower()
        for start, end in zip(tokens, ends, strict=True)
    ]
    place = 1
    while place < len(words) and words[place] in ("", "analyze", "analyse", "verbose"):
        place += 1
    if place < len(words) and words[place].startswith("("):
        depth = 0
        while place < len(words):
            depth += words[place].count("(") - words[place].count(")")
            place += 1
            if depth <= 0:
                break
    return statement[tokens[place] :] if place < len(tokens) else ""


def _names(statement: str, path: Path) -> bool:
    """Whether a text in a statement names the warehouse, its log, or the folder of both."""
    for text in _TEXT.findall(statement):
        # `EXPORT DATABASE` names a folder; the warehouse's own holds the file.
        named = Path("".join(text).replace("''", "'").removeprefix("file://")).expanduser().resolve()
        if named == path.parent or (named.parent == path.parent and named.name.startswith(path.name)):
            return True
    return False
