"""Corporate actions: from published prices to prices that compare across splits and dividends.

Here: the factors of splits and dividends, their application to a panel, and the search for splits
that no record explains. Not here: fetching the records (`assets`), features.

Factors. An event with ex-date d changes every session strictly before d, and no other:

- a split of `split_from` shares into `split_to`: prices times split_from / split_to, volumes times
  split_to / split_from;
- a cash dividend D (``total_return`` only): prices times 1 - D / P, where P is the published close
  of the last session before d that has a bar. Volumes are left alone. This is how CRSP's returns
  ((p(t) f(t) + d(t)) / p(t-1) - 1, https://www.crsp.org) and Yahoo's adjusted close
  (https://help.yahoo.com/kb/SLN28256.html) count dividends: the return over d is that of the
  holder who is paid D, with the dividend taken as reinvested at the close before.

Published prices and the vendor's cash amounts are both per share as it was, so neither is adjusted
before they meet. Of a split and a dividend with one ex-date the dividend counts per share held
before the split, as CRSP's d(t) does; the product of factors does not depend on their order. Where a
split was executed after the last close and before the ex-date, as in a halt, that close is taken in the
shares that the dividend is paid on.
Dividends of one ex-date are added. A dividend with no earlier close changes nothing. One that is
not below that close has no positive factor and is left out, and so is one whose ``currency`` is
known and not USD; `dividend_factors` shows which.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.algorithms.panel import Adjustment, FloatArray, PricePanel, carry_closes
from flatfiles_assets.errors import InvalidArgument

Anchor = Literal["last", "first"]


@dataclasses.dataclass(frozen=True)
class Split:
    """`split_from` shares became `split_to` at the open of `execution_date`."""

    ticker: str
    execution_date: dt.date
    split_from: float
    split_to: float


@dataclasses.dataclass(frozen=True)
class Dividend:
    """`cash_amount` USD a share go to who held the share before `ex_date`."""

    ticker: str
    ex_date: dt.date
    cash_amount: float


def splits_table(splits: Sequence[Split]) -> pa.Table:
    """Splits as the Arrow table that this module's functions take."""
    return _records_table(splits, Split, "execution_date", ("split_from", "split_to"))


def dividends_table(dividends: Sequence[Dividend]) -> pa.Table:
    """Dividends as the Arrow table that this module's functions take."""
    return _records_table(dividends, Dividend, "ex_date", ("cash_amount",))


def _records_table(
    records: Sequence[Split] | Sequence[Dividend], of: type, date: str, numbers: tuple[str, ...]
) -> pa.Table:
    types = {"ticker": pa.string(), date: pa.date32(), **dict.fromkeys(numbers, pa.float64())}
    schema = pa.schema([(field.name, types[field.name]) for field in dataclasses.fields(of)])
    return pa.Table.from_pylist([dataclasses.asdict(record) for record in records], schema=schema)


def adjust_panel(
    panel: PricePanel,
    splits: pa.Table,
    dividends: pa.Table,
    adjust: Adjustment,
    *,
    as_of: dt.date | None = None,
    anchor: Anchor = "last",
) -> PricePanel:
    """The panel in comparable prices; the given one is not changed.

    Args:
        panel: Published prices.
        splits: ``ticker``, ``execution_date`` (date32), ``split_from``, ``split_to``; more is ignored.
        dividends: ``ticker``, ``ex_date`` (date32), ``cash_amount`` in USD, and maybe ``currency``.
        adjust: What to account for.
        as_of: Events with a later ex-date are not applied; by default the panel's last session.
        anchor: Whose prices stay as published: ``last`` is the usual backward adjustment. ``first``
            has the same ratios between sessions, but a later event leaves every earlier value as it
            is, bit for bit: take it for features, which divide by `price_factor` where they need
            prices in the terms of their own session.

    Raises:
        InvalidArgument: `adjust` or `anchor` is unknown, or the panel is adjusted already.
    """
    if adjust not in get_args(Adjustment) or anchor not in get_args(Anchor):
        raise InvalidArgument(
            f"adjust={adjust!r} with anchor={anchor!r} is not an adjustment",
            next_step=f"adjust: {', '.join(get_args(Adjustment))}; anchor: {', '.join(get_args(Anchor))}",
        )
    if panel.adjustment != "none":
        raise InvalidArgument(
            f"the panel's prices are already adjusted ({panel.adjustment})",
            next_step="start from published prices",
        )
    if adjust == "none" or not len(panel.sessions):
        return dataclasses.replace(panel, adjustment=adjust)
    last = np.datetime64(as_of) if as_of is not None else panel.sessions[-1]
    events = [_split_events(panel, splits, last)]
    volume_factor = 1.0 / _cumulative_factor(panel, events, anchor)
    if adjust == "total_return":
        events.append(_dividend_events(panel, dividends, splits, last))
    price_factor = _cumulative_factor(panel, events, anchor)

    def scaled(prices: FloatArray | None) -> FloatArray | None:
        return None if prices is None else prices * price_factor

    return dataclasses.replace(
        panel,
        open=scaled(panel.open),
        high=scaled(panel.high),
        low=scaled(panel.low),
        close=panel.close * price_factor,
        volume=panel.volume * volume_factor,
        adjustment=adjust,
        price_factor=price_factor,
        volume_factor=volume_factor,
    )


