"""`flatfiles dev`: Dagster's UI and daemon on a persistent instance."""

from __future__ import annotations

import os
import sys

import click

from flatfiles_assets.settings import load_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
def dev(host: str, port: int) -> None:
    """Start the UI and the daemon; runs, schedules and sensors are kept under the data directory."""
    command, environment = dev_command(host, port)
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606


def dev_command(host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that runs UI and daemon, and its environment; the instance is made ready."""
    from flatfiles_assets.instance.home import instance_environment, open_instance

    home = load_settings().dagster_home
    # Opening it once writes dagster.yaml and the pool limits before the daemon looks for them.
    with open_instance(home):
        pass
    arguments = ["dev", "-m", "flatfiles_assets.definitions", "-h", host, "-p", str(port)]
    # Its advice to install another tool than the one we start is none that a user can follow.
    quiet = {"PYTHONWARNINGS": "ignore:Function `dev_command`"}
    environment = {**os.environ, **quiet, **instance_environment(home)}
    return [sys.executable, "-m", "dagster", *arguments], environment
