import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.stattools import coint

from flatfiles_assets.algorithms.adjustments import Split, adjust_panel, dividends_table, splits_table
from flatfiles_assets.algorithms.pairs_trading import (
    COLUMNS,
    WINDOW_SESSIONS,
    PairsTradingParameters,
    compute,
    correlation_matrix,
)
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests.algorithms.panels import day, panel_of

ANY_PAIR = PairsTradingParameters(min_correlation=-1.0)


def _sector_panel(n_sessions: int = 300, gaps: float = 0.01):
    """Nine symbols in three sectors; traded volume falls with the column."""
    rng = np.random.default_rng(41)
    sector = np.cumsum(rng.normal(0, 0.015, (n_sessions, 3)), axis=0)
    own = np.cumsum(rng.normal(0, 0.004, (n_sessions, 9)), axis=0)
    close = 50 * np.exp(sector[:, np.arange(9) % 3] + own)
    volume = rng.uniform(0.9, 1.1, close.shape) * 1e6 / 2.0 ** np.arange(9)
    close[:-1][rng.random((n_sessions - 1, 9)) < gaps] = np.nan
    volume[np.isnan(close)] = np.nan
    return panel_of(close, volume)


def _last(panel, parameters=None):
    return compute(panel, first_session=day(panel, -1), last_session=day(panel, -1), parameters=parameters)


def test_candidates_are_the_pairs_that_move_together_in_both_directions():
    panel = _sector_panel()
    table = _last(panel)
    assert [field.name for field in table.schema] == [column.name for column in COLUMNS]
    pairs = {(row["ticker_y"], row["ticker_x"]) for row in table.to_pylist()}
    expected = {
        (panel.symbols[i], panel.symbols[j]) for i in range(9) for j in range(9) if i != j and i % 3 == j % 3
    }
    assert pairs == expected
    assert min(table.column("correlation").to_pylist()) >= 0.8


def test_rows_carry_what_statsmodels_and_pandas_say():
    panel = _sector_panel()
    frame = pd.DataFrame(panel.close, columns=panel.symbols)
    correlation = frame.pct_change(fill_method=None).tail(WINDOW_SESSIONS).corr()
    window = frame.tail(WINDOW_SESSIONS)
    for row in _last(panel).to_pylist():
        y, x = row["ticker_y"], row["ticker_x"]
        assert row["correlation"] == pytest.approx(correlation.loc[y, x], rel=1e-12)
        both = window[[y, x]].dropna()
        assert row["observations"] == len(both)
        statistic, p_value, _ = coint(both[y], both[x])
        assert row["adf_statistic"] == pytest.approx(statistic, abs=1e-8)
        assert row["p_value"] == pytest.approx(p_value, abs=1e-8)


def test_the_universe_is_the_most_liquid_of_that_session():
    panel = _sector_panel()
    tickers = set(
        _last(panel, PairsTradingParameters(universe_size=4, min_correlation=-1.0))
        .column("ticker_y")
        .to_pylist()
    )
    assert tickers == set(panel.symbols[:4])


def test_a_symbol_without_a_bar_that_session_or_with_too_short_a_history_is_no_candidate():
    panel = _sector_panel()
    panel.close[-1, 0] = np.nan
    panel.close[:200, 1] = np.nan
    tickers = set(_last(panel, ANY_PAIR).column("ticker_y").to_pylist())
    assert tickers == set(panel.symbols[2:])


def test_levels_are_in_the_prices_of_their_own_session():
    panel = _sector_panel(gaps=0)
    split = splits_table([Split("S0000", day(panel, 298), 1, 2)])
    for anchor in ("last", "first"):
        adjusted = adjust_panel(panel, split, dividends_table([]), "splits", anchor=anchor)
        for row, before in ((297, 1.0), (298, 0.5)):
            found = compute(
                adjusted, first_session=day(panel, row), last_session=day(panel, row), parameters=ANY_PAIR
            ).to_pylist()
            pair = next(r for r in found if (r["ticker_y"], r["ticker_x"]) == ("S0000", "S0003"))
            prices = panel.close[row - WINDOW_SESSIONS + 1 : row + 1].copy()
            prices[:-1, 0] *= before
            slope = np.polyfit(prices[:, 3], prices[:, 0], 1)[0]
            assert pair["hedge_ratio"] == pytest.approx(slope, rel=1e-9)
            assert pair["adjustment"] == "splits"


def test_a_market_without_candidates_has_no_rows_but_all_columns():
    table = _last(_sector_panel(), PairsTradingParameters(min_correlation=1.01))
    assert table.num_rows == 0
    assert len(table.schema) == len(COLUMNS)


def test_correlation_agrees_with_pandas_with_gaps_and_is_null_for_constants():
    rng = np.random.default_rng(42)
    returns = rng.normal(0, 0.01, (100, 6)) + rng.normal(0, 0.01, (100, 1))
    returns[rng.random(returns.shape) < 0.1] = np.nan
    returns[:70, 4] = np.nan
    returns[:, 5] = 0.01
    ours = correlation_matrix(returns, min_observations=40)
    expected = pd.DataFrame(returns).corr(min_periods=40).to_numpy()
    np.testing.assert_allclose(ours[:5, :5], expected[:5, :5], rtol=0, atol=1e-13)
    assert np.isnan(ours[4]).all()
    assert np.isnan(ours[5]).all()
    np.testing.assert_array_equal(ours, ours.T)


def test_the_fewest_observations_must_suffice_for_the_test():
    with pytest.raises(InvalidArgument, match="min_observations"):
        PairsTradingParameters(min_observations=5)
