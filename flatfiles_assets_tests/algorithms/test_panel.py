import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS, PricePanel, carry_closes, long_gaps, to_long
from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests.algorithms.panels import as_table, panel_of, random_panel, sessions_before

NAN = np.nan


def _long(rows: list[tuple[dt.date, str, float, float]]) -> pa.Table:
    dates, tickers, closes, volumes = zip(*rows, strict=True)
    return pa.table(
        {
            "trade_date": pa.array(dates, pa.date32()),
            "ticker": pa.array(tickers, pa.string()),
            "close": pa.array(closes, pa.float64()),
            "volume": pa.array(volumes, pa.float64()),
        }
    )


def test_a_long_table_in_any_order_becomes_a_matrix_of_all_sessions():
    days = sessions_before(3)
    table = _long([(days[2], "NA", 3.0, 30.0), (days[0], "BCpC", 1.0, 10.0), (days[0], "BCPC", 2.0, 20.0)])
    panel = PricePanel.from_arrow(table, days)
    assert panel.symbols == ("BCPC", "BCpC", "NA")
    np.testing.assert_array_equal(panel.close, [[2, 1, NAN], [NAN, NAN, NAN], [NAN, NAN, 3]])
    np.testing.assert_array_equal(panel.volume[0], [20, 10, NAN])
    assert panel.open is None


def test_symbols_asked_for_keep_their_order_and_unknown_ones_are_empty():
    days = sessions_before(1)
    table = _long([(days[0], "A", 1.0, 1.0), (days[0], "B", 2.0, 1.0), (days[0], "C", 3.0, 1.0)])
    panel = PricePanel.from_arrow(table, days, symbols=["C", "XXX", "A"])
    np.testing.assert_array_equal(panel.close, [[3, NAN, 1]])


def test_a_matrix_returns_to_the_long_table_it_came_from():
    panel = random_panel(40, 7, seed=1)
    table = as_table(panel)
    columns = (
        TRADE_DATE,
        Column("ticker", pa.string(), ""),
        Column("close", pa.float64(), ""),
        Column("volume", pa.float64(), ""),
    )
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))
    again = PricePanel.from_arrow(shuffled, panel.sessions.tolist())
    features = {"close": again.close, "volume": again.volume}
    assert to_long(again, slice(0, 40), features, columns).equals(table)


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_tickers_may_be_any_kind_of_text_in_any_number_of_chunks(type_):
    days = sessions_before(2)
    parts = [
        _long([(days[0], "B", 1.0, 1.0), (days[0], "A", 2.0, 1.0)]),
        _long([(days[1], "C", 3.0, 1.0), (days[1], "A", 4.0, 1.0)]),
    ]
    parts = [part.set_column(1, "ticker", part["ticker"].cast(type_)) for part in parts]
    panel = PricePanel.from_arrow(pa.concat_tables(parts), days)
    assert panel.symbols == ("A", "B", "C")
    np.testing.assert_array_equal(panel.close, [[2, 1, NAN], [4, NAN, 3]])


def test_an_empty_table_is_a_panel_without_symbols():
    days = sessions_before(2)
    panel = PricePanel.from_arrow(_long([(days[0], "A", 1.0, 1.0)]).slice(0, 0), days)
    assert panel.close.shape == (2, 0)


def test_a_bar_outside_the_sessions_is_refused():
    days = sessions_before(3)
    table = _long([(days[0], "A", 1.0, 1.0), (days[1], "A", 1.0, 1.0)])
    with pytest.raises(InvalidArgument, match=f"{days[1]}.*not one of the sessions"):
        PricePanel.from_arrow(table, [days[0], days[2]])


def test_two_bars_of_one_session_and_symbol_are_refused():
    days = sessions_before(1)
    with pytest.raises(InvalidArgument, match="more than one bar"):
        PricePanel.from_arrow(_long([(days[0], "A", 1.0, 1.0), (days[0], "A", 2.0, 1.0)]), days)


def test_long_gaps_are_counted_from_their_begin_and_short_ones_and_ends_before_are_not():
    close = np.full((MAX_GAP_SESSIONS + 6, 2), 5.0)
    close[2 : 3 + MAX_GAP_SESSIONS, 0] = NAN
    close[:3, 1] = NAN
    close[5, 1] = NAN
    counted = long_gaps(carry_closes(close) > 0)
    assert counted is not None
    np.testing.assert_array_equal(counted[:, 0], np.arange(len(close)) >= 2 + MAX_GAP_SESSIONS)
    assert not counted[:, 1].any()
    assert long_gaps(carry_closes(close[:, 1:]) > 0) is None


def test_closes_are_carried_from_the_past_only():
    close = random_panel(80, 6, seed=2, gaps=0.3).close
    carried = carry_closes(close)
    for stop in (20, 50, 79):
        np.testing.assert_array_equal(carry_closes(close[:stop]), carried[:stop])


def test_a_price_of_zero_is_no_price():
    panel = panel_of(np.array([1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(panel.has_bar[:, 0], [True, False, True])
    np.testing.assert_array_equal(carry_closes(panel.close)[:, 0], [1, 1, 2])


def test_a_range_without_sessions_is_refused():
    panel = random_panel(5, 2, seed=0)
    with pytest.raises(InvalidArgument, match="no session"):
        panel.rows_between(dt.date(2030, 1, 1), dt.date(2030, 1, 31))
