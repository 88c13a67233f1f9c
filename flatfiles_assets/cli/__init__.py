"""The `flatfiles` command: one module per verb, the same code as the assets underneath.

Exit code 0 only when everything asked for is true; errors say what, where, why and what next.
"""

from __future__ import annotations

import errno
import importlib
import sys
import traceback
import warnings

import click

from flatfiles_assets import __version__
from flatfiles_assets.console import console as terminal
from flatfiles_assets.console import styled
from flatfiles_assets.escaping import without_credentials
from flatfiles_assets.unexpected import explained


class _FriendlyGroup(click.Group):
    """Shows every error as one message instead of a traceback, and imports a verb when it is used."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click's: who reads our output has left
            if ctx.params.get("traceback"):
                lines = "".join(traceback.format_exception(error))
                terminal(stderr=True).print(without_credentials(lines), soft_wrap=True)
            terminal(stderr=True).print(styled("red", "error: ", str(explained(error))), soft_wrap=True)
        sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        _declare_feeds()
        module_name, attribute = _VERBS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module_name), attribute)
        return command


def _declare_feeds() -> None:
    """Feeds that the user declares are there before a verb lists what there is."""
    from flatfiles_assets.settings import load_settings

    if folder := load_settings().feeds_dir:
        from flatfiles_assets.warehouse.declared_feeds import declare_folder

        declare_folder(folder)


# Dagster takes seconds to import; `flatfiles status` should not wait for it.
_VERBS = {
    "demo": ("flatfiles_assets.cli.demo", "demo"),
    "dev": ("flatfiles_assets.cli.dev", "dev"),
    "backfill": ("flatfiles_assets.cli.backfill", "backfill"),
    "run": ("flatfiles_assets.cli.run", "run"),
    "minio": ("flatfiles_assets.minio_data_downloader.commands", "minio_group"),
    "status": ("flatfiles_assets.cli.status", "status"),
    "audit": ("flatfiles_assets.cli.audit", "audit"),
    "verify": ("flatfiles_assets.cli.verify", "verify"),
    "prune": ("flatfiles_assets.cli.prune", "prune"),
    "compact": ("flatfiles_assets.cli.compact", "compact"),
    "upgrade": ("flatfiles_assets.cli.upgrade", "upgrade"),
    "backup": ("flatfiles_assets.cli.backup", "backup"),
    "restore": ("flatfiles_assets.cli.backup", "restore"),
    "rebuild": ("flatfiles_assets.cli.rebuild", "rebuild"),
    "sql": ("flatfiles_assets.cli.sql", "sql"),
}


@click.group(cls=_FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--traceback", is_flag=True, help="Show with an error where in the code it arose.")
def main(traceback: bool) -> None:  # noqa: ARG001  (the group reads it)
    """Market-data flat files as Dagster assets: from S3 to a trustworthy DuckDB warehouse."""
    # Dagster says of each use that a parameter is in beta; the lock file answers for that.
    warnings.filterwarnings("ignore", message=r"(Parameter|Function|Class) .*(beta|superseded)")
