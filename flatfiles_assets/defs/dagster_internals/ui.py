"""The parts of ``dagster dev``, to serve the UI behind a guard of our own.

The public commands start Dagster's web server as it is, and have no place for a guard before it.
"""

# Not exported: the code server that web server and daemon share, as in ``dagster dev``.
from dagster._cli.proxy_server_manager import ProxyServerManager

# Not exported: what the web server's application is made from.
from dagster._core.workspace.context import WorkspaceProcessContext

# Not exported: which code is to be served, by module and by file.
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget

# Not exported: the look of the log that ``dagster dev`` has.
from dagster._utils.log import configure_loggers

__all__ = [
    "ModuleTarget",
    "ProxyServerManager",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "configure_loggers",
]
