"""Pages of the documentation whose text comes from the code; a hook of mkdocs.

Here: the data dictionary from the registry of tables, the states, and the two files of the repository's
root. They are made while the site is built, and stand nowhere else. Pages that the
navigation names and that are not written yet are left out of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.escaping import markdown
from flatfiles_assets.warehouse.session_states import states_table
from flatfiles_assets.warehouse.table import TableSchema, sql_type
from flatfiles_assets.warehouse.tables import TABLES

ROOT = Path(__file__).parents[2]

_ENABLED = {name for name, dataset in DATASETS.items() if dataset.enabled}


def data_dictionary() -> str:
    """Every registered table with its columns, types and meanings."""
    parts = [
        "# Data dictionary",
        "Every table that the warehouse can have, from the registry that also makes them. What the columns "
        "of a table in `market.` for one of your directories are is up to its files; the catalog shows them.",
        _REMEMBERED,
    ]
    for heading, wanted in (
        ("## Tables of every installation", True),
        ("## Tables of further feeds", False),
    ):
        parts.append(heading)
        parts += [
            _table(table)
            for table in TABLES.values()
            if (table.key[-1] not in DATASETS or table.key[-1] in _ENABLED) == wanted
        ]
    return "\n\n".join(parts) + "\n"


_OWN_TABLES = (
    ("flatfiles.versions", "part, version, since", "what made the file"),
    ("flatfiles.states", "state, since, purpose, run_id", "each transaction that changed something"),
    (
        "flatfiles.tables",
        "state, schema_name, table_name, column_names, column_types, slice_columns, history",
        "which columns a table has from a state on; none: it is gone",
    ),
    ("flatfiles.loads", "history, state, slice", "in which state a partition came to where there was none"),
    (
        "flatfiles.made_from",
        "table_name, partition, state, input_state",
        "from which state the rows of a partition were computed, in which state",
    ),
    (
        "flatfiles_history_<schema>.<table>",
        "those of the table, history_state, history_times",
        "rows that a state added, so many times; below 0, took away",
    ),
)
_REMEMBERED = "\n".join(
    [
        "## What the warehouse says of itself",
        "",
        "| table | columns | |",
        "|---|---|---|",
        *(f"| `{name}` | {columns} | {meaning} |" for name, columns, meaning in _OWN_TABLES),
    ]
)


def _table(table: TableSchema) -> str:
    facts = [f"partitioned by `{table.partition_column}`" if table.partition_column else "without partitions"]
    if table.sort_columns:
        facts.append(f"ordered by {', '.join(f'`{name}`' for name in table.sort_columns)}")
    lines = [
        f"### `{table.sql_name}`",
        f"{markdown(table.description)}; {', '.join(facts)}.",
        "",
        "| column | type | |",
        "|---|---|---|",
    ]
    required = {*table.required_columns, table.partition_column}
    lines += [
        f"| `{column.name}` | {sql_type(column.table_type)}"
        f"{' NOT NULL' if column.name in required else ''} | {markdown(column.description)} |"
        for column in table.columns
    ]
    return "\n".join([lines[0], "", *lines[1:]])


def states() -> str:
    """The states of a session."""
    return f"# States of a session\n\n{states_table()}\n"


def _root_file(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


PAGES = {
    "reference/data-dictionary.md": data_dictionary,
    "reference/states.md": states,
    "contributing.md": lambda: _root_file("CONTRIBUTING.md"),
    "changelog.md": lambda: _root_file("CHANGELOG.md"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in PAGES.items():
        files.append(File.generated(config, path, content=text()))
    if config.nav is not None:
        config.nav = _written(config.nav, {file.src_uri for file in files})
    return files


def _written(entry: Any, there: set[str]) -> Any:
    """A part of the navigation without the pages that are not there."""
    if isinstance(entry, list):
        kept = [_written(part, there) for part in entry]
        return [part for part in kept if part]
    if isinstance(entry, dict):
        return {title: part for title, old in entry.items() if (part := _written(old, there))}
    return entry if entry in there else None
