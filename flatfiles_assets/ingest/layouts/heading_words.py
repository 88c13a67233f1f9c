"""The one table of headings: what people and houses call a date, a symbol, an open, a volume.

Here: words, as `column_aliases.heading_key` writes them. Where a file has two headings of one
meaning, the one that stands first here has it. `OTHER` are headings that say what a column is and
that no bar needs: a column under one of them is explained, whatever it holds.

Languages: English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Danish, Norwegian,
Finnish, Polish, Czech, Turkish, Russian, Chinese, Japanese and Korean. Houses: CRSP, Compustat,
Bloomberg, Refinitiv, Sharadar, Norgate, AlgoSeek, Databento, Polygon, Tiingo, IEX, NSE, BSE,
Metastock, MetaTrader, TradeStation.
"""

from __future__ import annotations

DATE = (
    *("date", "tradedate", "tradingdate", "sessiondate", "quotedate", "pricedate", "businessdate"),
    *("dtyyyymmdd", "dateyyyymmdd", "yyyymmdd", "timestamp", "datetime", "dateandtime", "datetimestamp"),
    *("day", "tradeday", "tradingday", "session", "asofdate", "asof", "caldt", "dlycaldt", "bardate", "dt"),
    *("ts", "tsevent", "windowstart", "unixtime", "unix", "unixtimestamp", "epoch", "epochtime", "datadate"),
    *("datum", "handelstag", "fecha", "data", "dato", "paivamaara", "pvm", "tarih", "дата", "d"),
    *("traddt", "bizdt", "opentime", "starttime", "timeutc", "utctime", "gmttime", "localtime", "gmtdate"),
    *(
        "日期",
        "交易日期",
        "日付",
        "날짜",
        "일자",
        "datestring",
        "dateutc",
        "barstart",
        "barstarttime",
        "date1",
    ),
)
TIME = (
    *("time", "timehhmmss", "timehhmm", "hhmmss", "hhmm", "bartime", "tradetime", "timeofday", "hour"),
    *("minute", "t", "zeit", "uhrzeit", "heure", "hora", "ora", "tijd", "tid", "godzina", "czas", "cas"),
    *("timebarstart", "saat", "время", "时间", "時刻", "시간", "timest", "timeet", "timeny", "timeest"),
)
SYMBOL = (
    *("ticker", "symbol", "tickersymbol", "stocksymbol", "actsymbol", "tradingsymbol", "tcksymb", "tckrsymb"),
    *("sym", "tic", "htick", "hticker", "tsymbol", "stock", "stockcode", "securitysymbol", "nasdaqsymbol"),
    *("ric", "bbgticker", "bloombergticker", "instrument", "security", "issue", "code", "kurzel", "kuerzel"),
    *(
        "symbole",
        "simbolo",
        "symbool",
        "walor",
        "тикер",
        "代码",
        "股票代码",
        "证券代码",
        "コード",
        "銘柄コード",
    ),
    *("종목코드", "ticker1", "symbolid", "secsymbol", "epic", "scrip", "name", "s"),
)
OPEN = (
    *("open", "openprice", "opening", "openingprice", "priceopen", "pxopen", "openprc", "dlyopen", "prcod"),
    *("opentradeprice", "firsttradeprice", "opnpric", "openpx", "first", "firstprice", "op", "o"),
    *("eroffnung", "eroffnungskurs", "eroffn", "erster", "ersterkurs", "ouv", "ouverture", "apertura"),
    *("abertura", "precoabertura", "opening", "openingskoers", "openkoers", "oppen", "oppning", "abning"),
    *(
        "apning",
        "avaus",
        "deschidere",
        "otwarcie",
        "oteviraci",
        "otevreni",
        "acilis",
        "откр",
        "открытие",
        "цоткр",
    ),
    *("开盘", "开盘价", "今开", "開盤", "開盤價", "开市价", "始値", "시가", "priceatopen"),
)
HIGH = (
    *("high", "highprice", "pricehigh", "pxhigh", "dayhigh", "dlyhigh", "prchd", "askhi", "askorhigh"),
    *("hightradeprice", "hghpric", "highpx", "highest", "highestprice", "hi", "max", "h"),
    *("hoch", "hochst", "hochstkurs", "tageshoch", "hochster", "haut", "plushaut", "cours+haut", "maximo"),
    *("maximum", "massimo", "maxima", "precomaximo", "hoog", "hoogste", "hogst", "hogsta", "hog", "hoj"),
    *(
        "hoy",
        "hojeste",
        "hoyest",
        "ylin",
        "korkein",
        "korkein",
        "najwyzszy",
        "maks",
        "nejvyssi",
        "yuksek",
        "макс",
        "максимум",
    ),
    *("最高", "最高价", "最高價", "高値", "고가"),
)
LOW = (
    *("low", "lowprice", "pricelow", "pxlow", "daylow", "dlylow", "prcld", "bidlo", "bidorlow"),
    *("lowtradeprice", "lwpric", "lowpx", "lowest", "lowestprice", "lo", "min", "l"),
    *("tief", "tiefst", "tiefstkurs", "tagestief", "tiefster", "bas", "plusbas", "cours+bas", "minimo"),
    *("minimum", "minima", "precominimo", "laag", "laagste", "lagst", "lagsta", "lag", "lav", "laveste"),
    *("lavest", "alin", "najnizszy", "nejnizsi", "dusuk", "мин", "минимум"),
    *("最低", "最低价", "最低價", "安値", "저가"),
)
CLOSE = (
    *("close", "closeprice", "closing", "closingprice", "priceclose", "pxclose", "dlyclose", "prccd", "cl"),
    *("closelast", "closelastprice", "lasttradeprice", "closetradeprice", "clspric", "closepx", "endprice"),
    *("schluss", "schlusskurs", "cloture", "fermeture", "cierre", "chiusura", "fechamento", "slot"),
    *("slotkoers", "stangning", "stangningskurs", "slutkurs", "luk", "lukkekurs", "slutt", "paatos"),
    *("zamkniecie", "zaviraci", "zavreni", "kapanis", "закр", "закрытие", "цзакр"),
    *("收盘", "收盘价", "收盤", "收盤價", "收市价", "終値", "종가"),
    *("last", "lastprice", "pxlast", "lastsale", "settle", "settlement", "c", "price", "prc", "dlyprc"),
    *("zuletzt", "letzter", "letzterkurs", "kurs", "dernier", "derniercours", "ultimo", "ultima"),
    *(
        "ultimoprecio",
        "laatste",
        "koers",
        "senaste",
        "seneste",
        "siste",
        "viimeinen",
        "viimeisin",
        "ultimul",
        "ostatnio",
        "simdi",
    ),
    *("цена", "послед", "prix", "precio", "prezzo", "preco", "pris", "cours", "lastpric"),
)
VOLUME = (
    *("volume", "vol", "sharevolume", "totalvolume", "tradedvolume", "volumetraded", "sharestraded"),
    *("volumeshares", "pxvolume", "dlyvol", "cshtrd", "markethoursvolume", "totaltradedquantity"),
    *("tottrdqty", "ttltradgvol", "noofshrs", "noofshares", "totalshares", "tradedquantity", "volumen"),
    *("shares", "qty", "quantity", "stuck", "stucke", "volym", "volum", "wolumen", "wol", "objem", "hacim"),
    *("volumi", "quantita", "cantidad", "titres", "объем", "объём", "vaihto", "成交量", "成交股数", "出来高"),
    *("거래량", "realvolume", "volm", "v"),
)
TICK_VOLUME = ("tickvol", "tickvolume", "ticks", "tickcount")
UP_VOLUME = ("up", "upvolume", "upvol", "volumeup", "uptickvolume")
DOWN_VOLUME = ("down", "downvolume", "downvol", "volumedown", "downtickvolume")
TRANSACTIONS = (
    *("transactions", "trades", "numtrades", "numberoftrades", "tradecount", "notrades", "numtrd"),
    *("nooftrades", "totaltrades", "totalnumberoftrades", "ttlnboftxsexctd", "dlynumtrd", "n"),
)
OPEN_INTEREST = ("openint", "openinterest", "oi", "opint")
PERIOD = ("per", "period", "interval", "frequency", "barsize", "freq", "resolution", "timeframe")
BAR_NUMBER = (
    "mi",
    "minuteofday",
    "minuteno",
    "minutenumber",
    "barno",
    "barnumber",
    "barindex",
    "minuteindex",
)

