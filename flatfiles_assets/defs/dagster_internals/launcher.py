"""What `instance/launcher.py` is made of: Dagster's launcher of runs on code servers.

Launchers are configured by users and extended by nobody but Dagster's own packages (`dagster-docker`,
`dagster-k8s`), which use the same names.
"""

# Not exported: what a launcher is given, and how it tells whether a run's process is well.
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus

# Not exported: the launcher that is extended.
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

__all__ = ["CheckRunHealthResult", "DefaultRunLauncher", "LaunchRunContext", "WorkerStatus"]
