"""Pictures of prices, correlations, spreads and rankings, with matplotlib (the extra ``plot``).

Here: functions from data to a `Figure`, and a figure as PNG. Not here: where the data come from.
Figures are made without pyplot, so that they need no display and no state is left behind.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.escaping import plot_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LINES = 20
# In the widest characters of its small type.
_LEGEND_WIDTH, _LEGEND_HANDLE = 66, 7
_BANDS = (-2.0, 0.0, 2.0)
_UP, _DOWN, _INK = "#1f77b4", "#d62728", "#444444"


class PlottingUnavailable(FlatFilesError):
    """matplotlib is not installed."""


def _figure(width: float = 8.0, height: float = 4.5) -> Figure:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise PlottingUnavailable(
            "matplotlib is not installed", next_step='install it: pip install "flatfiles_assets[plot]"'
        ) from None
    return _picture_class()(figsize=(width, height), layout="constrained")


@functools.cache
def _picture_class() -> type[Figure]:
    """A `Figure` that a notebook shows by itself, which otherwise only those of pyplot are."""
    from matplotlib.figure import Figure

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            return _png(self, dpi=100)

    return Picture


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def plot_prices(price_data: pd.DataFrame, symbols: Sequence[str] | None = None) -> Figure:
    """Prices of each symbol, as a multiple of its first price in the range.

    Args:
        price_data: Wide: a row per session, a column per symbol.
        symbols: Which columns; None for the first twenty.
    """
    chosen = price_data[
        _checked(symbols, price_data.columns) if symbols else price_data.columns[:_MOST_LINES]
    ]
    first = chosen.bfill().iloc[0]
    labels = [plot_label(name) for name in chosen.columns]
    longest = max(map(len, labels), default=0)
    per_row = min(5, max(1, _LEGEND_WIDTH // (longest + _LEGEND_HANDLE)))
    rows = -(-len(labels) // per_row)
    figure = _figure(8.0, 4.3 + 0.18 * rows)
    axes = figure.add_subplot()
    for number, (name, label) in enumerate(zip(chosen.columns, labels, strict=True)):
        # There are ten colours: the second ten are told from the first by their dashes.
        style = "-" if number < 10 else "--"
        axes.plot(
            chosen.index,
            chosen[name] / first[name],
            style,
            color=f"C{number % 10}",
            label=label,
            linewidth=1.2,
        )
    axes.axhline(1.0, color=_INK, linewidth=0.6)
    axes.set_ylabel("price / first price")
    # Beside the lines and never on them: below the axes, which give way.
    figure.legend(loc="outside lower center", ncols=per_row, fontsize="small", frameon=False)
    _date_ticks(axes)
    axes.set_title(f"Prices, {_span(chosen.index)}")
    return figure


def plot_correlation(correlation_data: pd.DataFrame) -> Figure:
    """A heat map of a square matrix of correlations."""
    size = min(max(4.0, 0.3 * len(correlation_data) + 2.0), 12.0)
    figure = _figure(size + 1.0, size)
    axes = figure.add_subplot()
    image = axes.imshow(correlation_data.to_numpy(), vmin=-1, vmax=1, cmap="RdBu_r")
    if len(correlation_data) <= 60:
        ticks = range(len(correlation_data))
        axes.set_xticks(
            ticks, [plot_label(name) for name in correlation_data.columns], rotation=90, fontsize="small"
        )
        axes.set_yticks(ticks, [plot_label(name) for name in correlation_data.index], fontsize="small")
    figure.colorbar(image, ax=axes, label="correlation of daily returns")
    axes.set_title("Correlation")
    return figure


def plot_spread(
    spread_data: pd.DataFrame, zscore_data: pd.DataFrame, pair: tuple[str, str] | None = None
) -> Figure:
    """A pair's spread, and below it the z-score with bands at ±2.

    Args:
        spread_data: Wide: a row per session, a column (y, x) per pair.
        zscore_data: As `spread_data`.
        pair: Which; None for the one whose z-score is farthest from 0 at the end.
    """
    if pair is None:
        last = zscore_data.ffill().iloc[-1].abs()
        if not last.notna().any():
            raise InvalidArgument(
                "no pair has a z-score", next_step="choose a longer range, or symbols with more bars"
            )
        pair = last.index.to_list()[int(np.nanargmax(last.to_numpy()))]
    (column,) = _checked([pair], spread_data.columns)
    figure = _figure(8.0, 5.5)
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(spread_data.index, spread_data[column], color=_INK, linewidth=1.2)
    _date_ticks(lower)
    upper.set_ylabel("spread, USD")
    upper.set_title(f"{plot_label(column[0])} against {plot_label(column[1])}, {_span(spread_data.index)}")
    lower.plot(zscore_data.index, zscore_data[column], color=_UP, linewidth=1.2)
    lower.set_ylabel("z-score")
    for band in _BANDS:
        lower.axhline(band, color=_INK if band == 0 else _DOWN, linewidth=0.8, linestyle="--")
    return figure


def plot_ranking(momentum_data: pd.DataFrame, top: int = 10) -> Figure:
    """The strongest and weakest symbols by 12-1 momentum on the last session that has any.

    Args:
        momentum_data: Long: ``session``, ``symbol``, ``momentum_12_1``.
        top: Most symbols of either end.
    """
    known = momentum_data.dropna(subset=["momentum_12_1"])
    if known.empty:
        raise InvalidArgument(
            "no symbol has a 12-1 momentum",
            next_step="it needs 252 sessions before the range in the warehouse",
        )
    session = known["session"].max()
    of_day = known[known["session"] == session].sort_values("momentum_12_1")
    most = min(top, (len(of_day) + 1) // 2)
    shown = pd.concat([of_day.head(most), of_day.tail(most)]).drop_duplicates("symbol")
    figure = _figure(7.0, max(2.5, 0.28 * len(shown) + 1.2))
    axes = figure.add_subplot()
    values = shown["momentum_12_1"].to_numpy()
    axes.barh(range(len(shown)), 100 * values, color=np.where(values >= 0, _UP, _DOWN))
    axes.set_yticks(range(len(shown)), [plot_label(symbol) for symbol in shown["symbol"]])
    axes.axvline(0, color=_INK, linewidth=0.6)
    axes.set_xlabel("12-1 momentum, %")
    axes.set_title(f"Momentum on {session:%Y-%m-%d}: top and bottom of {len(of_day):,}")
    return figure


def plot_zscores(indicators_data: pd.DataFrame) -> Figure:
    """The distribution of z-scores on the last session that has any.

    Args:
        indicators_data: Long: ``session``, ``symbol``, ``zscore_20``.
    """
    known = indicators_data.dropna(subset=["zscore_20"])
    if known.empty:
        raise InvalidArgument("no symbol has a z-score", next_step="it needs 20 sessions of prices")
    session = known["session"].max()
    values = known.loc[known["session"] == session, "zscore_20"]
    figure = _figure()
    axes = figure.add_subplot()
    axes.hist(values, bins=np.linspace(-4.5, 4.5, 46).tolist(), color=_UP)
    for band in _BANDS:
        axes.axvline(band, color=_INK if band == 0 else _DOWN, linewidth=0.8, linestyle="--")
    axes.set_xlabel("z-score over 20 sessions")
    axes.set_ylabel("symbols")
    axes.set_title(f"Distance from the 20-session mean on {session:%Y-%m-%d}, {len(values):,} symbols")
    return figure


def picture_of_prices(data: Mapping[str, pd.DataFrame], symbols: Sequence[str] | None = None) -> Figure:
    """The picture ``prices``, which every algorithm's result has."""
    return plot_prices(data["price_data"], symbols)


