import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.adjustments import (
    Dividend,
    Split,
    adjust_panel,
    dividend_factors,
    dividends_table,
    splits_table,
)
from flatfiles_assets.algorithms.panel import PricePanel
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests.algorithms.panels import panel_of, random_panel, sessions_before

DAYS = sessions_before(7)
NO_SPLITS, NO_DIVIDENDS = splits_table([]), dividends_table([])


def _worked_panel() -> PricePanel:
    """Two for one on the fourth session, a dividend of 0.53 on the sixth, three for one on the last."""
    table = pa.table(
        {
            "trade_date": pa.array(DAYS, pa.date32()),
            "ticker": ["A"] * 7,
            "open": [99.0, 100, 102, 52, 53, 53, 18],
            "high": [101.0, 103, 105, 54, 54, 55, 19],
            "low": [98.0, 99, 101, 51, 52, 52, 17],
            "close": [100.0, 102, 104, 52, 53, 54, 18],
            "volume": [1000.0, 1100, 1200, 2000, 2200, 2400, 6000],
        }
    )
    return PricePanel.from_arrow(table, DAYS)


SPLITS = splits_table([Split("A", DAYS[3], 1, 2), Split("A", DAYS[6], 1, 3)])
DIVIDENDS = dividends_table([Dividend("A", DAYS[5], 0.53)])


def test_two_splits_and_a_dividend_adjust_as_worked_by_hand():
    adjusted = adjust_panel(_worked_panel(), SPLITS, DIVIDENDS, "total_return")
    # Before the first split 1/6 of the price, times 1 - 0.53/53 = 0.99; then 1/3 × 0.99; then 1/3.
    np.testing.assert_allclose(
        adjusted.close[:, 0], [16.5, 16.83, 17.16, 17.16, 17.49, 18.0, 18.0], rtol=1e-15
    )
    np.testing.assert_allclose(adjusted.open[3:, 0], [52 * 0.33, 53 * 0.33, 53 / 3, 18], rtol=1e-15)
    np.testing.assert_allclose(adjusted.volume[:, 0], [6000, 6600, 7200, 6000, 6600, 7200, 6000], rtol=1e-15)


def test_split_adjustment_leaves_dividends_alone():
    adjusted = adjust_panel(_worked_panel(), SPLITS, DIVIDENDS, "splits")
    np.testing.assert_allclose(
        adjusted.close[:, 0], [100 / 6, 17, 104 / 6, 52 / 3, 53 / 3, 18, 18], rtol=1e-15
    )
    assert adjusted.adjustment == "splits"


def test_published_prices_are_never_changed():
    panel, untouched = _worked_panel(), _worked_panel()
    adjust_panel(panel, SPLITS, DIVIDENDS, "total_return")
    np.testing.assert_array_equal(panel.close, untouched.close)
    np.testing.assert_array_equal(panel.volume, untouched.volume)
    assert adjust_panel(panel, SPLITS, DIVIDENDS, "none").close is panel.close


def test_the_return_over_an_ex_date_is_that_of_the_holder_who_is_paid():
    panel = panel_of([50.0, 49.0])
    paid = dividends_table([Dividend("S0000", panel.sessions[1].item(), 1.0)])
    adjusted = adjust_panel(panel, NO_SPLITS, paid, "total_return").close[:, 0]
    assert adjusted[1] / adjusted[0] == pytest.approx(49 / (50 - 1), rel=1e-15)


def test_a_split_and_a_dividend_on_one_date_count_the_dividend_per_old_share():
    panel = panel_of([100.0, 49.5])
    date = panel.sessions[1].item()
    adjusted = adjust_panel(
        panel,
        splits_table([Split("S0000", date, 1, 2)]),
        dividends_table([Dividend("S0000", date, 1.0)]),
        "total_return",
    )
    assert adjusted.close[0, 0] == pytest.approx((100 - 1) / 2, rel=1e-15)


def test_dividends_of_one_date_are_added():
    panel = panel_of([100.0, 97.0])
    date = panel.sessions[1].item()
    both = dividends_table([Dividend("S0000", date, 1.0), Dividend("S0000", date, 2.0)])
    assert adjust_panel(panel, NO_SPLITS, both, "total_return").close[0, 0] == pytest.approx(97.0)


