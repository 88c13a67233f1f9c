"""Historical years as ZIPs, in every layout that such archives have been seen in.

Here: `HistoricalLayout`, a point in the space of layouts, and the writer that turns bars into an
archive of that layout. Not here: what the demo puts where (`seed.py`), nor reading any of it back
(`ingest/historical.py`), which these files exist to challenge.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from flatfiles_assets import calendars
from flatfiles_assets.demo.corporate_actions import SPLITS
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.universe import TEST_TICKERS
from flatfiles_assets.demo.vendor_files import compress, with_whole_numbers
from flatfiles_assets.errors import InvalidArgument

Arrangement = Literal["long", "per_symbol", "per_day"]
HeadingStyle = Literal["title", "lower", "upper", "angle"]

DEFAULT_ORDER = ("date", "time", "ticker", "open", "high", "low", "close", "volume", "adj_close")
_DATE_TYPE, _STAMP_TYPE = pa.date32(), pa.timestamp("s")
_MIDNIGHT = dt.time()


@dataclasses.dataclass(frozen=True)
class HistoricalLayout:
    """How a year of bars is spread over files and written down; every choice is free of the others.

    Attributes:
        arrangement: One file in all, one per symbol (named for it) or one per day (named for it).
        separator: Between fields.
        header: Whether each file begins with a line of headings.
        date_format: `strftime` format of the date column; with ``%H`` it shows the time of day too.
        time_format: `strftime` format of a separate time column; None for no such column.
        heading_style: How price headings are written: ``Open``, ``open``, ``OPEN`` or ``<OPEN>``.
        date_heading: Heading of the date column; None for ``date`` in the heading style.
        ticker_heading: Heading of the symbol column; None for ``ticker`` in the heading style.
        volume_heading: Heading of the volume column; None for ``volume`` in the heading style.
        adjusted_close: Whether there is an ``Adj Close`` column.
        column_order: The fields' order; fields that the layout lacks are passed over.
        named_fields_repeated: Whether files per symbol or day have the symbol or date as a column
            too, or in their names only.
        extension: End of the file names; ``.gz`` at its end compresses.
        folder: Folder within the archive, without a slash at its end.
        nested: Whether files lie in a subfolder each by initial, or by month.
        name_prefix: Before the symbol, date or year in file names.
        file_date_format: `strftime` format of the date in file names.
        encoding: Of the text.
        quoted: Whether text fields and headings stand in double quotes.
        decimal_comma: Whether prices are written ``12,34``.
        crlf: Whether lines end as on Windows.
        newest_first: Whether rows run from the last day to the first.

    Raises:
        InvalidArgument: Prices and fields are to be separated by the same comma.
    """

    arrangement: Arrangement = "long"
    separator: str = ","
    header: bool = True
    date_format: str = "%Y-%m-%d"
    time_format: str | None = None
    heading_style: HeadingStyle = "title"
    date_heading: str | None = None
    ticker_heading: str | None = None
    volume_heading: str | None = None
    adjusted_close: bool = False
    column_order: tuple[str, ...] = DEFAULT_ORDER
    named_fields_repeated: bool = False
    extension: str = ".csv"
    folder: str = ""
    nested: bool = False
    name_prefix: str = ""
    file_date_format: str = "%Y-%m-%d"
    encoding: str = "utf-8"
    quoted: bool = False
    decimal_comma: bool = False
    crlf: bool = False
    newest_first: bool = False

    def __post_init__(self) -> None:
        if self.decimal_comma and self.separator == ",":
            raise InvalidArgument("a decimal comma needs another separator than the comma")

    def fields(self) -> tuple[str, ...]:
        """The columns of each file, in order."""
        absent = set()
        if not self.named_fields_repeated:
            absent |= {"per_symbol": {"ticker"}, "per_day": {"date"}}.get(self.arrangement, set())
        if self.time_format is None:
            absent.add("time")
        if not self.adjusted_close:
            absent.add("adj_close")
        return tuple(field for field in self.column_order if field not in absent)

    def heading(self, field: str) -> str:
        """The heading of a column."""
        stated = {
            "date": self.date_heading,
            "ticker": self.ticker_heading,
            "volume": self.volume_heading,
        }.get(field)
        if stated is not None:
            return stated
        words = field.replace("_", " ")
        return {
            "title": words.title(),
            "lower": field,
            "upper": words.upper(),
            "angle": f"<{field.upper().replace('_', '')}>",
        }[self.heading_style]


def historical_bars(market: SyntheticMarket, year: int, symbols: Iterable[str] | None = None) -> pa.Table:
    """A year of day bars: trade_date, ticker, open, high, low, close, volume, adj_close.

    Prices are those of `SyntheticMarket.day_bars`, unadjusted; `adj_close` is adjusted for every
    later split. Sorted by (trade_date, ticker). Test tickers are left out: no archive keeps them.
    """
    wanted = set(market.tickers if symbols is None else symbols) - set(TEST_TICKERS)
    parts = []
    for session in calendars.sessions("XNYS", dt.date(year, 1, 1), dt.date(year, 12, 31)):
        bars = market.day_bars(session, wanted)
        dates = pa.array([session] * bars.num_rows, _DATE_TYPE)
        parts.append(bars.append_column("trade_date", dates))
    bars = pa.concat_tables(parts)
    bars = bars.append_column("adj_close", _split_adjusted_close(bars))
    names = ["trade_date", "ticker", "open", "high", "low", "close", "volume", "adj_close"]
    return bars.select(names).sort_by([("trade_date", "ascending"), ("ticker", "ascending")])


def historical_minute_bars(
    market: SyntheticMarket, sessions: Iterable[dt.date], symbols: Iterable[str]
) -> pa.Table:
    """Minute bars of regular and extended hours: timestamp, ticker, open, high, low, close, volume.

    `timestamp` is the bar's start, New York wall time without a zone. Sorted by (timestamp, ticker).
    """
    wanted = list(symbols)
    bars = pa.concat_tables([market.minute_bars(session, wanted) for session in sessions])
    utc = bars["window_start"].cast(pa.timestamp("ns", tz="UTC"))
    local = pc.local_timestamp(utc.cast(pa.timestamp("ns", tz="America/New_York"))).cast(_STAMP_TYPE)
    bars = bars.append_column("timestamp", local)
    names = ["timestamp", "ticker", "open", "high", "low", "close", "volume"]
    return bars.select(names).sort_by([("timestamp", "ascending"), ("ticker", "ascending")])


def write_year_zip(
    market: SyntheticMarket, year: int, layout: HistoricalLayout, symbols: Iterable[str] | None = None
) -> bytes:
    """The ZIP of a year of day bars in that layout; the same arguments give the same bytes.

    Where every symbol has a file, symbols whose names differ from an earlier one's in case only are
    left out unless they are asked for: such an archive cannot be extracted on every machine.
    """
    if symbols is None:
        symbols = _distinct_file_names(market.tickers) if layout.arrangement == "per_symbol" else None
    return write_bars_zip(historical_bars(market, year, symbols), layout, str(year))


def write_bars_zip(
    bars: pa.Table,
    layout: HistoricalLayout,
    name: str,
    extra_members: Mapping[str, bytes] | None = None,
) -> bytes:
    """Any bars as a ZIP in that layout.

    Args:
        bars: Columns trade_date (date32) or timestamp (naive), ticker, open, high, low, close,
            volume, and adj_close where the layout has it.
        layout: How to write them.
        name: File name, before its extension, of the ``long`` arrangement.
        extra_members: Further files, by name in the archive.
    """
    members = {
        member: _encode(part, layout) for member, part in _split_into_files(bars, layout, name)
    } | dict(extra_members or {})
    return zip_of(members)


def zip_of(members: Mapping[str, bytes]) -> bytes:
    """A ZIP of these members, in this order, with a fixed time stamp."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for member, content in members.items():
            info = zipfile.ZipInfo(member, date_time=(2010, 1, 15, 12, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def hostile_zip(year: int) -> bytes:
    """A ZIP with a plausible file, and a member whose name leaves the directory it is extracted to."""
    return zip_of(
        {
            f"{year}.csv": f"Date,Symbol,Open,High,Low,Close\n{year}-01-03,KO,42,42,42,42\n".encode(),
            "../../outside.csv": b"written outside the year's directory\n",
        }
    )


def _split_into_files(bars: pa.Table, layout: HistoricalLayout, name: str) -> Iterator[tuple[str, pa.Table]]:
    moment = _moment_column(bars)
    order = "descending" if layout.newest_first else "ascending"
    bars = bars.sort_by([(moment, order), ("ticker", "ascending")])
    if layout.arrangement == "long":
        yield _member(layout, "", name), bars
    elif layout.arrangement == "per_symbol":
        for symbol, part in _groups(bars, bars["ticker"]):
            yield _member(layout, symbol[0].upper(), symbol), part
    else:
        for day, part in _groups(bars, bars[moment].cast(_DATE_TYPE)):
            yield _member(layout, f"{day:%m}", day.strftime(layout.file_date_format)), part


def _groups(bars: pa.Table, key: pa.ChunkedArray) -> Iterator[tuple[Any, pa.Table]]:
    """The rows of each distinct value of the key, both in their first order."""
    encoded = key.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    rows = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))
    grouped = bars.take(pa.array(rows)).combine_chunks()
    start = 0
    for value, end in zip(encoded.dictionary.to_pylist(), ends.tolist(), strict=True):
        yield value, grouped.slice(start, end - start)
        start = end


