"""Dagster components: what can be added to a code location in YAML. https://docs.dagster.io/guides/build/components."""

from flatfiles_assets.defs.components.flat_file_feed import FlatFileFeed

__all__ = ["FlatFileFeed"]
