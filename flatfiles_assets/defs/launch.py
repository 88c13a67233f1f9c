"""What a run may set when it is launched, and what not.

Here: `Settled`, for resources. Endpoints, credentials and paths are the settings' alone: whoever may
press *Materialize* may choose sessions, not where the access key is sent or what is written where.
Not here: the options of a run, which are its assets' config (``recheck``, ``reload``, …).
"""

from __future__ import annotations

import functools
from typing import Any

import dagster as dg


class Settled:
    """Before a configurable resource or IO manager: its fields are given in code, never by a run's config."""

    def get_resource_definition(self) -> Any:
        """The definition, whose config takes no entry."""
        return _without_config(super().get_resource_definition())  # type: ignore[misc]


class SettledFilesIOManager(Settled, dg.FilesystemIOManager):
    """Dagster's own IO manager, for what assets return besides tables; the instance says where it writes."""


# Dagster tells resources apart by their definition: one for each.
@functools.cache
def _without_config(definition: dg.ResourceDefinition) -> dg.ResourceDefinition:
    is_io_manager = isinstance(definition, dg.IOManagerDefinition)
    kind: Any = dg.IOManagerDefinition if is_io_manager else dg.ResourceDefinition
    # Without a config the fields stay as they were given.
    settled: dg.ResourceDefinition = kind(
        resource_fn=definition.resource_fn, config_schema={}, description=definition.description
    )
    return settled