def _member(layout: HistoricalLayout, subfolder: str, stem: str) -> str:
    parts = (layout.folder, subfolder if layout.nested else "", layout.name_prefix + stem + layout.extension)
    return "/".join(part for part in parts if part)


def _encode(bars: pa.Table, layout: HistoricalLayout) -> bytes:
    fields = layout.fields()
    columns = {field: _column(bars, field, layout) for field in fields}
    table = with_whole_numbers(pa.table(columns))
    if layout.decimal_comma:
        table = _with_decimal_comma(table)
    buffer = io.BytesIO()
    options = pacsv.WriteOptions(
        include_header=False, delimiter=layout.separator, quoting_style="needed" if layout.quoted else "none"
    )
    if layout.header:
        mark = '"' if layout.quoted else ""
        headings = layout.separator.join(f"{mark}{layout.heading(field)}{mark}" for field in fields)
        buffer.write(f"{headings}\n".encode())
    pacsv.write_csv(table, buffer, options)
    text = buffer.getvalue()
    if layout.crlf:
        text = text.replace(b"\n", b"\r\n")
    if layout.encoding != "utf-8":
        text = text.decode().encode(layout.encoding)
    return compress(text) if layout.extension.lower().endswith(".gz") else text


def _column(bars: pa.Table, field: str, layout: HistoricalLayout) -> pa.ChunkedArray | pa.Array:
    if field == "date":
        return _formatted(bars[_moment_column(bars)], layout.date_format)
    if field == "time":
        return _formatted(bars[_moment_column(bars)], layout.time_format or "")
    return bars[field]


