"""A version of the logic behind each computed asset, so that Dagster shows what older logic made.

Here: which code an asset's values come from, and its version. Not here: what is computed again for it,
which is up to people: Dagster marks such assets as stale and starts nothing by itself.

A version is a digest of the modules that an asset's own module reaches by imports within the rooms that
compute, as they are parsed: comments, docstrings and layout change none. The rows of feeds have a version
that a person sets (`loading.RULES_VERSION`), since not every change of the reader is worth reading every
file again.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import dagster as dg

from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.warehouse.loading import RULES_VERSION

_PACKAGE = "flatfiles_assets"

# Raw files are only fetched, rejected rows only counted.
_NOT_COMPUTED = ("raw", "stores")
_COUNTED = ("quarantine",)

# The rooms that compute, without what stores, reads, lists or draws.
_LOGIC = (f"{_PACKAGE}.algorithms.", f"{_PACKAGE}.ingest.", f"{_PACKAGE}.warehouse.")
_NO_LOGIC = {
    f"{_PACKAGE}.{name}"
    for name in (
        "algorithms.plots",
        "algorithms.registry",
        *(
            f"warehouse.{name}"
            for name in (
                "connection",
                "database",
                "errors",
                "evidence",
                "housekeeping",
                "incoming",
                "inventory",
                "loading",
                "locking",
                "new_file",
                "read_only",
                "reading",
                "table",
                "tables",
                "transaction",
                "versions",
                "workspace",
            )
        ),
    )
}


def code_version(asset: dg.AssetsDefinition, key: dg.AssetKey) -> str | None:
    """The version of the logic of one of an asset definition's keys; None for what is not computed."""
    layer, name = key.path[0], key.path[-1]
    if layer in _NOT_COMPUTED or name in _COUNTED or not asset.is_executable:
        return None
    if layer == "market" and name in DATASETS:
        return f"rules {RULES_VERSION}"
    # An algorithm's asset reaches its own algorithm by way of the registry.
    by_registry = (ALGORITHMS[name].compute.__module__,) if name in ALGORITHMS else ()
    return version_of((*_asset_imports(asset), *by_registry))


def _asset_imports(asset: dg.AssetsDefinition) -> Sequence[str]:
    module = getattr(asset.op.compute_fn, "decorated_fn", asset.op.compute_fn).__module__
    return sorted({name for name in _imports(module) if _is_logic(name)})


@functools.cache
def version_of(roots: Sequence[str]) -> str:
    """A digest of some modules and of the logic that they reach by imports."""
    digest = hashlib.sha256()
    for module in sorted(_reached(roots)):
        digest.update(f"{module}\n{_logic(module)}\n".encode())
    return digest.hexdigest()[:12]


def _reached(roots: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += filter(_is_logic, _imports(module))
    return found


def _is_logic(module: str) -> bool:
    return module.startswith(_LOGIC) and module not in _NO_LOGIC


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(_parsed(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PACKAGE):
            yield node.module
            # `from package import module` names a module only if there is such a file.
            yield from (
                name for alias in node.names if _path(name := f"{node.module}.{alias.name}") is not None
            )


def _logic(module: str) -> str:
    tree = _parsed(module)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [part for part in node.body if not _is_text(part)]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _parsed(module: str) -> ast.Module:
    path = _path(module)
    return ast.parse(path.read_text(encoding="utf-8") if path else "")


@functools.cache
def _path(module: str) -> Path | None:
    """A module's file, found without importing it; None for what is no module of ours with a source."""
    root = importlib.util.find_spec(_PACKAGE)
    if root is None or root.origin is None:
        return None
    place = Path(root.origin).parent.joinpath(*module.split(".")[1:])
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)
