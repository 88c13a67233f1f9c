"""`flatfiles dev`: Dagster's UI and daemon on a persistent instance."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings

_GRACE_SECONDS = 10


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
def dev(host: str, port: int) -> None:
    """Start the UI and the daemon; runs, schedules and sensors are kept under the data directory."""
    command, environment = dev_command(host, port)
    sys.stdout.flush()
    if os.name == "nt":  # where nothing takes the place of a process
        sys.exit(run_until_stopped(command, environment))
    _listen_to_interrupts()
    os.execve(sys.executable, command, environment)  # noqa: S606


def dev_command(host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that runs UI and daemon, and its environment; the instance is made ready.

    Raises:
        InvalidArgument: The UI cannot listen there.
        DaemonRuns: UI and daemon of this home run already.
    """
    check_address(host, port)
    from flatfiles_assets.defs.instance.daemon_lock import refuse_second_daemon
    from flatfiles_assets.defs.instance.home import instance_environment, open_instance

    home = load_settings().dagster_home
    # Opening it once writes dagster.yaml and the pool limits before the daemon looks for them.
    with open_instance(home):
        refuse_second_daemon(Path(home))
    arguments = ["--host", host, "--port", str(port)]
    environment = {**os.environ, **instance_environment(home)}
    return [sys.executable, "-m", "flatfiles_assets.cli.ui_server", *arguments], environment


def check_address(host: str, port: int) -> None:
    """Refuse an address that is taken: Dagster would run on without its UI.

    Raises:
        InvalidArgument: The UI cannot listen there.
    """
    try:
        family = socket.getaddrinfo(host, port)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        raise InvalidArgument(
            "the UI cannot listen there",
            where=f"{host}:{port}",
            why=getattr(error, "strerror", None) or str(error),
            next_step="name another port with --port",
        ) from None


def run_until_stopped(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run UI and daemon until they end or this process is told to; they end before this returns.

    Returns:
        Their exit code.
    """
    _listen_to_interrupts()
    process = subprocess.Popen(command, env=environment)  # noqa: S603
    signal.signal(signal.SIGTERM, lambda *_: _interrupt(process))
    try:
        process.wait()
    except KeyboardInterrupt:
        # A terminal interrupts all of them at once; a second interrupt would disturb their ending.
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _interrupt(process)
            process.wait()
    return process.returncode


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if os.name == "nt":  # where a process can be ended, and not told to end
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)


def _listen_to_interrupts() -> None:
    # A shell starts what it puts in the background deaf to them, and Dagster ends by nothing else.
    signal.signal(signal.SIGINT, signal.default_int_handler)
