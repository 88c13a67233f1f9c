"""Splits and dividends of the warehouse as they are applied: audited against the bars, by security.

Here: `read_corporate_actions`, what every adjustment starts from. Not here: how records are laid to
securities and judged (`action_records.py`, `algorithms/action_audit.py`), what they do to prices
(`algorithms/adjustments.py`), and the asset that stores the audit (`defs/assets/corporate_actions.py`).

Every reading judges the records that it needs against the bars of all sessions around them, whatever
range is asked for. So results do not depend on when the audit's table was last made, nor on where a
range ends.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flatfiles_assets.algorithms.adjustments import Anchor, adjust_panel, dividends_table, splits_table
from flatfiles_assets.algorithms.panel import Adjustment, PricePanel
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.warehouse.action_records import BARS_AFTER, BARS_BEFORE, ActionRecords, session_from
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import SecurityMap, securities_of
from flatfiles_assets.warehouse.tables import ACTION_AUDIT, DIVIDENDS, SPLITS

_APPLIED_SPLITS = pa.schema(
    [
        ("ticker", pa.string()),
        ("execution_date", pa.date32()),
        ("split_from", pa.float64()),
        ("split_to", pa.float64()),
        ("security_id", pa.string()),
    ]
)


class ReferenceMissing(FlatFilesError):
    """Prices are to be adjusted, and the table of splits or dividends was never loaded."""

    state = "no_reference"


@dataclasses.dataclass(frozen=True)
class CorporateActions:
    """Splits and dividends as they are applied, in the columns that `adjustments` takes.

    Attributes:
        splits: ``ticker`` that the security bore on the day, ``execution_date`` as the bars have it,
            ``split_from``, ``split_to``, ``security_id``.
        dividends: ``ticker`` that the security bore, ``ex_date``, ``cash_amount``, ``currency``,
            ``security_id``.
        not_as_recorded: Rows of ``reference.corporate_action_audit``: every record that is left out,
            moved or added, with the reason.
    """

    splits: pa.Table
    dividends: pa.Table
    not_as_recorded: pa.Table = dataclasses.field(
        default_factory=lambda: ACTION_AUDIT.arrow_schema.empty_table()
    )

    def adjust(self, panel: PricePanel, adjust: Adjustment, anchor: Anchor) -> PricePanel:
        """The panel in comparable prices; see `adjust_panel`."""
        if not self.splits.num_rows and not self.dividends.num_rows:
            return dataclasses.replace(panel, adjustment=adjust)
        return adjust_panel(panel, self.splits, self.dividends, adjust, anchor=anchor)


def read_corporate_actions(
    reader: WarehouseReader,
    adjust: Adjustment,
    sessions: Sequence[dt.date],
    symbols: Iterable[str] | None = None,
    *,
    securities: SecurityMap | None = None,
    until: dt.date | None = None,
) -> CorporateActions:
    """The splits and dividends that an adjustment of those sessions applies.

    Args:
        reader: The warehouse.
        adjust: What prices are adjusted for.
        sessions: Sessions of the panel, ascending.
        symbols: Tickers: events of every security that one of them ever meant; None for all.
        securities: The securities of those tickers, where they were read already.
        until: Nothing dated later is used, neither records nor bars; None for everything.

    Raises:
        ReferenceMissing: The table was never loaded.
    """
    splits, dividends = splits_table([]), dividends_table([])
    if adjust == "none" or not len(sessions):
        return CorporateActions(splits, dividends)
    first, last = sessions[0], min(sessions[-1], until or sessions[-1])
    with reader.held() as held:
        tables = set(held.tables())
        for table in (SPLITS, *((DIVIDENDS,) if adjust == "total_return" else ())):
            if table.sql_name not in tables:
                raise _missing(table.key[-1])
        if securities is None:
            securities = securities_of(held, symbols, first - BARS_BEFORE, last + BARS_AFTER)
        records = ActionRecords(held, securities, None if symbols is None else set(symbols), until)
        rows = records.splits(first, last)
        splits = _applied_splits(rows)
        if adjust == "total_return":
            paid, left_out = records.dividends(first, last)
            dividends, rows = paid, [*rows, *left_out]
    odd = [row for row in rows if not is_as_recorded(row)]
    return CorporateActions(splits, dividends, pa.Table.from_pylist(odd, schema=ACTION_AUDIT.arrow_schema))


def _missing(name: str) -> ReferenceMissing:
    return ReferenceMissing(
        f"prices cannot be adjusted: the table of {name} is not there",
        where=f"reference.{name}",
        why=f"reference/{name} was never materialised",
        next_step=f"materialise reference/{name} (from the vendor's API or from {name}.csv in the "
        "reference folder), or choose adjust='none'",
    )


def is_as_recorded(row: Mapping[str, Any]) -> bool:
    """Whether a row of the audit is applied just as its record says."""
    return (
        bool(row["applied"])
        and row["recorded_date"] is not None
        and row["session"] == session_from(row["recorded_date"])
    )


def sentence(row: Mapping[str, Any]) -> str:
    """A row of the audit as a sentence for people."""
    what = f"{row['kind']} of {row['ticker']}"
    if row["split_from"]:
        what += f" {row['split_from']:g}:{row['split_to']:g}"
    if row["cash_amount"]:
        what += f" {row['cash_amount']:g}"
    filed = row["recorded_ticker"]
    under = f" (filed under {filed})" if filed and filed != row["ticker"] else ""
    done = f"applied on {row['session']}" if row["applied"] else "not applied"
    return f"{what} recorded for {row['recorded_date']}{under}: {row['verdict']}, {done}; {row['note']}"


def _applied_splits(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    applied = [
        {
            "ticker": row["ticker"],
            "execution_date": row["session"],
            "split_from": row["split_from"],
            "split_to": row["split_to"],
            "security_id": row["security_id"],
        }
        for row in rows
        if row["applied"]
    ]
    return pa.Table.from_pylist(applied, schema=_APPLIED_SPLITS)
