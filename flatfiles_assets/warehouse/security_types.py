"""What kind of security each was when: as the snapshots had it by then, not as the latest has it.

Here: `reference.security_types`, a row per change, made with the securities and read for a range of
sessions. Not here: telling securities apart (`algorithms/securities.py`), who is in a universe
(`universe.py`).

A session has the kind of the latest snapshot up to it. Before the first snapshot it has the first one's:
a kind seldom changes, and a later snapshot never changes what an earlier one said.
"""

# ruff: noqa: S608  (names are constants of this module)
from __future__ import annotations

import bisect
import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.tables import SECURITIES, SECURITY_TYPES, TICKERS
from flatfiles_assets.warehouse.transaction import WriteTransaction

#: By security: since when it is of which kind, ascending; the first counts before its day, too.
TypeHistory: TypeAlias = Mapping[str, Sequence[tuple[dt.date, str]]]

# A ticker is listed some days before its first trade.
_LISTED_DAYS_BEFORE = 15

#: Each snapshot's row laid to the security that its ticker meant on its day; a dead ticker's speaks of the
#: day of its delisting.
_CHANGES = f"""
    WITH spans AS (
        SELECT security_id, ticker, share_class_figi, last_session, greatest(
            first_session - {_LISTED_DAYS_BEFORE},
            lag(last_session, 1, DATE '0001-01-01') OVER (PARTITION BY ticker ORDER BY first_session) + 1
        ) AS first_day FROM {SECURITIES.stored_name}
    ), said AS (
        SELECT snapshot_date, ticker, type, active, share_class_figi,
            CASE WHEN NOT active THEN coalesce(delisted_date, snapshot_date) ELSE snapshot_date END AS day
        FROM {TICKERS.stored_name} WHERE type IS NOT NULL
    ), laid AS (
        SELECT security_id, snapshot_date, type FROM said JOIN spans USING (ticker)
        WHERE day BETWEEN first_day AND last_session
            AND coalesce(said.share_class_figi = spans.share_class_figi, true)
        QUALIFY row_number() OVER (
            PARTITION BY security_id, snapshot_date ORDER BY active DESC, day DESC, ticker, type
        ) = 1
    )
    SELECT security_id, snapshot_date AS since, type FROM laid
    QUALIFY type IS DISTINCT FROM lag(type) OVER (PARTITION BY security_id ORDER BY snapshot_date)
    ORDER BY ALL
"""


def store_types(transaction: WriteTransaction) -> None:
    """Make the table anew from the snapshots and the securities that are stored."""
    changes = SECURITY_TYPES.arrow_schema.empty_table()
    if transaction.stored_table(TICKERS.key) is not None:
        changes = transaction.query(_CHANGES).to_arrow()
    transaction.replace_all(SECURITY_TYPES, changes)


def type_history(reader: WarehouseReader) -> TypeHistory:
    """Of every security whose kind is known, since when it is of which.

    A security that no snapshot was laid to has the one kind of its latest row in `SECURITIES`.
    """
    tables = reader.tables()
    found: dict[str, list[tuple[dt.date, str]]] = defaultdict(list)
    if SECURITIES.sql_name not in tables:
        return found
    if SECURITY_TYPES.sql_name in tables:
        rows = reader.sql(
            f"SELECT security_id, since, type FROM {SECURITY_TYPES.sql_name} ORDER BY security_id, since"
        )
        for security, since, kind in rows.fetchall():
            found[security].append((since, kind))
    latest = reader.sql(
        f"SELECT security_id, min(first_session), arg_max(type, first_session) FROM {SECURITIES.sql_name}"
        " WHERE type IS NOT NULL GROUP BY security_id"
    )
    for security, since, kind in latest.fetchall():
        if security not in found:
            found[security] = [(since, kind)]
    return found


def type_codes(
    history: TypeHistory, keys: Sequence[str], sessions: Sequence[dt.date]
) -> tuple[list[str], npt.NDArray[np.int16]]:
    """The kinds there are, and which of them each security is of in each session.

    Returns:
        Distinct kinds, and their positions, shape (n_sessions, n_keys); -1 where none is known.
    """
    names = sorted({kind for steps in history.values() for _, kind in steps})
    place = {name: number for number, name in enumerate(names)}
    codes = np.full((len(sessions), len(keys)), -1, dtype=np.int16)
    for column, key in enumerate(keys):
        steps = history.get(key)
        if not steps:
            continue
        codes[:, column] = place[steps[0][1]]
        for since, kind in steps[1:]:
            codes[bisect.bisect_left(sessions, since) :, column] = place[kind]
    return names, codes


def changed_between(
    before: TypeHistory, after: TypeHistory, spans: Mapping[str, tuple[dt.date, dt.date]]
) -> Iterator[tuple[dt.date, dt.date]]:
    """The stretches of days in which a security is of another kind than it was held to be.

    Args:
        before: What was held.
        after: What is held now.
        spans: First and last session of each security there is now.
    """
    for security, (first, last) in spans.items():
        old, new = before.get(security, ()), after.get(security, ())
        if old == new:
            continue
        days = sorted({first, *(since for since, _ in (*old, *new) if first < since <= last)})
        for day, following in zip(days, [*days[1:], last + dt.timedelta(days=1)], strict=True):
            if _type_on(old, day) != _type_on(new, day):
                yield day, following - dt.timedelta(days=1)


def _type_on(steps: Sequence[tuple[dt.date, str]], day: dt.date) -> str | None:
    begun = [kind for since, kind in steps if since <= day]
    return begun[-1] if begun else steps[0][1] if steps else None
