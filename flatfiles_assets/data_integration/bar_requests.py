"""Bars within sessions, by symbols and dates or moments.

Here: `load_bars` and `iter_bars`. Not here: how minutes become bars (`minute_bars.py`), day bars as the
vendor has them (`price_requests.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.frames import long as long_frame
from flatfiles_assets.algorithms.panel import Adjustment
from flatfiles_assets.algorithms.requested_prices import RequestedPrices
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.calendars import DateLike
from flatfiles_assets.data_integration import frames, minute_bars
from flatfiles_assets.data_integration.data_request import DataRequest, ResultTerms
from flatfiles_assets.data_integration.errors import CoverageWarning, NoData, check_choice, warn_caller
from flatfiles_assets.data_integration.frames import FRAME_KINDS, FrameKind
from flatfiles_assets.data_integration.inputs import Input
from flatfiles_assets.data_integration.metadata import days_in_brief
from flatfiles_assets.data_integration.minute_bars import FIELDS, MINUTES, PRICES, Frequency, Hours
from flatfiles_assets.data_integration.opened_warehouse import Frame, OpenedWarehouse
from flatfiles_assets.data_integration.results import describe, warn_or_refuse
from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.unexpected import door
from flatfiles_assets.warehouse.identities import Identity

Label = Literal["left", "right"]
Shape = Literal["long", "wide"]
_ZONES = (NEW_YORK, "UTC")
_VWAP = "volume-weighted mean of the minutes' (high + low + close) / 3; the feed has no vwap"


@dataclasses.dataclass(frozen=True)
class _Form:
    """What bars are asked for, and how they are shown; `start_us` and `end_us` bound the bars' times."""

    frequency: Frequency
    hours: Hours
    fields: tuple[str, ...]
    label: Label
    tz: str
    fill: Literal["session"] | None
    start_us: float
    end_us: float


