"""What `instance/patient_storages.py` is made of: Dagster's SQLite storages of runs and of ticks.

Storage classes are configured by users and extended by nobody but Dagster's own packages, so nothing of
them is exported.
"""

# Not exported: the storage of runs that is extended.
from dagster._core.storage.runs import SqliteRunStorage

# Not exported: the storage of schedules, sensors and ticks that is extended.
from dagster._core.storage.schedules import SqliteScheduleStorage

__all__ = ["SqliteRunStorage", "SqliteScheduleStorage"]
