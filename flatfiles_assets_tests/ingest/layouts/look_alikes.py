"""One small market, and files of it as vendors and people write them.

Here: `LOOK_ALIKES`, by name what the files are and whether they can be read. Each is of a kind that some
vendor's documentation or people's folders show, with other names, languages, scales and zones than the
cases that are kept beside it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

from flatfiles_assets.calendars import sessions

SYMBOLS = ("AAPL", "BAC", "IBM", "F", "XOM")
DAYS = tuple(sessions("XNYS", "2008-03-03", "2008-05-02"))
NEW_YORK = ZoneInfo("America/New_York")


@dataclasses.dataclass(frozen=True)
class Bar:
    day: dt.date
    ticker: str
    open: float
    high: float
    low: float
    close: float
    volume: int


def _bars() -> tuple[Bar, ...]:
    rng = random.Random(5)
    found = []
    for place, ticker in enumerate(SYMBOLS):
        close = (137.0, 42.0, 98.0, 8.0, 88.0)[place]
        for day in DAYS:
            # A night moves a price by less than a day does.
            opened = close * (1 + rng.gauss(0, 0.006))
            close = opened * (1 + rng.gauss(0, 0.02))
            high = max(opened, close) * (1 + abs(rng.gauss(0, 0.004))) + 0.01
            low = min(opened, close) * (1 - abs(rng.gauss(0, 0.004))) - 0.01
            prices = (round(value, 2) for value in (opened, high, low, close))
            found.append(Bar(day, ticker, *prices, rng.randrange(200_000, 9_000_000)))
    return tuple(found)


BARS = _bars()

Files = dict[str, str]
Row = Callable[[Bar], str]


@dataclasses.dataclass(frozen=True)
class LookAlike:
    """Files and what they are.

    Attributes:
        files: By path, the text.
        refused: Part of the reason for which they are refused; None where they are read.
        expected: The bars, where they are not all of `BARS` as they are.
    """

    files: Files
    refused: str | None = None
    expected: tuple[Bar, ...] = BARS


def _per_symbol(name: str, header: str, row: Row, *, case: Callable[[str], str] = str) -> Files:
    return {
        name.format(case(ticker)): _text(header, (bar for bar in BARS if bar.ticker == ticker), row)
        for ticker in SYMBOLS
    }


def _per_day(name: str, header: str, row: Row) -> Files:
    return {day.strftime(name): _text(header, (bar for bar in BARS if bar.day == day), row) for day in DAYS}


def _long(name: str, header: str, row: Row, bars: Iterable[Bar] = BARS) -> Files:
    return {name: _text(header, bars, row)}


def _text(header: str, bars: Iterable[Bar], row: Row) -> str:
    return "\n".join([*([header] if header else []), *map(row, bars), ""])


def _ohlcv(bar: Bar) -> str:
    return f"{bar.open:.2f},{bar.high:.2f},{bar.low:.2f},{bar.close:.2f},{bar.volume}"


def _plain(bar: Bar) -> str:
    return f"{bar.day},{_ohlcv(bar)}"


def _with_symbol(mark: str) -> Row:
    return lambda bar: f"{mark.format(bar.ticker)},{_plain(bar)}"


HEADER = "Date,Open,High,Low,Close,Volume"
_EXCHANGES = dict(zip(SYMBOLS, ("NASDAQ", "NYSE", "NYSE", "NYSE", "NYSE"), strict=True))
_RICS = dict(zip(SYMBOLS, ("AAPL.OQ", "BAC.N", "IBM.N", "F.N", "XOM.N"), strict=True))


def _comma(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


def _in_language(headings: str) -> Files:
    """A semicolon between cells, a decimal comma, the day first."""
    return _per_symbol(
        "{}.csv",
        headings,
        lambda b: (
            f"{b.day:%d.%m.%Y};{_comma(b.close)};{_comma(b.open)};{_comma(b.high)};{_comma(b.low)};{b.volume}"
        ),
    )


def _epoch_of_midnight(zone: str) -> Row:
    def row(bar: Bar) -> str:
        midnight = dt.datetime.combine(bar.day, dt.time(), ZoneInfo(zone))
        return f"{int(midnight.timestamp())},{_ohlcv(bar)}"

    return row


def _utc_of_midnight(zone: str) -> Row:
    def row(bar: Bar) -> str:
        midnight = dt.datetime.combine(bar.day, dt.time(), ZoneInfo(zone)).astimezone(dt.timezone.utc)
        return f"{midnight:%Y-%m-%dT%H:%M:%S}Z,{_ohlcv(bar)}"

    return row


def _minutes(zone: str, width: int, *, at_end: bool, extended: bool = False) -> tuple[Files, tuple[Bar, ...]]:
    """Bars of minutes of one symbol on some days, stamped in a zone; and the days that they are."""
    rng = random.Random(7)
    lines, days = [], []
    price = 60.0
    for day in DAYS[:12]:
        made = []
        first, last = (7 * 60, 18 * 60) if extended else (570, 960)
        for minute in range(first, last, width):
            opened, price = price, round(price * (1 + rng.gauss(0, 0.0008)), 2)
            high, low = round(max(opened, price) + 0.01, 2), round(min(opened, price) - 0.01, 2)
            regular = 570 <= minute < 960
            volume = rng.randrange(20_000, 90_000) if regular else rng.randrange(100, 900)
            start = dt.datetime.combine(day, dt.time(), NEW_YORK) + dt.timedelta(minutes=minute)
            stamp = (start + dt.timedelta(minutes=width if at_end else 0)).astimezone(ZoneInfo(zone))
            lines.append(f"{stamp:%m/%d/%Y,%H:%M},{opened:.2f},{high:.2f},{low:.2f},{price:.2f},{volume}")
            if regular:
                made.append((opened, high, low, price, volume))
        opens, highs, lows, closes, volumes = zip(*made, strict=True)
        days.append(Bar(day, "GE", opens[0], max(highs), min(lows), closes[-1], sum(volumes)))
    return {"GE.txt": "\n".join([*lines, ""])}, tuple(days)


def _weeks(step: int) -> Files:
    kept = set(DAYS[::step])
    return {
        f"{ticker}.csv": _text(HEADER, (b for b in BARS if b.ticker == ticker and b.day in kept), _plain)
        for ticker in SYMBOLS
    }


def _wide(first: Callable[[str, str], str]) -> Files:
    fields = ("Open", "High", "Low", "Close", "Volume")
    header = ",".join(["Date", *(first(ticker, field) for ticker in SYMBOLS for field in fields)])
    by_day: dict[dt.date, list[str]] = {}
    for bar in BARS:
        by_day.setdefault(bar.day, [str(bar.day)]).append(_ohlcv(bar))
    return {"panel.csv": "\n".join([header, *(",".join(cells) for cells in by_day.values()), ""])}


_PACIFIC = _minutes("America/Los_Angeles", 5, at_end=True)
_LONDON = _minutes("Europe/London", 1, at_end=False, extended=True)
_MOSCOW = _minutes("Europe/Moscow", 15, at_end=False)
_END_LABELS = _minutes("America/New_York", 5, at_end=True, extended=True)
_HALF_HOURS = _minutes("Asia/Tokyo", 30, at_end=False)

_HOURS = _minutes("America/New_York", 60, at_end=False)
_BROKER = _minutes("America/New_York", 5, at_end=False)


def _moved(files: Files, hours: int) -> Files:
    """Stamps moved by some hours, whatever the season: the clock of no city."""

    def line(text: str) -> str:
        day, time, rest = text.split(",", 2)
        month, day_of_month, year = map(int, day.split("/"))
        hour, minute = map(int, time.split(":"))
        stamp = dt.datetime(year, month, day_of_month, hour, minute) + dt.timedelta(hours=hours)  # noqa: DTZ001
        return f"{stamp:%m/%d/%Y,%H:%M},{rest}"

    return {name: "\n".join([*map(line, text.splitlines()), ""]) for name, text in files.items()}


def _lean(files: Files) -> Files:
    """A file a day, milliseconds since midnight, prices in 1/10,000 dollars."""
    found: dict[str, list[str]] = {}
    for text in files["GE.txt"].splitlines():
        day, time, *prices, volume = text.split(",")
        at = (int(time[:2]) * 60 + int(time[3:])) * 60_000
        cells = [str(at), *(str(round(float(price) * 10_000)) for price in prices), volume]
        found.setdefault(f"ge/{day[6:]}{day[:2]}{day[3:5]}_ge_minute_trade.csv", []).append(",".join(cells))
    return {name: "\n".join([*lines, ""]) for name, lines in found.items()}


def _previous_close(bar: Bar) -> float:
    place = BARS.index(bar)
    return BARS[place - 1].close if place and BARS[place - 1].ticker == bar.ticker else bar.open


LOOK_ALIKES: Mapping[str, LookAlike] = {
    # --- names
    "names between words": LookAlike(_per_symbol("hist_{}_eod_adjusted.csv", HEADER, _plain)),
    "names with a range of dates": LookAlike(_per_symbol("{} 2008-03-03 to 2008-05-02.csv", HEADER, _plain)),
    "names run together with minutes of a terminal": LookAlike(
        _per_symbol("{}1440.csv", "", lambda b: f"{b.day:%Y.%m.%d},00:00,{_ohlcv(b)}")
    ),
    "names behind a lower-case word": LookAlike(_per_symbol("prices{}.csv", HEADER, _plain)),
    "names with different exchanges": LookAlike(
        {
            f"{_EXCHANGES[ticker]}_{ticker}.csv": text
            for ticker, text in _per_symbol("{}", HEADER, _plain).items()
        }
    ),
    "folders are symbols": LookAlike(_per_symbol("{}/daily.csv", HEADER, _plain)),
    "folders are symbols in small letters": LookAlike(
        _per_symbol("us/{}/2008.csv", HEADER, _plain, case=str.lower)
    ),
    "folders are initials": LookAlike(
        {f"{name[0]}/{name}": text for name, text in _per_symbol("{}.csv", HEADER, _plain).items()}
    ),
    "part files of one symbol each are no symbol": LookAlike(
        {f"part-0000{n}.csv": text for n, text in enumerate(_per_symbol("{}", HEADER, _plain).values())},
        "no symbol",
    ),
    "a site's own file name": LookAlike(
        _long("HistoricalQuotes.csv", HEADER, _plain, [b for b in BARS if b.ticker == "F"]), "no symbol"
    ),
    "classes of one company only": LookAlike(
        {
            f"BRK-{name[0]}.csv": text
            for name, text in _per_symbol("{}", HEADER, _plain).items()
            if name in "FX"
        }
        | {f"BRK-{letter}.csv": _per_symbol("{}", HEADER, _plain)["BAC"] for letter in "AB"},
        "no symbol",
    ),
    "months in the names": LookAlike(
        {
            f"{ticker}_{month}_2008.csv": _text(
                HEADER, (b for b in BARS if b.ticker == ticker and f"{b.day:%b}" == month), _plain
            )
            for ticker in SYMBOLS
            for month in ("Mar", "Apr", "May")
        }
    ),
    "days in nested folders": LookAlike(
        {
            f"{day:%Y/%m/%d}/{ticker}.csv": _text(
                "Open,High,Low,Close,Volume", (b for b in BARS if (b.day, b.ticker) == (day, ticker)), _ohlcv
            )
            for ticker in SYMBOLS
            for day in DAYS
        }
    ),
    # --- symbols
    "Refinitiv's marks": LookAlike(
        _long("all.csv", f"RIC,{HEADER}", lambda b: f"{_RICS[b.ticker]},{_plain(b)}")
    ),
    "Bloomberg's marks": LookAlike(_long("all.csv", f"Security,{HEADER}", _with_symbol("{} US Equity"))),
    "FactSet's marks": LookAlike(_long("all.csv", f"Symbol,{HEADER}", _with_symbol("{}-US"))),
    "TradingView's marks": LookAlike(
        _long("all.csv", f"symbol,{HEADER}", lambda b: f"{_EXCHANGES[b.ticker]}:{b.ticker},{_plain(b)}")
    ),
    "Finam's marks": LookAlike(
        _long(
            "all.txt",
            "<TICKER>;<PER>;<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<VOL>",
            lambda b: f"US2.{b.ticker};D;{b.day:%Y%m%d};000000;{_ohlcv(b)}".replace(",", ";"),
        )
    ),
    "Quandl's codes": LookAlike(_long("all.csv", f"Code,{HEADER}", _with_symbol("WIKI/{}"))),
    "markets of several countries": LookAlike(
        _long(
            "all.csv",
            f"Symbol,{HEADER}",
            lambda b: f"{b.ticker}{'.US' if b.ticker < 'C' else '.DE'},{_plain(b)}",
        ),
        "cannot be tickers",
    ),
    "capitalised words": LookAlike(
        _long("all.csv", f"Symbol,{HEADER}", lambda b: f"{b.ticker.title()}x,{_plain(b)}"),
        "cannot be tickers",
    ),
    "names of companies only": LookAlike(
        _long("all.csv", f"Company,{HEADER}", lambda b: f"{b.ticker} Holdings Inc.,{_plain(b)}"),
        "more than one security",
    ),
    "ISIN only": LookAlike(
        _long("all.csv", f"ISIN,{HEADER}", lambda b: f"US{SYMBOLS.index(b.ticker)}378331005,{_plain(b)}"),
        "more than one security",
    ),
    "an exchange's name in place of the symbol": LookAlike(
        _per_symbol("{}.csv", f"{HEADER},Venue", lambda b: f"{_plain(b)},ARCA")
    ),
    # --- headings
    "Spanish": LookAlike(_in_language("Fecha;Último;Apertura;Máximo;Mínimo;Vol.")),
    "Italian": LookAlike(_in_language("Data;Ultimo;Apertura;Massimo;Minimo;Vol.")),
    "Portuguese": LookAlike(_in_language("Data;Último;Abertura;Máxima;Mínima;Vol.")),
    "French": LookAlike(_in_language("Date;Dernier;Ouv.; Plus Haut;Plus Bas;Vol.")),
    "Dutch": LookAlike(_in_language("Datum;Laatste;Open;Hoog;Laag;Vol.")),
    "Swedish": LookAlike(_in_language("Datum;Senaste;Öppen;Högst;Lägst;Vol.")),
    "Polish": LookAlike(_in_language("Data;Zamknięcie;Otwarcie;Najwyższy;Najniższy;Wolumen")),
    "Turkish": LookAlike(_in_language("Tarih;Şimdi;Açılış;Yüksek;Düşük;Hac.".replace("Hac.", "Hacim"))),
    "Russian": LookAlike(_in_language("Дата;Цена;Откр.;Макс.;Мин.;Объём")),
    "Japanese": LookAlike(_in_language("日付;終値;始値;高値;安値;出来高")),
    "Korean": LookAlike(_in_language("날짜;종가;시가;고가;저가;거래량")),
    "numbered headings with units": LookAlike(
        _per_symbol("daily_{}.csv", "timestamp,1. open (USD),2. high,3. low,4. close,5. volume", _plain)
    ),
    "UDiFF of an exchange": LookAlike(
        _per_day(
            "BhavCopy_NSE_CM_0_0_0_%Y%m%d_F_0000.csv",
            "TradDt,TckrSymb,SctySrs,OpnPric,HghPric,LwPric,ClsPric,PrvsClsgPric,TtlTradgVol,TtlTrfVal",
            lambda b: (
                f"{b.day},{b.ticker},EQ,{b.open},{b.high},{b.low},{b.close},{b.open},{b.volume},"
                f"{b.volume * b.close:.0f}"
            ),
        )
    ),
    "the symbol before each heading": LookAlike(
        {
            f"{ticker}.csv": _text(
                f"Date,{ticker}.Open,{ticker}.High,{ticker}.Low,{ticker}.Close,{ticker}.Volume",
                (b for b in BARS if b.ticker == ticker),
                _plain,
            )
            for ticker in SYMBOLS
        }
    ),
    "one heading that no table knows": LookAlike(
        _per_symbol("{}.csv", "Date,Open,High,Low,Finish,Volume", _plain)
    ),
    "raw beside adjusted prices": LookAlike(
        _long(
            "prices.csv",
            "symbol,date,open,high,low,close,volume,uOpen,uHigh,uLow,uClose,uVolume",
            lambda b: (
                f"{b.ticker},{b.day},{b.open / 7:.4f},{b.high / 7:.4f},{b.low / 7:.4f},{b.close / 7:.4f},"
                f"{b.volume * 7},{_ohlcv(b)}"
            ),
        )
    ),
    "only the close is raw": LookAlike(
        _per_symbol(
            "{}.csv",
            "Date,Open,High,Low,Close,Volume,Unadjusted Close",
            lambda b: (
                f"{b.day},{b.open / 2:.3f},{b.high / 2:.3f},{b.low / 2:.3f},{b.close / 2:.3f},"
                f"{b.volume},{b.close}"
            ),
        ),
        "adjusted",
    ),
    "two folders, one adjusted": LookAlike(
        _per_symbol("unadjusted/{}.txt", HEADER, _plain)
        | _per_symbol(
            "split-adjusted/{}.txt",
            HEADER,
            lambda b: (
                f"{b.day},{b.open / 2:.3f},{b.high / 2:.3f},{b.low / 2:.3f},{b.close / 2:.3f},{b.volume}"
            ),
        )
    ),
    "one market twice": LookAlike(
        _per_symbol("a/{}.csv", HEADER, _plain) | _per_symbol("b/{}.csv", HEADER, _plain), "earlier row"
    ),
    "joined headings side by side": LookAlike(_wide(lambda ticker, field: f"{ticker}_{field}")),
    "tuples for headings": LookAlike(_wide(lambda ticker, field: f"\"('{field}', '{ticker}')\"")),
    # --- values
    "close before open without names": LookAlike(
        _per_symbol("{}.csv", "", lambda b: f"{b.day:%Y%m%d};{b.close};{b.open};{b.low};{b.high};{b.volume}")
    ),
    "money beside shares without names": LookAlike(
        _per_symbol(
            "{}.csv", "", lambda b: f"{b.day},{b.volume * b.close:.0f},{_ohlcv(b)},{1000 + b.volume % 900}"
        )
    ),
    "bids and asks without names": LookAlike(
        _per_symbol(
            "{}.csv",
            "",
            lambda b: (
                f"{b.day},{b.open},{b.high},{b.low},{b.close},"
                f"{b.open + 0.01:.2f},{b.high + 0.01:.2f},{b.low + 0.01:.2f},{b.close + 0.01:.2f}"
            ),
        ),
        "more than one set",
    ),
    "cents": LookAlike(
        _per_symbol(
            "{}.csv",
            HEADER,
            lambda b: (
                f"{b.day},{b.open * 100:.0f},{b.high * 100:.0f},{b.low * 100:.0f},"
                f"{b.close * 100:.0f},{b.volume}"
            ),
        )
    ),
    "billionths of a dollar": LookAlike(
        _long(
            "ohlcv-1d.csv",
            "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol",
            lambda b: (
                f"{int(dt.datetime.combine(b.day, dt.time(), dt.timezone.utc).timestamp())}000000000,35,1,"
                f"{SYMBOLS.index(b.ticker) + 7},"
                + ",".join(f"{round(p * 100)}0000000" for p in (b.open, b.high, b.low, b.close))
                + f",{b.volume},{b.ticker}"
            ),
        )
    ),
    "weeks": LookAlike(_weeks(5), "sessions"),
    "a month's letter": LookAlike(
        _long("m.txt", f"<TICKER>,<PER>,{HEADER}", lambda b: f"{b.ticker},M,{_plain(b)}"), "weeks or months"
    ),
    # --- time
    "midnight in Sydney": LookAlike(_per_symbol("{}.csv", HEADER, _utc_of_midnight("Australia/Sydney"))),
    "midnight in Tokyo in seconds": LookAlike(
        _per_symbol("{}.csv", HEADER, _epoch_of_midnight("Asia/Tokyo"))
    ),
    "the close in New York": LookAlike(
        _per_symbol(
            "{}.csv",
            HEADER,
            lambda b: f"{dt.datetime.combine(b.day, dt.time(16), NEW_YORK).isoformat()},{_ohlcv(b)}",
        )
    ),
    "dates that are a day late": LookAlike(
        _per_symbol("{}.csv", HEADER, lambda b: f"{b.day + dt.timedelta(days=1)},{_ohlcv(b)}"), "a day"
    ),
    "minutes of the Pacific at their ends": LookAlike(_PACIFIC[0], expected=_PACIFIC[1]),
    "minutes of London with extended hours": LookAlike(_LONDON[0], expected=_LONDON[1]),
    "quarters of an hour of Moscow": LookAlike(_MOSCOW[0], expected=_MOSCOW[1]),
    "ends with extended hours": LookAlike(_END_LABELS[0], expected=_END_LABELS[1]),
    "half hours of Tokyo": LookAlike(_HALF_HOURS[0], expected=_HALF_HOURS[1]),
    "hours on the clock": LookAlike(
        {
            "GE.csv": "\n".join(
                ["Date,Time,Open,High,Low,Close,Volume"]
                + [f"{d},{h:02d}:00,10,11,9,{9.5 + h / 20},{100 + h}" for d in DAYS[:9] for h in range(9, 17)]
            )
        },
        "straddle",
        # Those from 09:00 to 15:00 where they are stamped with their starts, and are to count.
        tuple(Bar(d, "GE", 10, 11, 9, 10.25, 784) for d in DAYS[:9]),
    ),
    "a broker's clock that is no city's": LookAlike(_moved(_BROKER[0], 7), "timezone"),
    "milliseconds since midnight": LookAlike(_lean(_BROKER[0]), expected=_BROKER[1]),
    "Finnish, of which two headings are known": LookAlike(
        _in_language("Päivämäärä;Viimeisin hinta;Avaus;Päivän ylin kurssi;Alin;Vaihdettu")
    ),
    "Hebrew, of which none is known": LookAlike(_in_language("תאריך;שער;פתיחה;גבוה;נמוך;נפח")),
    "the close before, first and without names": LookAlike(
        _per_symbol("{}.csv", "", lambda b: f"{b.day},{_previous_close(b)},{_ohlcv(b)}")
    ),
    "a mean price without a name": LookAlike(
        _per_symbol(
            "{}.csv",
            "",
            lambda b: f"{b.day},{b.open},{b.high},{b.low},{b.close},{(b.high + b.low) / 2:.3f},{b.volume}",
        )
    ),
    "a text per file that is not its name": LookAlike(
        _per_symbol(
            "{}.csv", f"{HEADER},Group", lambda b: f"{_plain(b)},{'TBIAO'[SYMBOLS.index(b.ticker)]}X"
        ),
        "could be the symbol",
    ),
    "dates that nothing explains": LookAlike(
        _per_symbol("{}.csv", f"{HEADER},Valuta", lambda b: f"{_plain(b)},{b.day + dt.timedelta(days=3)}"),
        "not explained",
    ),
    "money only": LookAlike(
        _per_symbol(
            "{}.csv",
            "Date,Open,High,Low,Close,Turnover",
            lambda b: f"{b.day},{b.open},{b.high},{b.low},{b.close},{b.volume * b.close:.0f}",
        ),
        "volume",
    ),
    "another year": LookAlike(
        _per_symbol("{}.csv", HEADER, lambda b: f"{b.day.replace(year=2007)},{_ohlcv(b)}"),
        "no session of 2008",
    ),
    "two classes in a column": LookAlike(
        _long(
            "all.csv",
            f"Symbol,{HEADER}",
            lambda b: f"BRK.{'A' if b.ticker == 'F' else 'B'},{_plain(b)}",
            [b for b in BARS if b.ticker in ("F", "BAC")],
        ),
        expected=tuple(
            dataclasses.replace(b, ticker=f"BRK.{'A' if b.ticker == 'F' else 'B'}")
            for b in BARS
            if b.ticker in ("F", "BAC")
        ),
    ),
    "thousands in a heading's words": LookAlike(
        _per_symbol(
            "{}.csv",
            "Date,Open,High,Low,Close,Volume_thousands",
            lambda b: f"{b.day},{b.open},{b.high},{b.low},{b.close},{b.volume // 1000}",
        ),
        "units of 1,000",
    ),
    "adjusted prices only": LookAlike(
        _per_symbol("{}.csv", "Date,Adj Open,Adj High,Adj Low,Adj Close,Volume", _plain), "adjusted"
    ),
    "tickers under the heading of names": LookAlike(
        _long("all_stocks_1yr.csv", f"{HEADER},Name", lambda b: f"{_plain(b)},{b.ticker}")
    ),
    "companies under the heading of names": LookAlike(
        _long("all_stocks_1yr.csv", f"{HEADER},Name", lambda b: f"{_plain(b)},{b.ticker.title()} Motors"),
        "more than one security",
    ),
    "hours from the open on": LookAlike(_HOURS[0], expected=_HOURS[1]),
}