class BarRequests(OpenedWarehouse):
    """Requests for bars within sessions."""

    @door
    def load_bars(
        self,
        symbols: Iterable[str] | str | Universe,
        start: DateLike,
        end: DateLike,
        *,
        frequency: Frequency = "1min",
        hours: Hours = "regular",
        fields: Sequence[str] = FIELDS,
        label: Label = "left",
        tz: str = NEW_YORK,
        fill: Literal["session"] | None = None,
        shape: Shape = "long",
        as_: FrameKind = "pandas",
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        skip_unknown: bool = False,
    ) -> Frame | dict[str, Frame]:
        """Bars made of the minutes of each session, one where anything was traded.

        Args:
            symbols: As for `get_data_for_algorithm`; so the arguments that are not named here.
            start: First day, or a moment: then bars begin at it or later. Without a zone it is in `tz`.
            end: Last day, included, or a moment: then bars end at it or earlier. A time without a zone of
                midnight is the day.
            frequency: ``1min``, ``5min``, ``15min``, ``30min``, ``1h`` or ``1d``. Bars are counted from
                09:30 and never cross the open, the close or the session; see `minute_bars`.
            hours: ``regular``, 09:30 to 16:00 New York (13:00 on an early close), or ``extended``, 04:00
                to 20:00 (17:00).
            fields: Any of ``open``, ``high``, ``low``, ``close``, ``volume``, ``vwap``, ``transactions``.
            label: Whether ``time`` is the beginning of the bar, included, or its ``right`` end, excluded.
            tz: Zone of ``time``: ``America/New_York`` or ``UTC``.
            fill: ``session`` for bars of volume 0 where nothing was traded, at the last close of the
                session (null before there is one); sessions without any bar of a symbol stay without.
            shape: ``long``, or ``wide``: a frame per field, a row per time and a column per symbol.
            as_: ``pandas``, ``polars`` or ``arrow``.
            adjust: What prices are adjusted for.
            terms: What a share is in the result.
            as_of: The day that is asked from.
            identity: What a symbol means.
            ensure: Fetch and load missing *day* bars first, by which symbols and splits are known. Files of
                minutes are large, and only `flatfiles backfill stocks_minute` fetches them.
            skip_unknown: Leave out symbols that the warehouse never saw, with a warning.

        Returns:
            ``session``, ``time``, ``symbol``, the fields, ``adjustment``, ``price_factor`` and
            ``volume_factor``, by time, then symbol as asked for. ``vwap`` is the volume-weighted mean of
            the minutes' typical prices, null without volume. What is known of the data is in the metadata
            of pandas and Arrow frames.

        Raises:
            NoData: There are no minutes of these symbols in the range.
            InvalidArgument: An argument is not usable. And as `get_data_for_algorithm`.

        Warns:
            CoverageWarning: Some sessions have no minutes, or some symbols none in those that do.
        """
        check_choice("a form of data", as_, FRAME_KINDS)
        check_choice("a shape", shape, get_args(Shape))
        form = _form(start, end, frequency, hours, fields, label, tz, fill)
        request = DataRequest.of(
            symbols,
            *_days(start, end, tz),
            adjust,
            0,
            terms=terms,
            as_of=as_of,
            identity=identity,
        )
        found, unknown = self._read(request, ensure=ensure, skip_unknown=skip_unknown)
        metadata = describe(found)
        warn_or_refuse(metadata, adjust, 0.0)
        bars = minute_bars.read_bars(self._reader, request.asked, found.read.columns, frequency, hours)
        _warn_or_refuse(found, bars)
        table = _finished(found.prices(), bars.table, form)
        if shape == "wide":
            return _wide(table, found.read.panel.symbols, form.fields, as_)
        about = {
            **metadata,
            "symbols_unknown": unknown,
            "frequency": frequency,
            "hours": hours,
            "label": label,
            "vwap": _VWAP,
            "missing_minute_sessions": [day.isoformat() for day in bars.missing_sessions],
        }
        return frames.with_metadata(frames.convert(table, as_), about)

    @door
    def iter_bars(
        self,
        symbols: Iterable[str] | str | Universe,
        start: DateLike,
        end: DateLike,
        *,
        by: Literal["session", "symbols"] = "session",
        n_symbols: int = 50,
        frequency: Frequency = "1min",
        hours: Hours = "regular",
        fields: Sequence[str] = FIELDS,
        label: Label = "left",
        tz: str = NEW_YORK,
        fill: Literal["session"] | None = None,
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        skip_unknown: bool = False,
    ) -> Iterator[pa.Table]:
        """As `load_bars`, one session or a number of symbols at a time, for more than memory holds.

        The warehouse is not held between two tables: each is of the state at its reading. Put together
        they are what `load_bars` returns, of Arrow's types. Parts without a bar are left out.

        Args:
            symbols: As for `load_bars`; so the other arguments.
            start: First day or moment.
            end: Last day or moment.
            by: ``session``, or ``symbols``: `n_symbols` at a time over the whole range.
            n_symbols: Symbols in a table.
            frequency: Width of the bars.
            hours: Which hours.
            fields: Which values.
            label: Which end of a bar is its time.
            tz: Zone of the times.
            fill: Whether slots without a trade have bars.
            adjust: What prices are adjusted for.
            terms: What a share is in the result.
            as_of: The day that is asked from.
            identity: What a symbol means.
            ensure: Fetch and load missing day bars first.
            skip_unknown: Leave out symbols that the warehouse never saw.

        Raises:
            NoData: There are no minutes of these symbols in the range, which is known at its end.
        """
        check_choice("a way to part bars", by, ("session", "symbols"))
        if n_symbols < 1:
            raise InvalidArgument(f"n_symbols is {n_symbols}", next_step="choose 1 or more")
        form = _form(start, end, frequency, hours, fields, label, tz, fill)
        days = _days(start, end, tz)
        request = DataRequest.of(symbols, *days, adjust, 0, terms=terms, as_of=as_of, identity=identity)
        found, _ = self._read(request, ensure=ensure, skip_unknown=skip_unknown)
        warn_or_refuse(describe(found), adjust, 0.0)
        return self._parted(found, form, by, n_symbols)

    def _parted(self, found: Input, form: _Form, by: str, n_symbols: int) -> Iterator[pa.Table]:
        asked = found.request.asked
        columns, prices = found.read.columns, found.prices()
        places = np.arange(len(columns.labels))
        if by == "session":
            pieces = [([day], places) for day in asked]
        else:
            pieces = [(list(asked), places[n : n + n_symbols]) for n in range(0, len(places), n_symbols)]
        missing: set[dt.date] = set()
        any_bar = False
        for days, numbers in pieces:
            chosen = columns.chosen(np.isin(places, numbers))
            bars = minute_bars.read_bars(self._reader, days, chosen, form.frequency, form.hours)
            missing |= set(bars.missing_sessions)
            any_bar = any_bar or bars.table.height > 0
            numbered = bars.table.with_columns(pl.col("number") + int(numbers[0]))
            table = _finished(prices, numbered, form)
            if table.num_rows:
                yield frames.to_polars(table).to_arrow(compat_level=pl.CompatLevel.oldest())
        nothing = minute_bars.Bars(pl.DataFrame(), tuple(sorted(missing)))
        _warn_of_sessions(found, nothing, any_bar=any_bar)


def _form(
    start: DateLike,
    end: DateLike,
    frequency: Frequency,
    hours: Hours,
    fields: Sequence[str],
    label: Label,
    tz: str,
    fill: Literal["session"] | None,
) -> _Form:
    for what, value, choices in (
        ("a frequency", frequency, MINUTES),
        ("a kind of hours", hours, get_args(Hours)),
        ("a label", label, get_args(Label)),
        ("a zone of bars", tz, _ZONES),
    ):
        check_choice(what, value, choices)
    if fill is not None:
        check_choice("a way to fill", fill, ("session",))
    names = (fields,) if isinstance(fields, str) else tuple(dict.fromkeys(fields))
    for name in names:
        check_choice("a field of bars", name, FIELDS)
    if not names:
        raise InvalidArgument("fields is empty", next_step=f"use any of {', '.join(FIELDS)}")
    first, last = _moment(start, tz), _moment(end, tz)
    start_us = -math.inf if first is None else first.timestamp() * 1e6
    end_us = math.inf if last is None else last.timestamp() * 1e6
    if start_us >= end_us:
        raise InvalidArgument(f"the range is reversed: {start} to {end}", next_step="swap start and end")
    return _Form(frequency, hours, names, label, tz, fill, start_us, end_us)