def test_a_split_listed_twice_is_one_split():
    twice = pa.concat_tables([SPLITS, SPLITS])
    np.testing.assert_array_equal(
        adjust_panel(_worked_panel(), twice, NO_DIVIDENDS, "splits").close,
        adjust_panel(_worked_panel(), SPLITS, NO_DIVIDENDS, "splits").close,
    )


def test_an_ex_date_without_a_session_works_from_the_next_session():
    friday = dt.date(2024, 6, 21)
    panel = panel_of(np.linspace(100, 110, 10))
    saturday = splits_table([Split("S0000", friday + dt.timedelta(days=1), 1, 2)])
    factor = adjust_panel(panel, saturday, NO_DIVIDENDS, "splits").price_factor[:, 0]
    np.testing.assert_array_equal(factor == 0.5, panel.sessions <= np.datetime64(friday))


def test_events_after_as_of_or_outside_the_panel_or_of_others_change_nothing():
    panel = _worked_panel()
    known = adjust_panel(panel, SPLITS, NO_DIVIDENDS, "splits", as_of=DAYS[5])
    np.testing.assert_array_equal(known.close[:, 0], [50, 51, 52, 52, 53, 54, 18])
    elsewhere = splits_table(
        [
            Split("A", DAYS[0], 1, 2),
            Split("A", DAYS[6] + dt.timedelta(days=9), 1, 2),
            Split("ZZZ", DAYS[3], 1, 2),
        ]
    )
    np.testing.assert_array_equal(adjust_panel(panel, elsewhere, NO_DIVIDENDS, "splits").close, panel.close)


def test_a_dividend_as_large_as_the_price_or_in_another_currency_is_left_out_and_shown():
    panel = panel_of(np.array([[10.0, 10.0], [1.0, 9.0]]))
    date = panel.sessions[1].item()
    paid = dividends_table([Dividend("S0000", date, 10.0), Dividend("S0001", date, 1.0)])
    paid = paid.append_column("currency", pa.array(["USD", "CAD"]))
    np.testing.assert_array_equal(adjust_panel(panel, NO_SPLITS, paid, "total_return").close, panel.close)
    (shown,) = dividend_factors(panel, paid).to_pylist()
    assert shown["previous_close"] == 10.0
    assert shown["factor"] is None


def test_the_close_before_an_ex_date_is_that_of_the_last_bar():
    panel = panel_of([50.0, np.nan, np.nan, 48.0])
    paid = dividends_table([Dividend("S0000", panel.sessions[3].item(), 1.0)])
    assert dividend_factors(panel, paid).column("factor").to_pylist() == [0.98]


def test_both_anchors_have_the_same_ratios_and_the_first_keeps_the_past_bit_for_bit():
    panel = random_panel(60, 6, seed=3)
    early = [Split("S0004", panel.sessions[20].item(), 3, 7), Split("S0005", panel.sessions[9].item(), 10, 1)]
    late = [Split("S0004", panel.sessions[50].item(), 1, 3)]
    paid = dividends_table([Dividend("S0004", panel.sessions[30].item(), 0.31)])
    first = adjust_panel(panel, splits_table(early), paid, "total_return", anchor="first")
    later = adjust_panel(panel, splits_table(early + late), paid, "total_return", anchor="first")
    np.testing.assert_array_equal(first.close[:50], later.close[:50])
    last = adjust_panel(panel, splits_table(early), paid, "total_return")
    np.testing.assert_allclose(
        first.close[5:] / first.close[:-5], last.close[5:] / last.close[:-5], rtol=1e-14
    )
    np.testing.assert_array_equal(last.close[-1], panel.close[-1])
    np.testing.assert_array_equal(first.close[0], panel.close[0])


def test_adjusting_twice_or_by_an_unknown_name_is_refused():
    adjusted = adjust_panel(_worked_panel(), SPLITS, NO_DIVIDENDS, "splits")
    with pytest.raises(InvalidArgument, match="already adjusted"):
        adjust_panel(adjusted, SPLITS, NO_DIVIDENDS, "splits")
    with pytest.raises(InvalidArgument, match="none, splits, total_return"):
        adjust_panel(_worked_panel(), SPLITS, NO_DIVIDENDS, "dividends")
