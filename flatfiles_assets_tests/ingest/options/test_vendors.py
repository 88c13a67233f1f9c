"""The usual vendors' files become one typed table; what nothing settles is listed with what would."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.directories.options_table import OPTIONS_SCHEMA, read_options_directory
from flatfiles_assets.ingest.layouts.overrides import load_overrides

DAY, EXPIRY = dt.date(2024, 1, 12), dt.date(2024, 1, 19)


def quote(kind: str, strike: float = 150.0, **values: float | None) -> dict:
    """A quote on AAPL, with what every vendor below has of it."""
    return {
        "underlying": "AAPL",
        "expiry": EXPIRY,
        "option_type": kind,
        "strike": strike,
        "quote_date": DAY,
        **values,
    }


CALL = quote("C", bid=36.0, ask=36.5, last=36.25, volume=120.0, open_interest=3456.0) | {
    "implied_volatility": 0.31
}
PUT = quote("P", bid=0.02, ask=0.04, last=0.03, volume=75.0, open_interest=9876.0) | {
    "implied_volatility": 0.42
}
NO_INTEREST = {"open_interest": None}
LAST_ONLY = {"bid": None, "ask": None, "open_interest": None, "implied_volatility": None}

FILES: dict[str, tuple[str, dict]] = {
    "aapl_eod_202401.txt": (
        "[QUOTE_UNIXTIME], [QUOTE_READTIME], [QUOTE_DATE], [QUOTE_TIME_HOURS], [UNDERLYING_LAS"
        "T], [EXPIRE_DATE],"
        " [EXPIRE_UNIX], [DTE], [C_DELTA], [C_IV], [C_VOLUME], [C_LAST], [C_SIZE], [C_BID], [C"
        "_ASK], [STRIKE],"
        " [P_BID], [P_ASK], [P_SIZE], [P_LAST], [P_DELTA], [P_IV], [P_VOLUME], [STRIKE_DISTANCE]\n"
        "1705093200, 2024-01-12 16:00, 2024-01-12, 16.0, 185.92, 2024-01-19, 1705698000, 7.0, "
        "0.98, 0.31, 120.0,"
        " 36.25, 10 x 12, 36.0, 36.5, 150.0, 0.02, 0.04, 5 x 6, 0.03, -0.02, 0.42, 75.0, 35.9\n",
        NO_INTEREST,
    ),
    "UnderlyingOptionsEODCalcs_2024-01-12.csv": (
        "underlying_symbol,quote_date,root,expiration,strike,option_type,open,high,low,close,trade_volume,"
        "bid_size_1545,bid_1545,ask_size_1545,ask_1545,underlying_bid_1545,underlying_ask_1545,"
        "implied_volatility_1545,bid_size_eod,bid_eod,ask_size_eod,ask_eod,underlying_bid_eod,open_interest\n"
        "AAPL,2024-01-12,AAPL,2024-01-19,150.000,C,36,36.5,36,36.25,120,1,35.9,1,36.4,185.9,18"
        "5.95,0.31,1,36.0,1,"
        "36.5,185.9,3456\n"
        "AAPL,2024-01-12,AAPL,2024-01-19,150.000,P,0.03,0.03,0.03,0.03,75,1,0.01,1,0.05,185.9,"
        "185.95,0.42,1,0.02,1,"
        "0.04,185.9,9876\n",
        {},
    ),
    "L2_options_20240112.csv": (
        "UnderlyingSymbol,UnderlyingPrice,Exchange,OptionSymbol,OptionExt,Type,Expiration,Data"
        "Date,Strike,Last,Bid,"
        "Ask,Volume,OpenInterest,IV,Delta,Gamma,Theta,Vega,AKA\n"
        "AAPL,185.92,*,AAPL240119C00150000,,call,01/19/2024,01/12/2024,150,36.25,36.0,36.5,120"
        ",3456,0.31,.9,0,0,0,\n"
        "AAPL,185.92,*,AAPL240119P00150000,,put,01/19/2024,01/12/2024,150,0.03,0.02,0.04,75,98"
        "76,0.42,-.1,0,0,0,\n",
        {},
    ),
    "ORATS_SMV_Strikes_20240112.csv": (
        "ticker,cOpra,pOpra,stkPx,expirDate,yte,strike,cVolu,cOi,pVolu,pOi,cBidPx,cValue,cAskP"
        "x,pBidPx,pValue,pAskPx,"
        "cBidIv,cMidIv,cAskIv,smoothSmvVol,pBidIv,pMidIv,pAskIv,iRate,spot_px,trade_date\n"
        "AAPL,AAPL240119C00150000,AAPL240119P00150000,185.92,1/19/2024,0.02,150,120,3456,75,98"
        "76,36.0,36.2,36.5,0.02,"
        "0.03,0.04,0.3,0.31,0.32,0.33,0.4,0.42,0.44,0.05,185.92,1/12/2024\n",
        {"last": None},
    ),
    "opprcd2024.csv": (
        "secid,date,symbol,exdate,last_date,cp_flag,strike_price,best_bid,best_offer,volume,open_interest,"
        "impl_volatility,delta,optionid,ss_flag,ticker,index_flag\n"
        "101594,20240112,AAPL 240119C150000,20240119,20240112,C,150000,36.0,36.5,120,3456,0.31"
        ",0.9,1,0,AAPL,0\n"
        "101594,20240112,AAPL 240119P150000,20240119,20240112,P,150000,0.02,0.04,75,9876,0.42,"
        "-0.1,2,0,AAPL,0\n",
        {"last": None},
    ),
    "2024-01-12.csv.gz": (
        "ticker,volume,open,close,high,low,window_start,transactions\n"
        "O:AAPL240119C00150000,120,36,36.25,36.5,36,1705035600000000000,9\n"
        "O:AAPL240119P00150000,75,0.03,0.03,0.03,0.03,1705035600000000000,9\n",
        LAST_ONLY,
    ),
    "AAPL_2024-01-12.csv": (
        ",contractSymbol,lastTradeDate,strike,lastPrice,bid,ask,change,percentChange,volume,openInterest,"
        "impliedVolatility,inTheMoney,contractSize,currency\n"
        "0,AAPL240119C00150000,2024-01-12 20:59:01+00:00,150.0,36.25,36.0,36.5,0,0,120,3456,0."
        "31,True,REGULAR,USD\n"
        "1,AAPL240119P00150000,2024-01-11 20:59:01+00:00,150.0,0.03,0.02,0.04,0,0,75,9876,0.42"
        ",False,REGULAR,USD\n",
        {},
    ),
    "theta_v2.csv": (
        "root,expiration,strike,right,ms_of_day,open,high,low,close,volume,count,bid_size,bid,"
        "ask_size,ask,date\n"
        "AAPL,20240119,150000,C,58500000,36,36.5,36,36.25,120,9,1,36.0,1,36.5,20240112\n"
        "AAPL,20240119,150000,P,58500000,0.03,0.03,0.03,0.03,75,9,1,0.02,1,0.04,20240112\n",
        {"open_interest": None, "implied_volatility": None},
    ),
    "theta_v3.csv": (
        '"symbol","expiration","strike","right","created","last_trade","close","volume","bid","ask"\n'
        '"AAPL","2024-01-19",150.000,"CALL",2024-01-12T17:19:55.123,2024-01-12T15:59:00,36.25,120,36.00,36.50\n'
        '"AAPL","2024-01-19",150.000,"PUT",2024-01-12T17:19:55.123,2024-01-12T15:59:00,0.03,75,0.02,0.04\n',
        {"open_interest": None, "implied_volatility": None},
    ),
    "ivolatility.csv": (
        "symbol,exchange,company name,date,stock price for iv,option symbol,expiration,strike,"
        "call/put,style,bid,ask,"
        "mean price,settlement,iv,volume,open interest,delta\n"
        "AAPL,NASDAQ,Apple,01/12/2024,185.92,AAPL  240119C00150000,01/19/2024,150,C,A,36.0,36."
        "5,36.25,0,0.31,120,3456,.9\n"
        "AAPL,NASDAQ,Apple,01/12/2024,185.92,AAPL  240119P00150000,01/19/2024,150,P,A,0.02,0.0"
        "4,0.03,0,0.42,75,9876,0\n",
        {"last": None},
    ),
    "dolthub.csv": (
        "date,act_symbol,expiration,strike,call_put,bid,ask,vol,delta\n"
        "2024-01-12,AAPL,2024-01-19,150.00,Call,36.00,36.50,120,0.9\n"
        "2024-01-12,AAPL,2024-01-19,150.00,Put,0.02,0.04,75,-0.1\n",
        {"last": None, "open_interest": None, "implied_volatility": None},
    ),
}


def read(folder, overrides=None) -> tuple[list[dict], dict[str, str]]:
    table = read_options_directory(folder, overrides)
    rows = table.read().read_all()
    assert rows.schema.names[: len(OPTIONS_SCHEMA)] == OPTIONS_SCHEMA.names
    assert all(rows.schema.field(name) == OPTIONS_SCHEMA.field(name) for name in OPTIONS_SCHEMA.names)
    return rows.to_pylist(), {file.file: file.reason for file in table.files}


@pytest.mark.parametrize("name", FILES)
def test_a_vendors_file_becomes_typed_quotes(tmp_path, name):
    text, unlike = FILES[name]
    body = text.encode()
    if name.endswith(".gz"):
        body = gzip.compress(body)
    (tmp_path / name).write_bytes(body)
    rows, reasons = read(tmp_path)
    assert reasons == {name: ""}
    assert [{key: row[key] for key in CALL} for row in rows] == [CALL | unlike, PUT | unlike]


def test_all_vendors_files_are_one_table_and_the_rest_is_kept(tmp_path):
    for name, (text, _) in FILES.items():
        (tmp_path / name.removesuffix(".gz")).write_text(text)
    rows, reasons = read(tmp_path)
    assert set(reasons.values()) == {""}
    assert len(rows) == 2 * len(FILES)
    by_file = {(row["source_file"], row["option_type"]): row for row in rows}
    assert by_file["aapl_eod_202401.txt", "P"]["delta"] == -0.02
    assert by_file["aapl_eod_202401.txt", "C"]["size"] == "10 x 12"
    assert by_file["opprcd2024.csv", "C"]["secid"] == 101594
    assert by_file["L2_options_20240112.csv", "C"]["underlying_price"] == 185.92
    assert by_file["L2_options_20240112.csv", "C"]["contract"] == "AAPL240119C00150000"


def test_typed_files_are_read_as_text_is(tmp_path):
    frame = pd.DataFrame([CALL, PUT]).rename(columns={"expiry": "expiration", "quote_date": "date"})
    frame.to_parquet(tmp_path / "a.parquet")
    typed = frame.assign(expiration=pd.to_datetime(frame["expiration"]), date=20240112)
    pq.write_table(pa.Table.from_pandas(typed), tmp_path / "b.parquet")
    records = json.loads(frame.astype({"expiration": str, "date": str}).to_json(orient="records"))
    (tmp_path / "c.json").write_text(json.dumps({"results": records}))
    rows, reasons = read(tmp_path)
    assert set(reasons.values()) == {""}
    assert [{key: row[key] for key in CALL} for row in rows] == [CALL, PUT] * 3


def test_answers_of_a_service_and_partitioned_folders_are_understood(tmp_path):
    details = {"contract_type": "call", "expiration_date": "2024-01-19", "strike_price": 150}
    result = {
        "details": details | {"ticker": "O:AAPL240119C00150000"},
        "day": {"close": 36.25, "volume": 120},
        "last_quote": {"bid": 36.0, "ask": 36.5},
        "implied_volatility": 0.31,
        "open_interest": 3456,
        "underlying_asset": {"ticker": "AAPL", "price": 185.92},
    }
    (tmp_path / "snapshot_2024-01-12.json").write_text(json.dumps({"status": "OK", "results": [result]}))
    folder = tmp_path / "underlying=AAPL" / "quote_date=2024-01-12"
    folder.mkdir(parents=True)
    rest = {key: CALL[key] for key in CALL if key not in ("underlying", "quote_date")}
    pq.write_table(pa.Table.from_pylist([rest]), folder / "part-0.parquet")
    rows, reasons = read(tmp_path)
    assert set(reasons.values()) == {""}
    assert [{key: row[key] for key in CALL} for row in rows] == [CALL, CALL]


def test_calls_and_puts_beside_each_other_under_one_name(tmp_path):
    (tmp_path / "AAPL_quotedata_2024-01-12.csv").write_text(
        "Apple Inc,Last: 185.92,Change:  0.33\n\n"
        "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Open Interest,Strike,"
        "Puts,Last Sale,Net,Bid,Ask,Volume,IV,Open Interest\n"
        "Fri Jan 19 2024,AAPL240119C00150000,36.25,0,36.0,36.5,120,0.31,3456,150.00,"
        "AAPL240119P00150000,0.03,0,0.02,0.04,75,0.42,9876\n"
        "Fri Jan 19 2024,AAPL240119C00155000,31.25,0,31.0,31.5,20,0.30,345,155.00,"
        "AAPL240119P00155000,0.05,0,0.04,0.06,5,0.41,986\n"
    )
    rows, reasons = read(tmp_path)
    assert set(reasons.values()) == {""}
    assert [{key: row[key] for key in CALL} for row in rows][:2] == [CALL, PUT]


CHAIN = "expiration,strike,right,bid,ask\n2024-01-19,150,C,1,2\n2024-02-16,150,P,1,2\n"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("AAPL_chain.csv", CHAIN, "quote_date ="),
        ("AAPL_2024-01-19.csv", CHAIN, "quote_date ="),  # the expiry, as it seems
        ("AAPL_2024-03-01.csv", CHAIN, "quote_date ="),  # after the expiries
        ("chain_2024-01-12.csv", CHAIN, r"options\.underlying"),
        ("AAPL_2024-01-12.csv", CHAIN.replace("right,", "side,"), "which rows are calls"),
        ("AAPL_2024-01-12.csv", CHAIN.replace("bid,ask", "x,y"), "no bid, ask"),
        ("AAPL_2024-01-12.csv", CHAIN.replace("strike", "level"), "says the strike"),
        ("AAPL_2024-01-12.csv", CHAIN.replace("2024-01-19", "soon").replace("2024-02-16", "later"), "'soon'"),
        ("AAPL_2024-01-12.csv", CHAIN.replace(",C,1", ",C,x").replace(",P,1", ",P,y"), "bid is no number"),
        (
            "AAPL_2024-01-12.csv",
            "expiration,strike,right,bid\n"
            + "".join(f"2024-01-19,{s},C,1\n" for s in range(90000, 95000, 500)),
            "dollars or thousandths",
        ),
        ("fees.csv", "exchange,fee\nCBOE,0.3\nISE,0.2\n", "no column says the expiry"),
    ],
)
def test_what_nothing_settles_is_listed_with_what_would(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    rows, reasons = read(tmp_path)
    assert rows == []
    assert re.search(reason, reasons[name]), reasons[name]


def test_an_override_settles_it(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "chain.csv").write_text(CHAIN.replace("bid,ask", "b,a").replace("150", "150000"))
    toml = tmp_path.parent / "layouts.toml"
    toml.write_text(
        '[[files]]\nmatch = "x/*"\noptions = { quote_date = 2024-01-12, underlying = "MSFT", '
        'strike_scale = 0.001, columns = { b = "bid" } }\n'
    )
    rows, reasons = read(tmp_path, load_overrides(toml))
    assert reasons == {"x/chain.csv": ""}
    assert [(row["underlying"], row["strike"], row["bid"], row["a"]) for row in rows] == [
        ("MSFT", 150.0, 1.0, 2)
    ] * 2
    toml.write_text('[[files]]\nmatch = "x/*"\noptions = { quote_day = 2024-01-12 }\n')
    with pytest.raises(InvalidArgument, match="quote_date = a day"):
        load_overrides(toml)


def test_one_bad_row_costs_one_row(tmp_path):
    good = "".join(f"2024-01-12,AAPL,2024-01-19,{s},C,{s}.5,{s}.75\n" for s in range(100, 200))
    bad = "2024-01-12,AAPL,2024-01-05,100,C,1,2\n2024-01-12,,2024-01-19,100,C,1,2\n"
    bad += "2024-01-12,AAPL,n/a,100,C,1,2\n"
    (tmp_path / "a.csv").write_text("date,symbol,expiration,strike,type,bid,ask\n" + good + bad)
    table = read_options_directory(tmp_path)
    (report,) = table.files
    assert (report.rows, report.malformed_rows) == (100, 3)
    assert dict(report.malformed_examples) == {
        101: "it is quoted after its expiry",
        102: "it has no underlying",
        103: "it has no expiry",
    }


def test_sentinels_are_no_values_and_per_cent_are_shares(tmp_path):
    (tmp_path / "a.csv").write_text(
        "date,symbol,expiration,strike,type,bid,ask,iv\n"
        '2024-01-12,^SPX,2024-01-19,4700,Call,-1,"1,234.5",31.5%\n'
        "2024-01-12,^SPX,2024-01-19,4800,Put,0,$2.5,-99.99\n"
    )
    rows, _ = read(tmp_path)
    assert [(r["underlying"], r["bid"], r["ask"], r["implied_volatility"]) for r in rows] == [
        ("SPX", None, 1234.5, 0.315),
        ("SPX", 0.0, 2.5, None),
    ]


def test_columns_that_contradict_the_contract_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text(
        "date,option_symbol,strike,type,bid\n2024-01-12,AAPL240119C00150000,150,P,1\n2024-01-12,"
        "AAPL240119P00150000,150,C,1\n"
    )
    rows, reasons = read(tmp_path)
    assert rows == []
    assert "its contract is another" in reasons["a.csv"]
