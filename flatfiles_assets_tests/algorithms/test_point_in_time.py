"""No value may change when later data is added or altered, or when it is computed in another run."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.algorithms import mean_reversion, momentum, pairs_trading
from flatfiles_assets.algorithms.adjustments import (
    Dividend,
    Split,
    adjust_panel,
    dividends_table,
    splits_table,
)
from flatfiles_assets_tests.algorithms.panels import day, panel_of, random_panel, rows_of, rows_until

EVERYONE = momentum.MomentumParameters(min_price=1, min_dollar_volume=0, min_history_bars=20)
ANY_PAIR = pairs_trading.PairsTradingParameters(min_correlation=0.3, min_observations=100)
ALGORITHMS = [
    pytest.param(momentum, EVERYONE, id="momentum"),
    pytest.param(mean_reversion, None, id="mean_reversion"),
    pytest.param(pairs_trading, ANY_PAIR, id="pairs_trading"),
]
N_SESSIONS = 560


def _compute(algorithm, parameters, panel, first, last):
    return algorithm.compute(
        panel, first_session=day(panel, first), last_session=day(panel, last), parameters=parameters
    )


def _events(panel, rng, rows):
    """Some splits and dividends on sessions of those rows."""
    splits, dividends = [], []
    for row in rng.choice(rows, 4, replace=False):
        symbol = panel.symbols[rng.integers(len(panel.symbols))]
        splits.append(Split(symbol, day(panel, row), *rng.choice([(1, 2), (3, 2), (7, 3), (10, 1)])))
    for row in rng.choice(rows, 4, replace=False):
        symbol = panel.symbols[rng.integers(len(panel.symbols))]
        dividends.append(Dividend(symbol, day(panel, row), float(rng.uniform(0.01, 0.5))))
    return splits, dividends


@pytest.mark.parametrize(("algorithm", "parameters"), ALGORITHMS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), known=st.integers(N_SESSIONS - 40, N_SESSIONS - 10))
def test_an_altered_future_leaves_the_past_exactly_equal(algorithm, parameters, seed, known):
    """Later bars, later splits and dividends, and a later end of the panel: all at once."""
    rng = np.random.default_rng(seed)
    panel = random_panel(N_SESSIONS, 9, seed, gaps=0.05)
    past_splits, past_dividends = _events(panel, rng, np.arange(N_SESSIONS - 200, known))
    new_splits, new_dividends = _events(panel, rng, np.arange(known, N_SESSIONS))
    other = dataclasses.replace(panel, close=panel.close.copy(), volume=panel.volume.copy())
    other.close[known:] *= rng.uniform(0.2, 5, other.close[known:].shape)
    other.close[known:][rng.random(other.close[known:].shape) < 0.2] = np.nan
    other.volume[known:] = 1.0
    adjusted_then = adjust_panel(
        rows_until(panel, known),
        splits_table(past_splits),
        dividends_table(past_dividends),
        "total_return",
        anchor="first",
    )
    adjusted_now = adjust_panel(
        other,
        splits_table(past_splits + new_splits),
        dividends_table(past_dividends + new_dividends),
        "total_return",
        anchor="first",
    )
    then = _compute(algorithm, parameters, adjusted_then, known - 5, known - 1)
    now = _compute(algorithm, parameters, adjusted_now, known - 5, N_SESSIONS - 1)
    last_known = pa.scalar(day(panel, known - 1), pa.date32())
    now = now.filter(pc.less_equal(now.column("trade_date"), last_known))
    assert then.num_rows > 0
    assert now.equals(then)


@pytest.mark.parametrize(("algorithm", "parameters"), ALGORITHMS)
@pytest.mark.parametrize("adjust", ["none", "total_return"])
def test_a_session_computed_alone_equals_the_same_session_of_a_long_run(algorithm, parameters, adjust):
    """Alone it has its look-back and nothing else, and only the symbols and events of that window."""
    rng = np.random.default_rng(51)
    first = algorithm.LOOKBACK_SESSIONS + 5
    panel = random_panel(first + 60, 9, seed=51, gaps=0.05)
    splits, dividends = _events(panel, rng, np.arange(20, first + 50))
    splits, dividends = splits_table(splits), dividends_table(dividends)
    whole = adjust_panel(panel, splits, dividends, adjust, anchor="first")
    together = _compute(algorithm, parameters, whole, first, first + 59)
    for row in (first, first + 17, first + 59):
        window = rows_of(panel, slice(row - algorithm.LOOKBACK_SESSIONS, row + 1))
        alone = _compute(
            algorithm, parameters, adjust_panel(window, splits, dividends, adjust, anchor="first"), -1, -1
        )
        that_day = pa.scalar(day(panel, row), pa.date32())
        of_run = together.filter(pc.equal(together.column("trade_date"), that_day))
        _assert_equal(alone, of_run)


def _assert_equal(alone, of_run):
    assert alone.num_rows > 0
    for field in alone.schema:
        ours, theirs = alone.column(field.name), of_run.column(field.name)
        assert ours.is_null().equals(theirs.is_null()), field.name
        if pa.types.is_floating(field.type):
            np.testing.assert_allclose(
                ours.to_numpy(), theirs.to_numpy(), rtol=1e-12, atol=1e-12, err_msg=field.name
            )
        else:
            assert ours.to_pylist() == theirs.to_pylist(), field.name


@pytest.mark.parametrize(("algorithm", "parameters"), ALGORITHMS[:2])
def test_alone_and_in_a_run_are_equal_after_long_stillness_and_after_old_turbulence(algorithm, parameters):
    """What a recursion would carry along from before the window: huge moves, then none for long."""
    rng = np.random.default_rng(52)
    n = algorithm.LOOKBACK_SESSIONS + 120
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.01, (n, 4)), axis=0))
    close[:100] *= np.exp(rng.normal(0, 1, (100, 4)))
    close[100:, 1] = 10.0
    close[100:-3, 2] = 10.0
    # Its last moves are the oldest that still count, so nothing newer outweighs them.
    close[155:, 3] = 10.0
    panel = panel_of(close)
    together = _compute(algorithm, parameters, panel, n - 100, n - 1)
    alone = _compute(algorithm, parameters, rows_of(panel, slice(119, None)), -1, -1)
    _assert_equal(alone, together.slice(together.num_rows - 4))


@pytest.mark.parametrize(("algorithm", "parameters"), ALGORITHMS)
def test_no_row_exists_for_a_session_without_a_bar(algorithm, parameters):
    """A carried close after the last bar would be known to be one only if the future were."""
    panel = random_panel(300, 9, seed=53, gaps=0.2)
    table = _compute(algorithm, parameters, panel, 280, 299)
    names = [name for name in ("ticker", "ticker_y", "ticker_x") if name in table.column_names]
    published = {
        (day(panel, row), panel.symbols[column])
        for row, column in zip(*np.nonzero(panel.has_bar), strict=True)
    }
    assert table.num_rows > 0
    for name in names:
        assert set(zip(table["trade_date"].to_pylist(), table[name].to_pylist(), strict=True)) <= published
