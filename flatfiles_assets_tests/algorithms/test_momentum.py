import dataclasses

import numpy as np
import pandas as pd
import pytest

from flatfiles_assets.algorithms.adjustments import Split, adjust_panel, dividends_table, splits_table
from flatfiles_assets.algorithms.momentum import (
    COLUMNS,
    LOOKBACK_SESSIONS,
    MomentumParameters,
    compute,
    rank_rows,
)
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets_tests.algorithms.panels import column_matrix, day, panel_of, random_panel, rows_of

EVERYONE = MomentumParameters(min_price=0, min_dollar_volume=0, min_history_bars=0)


def _all_rows(panel, parameters=EVERYONE):
    return compute(panel, first_session=day(panel, 0), last_session=day(panel, -1), parameters=parameters)


@pytest.fixture(scope="module")
def panel():
    return random_panel(420, 12, seed=11)


@pytest.fixture(scope="module")
def table(panel):
    return _all_rows(panel)


@pytest.fixture(scope="module")
def frame(panel):
    """Closes as pandas carries them."""
    return pd.DataFrame(panel.close).ffill(limit=MAX_GAP_SESSIONS)


def _expect(table, panel, name, expected, window=0):
    """Null where there is no bar, and where one of `window` returns is unknown after some were known."""
    known = pd.DataFrame(panel.close).ffill(limit=MAX_GAP_SESSIONS).notna()
    across = (known.shift(1, fill_value=False) & ~known).rolling(max(window, 1), min_periods=1).sum() > 0
    expected = np.where(panel.has_bar & ~(across if window else False), np.asarray(expected), np.nan)
    np.testing.assert_allclose(column_matrix(table, name, panel), expected, rtol=1e-9, atol=1e-12)


def test_a_row_for_every_bar_and_none_without_in_order_of_session_and_ticker(table, panel):
    assert table.num_rows == panel.has_bar.sum()
    assert [field.name for field in table.schema] == [column.name for column in COLUMNS]
    keys = table.select(["trade_date", "ticker"]).to_pandas()
    assert keys.equals(keys.sort_values(["trade_date", "ticker"], ignore_index=True))
    assert set(table.column("adjustment").to_pylist()) == {"none"}


@pytest.mark.parametrize("k", [1, 5, 21, 63, 126, 252])
def test_returns_agree_with_pandas(table, panel, frame, k):
    _expect(table, panel, f"return_{k}", frame / frame.shift(k) - 1, window=k)


@pytest.mark.parametrize("k", [21, 63])
def test_volatility_agrees_with_pandas(table, panel, frame, k):
    daily = frame / frame.shift(1) - 1
    _expect(table, panel, f"volatility_{k}", daily.rolling(k).std() * np.sqrt(252))


def test_momentum_skips_the_last_month(table, panel, frame):
    expected = (frame.shift(21) / frame.shift(252) - 1).where(frame.shift(42).notna())
    assert expected.notna().to_numpy().any()
    _expect(table, panel, "momentum_12_1", expected, window=252)
    volatility = column_matrix(table, "volatility_63", panel)
    expected = np.where(volatility > 0, expected / volatility, np.nan)
    _expect(table, panel, "volatility_scaled_momentum", expected, window=252)


def test_momentum_needs_the_return_of_the_month_before_the_skipped_one():
    close = np.linspace(10, 20, 253)
    close[190:211] = np.nan
    halted = _all_rows(panel_of(close)).to_pylist()[-1]
    assert halted["momentum_12_1"] is None


def test_a_short_halt_is_looked_over():
    close = np.linspace(10, 20, 253)
    close[190 : 190 + MAX_GAP_SESSIONS] = np.nan
    resumed = _all_rows(panel_of(close)).to_pylist()[-1]
    assert resumed["return_252"] == pytest.approx(1.0)
    assert resumed["momentum_12_1"] is not None
    assert resumed["filled_sessions"] == MAX_GAP_SESSIONS


