"""What can go wrong between Arrow and the DuckDB file.

Here: the errors of this layer. `UnexpectedColumns` and `InvalidArgument`, which this layer also
raises, are in `flatfiles_assets.errors`.
"""

from __future__ import annotations

from flatfiles_assets.errors import FlatFilesError


class WarehouseError(FlatFilesError):
    """The warehouse cannot do what it was asked; nothing of the transaction is stored."""


class WarehouseMissing(WarehouseError):
    """There is no warehouse file yet: nothing was ever loaded."""


class WarehouseDamaged(WarehouseError):
    """The file's contents are not what was written; the message says how to have them again."""


class WarehouseTooOld(WarehouseError):
    """An earlier version of the package made the file; the message names the command that upgrades it."""


class WarehouseTooNew(WarehouseError):
    """A later version of the package made the file; the message names it."""


class BackupDamaged(WarehouseError):
    """A backup, or what it was to be made from, is not whole."""


class WarehouseBusy(WarehouseError):
    """The file was in use for longer than the limit; the message names the process that holds it."""


class TableNotFound(WarehouseError):
    """There is no such table; the message lists those there are, the most similar first."""


class MomentUnknown(WarehouseError):
    """What the warehouse held then is not known: before it remembers anything, or not yet been."""


class PartitionNotFound(WarehouseError):
    """A partition was asked for that was never loaded; the message says what loads it."""


class TableMismatch(WarehouseError):
    """A stored table has another type for a column than the registry."""


class RowsOutsidePartition(WarehouseError):
    """Rows were to be written that belong to other partitions than those that are replaced."""


class QueryFailed(WarehouseError):
    """DuckDB refused a statement; the message carries DuckDB's own."""


class ReadOnlyViolation(WarehouseError):
    """A statement would change the warehouse, through a session that only reads."""
