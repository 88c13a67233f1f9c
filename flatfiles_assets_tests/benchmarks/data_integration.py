"""The researcher's door against pandas over per-symbol files, its cache, and a day's cost over the years.

The warehouse holds a market of 11,000 symbols; the peer's CSV files hold only the symbols asked for,
with the same look-back, and are read and computed as research code does: `read_csv`, pivot, pandas.
"""

from __future__ import annotations

import datetime as dt
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets.warehouse.prices import sessions_with_lookback
from flatfiles_assets.warehouse.tables import DAILY_PRICES, SECURITIES, SPLITS, algorithm_table_key, get_table
from flatfiles_assets.warehouse.universe import compute_universe, update_universe
from flatfiles_assets_tests.benchmarks.report import Row, median_seconds

_MARKET_SYMBOLS, _SYMBOLS, _YEARS = 11_000, 500, 5
_RANGE = dt.date(2019, 12, 31), dt.date(2024, 12, 31)
_APPEND_SYMBOLS = 1_000
_APPEND_YEARS = (1, 5, 20)
_CHUNK = 253


def run() -> list[Row]:
    """Measure all claims."""
    folder = Path(tempfile.mkdtemp(prefix="bench-integration-"))
    try:
        return [*_measure_door(folder), *_measure_append(folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure_door(folder: Path) -> list[Row]:
    days, _ = sessions_with_lookback(*_RANGE, ALGORITHMS["momentum"].lookback_sessions)
    warehouse, market = _market(folder / "warehouse.duckdb", _MARKET_SYMBOLS, days)
    rng = np.random.default_rng(7)
    columns = np.sort(rng.choice(_MARKET_SYMBOLS, _SYMBOLS, replace=False))
    symbols = [market.symbols[column] for column in columns]
    _write_csv_files(folder / "csv", market, columns)
    door = DataIntegration(warehouse, load_settings(data_dir=folder), cache_dir=folder / "cache")

    def ours() -> dict[str, object]:
        return door.get_data_for_algorithm("momentum", symbols, *_RANGE, ensure=False, adjust="splits")

    def peers() -> dict[str, pd.DataFrame]:
        return _momentum_with_pandas(folder / "csv", symbols)

    _check_agreement(ours(), peers())
    # What is timed is the wait for the data: a result is stored behind the caller's back. In turn, so
    # that a busy moment of the machine meets both.
    seconds = [(_seconds_without_cache(door, ours), _seconds_without_cache(door, peers)) for _ in range(5)]
    first, peer = (statistics.median(each) for each in zip(*seconds, strict=True))
    ours()
    cached = median_seconds(ours, 5)
    asked = f"momentum, {_SYMBOLS} symbols, {_YEARS} years"
    return [
        Row(
            f"get_data_for_algorithm({asked}), of a market of {_MARKET_SYMBOLS:,}",
            first,
            "pandas read_csv per symbol, same frames and features",
            peer,
            "s",
            peer / first,
            ">= 10",
        ),
        Row(
            f"the same call from the cache ({asked})",
            cached,
            "the first call",
            first,
            "s",
            first / cached,
            ">= 5",
        ),
    ]


def _seconds_without_cache(door: DataIntegration, action: Callable[[], object]) -> float:
    door.clear_cache()
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


class _Market:
    """Random closes and volumes of a market."""

    def __init__(self, n_symbols: int, days: list[dt.date]) -> None:
        rng = np.random.default_rng(1)
        letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        names: set[str] = set()
        while len(names) < n_symbols:
            names.add("".join(rng.choice(letters, int(rng.integers(2, 6)))))
        self.days = days
        self.symbols = sorted(names)
        steps = rng.normal(0, 0.015, (len(days), n_symbols))
        self.close = np.round(40 * np.exp(np.cumsum(steps, axis=0)), 4)
        self.volume = rng.integers(10_000, 5_000_000, (len(days), n_symbols)).astype(float)

    def rows(self, part: slice) -> pa.Table:
        close, volume = self.close[part].reshape(-1), self.volume[part].reshape(-1)
        days = self.days[part]
        n = len(self.symbols)
        columns = {
            "trade_date": pa.array(np.repeat(np.array(days, dtype="datetime64[D]"), n)),
            "ticker": pa.concat_arrays([pa.array(self.symbols)] * len(days)),
            "open": close,
            "high": np.round(close * 1.01, 4),
            "low": np.round(close * 0.99, 4),
            "close": close,
            "volume": volume,
            "transactions": (volume / 100).astype(np.int64),
            "source": pa.repeat("flat_files", len(close)),
            "security_id": pa.nulls(len(close), pa.string()),
        }
        return pa.table({name: columns[name] for name in DAILY_PRICES.column_names})


def _market(path: Path, n_symbols: int, days: list[dt.date]) -> tuple[Warehouse, _Market]:
    warehouse, market = Warehouse(path), _Market(n_symbols, days)
    for start in range(0, len(days), _CHUNK):
        part = slice(start, start + _CHUNK)
        with warehouse.writer("benchmark") as transaction:
            transaction.replace(DAILY_PRICES, market.rows(part), {"trade_date": days[part]}, presorted=True)
    with warehouse.writer("benchmark") as transaction:
        transaction.replace_all(SPLITS, SPLITS.arrow_schema.empty_table())
        transaction.replace_all(SECURITIES, _securities(market))
    return warehouse, market


def _securities(market: _Market) -> pa.Table:
    """One for each ticker, all common stock."""
    count = len(market.symbols)
    columns = {
        "security_id": pa.array([f"{symbol}@{market.days[0]}" for symbol in market.symbols]),
        "ticker": pa.array(market.symbols),
        "first_session": pa.repeat(pa.scalar(market.days[0], pa.date32()), count),
        "last_session": pa.repeat(pa.scalar(market.days[-1], pa.date32()), count),
        "type": pa.repeat("CS", count),
    }
    arrays = [columns.get(f.name, pa.nulls(count, f.type)) for f in SECURITIES.arrow_schema]
    return pa.Table.from_arrays(arrays, schema=SECURITIES.arrow_schema)


def _write_csv_files(folder: Path, market: _Market, columns: np.ndarray) -> None:
    folder.mkdir()
    for column in columns:
        close = market.close[:, column]
        frame = pd.DataFrame(
            {
                "date": market.days,
                "open": close,
                "high": np.round(close * 1.01, 4),
                "low": np.round(close * 0.99, 4),
                "close": close,
                "volume": market.volume[:, column],
            }
        )
        frame.to_csv(folder / f"{market.symbols[column]}.csv", index=False)


def _momentum_with_pandas(folder: Path, symbols: list[str]) -> dict[str, pd.DataFrame]:
    """The frames of `get_data_for_algorithm`, written the way pandas invites to: on wide frames."""
    files = {
        name: pd.read_csv(folder / f"{name}.csv", parse_dates=["date"]).set_index("date") for name in symbols
    }
    close = pd.concat({name: frame["close"] for name, frame in files.items()}, axis=1)
    volume = pd.concat({name: frame["volume"] for name, frame in files.items()}, axis=1)
    published, close = close, close.ffill(limit=10)
    returns = published.pct_change(fill_method=None)
    daily = close.pct_change(fill_method=None)
    features = {f"return_{k}": close.pct_change(k, fill_method=None) for k in (1, 5, 21, 63, 126, 252)}
    features["momentum_12_1"] = close.shift(21) / close.shift(252) - 1
    for k in (21, 63):
        features[f"volatility_{k}"] = daily.rolling(k).std() * np.sqrt(252)
    features["volatility_scaled_momentum"] = features["momentum_12_1"] / features["volatility_63"]
    features["dollar_volume_21"] = (published * volume).fillna(0).rolling(21).mean()
    bars = published.notna().rolling(252).sum()
    universe = (published >= 5) & (features["dollar_volume_21"] >= 1e6) & (bars >= 200)
    ranked = features["momentum_12_1"].where(universe)
    features["momentum_rank"] = ranked.rank(axis=1, ascending=False)
    features["momentum_percentile"] = ranked.rank(axis=1, pct=True)
    features["filled_sessions"] = close.notna().rolling(252).sum() - bars
    asked = slice(pd.Timestamp(_RANGE[0]), pd.Timestamp(_RANGE[1]))
    stacked = {name: frame.loc[asked].stack(future_stack=True) for name, frame in features.items()}
    stacked["adjustment"] = "splits"
    long = pd.DataFrame(stacked).rename_axis(["session", "symbol"]).reset_index()
    return {
        "price_data": published.loc[asked],
        "returns_data": returns.loc[asked],
        "volume_data": volume.loc[asked],
        "momentum_data": long,
    }


def _check_agreement(ours: dict[str, object], peers: dict[str, pd.DataFrame]) -> None:
    for key, expected in peers.items():
        found = ours[key]
        assert isinstance(found, pd.DataFrame)
        common = [column for column in expected.columns if column not in ("session", "symbol", "adjustment")]
        np.testing.assert_allclose(
            found[common].to_numpy(float), expected[common].to_numpy(float), rtol=1e-7, atol=1e-9, err_msg=key
        )


def _measure_append(folder: Path) -> list[Row]:
    """The cost of one more session in `algorithm/*`, after histories of some years."""
    last = _RANGE[1]
    actions: dict[int, Callable[[], None]] = {}
    universes: dict[int, Callable[[], None]] = {}
    for years in _APPEND_YEARS:
        # The look-back exists in each, so that all compute the same.
        first = last.replace(year=last.year - years)
        lookback = max(algorithm.lookback_sessions for algorithm in ALGORITHMS.values())
        days = sessions_with_lookback(first, last, lookback)[0] if years == 1 else None
        days = days or calendars.sessions("XNYS", first, last)
        warehouse, _ = _market(folder / f"append-{years}.duckdb", _APPEND_SYMBOLS, days)
        _fill_features(warehouse, days)
        actions[years] = _appending(warehouse, days[-1])
        universes[years] = _universe_of(warehouse, days[-1])
    rows = _compared(f"one new session of algorithm/*, {_APPEND_SYMBOLS:,} symbols", actions)
    return [*rows, *_compared(f"the universe of a session, {_APPEND_SYMBOLS:,} symbols", universes)]


def _compared(what: str, actions: dict[int, Callable[[], None]]) -> list[Row]:
    """What an action costs after more years, against the fewest."""
    seconds: dict[int, list[float]] = {years: [] for years in actions}
    for action in actions.values():
        action()
    # In turn, so that a busy moment of the machine meets all alike.
    for _ in range(11):
        for years, action in actions.items():
            started = time.perf_counter()
            action()
            seconds[years].append(time.perf_counter() - started)
    # The least is what the work costs; the rest is what else the machine does.
    least = {years: min(each) for years, each in seconds.items()}
    shortest = least[_APPEND_YEARS[0]]
    return [
        Row(
            f"{what}, after {years} years",
            least[years],
            f"after {_APPEND_YEARS[0]} year",
            shortest,
            "s",
            least[years] / shortest,
            "<= 1.3",
        )
        for years in _APPEND_YEARS[1:]
    ]


def _fill_features(warehouse: Warehouse, days: list[dt.date]) -> None:
    """Rows of every earlier session, as a long-running platform has them; their values do not matter."""
    for name in ("momentum", "mean_reversion"):
        algorithm = ALGORITHMS[name]
        table = get_table(algorithm_table_key(name))
        (result,) = update_features(algorithm, days[-1:], warehouse)
        assert result.rows is not None
        for start in range(0, len(days), _CHUNK):
            part = days[start : start + _CHUNK]
            dated = [
                result.rows.set_column(0, "trade_date", pa.array([day] * result.rows.num_rows, pa.date32()))
                for day in part
            ]
            with warehouse.writer("benchmark") as transaction:
                transaction.replace(
                    table,
                    pa.concat_tables(dated),
                    {"trade_date": part},
                    presorted=True,
                )


def _appending(warehouse: Warehouse, day: dt.date) -> Callable[[], None]:
    def append() -> None:
        for result in update_universe([day], warehouse):
            assert result.error is None
        for algorithm in ALGORITHMS.values():
            for result in update_features(algorithm, [day], warehouse, universe=Universe(top=None)):
                assert result.error is None

    return append


def _universe_of(warehouse: Warehouse, day: dt.date) -> Callable[[], None]:
    def compute() -> None:
        assert compute_universe(warehouse.reader(), [day]).rows.num_rows == _APPEND_SYMBOLS

    return compute


if __name__ == "__main__":
    warnings.simplefilter("error")
    for row in run():
        print(row)
