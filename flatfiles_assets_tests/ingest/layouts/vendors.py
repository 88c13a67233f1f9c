"""Files as vendors and programs write them, with the small market of `look_alikes` in them.

Here: `VENDORS`, by whose they are. Not here: kinds that are nobody's in particular (`look_alikes`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import random
from collections.abc import Callable, Mapping, Sequence

from flatfiles_assets_tests.ingest.layouts.look_alikes import (
    BARS,
    DAYS,
    NEW_YORK,
    SYMBOLS,
    Bar,
    LookAlike,
)

Row = Callable[[Bar], str]
HEADER = "Date,Open,High,Low,Close,Volume"
# Companies that are called as columns are, and a share class.
_RENAMED = dict(zip(SYMBOLS, ("AAPL", "C", "BRK.B", "V", "T"), strict=True))
LETTERS = tuple(dataclasses.replace(bar, ticker=_RENAMED[bar.ticker]) for bar in BARS)
_COMPANIES = dict(
    zip(SYMBOLS, ("Apple Inc", "Bank of America", "Intl Machines", "Ford", "Exxon"), strict=True)
)


_FIELDS = ("open", "high", "low", "close", "volume")


def _prices(bar: Bar) -> tuple[float, float, float, float]:
    return bar.open, bar.high, bar.low, bar.close


def _ohlcv(bar: Bar) -> str:
    return ",".join(map(str, (*_prices(bar), bar.volume)))


def _plain(bar: Bar) -> str:
    return f"{bar.day},{_ohlcv(bar)}"


def _half(bar: Bar) -> str:
    return ",".join(f"{price / 2:.4f}" for price in _prices(bar))


def _text(header: str, rows: Sequence[str]) -> str:
    return "\n".join([*([header] if header else []), *rows, ""])


def _of(ticker: str) -> list[Bar]:
    return [bar for bar in BARS if bar.ticker == ticker]


def _per(name: str, header: str, row: Row, case: Callable[[str], str] = str) -> dict[str, str]:
    return {name.format(case(t)): _text(header, [row(bar) for bar in _of(t)]) for t in SYMBOLS}


def _per_day(name: str, header: str, row: Row) -> dict[str, str]:
    return {day.strftime(name): _text(header, [row(bar) for bar in BARS if bar.day == day]) for day in DAYS}


def _long(name: str, header: str, row: Row) -> dict[str, str]:
    return {name: _text(header, [row(bar) for bar in BARS])}


def _json(document: Callable[[str, list[Bar]], object]) -> dict[str, str]:
    return {f"{ticker}.json": json.dumps(document(ticker, _of(ticker))) for ticker in SYMBOLS}


def _midnight(bar: Bar, zone: dt.tzinfo = NEW_YORK) -> dt.datetime:
    return dt.datetime.combine(bar.day, dt.time(), zone)


def _comma(number: float) -> str:
    return f"{number:.2f}".replace(".", ",")


def _european(mark: str) -> Row:
    def row(bar: Bar) -> str:
        return ";".join(
            [f"{bar.day:%d.%m.%Y}", *map(_comma, _prices(bar)), f"{bar.volume:,}".replace(",", mark)]
        )

    return row


def _scaled_volume(heading: str, by: int) -> LookAlike:
    header = f"Date;Open;High;Low;Close;{heading}"
    files = _per("{}.csv", header, lambda b: ";".join(map(str, (b.day, *_prices(b), b.volume // by))))
    return LookAlike(files, f"units of {by:,}")


def _wide(heading: Callable[[str, str], str]) -> LookAlike:
    """Bars side by side, under one line of headings."""
    fields = ("Open", "High", "Low", "Close", "Volume")
    header = ",".join(["Date", *(heading(t, field) for t in _RENAMED.values() for field in fields)])
    return LookAlike({"panel.csv": _text(header, _rows_side_by_side())}, expected=LETTERS)


def _rows_side_by_side() -> list[str]:
    by_day = {day: [bar for bar in BARS if bar.day == day] for day in DAYS}
    return [",".join([str(day), *map(_ohlcv, bars)]) for day, bars in by_day.items()]


def _merged() -> LookAlike:
    """A spreadsheet's export, whose upper headings span five cells."""
    lines = [
        "," + ",".join(f"{ticker},,,," for ticker in _RENAMED.values()),
        "Date," + ",".join("Open,High,Low,Close,Volume" for _ in SYMBOLS),
        *_rows_side_by_side(),
    ]
    return LookAlike({"panel.csv": _text("", lines)}, expected=LETTERS)


def _yahoo_page(ticker: str) -> str:
    """What is copied from the page: dividends between the rows, notes below them."""
    rows = []
    for bar in reversed(_of(ticker)):
        prices = "\t".join(map(str, _prices(bar)))
        rows.append(f"{bar.day:%b %d, %Y}\t{prices}\t{bar.close / 2:.2f}\t{bar.volume:,}")
        if bar.day == DAYS[20]:
            rows.append(f"{bar.day:%b %d, %Y}\t0.12 Dividend")
    header = "Date\tOpen\tHigh\tLow\tClose*\tAdj Close**\tVolume"
    return _text(header, [*rows, "*Close price adjusted for splits. **Adjusted for splits and dividends."])


