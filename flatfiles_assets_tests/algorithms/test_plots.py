"""Every algorithm's data can be drawn, in every form, and what is missing is said."""

from __future__ import annotations

import itertools
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from flatfiles_assets.algorithms import plots
from flatfiles_assets.algorithms.plots import PlottingUnavailable, png_markdown
from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings
from flatfiles_assets_tests.market_warehouse import market_warehouse


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> DataIntegration:
    folder = tmp_path_factory.mktemp("plots")
    warehouse = market_warehouse(folder / "w.duckdb", SyntheticMarket(20), "2022-12-01", "2024-02-29")
    return DataIntegration(warehouse, load_settings(data_dir=folder, api_key=None))


def get(door: DataIntegration, algorithm: str, start: str = "2024-01-02", **options):
    symbols = ["AAPL", "MSFT", "KO", "PEP"]
    return door.get_data_for_algorithm(algorithm, symbols, start, "2024-02-29", ensure=False, **options)


@pytest.mark.parametrize("form", ["pandas", "polars", "arrow"])
@pytest.mark.parametrize(
    ("algorithm", "kind", "title"),
    [
        ("momentum", None, "Momentum on 2024-02-29: top and bottom of 4"),
        ("momentum", "prices", "Prices, 2024-01-02 to 2024-02-29"),
        ("mean_reversion", None, "Distance from the 20-session mean on 2024-02-29, 4 symbols"),
        ("pairs_trading", None, "Correlation"),
        ("pairs_trading", "spread", "PEP against KO, 2024-01-02 to 2024-02-29"),
    ],
)
def test_each_picture_shows_what_its_title_says(door, algorithm, kind, title, form):
    figure = get(door, algorithm, as_=form).plot(kind)
    assert title in [axes.get_title() for axes in figure.axes]
    assert all(axes.has_data() for axes in figure.axes)
    assert png_markdown(figure, "x").startswith("![x](data:image/png;base64,iVBORw0KGgo")


def test_the_ranking_is_from_weakest_to_strongest(door):
    data = get(door, "momentum")
    last = data["momentum_data"].groupby("session").get_group(data["price_data"].index[-1])
    labels = [text.get_text() for text in data.plot(top=2).axes[0].get_yticklabels()]
    assert labels == list(last.sort_values("momentum_12_1")["symbol"])


def test_a_picture_that_there_is_not_is_refused_with_those_there_are(door):
    with pytest.raises(InvalidArgument, match="ranking, prices"):
        get(door, "momentum").plot("spread")
    with pytest.raises(InvalidArgument, match="'XOM' is not in the data"):
        get(door, "momentum").plot("prices", symbols=["XOM"])


def test_without_history_the_ranking_says_what_it_needs(tmp_path):
    warehouse = market_warehouse(tmp_path / "w.duckdb", SyntheticMarket(20), "2024-02-01", "2024-02-29")
    door = DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))
    with pytest.raises(InvalidArgument, match="252 sessions before"):
        get(door, "momentum", start="2024-02-01").plot()


def test_without_matplotlib_the_error_names_the_extra(door, monkeypatch):
    data = get(door, "momentum")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlottingUnavailable, match=r"flatfiles_assets\[plot\]"):
        data.plot()


HOSTILE = [r"$\foo$", "$", "$a$b$", r"\$x$", "x" * 5_000, "_hidden", "![t](/x)", "a\nb", "株式", "\U0001f600"]


def test_no_symbol_is_a_formula_and_none_keeps_a_picture_from_being_drawn():
    days = pd.date_range("2024-01-02", periods=30, freq="B")
    rng = np.random.default_rng(1)
    prices = pd.DataFrame(rng.uniform(9, 11, (30, len(HOSTILE))), index=days, columns=HOSTILE)
    ranked = pd.DataFrame({"session": days[-1], "symbol": HOSTILE, "momentum_12_1": range(len(HOSTILE))})
    pair = pd.MultiIndex.from_tuples([(HOSTILE[0], HOSTILE[1])])
    spread = pd.DataFrame(rng.normal(size=(30, 1)), index=days, columns=pair)

    with warnings.catch_warnings():
        # Of characters that the font lacks, matplotlib says so.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing")
        figures = [
            plots.plot_prices(prices),
            plots.plot_correlation(prices.corr()),
            plots.plot_ranking(ranked),
            plots.plot_spread(spread, spread),
        ]
        for figure in figures:
            assert png_markdown(figure, "x").startswith("![x](data:image/png;base64,iVBORw0KGgo")
    labels = [text.get_text() for text in figures[2].axes[0].get_yticklabels()]
    assert labels[0] == r"\$\foo\$"
    assert not any(is_math_text(text.get_text()) for text in figures[2].axes[0].get_yticklabels())
    assert max(map(len, labels)) <= 45


def is_math_text(text: str) -> bool:
    from matplotlib.cbook import is_math_text

    return bool(is_math_text(text))


@pytest.mark.parametrize("length", [3, 15, 60])
@pytest.mark.parametrize("symbols", [4, 20])
def test_the_legend_is_whole_and_covers_no_line(symbols, length):
    days = pd.date_range("2023-01-02", periods=250, freq="B")
    walk = 1 + np.random.default_rng(2).normal(0, 0.02, (250, symbols))
    names = [f"{number:02}".ljust(length, "W") for number in range(symbols)]
    figure = plots.plot_prices(pd.DataFrame(walk.cumprod(axis=0), index=days, columns=names))
    png_markdown(figure, "x")

    (legend,) = figure.legends
    box, axes = legend.get_window_extent(), figure.axes[0].get_window_extent()
    assert box.y1 <= axes.y0
    assert axes.height > figure.bbox.height / 3
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines[:symbols]}
    assert len(looks) == symbols


@pytest.mark.parametrize("sessions", [2, 20, 250, 5_000])
def test_dates_below_an_axis_do_not_run_into_each_other(sessions):
    days = pd.date_range("2004-01-02", periods=sessions, freq="B")
    pair = pd.MultiIndex.from_tuples([("KO", "PEP")])
    spread = pd.DataFrame(np.arange(sessions, dtype=float)[:, None], index=days, columns=pair)
    prices = pd.DataFrame({"KO": np.linspace(1, 2, sessions)}, index=days)
    for figure in (plots.plot_prices(prices), plots.plot_spread(spread, spread)):
        png_markdown(figure, "x")
        labels = [text for text in figure.axes[-1].get_xticklabels() if text.get_text()]
        boxes = sorted((text.get_window_extent() for text in labels), key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_a_notebook_shows_what_plot_returns(door):
    from IPython.core.formatters import DisplayFormatter

    figure = get(door, "momentum").plot("prices")
    shown, _ = DisplayFormatter().format(figure)
    assert shown["image/png"].startswith(b"\x89PNG")