def _formatted(moments: pa.ChunkedArray, pattern: str) -> pa.Array:
    """Each distinct moment is formatted once."""
    encoded = moments.combine_chunks().dictionary_encode()
    texts = [
        (value if isinstance(value, dt.datetime) else dt.datetime.combine(value, _MIDNIGHT)).strftime(pattern)
        for value in encoded.dictionary.to_pylist()
    ]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _with_decimal_comma(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            text = pc.replace_substring(table.column(position).cast(pa.string()), ".", ",")
            table = table.set_column(position, field.name, text)
    return table


def _moment_column(bars: pa.Table) -> str:
    return "timestamp" if "timestamp" in bars.column_names else "trade_date"


def _split_adjusted_close(bars: pa.Table) -> pa.Array:
    closes = bars["close"].to_numpy().copy()
    tickers, dates = bars["ticker"].to_numpy(), bars["trade_date"].to_numpy()
    for split in SPLITS:
        before = (tickers == split.ticker) & (dates < np.datetime64(split.execution_date))
        closes[before] *= split.split_from / split.split_to
    return pa.array(np.round(closes, 4))


def _distinct_file_names(tickers: Iterable[str]) -> list[str]:
    seen: dict[str, str] = {}
    for ticker in tickers:
        seen.setdefault(ticker.casefold(), ticker)
    return list(seen.values())
