"""Where reference data come from: the vendor's API where a key is set, else files that the user drops.

Here: the choice, and what is said where there is neither. Not here: the assets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from flatfiles_assets.download.connection import StoreOptions
from flatfiles_assets.download.reference_api import ReferenceApi
from flatfiles_assets.errors import MissingCredentials
from flatfiles_assets.ingest.reference import (
    MalformedReference,
    ReferenceRecords,
    dropped_file,
    read_dropped_file,
    reference_records,
)
from flatfiles_assets.ingest.reference_columns import ReferenceName
from flatfiles_assets.settings import Settings

_MOST_REJECTED_SHOWN = 50
# The user's own word, who may have nothing to say; of the others no market is without any.
_MAY_BE_EMPTY = frozenset({"overrides", "renames"})


@dataclasses.dataclass(frozen=True)
class ReferenceSource:
    """The source that the settings name.

    Attributes:
        settings: They.
    """

    settings: Settings

    @property
    def api(self) -> ReferenceApi | None:
        """The vendor's endpoints; None where no key is set."""
        settings = self.settings
        api_key = settings.reference_api_key()
        if api_key is None:
            return None
        return ReferenceApi(
            settings.api_url,
            api_key,
            max_retries=settings.max_retries,
            timeout_seconds=settings.timeout_seconds,
            network=StoreOptions.of_vendor(settings).network,
        )

    def dropped(
        self,
        name: ReferenceName,
        completed: Callable[[Path, Iterable[dict[str, Any]]], Iterable[Mapping[str, Any]]] | None = None,
    ) -> ReferenceRecords | None:
        """The records of the user's file of a table; None where there is no such file.

        Args:
            name: The table.
            completed: Makes of the file's rows what a record needs.

        Raises:
            MalformedReference: The file is none, or holds nothing at all where there must be something.
        """
        path = dropped_file(self.settings.reference_path, name)
        if path is None:
            return None
        rows = read_dropped_file(path)
        records = reference_records(name, completed(path, rows) if completed else rows, path.name)
        if not records.table.num_rows and name not in _MAY_BE_EMPTY:
            # A file that was cut short or saved empty must not wipe what is stored.
            raise MalformedReference(
                f"the file has no {name} at all",
                where=str(path.expanduser().resolve()),
                next_step="put the records into it, or remove it; the table was left as it is",
            )
        return records

    def nothing(self, name: str) -> MissingCredentials:
        """The error where there is neither a key nor a file; the message tells both ways."""
        folder = self.settings.reference_path.expanduser().resolve()
        return MissingCredentials(
            f"there is no source of {name}",
            where=f"reference/{name}",
            why="no API key is set, and no file is in the folder",
            next_step=f"set FLATFILES_API_KEY, or put {name}.csv or {name}.parquet into "
            f"{folder} (FLATFILES_REFERENCE_DIR)",
        )


def log_rejected(context: dg.AssetExecutionContext, records: ReferenceRecords) -> None:
    """Say which records could not be used."""
    for reason in records.rejected[:_MOST_REJECTED_SHOWN]:
        context.log.warning("left out: %s", reason)