OTHER = frozenset(
    (
        # Prices of another time or kind.
        *("prevclose", "previousclose", "prevclosingprice", "preclose", "prevcls", "prvsclsgpric", "yclose"),
        *("vwap", "vw", "averageprice", "avgprice", "average", "wap", "volumeweightprice", "weightedaverage"),
        *("typical", "hl2", "ohlc4", "mid", "midprice", "sttlmpric", "前收盘", "昨收", "基準値"),
        *("week52high", "week52low", "yearhigh", "yearlow", "52weekhigh", "52weeklow", "52whigh", "52wlow"),
        # Money, counts and sizes that are not the volume.
        *("turnover", "netturnov", "tottrdval", "ttltrfval", "value", "dollarvolume", "amount", "umsatz"),
        *("tradedvalue", "turnoverlacs", "成交额", "成交金额", "売買代金", "거래대금", "nettradedvalue"),
        *("marketcap", "mktcap", "cap", "sharesoutstanding", "shrout", "cshoc", "float", "ajexdi", "trfd"),
        *(
            "spread",
            "overnightvolume",
            "premarketvolume",
            "aftermarketvolume",
            "deliverablevolume",
            "delivqty",
        ),
        *("delivper", "deliverble", "deliverable", "shrclsvol", "quotes", "qtyticks", "bidsize", "asksize"),
        # Changes and returns.
        *("change", "chg", "changepercent", "pctchange", "changepct", "percentchange", "netchange", "chng"),
        *(
            "changeovertime",
            "ret",
            "retx",
            "return",
            "returns",
            "dailyreturn",
            "logreturn",
            "vwretd",
            "ewretd",
        ),
        *(
            "sprtrn",
            "dlyret",
            "dlyretx",
            "variation",
            "var",
            "varpct",
            "variazione",
            "variacao",
            "veranderung",
        ),
        *("vervandering", "zmiana", "изм", "fark", "cambio", "muutos", "andring", "涨跌幅", "涨跌额", "涨跌"),
        *("前日比", "변동", "대비", "등락률", "振幅", "换手率", "换手", "change1", "gain", "delta"),
        # Corporate actions.
        *("dividend", "dividends", "dividendamount", "divamt", "divcash", "exdividend", "divamount", "div"),
        *("splitratio", "splitcoefficient", "splitfactor", "split", "splits", "stocksplits", "earnings"),
        *(
            "cfacpr",
            "cfacshr",
            "facpr",
            "facshr",
            "disfacpr",
            "adjfactor",
            "adjustmentfactor",
            "capitalgains",
        ),
        *("divi", "cumdiv", "factor", "expcumretfactor"),
        # Who it is, beside the symbol.
        *("permno", "permco", "gvkey", "iid", "secid", "instrumentid", "publisherid", "rtype", "series"),
        *("shrcd", "exchcd", "shrcls", "siccd", "naics", "sic", "hsiccd", "conm", "comnam", "issuernm"),
        *(
            "companyname",
            "company",
            "securityname",
            "issuername",
            "stockname",
            "scname",
            "longname",
            "shortname",
        ),
        *(
            "exchange",
            "exch",
            "exchg",
            "primaryexchange",
            "market",
            "mkt",
            "mic",
            "exchangecode",
            "src",
            "sgmt",
        ),
        *(
            "scgroup",
            "sctype",
            "tdcloindi",
            "sctysrs",
            "fininstrmtp",
            "fininstrmid",
            "fininstrmnm",
            "country",
        ),
        *("currency", "ccy", "curcdd", "sector", "industry", "type", "securitytype", "assetclass", "class"),
        *("source", "vendor", "provider", "flag", "status", "label", "note", "notes", "comment", "comments"),
        *("名称", "股票名称", "证券名称", "銘柄名", "종목명", "pricecurrency", "curcd", "isprimary"),
        # Dates beside the date, and numbers of rows.
        *("lastupdated", "updated", "updatedat", "createdat", "loaddate", "nameendt", "namedt", "expiry"),
        *("lastupdate", "rownum", "rownumber", "row", "index", "no", "nr", "seq", "sequence", "unnamed0"),
        *("weekday", "dayofweek", "dow", "month", "year", "quarter", "dayofyear", "tsrecv", "lastmodified"),
        *("id", "recordid", "key", "rsi", "macd", "signal", "sma", "ema", "atr", "bollinger"),
    )
)
"""Headings that explain a column which no bar needs."""

IDENTIFIERS = frozenset(
    (
        *("cusip", "isin", "sedol", "figi", "compositefigi", "cusip8", "cusip9", "ncusip", "wkn", "valor"),
        *(
            "permno",
            "permco",
            "gvkey",
            "secid",
            "instrumentid",
            "scripcode",
            "sccode",
            "lpermno",
            "permticker",
        ),
        *("fininstrmid", "id", "securityid", "assetid", "sid", "stockid"),
    )
)
"""Headings of identifiers that name a security without being its ticker."""

NAMES_OF_COMPANIES = frozenset(
    (
        *("name", "companyname", "company", "securityname", "issuername", "stockname", "scname", "longname"),
        *(
            "shortname",
            "conm",
            "comnam",
            "issuernm",
            "fininstrmnm",
            "名称",
            "股票名称",
            "证券名称",
            "銘柄名",
            "종목명",
        ),
    )
)
"""Headings of what a company is called, which is no ticker unless the values show it."""