def _money(bar: Bar) -> str:
    return ",".join(map(str, (bar.day, *_prices(bar), round(bar.volume * bar.close))))


def _running_total() -> dict[str, str]:
    random_numbers, price, lines = random.Random(3), 60.0, []
    for day in DAYS[:8]:
        total = 0
        for minute in range(570, 960, 5):
            opened, price = price, round(price * (1 + random_numbers.gauss(0, 0.001)), 2)
            total += random_numbers.randrange(10_000, 20_000)
            high, low = max(opened, price) + 0.01, min(opened, price) - 0.01
            time = f"{minute // 60:02d}:{minute % 60:02d}"
            lines.append(f"{day},{time},{opened},{high:.2f},{low:.2f},{price},{total}")
    return {"GE.csv": _text("Date,Time,Open,High,Low,Close,Volume", lines)}


VENDORS: Mapping[str, LookAlike] = {
    # --- right
    "Stooq's bulk": LookAlike(
        _per(
            "data/daily/us/nasdaq stocks/1/{}.us.txt",
            "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
            lambda b: f"{b.ticker}.US,D,{b.day:%Y%m%d},000000,{_ohlcv(b)},0",
            str.lower,
        )
    ),
    "FirstRate's, adjusted beside": LookAlike(
        _per("{}_full_1day_UNADJUSTED.txt", "", _plain)
        | _per("{}_full_1day_adjsplitdiv.txt", "", lambda b: f"{b.day},{_half(b)},{b.volume}")
    ),
    "EODData": LookAlike(
        _per_day("NYSE_%Y%m%d.csv", f"Symbol,{HEADER}", lambda b: f"{b.ticker},{b.day:%d-%b-%Y},{_ohlcv(b)}")
    ),
    "Tiingo": LookAlike(
        _per(
            "{}.csv",
            "date,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume,divCash,splitFactor",
            lambda b: (
                f"{b.day}T00:00:00.000Z,{b.close},{b.high},{b.low},{b.open},{b.volume},"
                f"{b.close / 2},{b.high / 2},{b.low / 2},{b.open / 2},{b.volume * 2},0.0,1.0"
            ),
        )
    ),
    "QuantQuote": LookAlike(
        _per("daily/table_{}.csv", "", lambda b: f"{b.day:%Y%m%d},0,{_ohlcv(b)}", str.lower)
    ),
    "Yahoo's page": LookAlike({f"{ticker}.tsv": _yahoo_page(ticker) for ticker in SYMBOLS}),
    "Metastock with names": LookAlike(
        _long(
            "all.txt",
            "<TICKER>,<NAME>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
            lambda b: f"{b.ticker},{_COMPANIES[b.ticker]},D,{b.day:%Y%m%d},000000,{_ohlcv(b)},0",
        )
    ),
    "AmiBroker with directives": LookAlike(
        {
            "quotes.txt": "$FORMAT Ticker,Date_DMY,Open,High,Low,Close,Volume\n$SEPARATOR ,\n"
            + _text("", [f"{b.ticker},{b.day:%d-%m-%Y},{_ohlcv(b)}" for b in BARS])
        }
    ),
    "Sierra Chart": LookAlike(
        _per(
            "{}.dly.txt",
            "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume",
            lambda b: (
                f"{b.day:%Y/%m/%d}, 00:00:00, {_ohlcv(b).replace(',', ', ')}, {b.volume // 200}, "
                f"{b.volume // 2}, {b.volume - b.volume // 2}"
            ),
        )
    ),
    "NSE's bhavcopy": LookAlike(
        _per_day(
            "cm%d%b%Ybhav.csv",
            "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,",
            lambda b: (
                f"{b.ticker},EQ,{b.open},{b.high},{b.low},{b.close},{b.close},{b.open},{b.volume},"
                f"{b.volume * b.close:.2f},{b.day:%d-%b-%Y},{b.volume // 100},INE101A01011,"
            ),
        )
    ),
    "Barchart": LookAlike(
        {
            f"{ticker.lower()}_price-history-05-02-2009.csv": _text(
                "Time,Open,High,Low,Last,Change,%Chg,Volume",
                [
                    *(
                        f"{b.day:%m/%d/%Y},{b.open},{b.high},{b.low},{b.close},{b.close - b.open:+.2f},"
                        f"{(b.close / b.open - 1) * 100:+.2f}%,{b.volume}"
                        for b in reversed(_of(ticker))
                    ),
                    '"Downloaded from Barchart.com as of 05-02-2009 04:00pm CDT"',
                ],
            )
            for ticker in SYMBOLS
        }
    ),
    "a chart's answer, unadjusted": LookAlike(
        _json(
            lambda ticker, bars: {
                "ticker": ticker,
                "adjusted": False,
                "results": [
                    {"v": b.volume, "o": b.open, "c": b.close, "h": b.high, "l": b.low, "n": b.volume // 90}
                    | {"t": int(_midnight(b).timestamp() * 1000)}
                    for b in bars
                ],
            }
        )
    ),
    "candles by column": LookAlike(
        _json(
            lambda _, bars: {
                **{key: [getattr(b, name) for b in bars] for key, name in zip("ohlcv", _FIELDS, strict=True)},
                "t": [int(_midnight(b, dt.timezone.utc).timestamp()) for b in bars],
                "s": "ok",
            }
        )
    ),
    "seconds with a fraction": LookAlike(
        _per("{}.csv", f"timestamp{HEADER[4:]}", lambda b: f"{_midnight(b).timestamp():.1f},{_ohlcv(b)}")
    ),
    "apostrophes of type setters": LookAlike(
        _per("{}.csv", "Datum;Eröffnung;Hoch;Tief;Schluss;Volumen", _european("’"))
    ),
    "thin spaces": LookAlike(
        _per("{}.csv", "Date;Ouverture;Plus haut;Plus bas;Clôture;Volume", _european("\u2009"))
    ),
    "no-break spaces": LookAlike(
        _per("{}.csv", "Date;Ouverture;Plus haut;Plus bas;Clôture;Volume", _european("\u202f"))
    ),
    "a symbol and a blank before headings": _wide(lambda ticker, field: f"{ticker} {field}"),
    "headings and symbols behind a point": _wide(lambda ticker, field: f"{field}.{ticker}"),
    "headings behind symbols and a point": _wide(lambda ticker, field: f"{ticker}.{field}"),
    "merged headings of a spreadsheet": _merged(),
    "folders of Hive": LookAlike(_per("symbol={}/year=2008/data.csv", HEADER, _plain)),
    # --- refused
    "a chart's answer, adjusted": LookAlike(
        _json(
            lambda ticker, bars: {
                "ticker": ticker,
                "adjusted": True,
                "results": [
                    {"v": b.volume, "o": b.open, "c": b.close, "h": b.high, "l": b.low}
                    | {"t": int(_midnight(b).timestamp() * 1000)}
                    for b in bars
                ],
            }
        ),
        "adjusted",
    ),
    "thousands in quotes": _scaled_volume("Vol in '000s", 1000),
    "thousands in Spanish": _scaled_volume("Volumen (miles)", 1000),
    "thousands of pieces in German": _scaled_volume("Volumen (Tsd. Stück)", 1000),
    "ten thousands in Japanese": _scaled_volume("出来高(万株)", 10_000),
    "round lots": _scaled_volume("Volume (lots)", 100),
    "a volume of dollars": LookAlike(
        _per("{}.csv", "Date,Open,High,Low,Close,Volume (USD)", _money), "no column means volume"
    ),
    "a volume that is no number": LookAlike(
        _per("{}.csv", HEADER, lambda b: f"{b.day},{b.open},{b.high},{b.low},{b.close},{b.volume}~"),
        "no numbers that can be read",
    ),
    "what was traded since the open": LookAlike(_running_total(), "begins anew each day"),
    "open and close exchanged": LookAlike(
        _per("{}.csv", "Date,Close,High,Low,Open,Volume", _plain), "seem to be exchanged"
    ),
    "days of settlement": LookAlike(
        _per("{}.csv", "Settlement Date,Open,High,Low,Close,Volume", _plain), "it has no date column"
    ),
    **{
        f"prices that are {word}": LookAlike(
            _per("{}.csv", f"Date,{word} Open,{word} High,{word} Low,{word} Close,Volume", _plain), reason
        )
        for word, reason in (
            *((word, "override") for word in ("Prev", "Predicted", "TR", "Log", "Theo", "Weekly")),
            *((word, "adjusted") for word in ("Adj", "Split Adjusted")),
        )
    },
    **{
        f"prices in {unit}": LookAlike(
            _per("{}.csv", f"Date,Open ({unit}),High ({unit}),Low ({unit}),Close ({unit}),Volume", _plain),
            reason,
        )
        for unit, reason in (("EUR", "not in dollars"), ("p", "not in dollars"), ("adj.", "adjusted"))
    },
    "a column of a currency": LookAlike(
        _long("all.csv", f"Symbol,Currency,{HEADER}", lambda b: f"{b.ticker},EUR,{_plain(b)}"),
        "not in dollars",
    ),
    "prices in dollars": LookAlike(
        _per("{}.csv", "Date,Open ($),High ($),Low ($),Close ($),Volume (shares)", _plain)
    ),
    "a column of dollars": LookAlike(
        _long("all.csv", f"Symbol,Currency,{HEADER}", lambda b: f"{b.ticker},USD,{_plain(b)}")
    ),
    "roots and suffixes": LookAlike(
        _long(
            "all.csv",
            f"SYM_ROOT,SYM_SUFFIX,{HEADER}",
            lambda b: f"{b.ticker},{'B' if b.ticker == 'F' else ''},{_plain(b)}",
        ),
        "the class of some symbols",
    ),
    "codes of an exchange in Asia": LookAlike(
        _long(
            "jpx.csv",
            "日付,コード,始値,高値,安値,終値,出来高",
            lambda b: f"{b.day},{7200 + len(b.ticker)},{_ohlcv(b)}",
        ),
        "",
    ),
}