def most_cointegrated(cointegration_data: pd.DataFrame) -> tuple[str, str] | None:
    """The pair of the lowest p-value; None where none was tested."""
    tested = cointegration_data.dropna(subset=["p_value", "zscore"])
    if tested.empty:
        return None
    best = tested.sort_values("p_value").iloc[0]
    return str(best["symbol_y"]), str(best["symbol_x"])


def png_markdown(figure: Figure, title: str) -> str:
    """The figure as Markdown that carries its PNG in itself."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(_png(figure, dpi=80)).decode()})"


def as_pandas(value: Any) -> pd.DataFrame:
    """A frame of any form as the pandas one of the same data."""
    if isinstance(value, pd.DataFrame):
        return value
    table: pa.Table = value.to_arrow() if isinstance(value, pl.DataFrame) else value
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    names = set(frame.columns)
    if "session" in names and "symbol" not in names:
        frame = frame.set_index("session")
        if len(frame.columns) and all("/" in name for name in frame.columns):
            frame.columns = pd.MultiIndex.from_tuples([tuple(name.split("/", 1)) for name in frame.columns])
    elif "symbol" in names and "session" not in names:
        frame = frame.set_index("symbol")
    return frame


def _checked(wanted: Sequence[Any], known: pd.Index[Any]) -> list[Any]:
    for name in wanted:
        if name not in known:
            raise InvalidArgument(f"{name!r} is not in the data", next_step=f"use one of {list(known[:10])}")
    return list(wanted)


def _date_ticks(axes: Axes) -> None:
    """Few and short dates below an axis, that do not run into each other."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _span(index: pd.Index[Any]) -> str:
    return f"{index[0]:%Y-%m-%d} to {index[-1]:%Y-%m-%d}"
