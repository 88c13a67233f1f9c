"""What a run may set when it is launched, and what not.

Here: `Settled`, for resources. Endpoints, credentials and paths are the settings' alone: whoever may
press *Materialize* may choose sessions, not where the access key is sent or what is written where.
Not here: the options of a run, which are its assets' config (``recheck``, ``reload``, …).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster._config.pythonic_config.io_manager import ConfigurableIOManagerFactoryResourceDefinition
from dagster._config.pythonic_config.resource import ConfigurableResourceFactoryResourceDefinition
from dagster._utils.cached_method import cached_method


class Settled:
    """Before a configurable resource or IO manager: its fields are given in code, never by a run's config."""

    @cached_method
    def get_resource_definition(self) -> Any:
        """The definition, whose config takes no entry."""
        definition = super().get_resource_definition()  # type: ignore[misc]

        def with_its_own_fields(context: dg.InitResourceContext) -> Any:
            # Without a config the fields stay as they were given.
            return definition.resource_fn(context.replace_config({}))

        is_io_manager = isinstance(definition, dg.IOManagerDefinition)
        kind = (
            ConfigurableIOManagerFactoryResourceDefinition
            if is_io_manager
            else ConfigurableResourceFactoryResourceDefinition
        )
        return kind(
            type(self),
            resource_fn=with_its_own_fields,
            config_schema={},
            description=definition.description,
            nested_resources={},
            nested_partial_resources={},
            dagster_maintained=False,
        )
