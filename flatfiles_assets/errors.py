"""The root of every exception that a user of this package can meet.

Here: `FlatFilesError`, which fixes the shape of a message, and the errors that more than one
layer raises. Errors of one layer live with it (`download/errors.py`, `warehouse/errors.py`).
"""

from __future__ import annotations

import errno

from flatfiles_assets.escaping import printable, printable_lines, without_credentials

#: The system's words for a place where nothing can be written, whoever owns it and however full it is.
UNWRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


class FlatFilesError(Exception):
    """What went wrong, where, why, and what to do next, in one message.

    Keys, tickers and what a store said may be in it, so the message is text that a terminal shows and
    does not obey, without credentials; the attributes are what was given.

    Attributes:
        what: One clause without a final stop, e.g. ``"the file is not complete gzip"``.
        where: The key, path, table or argument concerned.
        why: The evidence: what was expected and what was found.
        next_step: What the reader can do about it.
        state: The fact in one word, by which operators group failures.
    """

    state: str = "failed"

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, next_step: str | None = None
    ) -> None:
        self.what = what
        self.where = where
        self.why = why
        self.next_step = next_step
        clause = printable(f"{where}: {what}" if where else what)
        parts = ["; ".join(part.rstrip(".") for part in (clause, why and printable_lines(why)) if part)]
        if next_step:
            parts.append(f"Next: {printable_lines(next_step)}")
        super().__init__(without_credentials(". ".join(part.rstrip(".") for part in parts) + "."))

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process boundaries; the default would lose the keyword arguments.
        return (_rebuild, (type(self), self.what, self.where, self.why, self.next_step))


def _rebuild(
    cls: type[FlatFilesError], what: str, where: str | None, why: str | None, next_step: str | None
) -> FlatFilesError:
    return cls(what, where=where, why=why, next_step=next_step)


class InvalidArgument(FlatFilesError, ValueError):
    """An argument is not usable; the message names the valid values."""


class MissingCredentials(FlatFilesError):
    """No access key or secret is set for the store that is to be read."""


class CorruptFile(FlatFilesError):
    """A file is not what its name says: truncated or damaged gzip, a wrong checksum, a broken archive.

    Nothing of it is stored; the file's state in the ledger becomes ``corrupt``.
    """

    state = "corrupt"


class UnexpectedColumns(FlatFilesError):
    """A file's header lacks, adds or renames columns; the message shows expected and found."""

    state = "unexpected_columns"


class MisdatedFile(FlatFilesError):
    """Every row of a file belongs to another session than the file's key says."""

    state = "misdated"
