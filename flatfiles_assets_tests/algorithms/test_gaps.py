"""No series crosses a gap: held to for every feature column of every algorithm of the registry.

Two properties need no knowledge of any column. What a symbol was before a long gap, whatever its
prices were, must not matter for a single value after it. And a value whose window holds the gap is
null: it has a value only if it would have one of the same kind without all that came before.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.algorithms.adjustments import Split, adjust_panel, dividends_table, splits_table
from flatfiles_assets.algorithms.cointegration import engle_granger
from flatfiles_assets.algorithms.mean_reversion import MeanReversionParameters
from flatfiles_assets.algorithms.momentum import MomentumParameters
from flatfiles_assets.algorithms.pairs_trading import PairsTradingParameters, correlation_matrix
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.requested_prices import RequestedPrices
from flatfiles_assets.algorithms.trailing_spread import trailing_spreads
from flatfiles_assets_tests.algorithms.panels import day, panel_of, random_panel

N, SYMBOLS = 760, 4
#: Everybody ranks, every pair is a candidate.
OPEN = {
    "momentum": MomentumParameters(min_price=0, min_dollar_volume=0, min_history_bars=0),
    "mean_reversion": MeanReversionParameters(),
    "pairs_trading": PairsTradingParameters(min_correlation=-1.0, min_observations=30),
}


def rows_of_gapped(algorithm: str, panel, first: int):
    entry = ALGORITHMS[algorithm]
    table = entry.compute(
        panel,
        first_session=day(panel, first),
        last_session=day(panel, -1),
        parameters=OPEN.get(algorithm) or entry.parameters(),
    ).to_pandas(date_as_object=False)
    keys = ["trade_date", *entry.key_columns]
    gapped = (table[list(entry.key_columns)] == panel.symbols[0]).any(axis=1)
    return table[gapped].set_index(keys)[[column.name for column in entry.feature_columns]].sort_index()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    resumed=st.integers(N - 300, N - 1),
    length=st.integers(MAX_GAP_SESSIONS + 1, 60),
    level=st.floats(0.01, 100),
)
def test_nothing_before_a_long_gap_matters_after_it(algorithm, seed, resumed, length, level):
    """The other company before the gap has other prices, or there was none."""
    panel = random_panel(N, SYMBOLS, seed, gaps=0.01)
    panel.close[resumed, 0] = 40.0
    panel.volume[resumed, 0] = 1e5
    panel.close[resumed - length : resumed, 0] = np.nan
    other = dataclasses.replace(panel, close=panel.close.copy(), volume=panel.volume.copy())
    other.close[: resumed - length, 0] *= level * np.linspace(1, 2, resumed - length)
    other.volume[: resumed - length, 0] *= 3
    nobody = dataclasses.replace(panel, close=panel.close.copy())
    nobody.close[: resumed - length, 0] = np.nan
    ours, theirs, alone = (rows_of_gapped(algorithm, each, resumed) for each in (panel, other, nobody))
    # A rank is among those that have a value, and they are the same.
    np.testing.assert_array_equal(ours.to_numpy(float), theirs.to_numpy(float))
    common = ours.index.intersection(alone.index)
    assert len(common) == len(ours), "no row is there because of what came before the gap"
    mine, fresh = ours.to_numpy(float), alone.loc[common].to_numpy(float)
    known = ~np.isnan(mine)
    np.testing.assert_allclose(mine[known], fresh[known], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_what_looks_back_a_year_is_null_until_the_gap_is_a_year_ago(algorithm):
    panel = random_panel(N, SYMBOLS, seed=3, gaps=0.0)
    resumed = N - 270
    panel.close[resumed - MAX_GAP_SESSIONS - 1 : resumed, 0] = np.nan
    rows = rows_of_gapped(algorithm, panel, resumed)
    sessions = rows.index.get_level_values("trade_date").to_numpy().astype("datetime64[D]")
    ago = np.searchsorted(panel.sessions, sessions) - resumed
    yearly = {
        "momentum": ["return_252", "momentum_12_1", "momentum_rank", "volatility_scaled_momentum"],
        "mean_reversion": [],
        "pairs_trading": list(rows.columns),
    }.get(algorithm, [])
    for name in yearly:
        assert rows[name][ago < 251].isna().all(), name
        assert rows[name][ago >= 253].notna().any(), name
    # A gap that is just short enough is looked over.
    panel.close[resumed - 1, 0] = 40.0
    short = rows_of_gapped(algorithm, panel, resumed)
    for name in yearly:
        assert short[name].notna().any(), name


def test_spreads_and_pairs_of_a_range_do_not_cross_a_gap_either():
    panel = random_panel(400, 3, seed=5, gaps=0.0)
    panel.close[200:212, 0] = np.nan
    spread, zscore = trailing_spreads(panel.close, [0, 1, 1], [1, 0, 2], 250, 100)
    inside = slice(212 - 150, 212 - 150 + 97)
    assert np.isnan(spread[inside, :2]).all()
    assert np.isnan(zscore[inside, :2]).all()
    assert np.isfinite(spread[inside, 2]).all()
    assert np.isfinite(spread[212 - 150 + 101 :, :2]).all()

    prices = RequestedPrices(panel, panel, slice(150, 400))
    assert prices.unbroken().tolist() == [False, True, True]
    assert RequestedPrices(panel, panel, slice(215, 400)).unbroken().all()
    entry = ALGORITHMS["pairs_trading"]
    frames = entry.build(prices, entry.options())
    pairs = frames["cointegration_data"].to_pandas().set_index(["symbol_y", "symbol_x"])
    assert pairs.loc[("S0001", "S0002"), "p_value"] >= 0
    gapped = pairs.drop(index=[("S0001", "S0002"), ("S0002", "S0001")])
    assert gapped.drop(columns="observations").isna().all(axis=None)
    correlation = frames["correlation_data"].to_pandas().set_index("symbol")
    assert correlation["S0000"].isna().all()


@pytest.mark.parametrize("ratio", [3.0, 7.0, 1.1, 0.3])
def test_a_price_that_stands_still_over_a_split_does_not_move(ratio):
    """What is left of it is rounding, which must not become a volatility to divide by."""
    prices = np.array([7.3, 10.1, 0.77, 123.45, 31.07, 5.9])
    published = panel_of(np.where((np.arange(560) < 500)[:, None], prices, prices / ratio))
    splits = splits_table([Split(symbol, day(published, 500), 1, ratio) for symbol in published.symbols])
    panel = adjust_panel(published, splits, dividends_table([]), "splits", anchor="first")
    close = panel.close
    assert (np.ptp(close, axis=0) > 0).any(), "there is rounding"
    assert (np.ptp(close, axis=0) < 1e-12 * prices).all(), "and nothing else"
    for name, entry in ALGORITHMS.items():
        if not entry.is_per_symbol:
            continue
        table = entry.compute(
            panel, first_session=day(panel, -30), last_session=day(panel, -1), parameters=OPEN[name]
        ).to_pandas()
        for column in ("volatility_scaled_momentum", "zscore_20", "bollinger_percent_b", "rsi_14",
                       "half_life_sessions"):  # fmt: skip
            assert column not in table or table[column].isna().all(), column
        for column in ("volatility_21", "volatility_63", "std_20"):
            assert column not in table or (table[column] == 0).all(), column
    assert np.isnan(correlation_matrix(close[1:] / close[:-1] - 1)).all()
    assert np.isnan(engle_granger(close, [0], [1]).hedge_ratio).all()
    assert np.isnan(trailing_spreads(close, [0], [1], 50, 100)[0]).all()