def _moment(value: DateLike, tz: str) -> dt.datetime | None:
    """The moment that is meant; None for a day."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value) if not np.isnat(value) else value
    elif isinstance(value, str) and len(value) > len("2024-01-02"):
        try:
            value = pd.Timestamp(value)
        except ValueError:
            raise InvalidArgument(
                f"{value!r} is no day and no moment", next_step="write 2024-01-02 or 2024-01-02 09:30"
            ) from None
    if not isinstance(value, dt.datetime) or value != value:
        return None
    if value.tzinfo is None:
        return None if value.time() == dt.time() else value.replace(tzinfo=ZoneInfo(tz))
    return value


def _days(start: DateLike, end: DateLike, tz: str) -> tuple[DateLike, DateLike]:
    """The days of a range in New York, where sessions are."""
    moments = _moment(start, tz), _moment(end, tz)
    first, last = (
        day if moment is None else moment.astimezone(ZoneInfo(NEW_YORK)).date()
        for day, moment in zip((start, end), moments, strict=True)
    )
    return first, last


def _finished(prices: RequestedPrices, bars: pl.DataFrame, form: _Form) -> pa.Table:
    """Bars in the terms of the result, of who is asked for, under the names that research code sees."""
    if form.fill is not None:
        bars = minute_bars.with_every_slot(bars, form.frequency, form.hours)
    bars = bars.filter((pl.col("start_us") >= form.start_us) & (pl.col("end_us") <= form.end_us))
    rows = np.searchsorted(prices.sessions, bars["trade_date"].to_numpy().astype("datetime64[D]"))
    numbers = bars["number"].to_numpy()
    if prices.members is not None:
        member = prices.members[prices.rows][rows, numbers]
        bars, rows, numbers = bars.filter(pl.Series(member)), rows[member], numbers[member]
    price, volume = prices.price_factor[rows, numbers], prices.volume_factor[rows, numbers]
    factors = {**dict.fromkeys(PRICES, price), "volume": volume}
    values = {}
    for name in form.fields:
        column = bars[name] * pl.Series(factors[name]) if name in factors else bars[name]
        values[name] = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    names = pa.array(prices.symbols, pa.string())
    end = bars["start_us"] if form.label == "left" else bars["end_us"]
    return long_frame(
        pa.table(
            {
                "trade_date": bars["trade_date"].to_arrow(),
                "time": minute_bars.times(end, form.tz),
                "ticker": pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), names),
                **values,
                "adjustment": pa.repeat(pa.scalar(prices.dated.adjustment, pa.string()), bars.height),
                "price_factor": pa.array(price),
                "volume_factor": pa.array(volume),
            }
        )
    )


def _wide(table: pa.Table, symbols: Sequence[str], fields: Sequence[str], as_: FrameKind) -> dict[str, Frame]:
    """A frame per field, with a column for each symbol asked for."""
    rows = frames.to_polars(table)
    wide: dict[str, Frame] = {}
    for name in fields:
        frame = rows.pivot("symbol", index="time", values=name, maintain_order=True)
        lacking = [pl.lit(None, rows.schema[name]).alias(s) for s in symbols if s not in frame.columns]
        frame = frame.with_columns(lacking).select("time", *symbols).sort("time")
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if as_ == "pandas":
            indexed = arrow.to_pandas().set_index("time").rename_axis(columns="symbol")
            wide[name] = indexed
        else:
            wide[name] = frame if as_ == "polars" else arrow
    return wide


def _warn_or_refuse(found: Input, bars: minute_bars.Bars) -> None:
    """Refuse where there is no minute at all, and say which sessions and symbols lack theirs."""
    _warn_of_sessions(found, bars, any_bar=bars.table.height > 0)
    symbols = found.read.panel.symbols
    seen = set(bars.table["number"].unique())
    silent = [symbol for number, symbol in enumerate(symbols) if number not in seen]
    if silent:
        more = f" and {len(silent) - 5} more" if len(silent) > 5 else ""
        warn_caller(f"no minutes in the hours asked for: {', '.join(silent[:5])}{more}", CoverageWarning)


def _warn_of_sessions(found: Input, bars: minute_bars.Bars, *, any_bar: bool) -> None:
    asked, missing = found.request.asked, list(bars.missing_sessions)
    command = f"`flatfiles backfill stocks_minute --start {asked[0]} --end {asked[-1]}`"
    if not any_bar:
        raise NoData(
            f"there are no minute bars of the symbols from {asked[0]} to {asked[-1]}",
            why=f"{len(missing)} of {len(asked)} sessions have no minutes of any symbol",
            next_step=f"load them: {command}",
        )
    if missing:
        brief = days_in_brief([day.isoformat() for day in missing])
        warn_caller(
            f"{len(missing)} of {len(asked)} sessions have no minute bars: {brief}; load them: {command}",
            CoverageWarning,
        )
