"""The type of a job that is still a selection of assets."""

# Not exported: what the public `dg.define_asset_job` returns has no public name to annotate it with.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

__all__ = ["UnresolvedAssetJobDefinition"]
