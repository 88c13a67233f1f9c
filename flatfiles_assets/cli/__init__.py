"""The `flatfiles` command: one module per verb, the same code as the assets underneath.

Exit code 0 only when everything asked for is true; errors say what, where, why and what next.
"""

from __future__ import annotations

import errno
import importlib
import sys
import warnings

import click
from rich.console import Console

from flatfiles_assets import __version__
from flatfiles_assets.errors import FlatFilesError


class _FriendlyGroup(click.Group):
    """Shows our errors as one message instead of a traceback, and imports a verb when it is used."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FlatFilesError as error:
            refused = error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click's: who reads our output has left
            refused = FlatFilesError(
                "the system refuses a file or folder",
                where=str(error.filename) if error.filename else None,
                why=error.strerror or type(error).__name__,
                next_step="check FLATFILES_DATA_DIR, its permissions and the free space",
            )
        Console(stderr=True).print(f"[red]error:[/red] {refused}", highlight=False, soft_wrap=True)
        sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        module_name, attribute = _VERBS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module_name), attribute)
        return command


# Dagster takes seconds to import; `flatfiles status` should not wait for it.
_VERBS = {
    "demo": ("flatfiles_assets.cli.demo", "demo"),
    "dev": ("flatfiles_assets.cli.dev", "dev"),
    "backfill": ("flatfiles_assets.cli.backfill", "backfill"),
    "run": ("flatfiles_assets.cli.run", "run"),
    "minio": ("flatfiles_assets.minio_data_downloader.commands", "minio_group"),
    "status": ("flatfiles_assets.cli.status", "status"),
    "verify": ("flatfiles_assets.cli.verify", "verify"),
    "prune": ("flatfiles_assets.cli.prune", "prune"),
    "compact": ("flatfiles_assets.cli.compact", "compact"),
    "sql": ("flatfiles_assets.cli.sql", "sql"),
}


@click.group(cls=_FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Market-data flat files as Dagster assets: from S3 to a trustworthy DuckDB warehouse."""
    # Dagster says of each use that a parameter is in beta; the lock file answers for that.
    warnings.filterwarnings("ignore", message=r"(Parameter|Function|Class) .*(beta|superseded)")
