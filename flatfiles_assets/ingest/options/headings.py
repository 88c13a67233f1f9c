"""What vendors of option data call their columns.

Here: names, without regard to case and marks, by what they mean; the first that a file has counts. Not
here: what the values say (`layouts`). Read from published descriptions of OptionsDX, CBOE DataShop,
HistoricalOptionData and DeltaNeutral, ORATS, OptionMetrics, Polygon, yfinance, Theta Data, iVolatility.
"""

from __future__ import annotations

from collections.abc import Sequence

#: The typed columns of an options table that come from a file's cells.
MEANINGS = (
    *("contract", "underlying", "expiry", "option_type", "strike", "quote_date"),
    *("bid", "ask", "last", "volume", "open_interest", "implied_volatility"),
)
QUOTES = ("bid", "ask", "last", "volume", "open_interest", "implied_volatility")

_NAMES: dict[str, tuple[str, ...]] = {
    "contract": (
        *("option_symbol", "contract_symbol", "option_ticker", "occ_symbol", "occ", "osi", "opra"),
        *("contract", "contract_id", "contract_name", "option_id", "details_ticker", "symbol", "ticker"),
    ),
    "underlying": (
        *("underlying", "underlying_symbol", "underlying_ticker", "act_symbol", "stock_symbol"),
        "underlying_asset_ticker",
        *("ticker", "symbol", "root", "option_root", "underlying_root"),
    ),
    "expiry": (
        *("expiration", "expiry", "expiration_date", "expiry_date", "expire_date", "expir_date", "exp_date"),
        *("exdate", "exp", "maturity", "maturity_date", "option_expiration", "expirationdate"),
        *("option_expiration_date", "details_expiration_date", "expire_unix"),
    ),
    "option_type": (
        *("option_type", "cp_flag", "call_put", "put_call", "right", "contract_type", "option_right"),
        *("c_p", "p_c", "cp", "pc", "call_or_put", "details_contract_type", "type", "kind"),
    ),
    "strike": ("strike", "strike_price", "exercise_price", "details_strike_price"),
    "quote_date": (
        *("quote_date", "data_date", "trade_date", "trading_date", "date", "as_of_date", "as_of"),
        *("quote_datetime", "quote_readtime", "quote_timestamp", "snapshot_date", "snapshot_time"),
        *("timestamp", "datetime", "quote_unixtime", "window_start", "created", "day"),
    ),
    "bid": (
        *("bid", "best_bid", "bid_eod", "bid_price", "bid_px", "closing_bid", "last_quote_bid", "bid_1545"),
    ),
    "ask": (
        *("ask", "best_offer", "best_ask", "ask_eod", "ask_price", "ask_px", "closing_ask", "offer"),
        *("last_quote_ask", "ask_1545"),
    ),
    "last": (
        *("last", "last_price", "last_trade_price", "last_px", "last_sale", "close", "close_price"),
        "day_close",
    ),
    "volume": ("volume", "trade_volume", "total_volume", "vol", "volu", "contract_volume", "day_volume"),
    "open_interest": ("open_interest", "oi", "open_int"),
    "implied_volatility": (
        *("implied_volatility", "impl_volatility", "iv", "implied_vol", "imp_vol", "impl_vol", "mid_iv"),
        *("implied_volatility_1545", "iv_mid"),
    ),
}
#: The price of what the option is on, against which a strike's scale shows.
UNDERLYING_PRICES = (
    *("underlying_price", "underlying_last", "stk_px", "stock_price", "spot_px", "spot", "spot_price"),
    *("underlying_close", "active_underlying_price_eod", "underlying_bid_eod", "underlying_bid_1545"),
    *(
        "underlying_asset_price",
        "active_underlying_price_1545",
        "adjusted_stock_close_price",
        "stock_price_for_iv",
        "forward_price",
    ),
)
#: The day of the last trade, which is no day of a quote.
LAST_TRADES = ("last_trade_date", "last_trade", "last_trade_time", "last_date")


def plain(name: str) -> str:
    """A heading as it is compared."""
    return "".join(character for character in name.casefold() if character.isalnum())


_MEANING_OF = {meaning: [plain(name) for name in names] for meaning, names in _NAMES.items()}


def columns_for(meaning: str, names: Sequence[str]) -> list[str]:
    """The columns that could be of a meaning, the likeliest first."""
    by_plain = {plain(name): name for name in reversed(names)}
    return [by_plain[choice] for choice in _MEANING_OF[meaning] if choice in by_plain]


def first_of(choices: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of some names that there is."""
    by_plain = {plain(name): name for name in reversed(names)}
    return next((by_plain[plain(choice)] for choice in choices if plain(choice) in by_plain), None)


def sides_of(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Columns of calls and of puts in one row (``c_bid`` and ``p_bid``), by what both are."""
    there = set(names)
    found = {}
    for call, put in (("c_", "p_"), ("call_", "put_")):
        for name in names:
            rest = name.removeprefix(call)
            if rest != name and rest and put + rest in there:
                found[rest] = (name, put + rest)
    if {"calls", "puts"} <= there:
        # CBOE's pages name the puts' columns as the calls'.
        found |= {name: (name, f"{name}_2") for name in names if f"{name}_2" in there}
        found["contract"] = ("calls", "puts")
    return found if any(columns_for(quote, list(found)) for quote in QUOTES) else {}
