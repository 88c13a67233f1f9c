import warnings

import numpy as np
import pandas as pd
import pytest
from alphalens.utils import get_clean_factor_and_forward_returns

from flatfiles_assets.algorithms import mean_reversion, momentum
from flatfiles_assets_tests.algorithms.panels import day, random_panel

PANEL = random_panel(700, 30, seed=61, gaps=0)


@pytest.mark.parametrize(
    ("algorithm", "factor"),
    [
        (momentum, "momentum_12_1"),
        (momentum, "momentum_percentile"),
        (mean_reversion, "zscore_20"),
        (mean_reversion, "rsi_14"),
    ],
)
def test_a_feature_column_is_a_factor_for_alphalens(algorithm, factor):
    table = algorithm.compute(PANEL, first_session=day(PANEL, 600), last_session=day(PANEL, 660))
    frame = table.to_pandas()
    frame["trade_date"] = pd.to_datetime(frame["trade_date"])
    series = frame.set_index(["trade_date", "ticker"])[factor].dropna()
    prices = pd.DataFrame(PANEL.close, pd.DatetimeIndex(PANEL.sessions), list(PANEL.symbols))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = get_clean_factor_and_forward_returns(series, prices, periods=(1, 5), quantiles=5)
    assert set(clean.columns) == {"1D", "5D", "factor", "factor_quantile"}
    date, asset = clean.index[7]
    row = prices.index.get_loc(date)
    expected = prices[asset].iloc[row + 5] / prices[asset].iloc[row] - 1
    assert clean["5D"].iloc[7] == pytest.approx(expected)
    assert np.isclose(clean["factor"].iloc[7], series.loc[(date, asset)])