def test_dollar_volume_counts_nothing_for_a_session_without_a_bar(table, panel, frame):
    dollars = pd.DataFrame(panel.close * panel.volume).fillna(0).where(frame.notna())
    _expect(table, panel, "dollar_volume_21", dollars.rolling(21).mean())


def test_carried_closes_are_counted(table, panel, frame):
    carried = frame.notna() & ~panel.has_bar
    filled = column_matrix(table, "filled_sessions", panel)
    _expect(table, panel, "filled_sessions", carried.rolling(252, min_periods=1).sum(), window=251)
    assert np.nanmax(filled) > 0


def test_rank_and_percentile_agree_with_pandas_inside_the_universe(panel):
    parameters = MomentumParameters(min_price=30, min_dollar_volume=1.5e7, min_history_bars=100)
    table = _all_rows(panel, parameters)
    rows = table.to_pandas()
    rows["close"] = panel.close[panel.has_bar]
    bars = pd.DataFrame(panel.has_bar).rolling(252, min_periods=1).sum().to_numpy()[panel.has_bar]
    member = (rows["close"] >= 30) & (rows["dollar_volume_21"] >= 1.5e7) & (bars >= 100)
    momentum = rows["momentum_12_1"].where(member)
    by_day = momentum.groupby(rows["trade_date"])
    assert 0 < momentum.notna().sum() < rows["momentum_12_1"].notna().sum()
    expected = pd.DataFrame({"rank": by_day.rank(ascending=False), "percentile": by_day.rank(pct=True)})
    np.testing.assert_allclose(rows["momentum_rank"], expected["rank"], rtol=1e-12)
    np.testing.assert_allclose(rows["momentum_percentile"], expected["percentile"], rtol=1e-12)


def test_equal_values_share_their_rank_and_a_row_without_members_has_none():
    values = np.array([[3.0, 1.0, 3.0, np.nan, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    members = np.array([[True] * 5, [False] * 5])
    ranks, percentiles = rank_rows(values, members)
    np.testing.assert_array_equal(ranks[0], [1.5, 4, 1.5, np.nan, 3])
    np.testing.assert_array_equal(percentiles[0], [0.875, 0.25, 0.875, np.nan, 0.5])
    assert np.isnan(ranks[1]).all()


def test_price_floor_and_dollar_volume_are_judged_by_published_prices():
    panel = panel_of(np.full((300, 1), 8.0) * np.linspace(1, 1.1, 300)[:, None])
    reverse = splits_table([Split("S0000", day(panel, 290), 10, 1)])
    adjusted = adjust_panel(panel, reverse, dividends_table([]), "splits")
    assert adjusted.close[280, 0] > 50
    parameters = MomentumParameters(min_price=20, min_dollar_volume=0, min_history_bars=0)
    ranks = column_matrix(_all_rows(adjusted, parameters), "momentum_rank", panel)
    assert np.isnan(ranks).all()
    raw = column_matrix(_all_rows(panel), "dollar_volume_21", panel)
    after = column_matrix(_all_rows(adjusted), "dollar_volume_21", panel)
    np.testing.assert_allclose(after, raw, rtol=1e-12)


def test_a_short_history_has_the_features_that_it_suffices_for():
    last = _all_rows(panel_of(np.linspace(10, 11, 30))).to_pylist()[-1]
    assert last["return_21"] is not None
    assert last["volatility_21"] is not None
    assert last["return_63"] is None
    assert last["momentum_12_1"] is None
    assert last["momentum_rank"] is None


def test_a_panel_without_symbols_has_no_rows(panel):
    empty = dataclasses.replace(
        panel,
        symbols=(),
        close=panel.close[:, :0],
        volume=panel.volume[:, :0],
    )
    assert _all_rows(empty).num_rows == 0


def test_more_history_than_the_look_back_changes_nothing():
    panel = random_panel(LOOKBACK_SESSIONS + 40, 6, seed=4)
    last = {"first_session": day(panel, -1), "last_session": day(panel, -1), "parameters": EVERYONE}
    assert compute(panel, **last).equals(compute(rows_of(panel, slice(39, None)), **last))
