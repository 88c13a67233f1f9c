"""What the UI shows of a session's features: key figures, and a picture of the run's last session.

Here: figures and pictures per algorithm. Not here: drawing (`plots.py`) and the assets
(`algorithm.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.algorithms import plots
from flatfiles_assets.errors import InvalidArgument

_HEAT_MAP_SYMBOLS = 40
_EXTREMES = 5


def key_figures(algorithm: str, rows: pa.Table) -> dict[str, Any]:
    """A few figures of one session, by the names under which the UI plots them over time."""
    return _FIGURES[algorithm](rows)


def _momentum_figures(rows: pa.Table) -> dict[str, Any]:
    ranked = rows.filter(pc.is_valid(rows.column("momentum_rank")))
    ranked = ranked.sort_by([("momentum_rank", "ascending"), ("ticker", "ascending")])
    tickers = ranked.column("ticker").to_pylist()
    return {
        "universe": len(tickers),
        **_median("momentum_12_1", ranked),
        "top": ", ".join(tickers[:_EXTREMES]),
        "bottom": ", ".join(tickers[-_EXTREMES:][::-1]),
    }


def _mean_reversion_figures(rows: pa.Table) -> dict[str, Any]:
    zscore, rsi = (rows.column(name).to_numpy() for name in ("zscore_20", "rsi_14"))
    return {
        "zscore_above_2": int(np.count_nonzero(zscore > 2)),
        "zscore_below_minus_2": int(np.count_nonzero(zscore < -2)),
        "rsi_above_70": int(np.count_nonzero(rsi > 70)),
        "rsi_below_30": int(np.count_nonzero(rsi < 30)),
        **_median("half_life_sessions", rows),
    }


def _pairs_figures(rows: pa.Table) -> dict[str, Any]:
    p_values, zscore = (rows.column(name).to_numpy() for name in ("p_value", "zscore"))
    cointegrated = p_values < 0.05
    return {
        "candidates": rows.num_rows,
        "cointegrated_5_percent": int(np.count_nonzero(cointegrated)),
        "of_those_beyond_2_stds": int(np.count_nonzero(cointegrated & (np.abs(zscore) > 2))),
    }


def _median(name: str, rows: pa.Table) -> dict[str, float]:
    values = rows.column(name).drop_null().to_numpy()
    return {f"median_{name}": round(float(np.median(values)), 6)} if len(values) else {}


_FIGURES: Mapping[str, Callable[[pa.Table], dict[str, Any]]] = {
    "momentum": _momentum_figures,
    "mean_reversion": _mean_reversion_figures,
    "pairs_trading": _pairs_figures,
}


def picture(algorithm: str, rows: pa.Table) -> dg.MarkdownMetadataValue | None:
    """A picture of one session; None without matplotlib, or where there is nothing to show."""
    frame = rows.to_pandas(date_as_object=False).rename(columns={"trade_date": "session", "ticker": "symbol"})
    try:
        if algorithm == "momentum":
            figure = plots.plot_ranking(frame)
        elif algorithm == "mean_reversion":
            figure = plots.plot_zscores(frame)
        elif frame.empty:
            return None
        else:
            figure = plots.plot_correlation(_heat_map(frame))
    except (plots.PlottingUnavailable, InvalidArgument):
        return None
    return dg.MetadataValue.md(plots.png_markdown(figure, algorithm.replace("_", " ")))


def _heat_map(pairs: pd.DataFrame) -> pd.DataFrame:
    """Correlations of the symbols with the most candidates; blank where a pair is no candidate."""
    counts = pairs["ticker_y"].value_counts()
    chosen = sorted(counts.index[:_HEAT_MAP_SYMBOLS])
    matrix = pairs.pivot(index="ticker_y", columns="ticker_x", values="correlation")
    return matrix.reindex(index=chosen, columns=chosen)