@dataclasses.dataclass(frozen=True)
class _Events:
    """The first row that each event does not change, its column, and the factor of the rows before."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    factors: FloatArray


def _cumulative_factor(panel: PricePanel, events: Iterable[_Events], anchor: Anchor) -> FloatArray:
    steps: FloatArray = np.ones(panel.close.shape)
    for each in events:
        np.multiply.at(steps, (each.rows, each.columns), each.factors)
    if anchor == "first":
        np.cumprod(steps, axis=0, out=steps)
        return np.reciprocal(steps, out=steps)
    factor = np.ones_like(steps)
    # A row is changed by the events after it, not by those that fall on it.
    factor[:-1] = np.cumprod(steps[:0:-1], axis=0)[::-1]
    return factor


def _place(
    panel: PricePanel, tickers: pa.ChunkedArray, ex_dates: pa.ChunkedArray, last: np.datetime64
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Row and column of each event, and whether it changes anything in the panel."""
    column_of = {symbol: column for column, symbol in enumerate(panel.symbols)}
    columns = np.array([column_of.get(ticker, -1) for ticker in tickers.to_pylist()], dtype=np.int64)
    days = ex_dates.cast(pa.date32()).to_numpy().astype("datetime64[D]")
    rows = np.searchsorted(panel.sessions, days, side="left").astype(np.int64)
    return rows, columns, (columns >= 0) & (rows > 0) & (rows < len(panel.sessions)) & (days <= last)


def _split_events(panel: PricePanel, splits: pa.Table, last: np.datetime64) -> _Events:
    names = ["ticker", "execution_date", "split_from", "split_to"]
    rows, columns, relevant = _place(panel, splits.column("ticker"), splits.column("execution_date"), last)
    before, after = (_floats(splits.column(name)) for name in names[2:])
    relevant &= (before > 0) & (after > 0)
    rows, columns, factors = rows[relevant], columns[relevant], before[relevant] / after[relevant]
    days = splits.column("execution_date").cast(pa.int32()).to_numpy()[relevant]
    # The vendor lists some splits twice, and some as 1:2 and as 2:4; a repeated record is one split.
    told_apart = np.column_stack([days, columns, np.round(np.log(factors), 9)])
    _, first = np.unique(told_apart, axis=0, return_index=True)
    first.sort()
    return _Events(rows[first], columns[first], factors[first])


def dividend_factors(panel: PricePanel, dividends: pa.Table, splits: pa.Table | None = None) -> pa.Table:
    """How each dividend that falls into the panel scales the prices before its ex-date.

    Args:
        panel: Published prices.
        dividends: As in `adjust_panel`.
        splits: As in `adjust_panel`: those between a close and an ex-date change what it is worth.

    Returns:
        ``ticker``, ``ex_date``, ``cash_amount`` (the date's sum, USD), ``previous_close`` (in the shares
        that the dividend is paid on) and ``factor``, by ticker and date. The factor is null where there
        is no positive one.
    """
    if "currency" in dividends.column_names:
        dividends = dividends.filter(pc.equal(pc.fill_null(dividends.column("currency"), "USD"), "USD"))
    keys = ["ticker", "ex_date"]
    daily = dividends.group_by(keys).aggregate([("cash_amount", "sum")])
    daily = daily.sort_by([(key, "ascending") for key in keys])
    rows, columns, inside = _place(panel, daily.column("ticker"), daily.column("ex_date"), panel.sessions[-1])
    daily, rows, columns = daily.filter(pa.array(inside)), rows[inside], columns[inside]
    payers, position = np.unique(columns, return_inverse=True)
    published = np.where(panel.has_bar[:, payers], panel.close[:, payers], np.nan)
    previous = carry_closes(published, limit=len(panel.sessions))[rows - 1, position]
    if splits is not None and splits.num_rows and len(rows):
        previous = previous * _splits_since_close(panel, splits, daily.column("ex_date"), rows, columns)
    cash = _floats(daily.column("cash_amount_sum"))
    factor = 1.0 - cash / previous
    usable = (cash > 0) & (factor > 0)
    return pa.table(
        {
            "ticker": daily.column("ticker"),
            "ex_date": daily.column("ex_date"),
            "cash_amount": cash,
            "previous_close": pa.array(previous, from_pandas=True),
            "factor": pa.array(np.where(usable, factor, np.nan), from_pandas=True),
        }
    )


def _splits_since_close(
    panel: PricePanel,
    splits: pa.Table,
    ex_dates: pa.ChunkedArray,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
) -> FloatArray:
    """For each dividend the factor of the splits after the last close and before the ex-date."""
    factor: FloatArray = np.ones(len(rows))
    # A close of the session right before leaves no room for a split between.
    halted = np.flatnonzero(~panel.has_bar[rows - 1, columns])
    if not len(halted):
        return factor
    days = ex_dates.cast(pa.date32()).to_numpy().astype("datetime64[D]")
    events = _split_events(panel, splits, panel.sessions[-1])
    split_days = panel.sessions[events.rows]
    for number in halted.tolist():
        seen = np.flatnonzero(panel.has_bar[: rows[number], columns[number]])
        if len(seen):
            between = (events.columns == columns[number]) & (split_days > panel.sessions[seen[-1]])
            factor[number] = np.prod(events.factors[between & (split_days < days[number])])
    return factor


def _dividend_events(
    panel: PricePanel, dividends: pa.Table, splits: pa.Table, last: np.datetime64
) -> _Events:
    factors = dividend_factors(panel, dividends, splits)
    rows, columns, relevant = _place(panel, factors.column("ticker"), factors.column("ex_date"), last)
    values = _floats(factors.column("factor"))
    relevant &= ~np.isnan(values)
    return _Events(rows[relevant], columns[relevant], values[relevant])


def _floats(column: pa.ChunkedArray) -> FloatArray:
    values: FloatArray = column.cast(pa.float64()).to_numpy()
    return values
