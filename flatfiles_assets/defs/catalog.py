"""What Dagster's catalog says of assets beside what they are: where from, by which code, of which version.

Here: addresses, versions and links that every asset has by its place in the graph, and the two buckets
from which everything comes. Not here: titles, columns and owners, which each asset says itself.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

import flatfiles_assets
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.defs.code_versions import code_version
from flatfiles_assets.defs.keys import (
    HISTORICAL_ZIP_KEY,
    OWNERS,
    USER_BUCKET_KEY,
    VENDOR_BUCKET_KEY,
    market_directory_key,
    raw_directory_key,
)
from flatfiles_assets.minio_data_downloader import DIRECTORIES
from flatfiles_assets.minio_data_downloader.bucket_contents import directory_prefix
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.workspace import Workspace

_URI, _CODE = "dagster/uri", "dagster/code_references"
_OF_DIRECTORIES = {key(name) for name in DIRECTORIES for key in (raw_directory_key, market_directory_key)}
_PAGES = {"historical": "archives", "reference": "securities", "algorithm": "research", "market": "warehouse"}
_DIRECTORIES = {raw_directory_key(directory): directory for directory in DIRECTORIES}


def build_bucket_specs(settings: Settings) -> list[dg.AssetSpec]:
    """The two stores that others fill: nothing here makes them, everything is made from them."""
    return [
        dg.AssetSpec(
            VENDOR_BUCKET_KEY,
            group_name="stores",
            description="The vendor's bucket of flat files: a file for each feed and session.",
            kinds={"s3"},
            owners=OWNERS,
            metadata={_URI: f"s3://{settings.bucket}", "endpoint": settings.endpoint_url},
        ),
        dg.AssetSpec(
            USER_BUCKET_KEY,
            group_name="stores",
            description="Your own bucket: yearly archives and directories.",
            kinds={"s3"},
            owners=OWNERS,
            metadata={_URI: f"s3://{settings.minio_bucket}", "endpoint": settings.minio_endpoint_url},
        ),
    ]


def in_catalog(
    assets: Sequence[dg.AssetsDefinition], settings: Settings
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets with their addresses, versions and links, and the two stores before them."""
    workspace = Workspace.from_settings(settings)
    described = [
        asset.map_asset_specs(functools.partial(_described, asset=asset, workspace=workspace))
        for asset in assets
    ]
    return [*build_bucket_specs(settings), *_with_source(described, settings)]


def _described(spec: dg.AssetSpec, *, asset: dg.AssetsDefinition, workspace: Workspace) -> dg.AssetSpec:
    uri = _uri(spec.key, workspace)
    guide = _guide(spec.key, workspace.settings)
    return spec.replace_attributes(
        description=f"{spec.description}\n\n{guide}" if spec.description else guide,
        code_version=code_version(asset, spec.key),
        metadata={**spec.metadata, **({_URI: uri} if uri else {}), _CODE: _source(asset)},
    )


def _guide(key: dg.AssetKey, settings: Settings) -> str:
    """Where an operator reads on: links where the settings name the repository, else names of pages."""
    pages = {"What is missing, why, and what happens next": "operating"}
    own = "directories" if key in _OF_DIRECTORIES else _PAGES.get(key.path[0])
    if own is not None:
        pages["How it is made"] = own
    root = f"{settings.source_url.rstrip('/')}/blob/{settings.source_branch}/" if settings.source_url else ""
    shown = {page: f"docs/{page}.md" for page in pages.values()}
    links = {page: f"[{path}]({root}{path})" if root else path for page, path in shown.items()}
    return "; ".join(f"{title}: {links[page]}" for title, page in pages.items()) + "."


def _source(asset: dg.AssetsDefinition) -> dg.CodeReferencesMetadataValue:
    """Where the function of an asset stands: the one that is written there, whatever is put around it.

    Dagster's own `with_source_code_references` names the place of the outermost wrapper.
    """
    computed: Any = asset.op.compute_fn
    function = inspect.unwrap(getattr(computed, "decorated_fn", computed))
    path = inspect.getsourcefile(function) or inspect.getfile(function)
    line = inspect.getsourcelines(function)[1]
    reference = dg.LocalFileCodeReference(file_path=str(Path(path).resolve()), line_number=line)
    return dg.CodeReferencesMetadataValue(code_references=[reference])


def _uri(key: dg.AssetKey, workspace: Workspace) -> str | None:
    """Where an asset's bytes are: in a bucket, for what is only copied, else in the warehouse's file."""
    settings, layer, name = workspace.settings, key.path[0], key.path[-1]
    if layer == "raw" and name in DATASETS:
        return f"s3://{settings.bucket}/{workspace.catalog.get_prefix(name)}"
    if key == HISTORICAL_ZIP_KEY:
        return f"s3://{settings.minio_bucket}/{settings.minio_historical_prefix or ''}"
    if key in _DIRECTORIES:
        return f"s3://{settings.minio_bucket}/{directory_prefix(_DIRECTORIES[key])}"
    if layer == "historical":
        return (settings.minio_cache_dir / "historical").absolute().as_uri()
    return workspace.warehouse.path.absolute().as_uri()


def _with_source(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Assets with a link to their code: in the repository that the settings name, else the local file."""
    if not settings.source_url:
        return assets
    with warnings.catch_warnings():
        # Dagster calls it beta at every use; the dependency's bounds answer for that.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.link_code_references_to_git(  # type: ignore[return-value]  # assets in, assets out
            assets,
            git_url=settings.source_url,
            git_branch=settings.source_branch,
            file_path_mapping=dg.AnchorBasedFilePathMapping(
                local_file_anchor=Path(flatfiles_assets.__file__).parent.resolve(),
                file_anchor_path_in_repository="flatfiles_assets",
            ),
        )
