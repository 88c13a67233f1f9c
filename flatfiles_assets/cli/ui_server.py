"""``python -m flatfiles_assets.cli.ui_server``: code server, daemon and guarded UI, as one process group.

Here: what runs beside what, and that all of it ends together. Not here: which requests are answered
(`ui_guard.py`) and the command people type (`dev.py`), which has made the instance ready.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import dagster as dg
import uvicorn
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__ as webserver_version

from flatfiles_assets.cli.ui_guard import UiGuard
from flatfiles_assets.defs.dagster_internals.ui import (
    ModuleTarget,
    ProxyServerManager,
    WorkspaceFileTarget,
    WorkspaceProcessContext,
    configure_loggers,
)
from flatfiles_assets.defs.instance.daemon_lock import only_one
from flatfiles_assets.settings import load_settings
from flatfiles_assets.whole_files import write_json

_MODULE, _LOCATION = "flatfiles_assets.definitions", "flatfiles_assets"
_GRACE_SECONDS = 20
_REQUESTS_GRACE_SECONDS = 3
# As Dagster's own web server has them.
_STATEMENT_TIMEOUT_MS, _POOL_RECYCLE_SECONDS, _POOL_OVERFLOW, _POLL_MS = 15_000, 3_600, 20, 2_000

_log = logging.getLogger("dagster.flatfiles_assets")


@click.command()
@click.option("--host", required=True)
@click.option("--port", type=int, required=True)
def main(host: str, port: int) -> None:
    """Run until told to stop."""
    configure_loggers(formatter="colored", log_level="INFO")
    settings = load_settings()
    hosts = {*settings.allowed_host_names, host} - {"0.0.0.0", "::", ""}  # noqa: S104  (what is left out)
    with (
        only_one(Path(os.environ["DAGSTER_HOME"]), "ui"),
        dg.DagsterInstance.get() as instance,
        _shared_code(instance) as workspace,
        _application(instance, workspace) as app,
    ):
        server = uvicorn.Server(
            uvicorn.Config(
                UiGuard(app, hosts),
                host=host,
                port=port,
                log_level="warning",
                timeout_graceful_shutdown=_REQUESTS_GRACE_SECONDS,
            )
        )
        # The server hands a signal on when it has ended: both kinds have to get as far as the daemon.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with _daemon(workspace, server), contextlib.suppress(KeyboardInterrupt):
            _log.info("Serving the UI on http://%s:%d in process %d", host, port, os.getpid())
            server.run()


@contextlib.contextmanager
def _shared_code(instance: dg.DagsterInstance) -> Iterator[Path]:
    """A code server for web server and daemon, and the file that tells them where it is."""
    target = ModuleTarget(_MODULE, None, str(Path.cwd()), _LOCATION)
    with (
        ProxyServerManager(instance, target) as servers,
        tempfile.TemporaryDirectory(prefix="flatfiles-ui-") as folder,
    ):
        workspace = Path(folder) / "workspace.yaml"
        # JSON is YAML.
        write_json(workspace, {"load_from": list(servers.get_code_server_specs())})
        yield workspace


@contextlib.contextmanager
def _application(instance: dg.DagsterInstance, workspace: Path) -> Iterator[Any]:
    instance.optimize_for_webserver(_STATEMENT_TIMEOUT_MS, _POOL_RECYCLE_SECONDS, _POOL_OVERFLOW)
    target = WorkspaceFileTarget([str(workspace)])
    with WorkspaceProcessContext(
        instance, version=webserver_version, workspace_load_target=target
    ) as context:
        yield create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MS)


@contextlib.contextmanager
def _daemon(workspace: Path, server: uvicorn.Server) -> Iterator[None]:
    """The daemon beside the server: neither runs on without the other."""
    command = [sys.executable, "-m", "flatfiles_assets.cli.daemon", "run", "--workspace", str(workspace)]
    # Of its own session, so that an interrupt of the terminal's reaches it once, from here.
    process = subprocess.Popen(command, start_new_session=True)  # noqa: S603

    def watch() -> None:
        process.wait()
        if not server.should_exit:
            _log.error("The daemon ended with %s; so does the UI.", process.returncode)
            server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        server.should_exit = True
        if os.name == "nt":  # where a process can be ended, and not told to end
            process.terminate()
        else:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
