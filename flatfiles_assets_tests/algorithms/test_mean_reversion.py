import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import talib

from flatfiles_assets.algorithms.adjustments import Split, adjust_panel, dividends_table, splits_table
from flatfiles_assets.algorithms.mean_reversion import COLUMNS, MeanReversionParameters, compute
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests.algorithms.panels import column_matrix, day, panel_of, random_panel


def _all_rows(panel, parameters=None):
    return compute(panel, first_session=day(panel, 0), last_session=day(panel, -1), parameters=parameters)


def _feature(panel, name):
    return column_matrix(_all_rows(panel), name, panel)


@pytest.fixture(scope="module")
def panel():
    """Four symbols without gaps, longer than the memory of the RSI."""
    return random_panel(1500, 4, seed=21, gaps=0)


@pytest.fixture(scope="module")
def table(panel):
    return _all_rows(panel)


def _each(panel, function):
    return np.column_stack([function(np.ascontiguousarray(column)) for column in panel.close.T])


def test_the_table_has_the_columns_it_declares(table):
    assert [field.name for field in table.schema] == [column.name for column in COLUMNS]
    assert [field.type for field in table.schema] == [column.type for column in COLUMNS]


def test_sma_agrees_with_ta_lib(panel, table):
    expected = _each(panel, lambda close: talib.SMA(close, 20))
    np.testing.assert_allclose(column_matrix(table, "sma_20", panel), expected, rtol=0, atol=1e-9)


def test_bollinger_bands_agree_with_ta_lib(panel, table):
    for number, name in ((0, "bollinger_upper"), (2, "bollinger_lower")):
        expected = _each(panel, lambda close, n=number: talib.BBANDS(close, 20, 2, 2)[n])
        np.testing.assert_allclose(column_matrix(table, name, panel), expected, rtol=0, atol=1e-9)


def test_rsi_agrees_with_ta_lib_from_its_first_value_to_long_after_its_memory(panel, table):
    expected = _each(panel, lambda close: talib.RSI(close, 14))
    np.testing.assert_allclose(column_matrix(table, "rsi_14", panel), expected, rtol=0, atol=1e-9)


def test_rsi_of_a_late_listing_starts_at_its_first_bar():
    close = random_panel(300, 1, seed=5, gaps=0).close
    listed = 170
    late = np.where(np.arange(300)[:, None] < listed, np.nan, close)
    rsi = _feature(panel_of(late), "rsi_14")[:, 0]
    expected = talib.RSI(np.ascontiguousarray(close[listed:, 0]), 14)
    np.testing.assert_allclose(rsi[listed:], expected, rtol=0, atol=1e-9)


def test_rsi_starts_anew_after_a_gap_too_long_to_be_carried():
    close = random_panel(300, 1, seed=6, gaps=0).close
    resumed = 200
    close[resumed - MAX_GAP_SESSIONS - 1 : resumed] = np.nan
    rsi = _feature(panel_of(close), "rsi_14")[:, 0]
    expected = talib.RSI(np.ascontiguousarray(close[resumed:, 0]), 14)
    np.testing.assert_allclose(rsi[resumed:], expected, rtol=0, atol=1e-9)


def test_rsi_passes_over_a_short_gap_as_over_sessions_without_a_move():
    close = random_panel(300, 1, seed=7, gaps=0).close
    close[200:205] = np.nan
    rsi = _feature(panel_of(close), "rsi_14")[:, 0]
    carried = pd.Series(close[:, 0]).ffill().to_numpy()
    expected = np.where(np.isnan(close[:, 0]), np.nan, talib.RSI(carried, 14))
    np.testing.assert_allclose(rsi, expected, rtol=0, atol=1e-9)


def test_zscore_and_percent_b_place_the_close(panel, table):
    frame = pd.DataFrame(panel.close).rolling(20)
    zscore = (panel.close - frame.mean()) / frame.std(ddof=0)
    np.testing.assert_allclose(column_matrix(table, "zscore_20", panel), zscore, rtol=1e-8, atol=1e-9)
    upper, lower = (column_matrix(table, f"bollinger_{n}", panel) for n in ("upper", "lower"))
    percent = (panel.close - lower) / (upper - lower)
    np.testing.assert_allclose(column_matrix(table, "bollinger_percent_b", panel), percent, atol=1e-10)


def test_reversal_is_minus_the_return(panel, table):
    for k in (1, 5):
        expected = -(panel.close[k:] / panel.close[:-k] - 1)
        np.testing.assert_allclose(column_matrix(table, f"reversal_{k}", panel)[k:], expected, atol=1e-14)


def test_half_life_agrees_with_ordinary_least_squares_and_is_null_where_the_fit_does_not_revert():
    rng = np.random.default_rng(8)
    reverting = np.zeros(400)
    for t in range(1, 400):
        reverting[t] = 0.9 * reverting[t - 1] + rng.normal()
    trending = 1.03 ** np.arange(400)
    alternating = 50 + (-1.0) ** np.arange(400) + 0.1 * rng.normal(size=400)
    panel = panel_of(np.column_stack([100 + reverting, 10 * trending, alternating]))
    half_life = _feature(panel, "half_life_sessions")
    for row in (62, 200, 399):
        window = panel.close[row - 62 : row + 1, 0]
        phi = sm.OLS(window[1:], sm.add_constant(window[:-1])).fit().params[1]
        assert half_life[row, 0] == pytest.approx(-np.log(2) / np.log(phi), rel=1e-8)
    assert np.isnan(half_life[:62]).all()
    assert np.isnan(half_life[:, 1:]).all()


def test_a_flat_price_has_a_mean_but_no_zscore_rsi_or_half_life():
    last = _all_rows(panel_of(np.full(100, 0.1))).to_pylist()[-1]
    assert last["sma_20"] == pytest.approx(0.1)
    assert last["std_20"] == 0
    for name in ("zscore_20", "bollinger_percent_b", "rsi_14", "half_life_sessions"):
        assert last[name] is None


def test_levels_are_in_the_prices_of_their_own_session():
    published = random_panel(60, 1, seed=9, gaps=0)
    published.close[40:] /= 4
    panel = adjust_panel(
        published, splits_table([Split("S0000", day(published, 40), 1, 4)]), dividends_table([]), "splits"
    )
    for anchor in ("last", "first"):
        adjusted = adjust_panel(
            published,
            splits_table([Split("S0000", day(published, 40), 1, 4)]),
            dividends_table([]),
            "splits",
            anchor=anchor,
        )
        sma = _feature(adjusted, "sma_20")[:, 0]
        assert sma[39] == pytest.approx(published.close[20:40, 0].mean(), rel=1e-12)
        assert sma[45] == pytest.approx(panel.close[26:46, 0].mean(), rel=1e-12)


def test_the_width_of_the_bands_is_a_parameter_and_must_be_positive(panel):
    wide = _all_rows(panel, MeanReversionParameters(band_stds=3.0)).to_pandas()
    np.testing.assert_allclose(wide["bollinger_upper"] - wide["sma_20"], 3 * wide["std_20"], atol=1e-10)
    with pytest.raises(InvalidArgument, match="band_stds"):
        MeanReversionParameters(band_stds=0)
