"""The Dagster instance that this package ships: its `dagster.yaml`, its event log, its home directory.

Here: what makes a `DAGSTER_HOME` of ours. Not here: assets, resources and jobs, which know nothing
of the instance they run on.
"""

from flatfiles_assets.defs.instance.event_log import BatchingSqliteEventLogStorage
from flatfiles_assets.defs.instance.home import instance_environment, open_instance, prepare_home
from flatfiles_assets.defs.instance.liveness import fail_dead_runs

__all__ = [
    "BatchingSqliteEventLogStorage",
    "fail_dead_runs",
    "instance_environment",
    "open_instance",
    "prepare_home",
]
