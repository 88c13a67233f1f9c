import dataclasses

import numpy as np

from flatfiles_assets.algorithms.adjustments import Split, splits_table
from flatfiles_assets.algorithms.split_search import SUSPECTED_SPLITS_SCHEMA, suspected_splits
from flatfiles_assets_tests.algorithms.panels import day, panel_of

NOTHING_KNOWN = splits_table([])


def _panel_with(price_factor: float, volume_factor: float):
    rng = np.random.default_rng(5)
    close = 80 * np.exp(np.cumsum(rng.normal(0, 0.01, 40)))
    volume = rng.uniform(0.8e6, 1.2e6, 40)
    close[30:] *= price_factor
    volume[30:] *= volume_factor
    return panel_of(close, volume[:, None])


def test_a_halved_price_with_doubled_volume_and_no_record_is_suspected():
    panel = _panel_with(1 / 2, 2)
    (found,) = suspected_splits(panel, NOTHING_KNOWN).to_pylist()
    assert (found["trade_date"], found["ticker"]) == (day(panel, 30), "S0000")
    assert (found["split_from"], found["split_to"]) == (1, 2)
    assert 0.48 < found["price_ratio"] < 0.52


def test_a_reverse_split_is_suspected():
    (found,) = suspected_splits(_panel_with(10, 0.1), NOTHING_KNOWN).to_pylist()
    assert (found["split_from"], found["split_to"]) == (10, 1)


def test_a_recorded_split_is_not_suspected():
    panel = _panel_with(1 / 2, 2)
    assert suspected_splits(panel, splits_table([Split("S0000", day(panel, 30), 1, 2)])).num_rows == 0
    elsewhere = splits_table([Split("S0000", day(panel, 29), 1, 2), Split("B", day(panel, 30), 1, 2)])
    assert suspected_splits(panel, elsewhere).num_rows == 1


def test_a_split_during_a_gap_is_recognised_as_recorded():
    panel = _panel_with(1 / 2, 2)
    panel.close[28:30] = np.nan
    assert suspected_splits(panel, NOTHING_KNOWN).num_rows == 1
    assert suspected_splits(panel, splits_table([Split("S0000", day(panel, 29), 1, 2)])).num_rows == 0


def test_a_crash_on_many_times_the_volume_is_no_split():
    assert suspected_splits(_panel_with(1 / 2, 20), NOTHING_KNOWN).num_rows == 0


def test_a_move_to_no_simple_fraction_is_no_split():
    assert suspected_splits(_panel_with(0.43, 1 / 0.43), NOTHING_KNOWN).num_rows == 0


def test_the_open_decides_where_there_is_one():
    panel = _panel_with(1 / 2, 2)
    opens = panel.close.copy()
    opens[30] = panel.close[29] * 0.9
    assert suspected_splits(dataclasses.replace(panel, open=opens), NOTHING_KNOWN).num_rows == 0


def test_an_ordinary_market_has_no_suspects():
    rng = np.random.default_rng(6)
    panel = panel_of(50 * np.exp(np.cumsum(rng.normal(0, 0.03, (200, 50)), axis=0)))
    found = suspected_splits(panel, NOTHING_KNOWN)
    assert found.num_rows == 0
    assert found.schema.equals(SUSPECTED_SPLITS_SCHEMA)
