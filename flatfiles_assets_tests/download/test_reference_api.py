"""Every record arrives, page by page, and the API key goes nowhere but into one header of one host."""

from __future__ import annotations

import datetime as dt
import logging
import time
from urllib.parse import parse_qs, urlsplit

import massive
import pytest
from pydantic import SecretStr

from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.download.errors import (
    AuthenticationFailed,
    DownloadError,
    NotEntitled,
    RequestRejected,
    Throttled,
    TransferFailed,
)
from flatfiles_assets.download.reference_api import DeprecatedEndpoint, MalformedAnswer, ReferenceApi
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests.reference_server import API_KEY, Answer, ReferenceServer, serving

SPLITS = SyntheticMarket(40).splits()


@pytest.fixture
def server():
    with serving(records={"splits": SPLITS, "dividends": []}, page_rows=2) as running:
        yield running


def api(server: ReferenceServer, key: str = API_KEY, **options) -> ReferenceApi:
    options = {"max_retries": 2, "backoff_seconds": 0.01, **options}
    return ReferenceApi(server.url, SecretStr(key), **options)


def test_every_page_is_read_to_the_last(server: ReferenceServer):
    assert list(api(server).records("splits")) == SPLITS
    assert len(server.requests) == -(-len(SPLITS) // 2)
    assert list(api(server).records("dividends")) == []


def test_the_first_request_asks_for_the_largest_page(server: ReferenceServer):
    list(api(server).records("splits"))
    assert server.requests[0][0] == "/stocks/v1/splits?limit=1000"


def test_the_key_is_in_the_header_and_in_no_url_log_repr_or_error(
    server: ReferenceServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    client = api(server)
    list(client.records("splits"))
    server.answers = [Answer(400, f'{{"error":"bad key {API_KEY}"}}'.encode())]
    with pytest.raises(RequestRejected) as refused:
        list(client.records("splits"))

    assert all(authorization == f"Bearer {API_KEY}" for _, authorization in server.requests)
    assert not any(API_KEY in target for target, _ in server.requests)
    assert caplog.records, "the HTTP library logs at this level"
    assert API_KEY not in caplog.text + repr(client) + str(refused.value)


def test_a_page_of_another_host_is_asked_of_the_configured_one(server: ReferenceServer):
    """Behind a proxy the vendor's answers name the vendor; the key must not follow them."""
    with serving(records={"splits": SPLITS}) as foreign:
        server.next_host = foreign.url
        assert list(api(server).records("splits")) == SPLITS
        assert foreign.requests == []


def test_a_next_page_that_is_not_of_the_endpoint_is_refused_unvisited(server: ReferenceServer):
    server.next_host, server.next_path = "http://203.0.113.7", "/collect"
    with pytest.raises(MalformedAnswer, match=r"203\.0\.113\.7/collect"):
        list(api(server).records("splits"))
    assert len(server.requests) == 1


def test_a_key_in_the_next_url_is_not_sent_back_in_one(server: ReferenceServer):
    page = b'{"results":[],"next_url":"http://x/stocks/v1/splits?cursor=99&apiKey=leaked"}'
    server.answers = [Answer(200, page)]
    list(api(server).records("splits"))
    assert server.requests[1][0] == "/stocks/v1/splits?cursor=99"


def test_pages_in_a_circle_end_in_an_error(server: ReferenceServer):
    server.circular = True
    with pytest.raises(MalformedAnswer, match="circle"):
        list(api(server).records("splits"))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(server: ReferenceServer, status: int):
    server.answers = [Answer(status), Answer(status)]
    assert list(api(server).records("splits")) == SPLITS


def test_retry_after_is_waited_for(server: ReferenceServer):
    server.answers = [Answer(429, headers={"Retry-After": "1"})]
    started = time.monotonic()
    assert list(api(server).records("splits")) == SPLITS
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AuthenticationFailed),
        (403, NotEntitled),
        (301, RequestRejected),
    ],
)
def test_a_settled_refusal_is_not_tried_again(server: ReferenceServer, status: int, error: type):
    server.answers = [Answer(status, headers={"Location": "/v3/reference/splits"})]
    with pytest.raises(error, match=f"HTTP {status}"):
        list(api(server).records("splits"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "error"), [(429, Throttled), (500, TransferFailed)])
def test_a_lasting_failure_ends_in_its_own_error(server: ReferenceServer, status: int, error: type):
    server.answers = [Answer(status)] * 3
    with pytest.raises(error, match=f"HTTP {status}: something"):
        list(api(server).records("splits"))
    assert len(server.requests) == 3


def test_a_wrong_key_is_named_as_such(server: ReferenceServer):
    with pytest.raises(AuthenticationFailed, match=r"Unknown API Key.*FLATFILES_API_KEY"):
        list(api(server, key="another").records("splits"))


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"[]", b'{"results": 1}', b'{"results": ["x"]}'])
def test_an_answer_that_is_no_page_is_an_error(server: ReferenceServer, body: bytes):
    server.answers = [Answer(200, body)]
    with pytest.raises(MalformedAnswer):
        list(api(server).records("splits"))


def test_a_server_that_is_not_there_is_an_error_without_the_key():
    client = ReferenceApi("http://127.0.0.1:9", SecretStr(API_KEY), max_retries=0)
    with pytest.raises(TransferFailed) as failed:
        list(client.records("splits"))
    assert API_KEY not in str(failed.value)


@pytest.mark.parametrize(
    "url", ["", "api.polygon.io", "ftp://x", "https://user:word@host", "https://x?apiKey=1"]
)
def test_an_address_that_is_none_is_refused_before_any_request(url: str):
    with pytest.raises(InvalidArgument, match="FLATFILES_API_URL"):
        ReferenceApi(url, SecretStr(API_KEY))


def test_the_older_endpoint_is_asked_only_where_the_newer_is_missing_and_with_a_warning(server):
    server.has_v1 = False
    with pytest.warns(DeprecatedEndpoint, match="/v3/reference/splits"):
        assert list(api(server).records("splits")) == SPLITS
    assert [target for target, _ in server.requests[:2]] == [
        "/stocks/v1/splits?limit=1000",
        "/v3/reference/splits?limit=1000",
    ]


def test_no_other_refusal_leads_to_the_older_endpoint(server: ReferenceServer):
    for status in (400, 401, 403):
        server.requests.clear()
        server.answers = [Answer(status)]
        with pytest.raises(DownloadError):
            list(api(server).records("splits"))
        assert len(server.requests) == 1


def test_a_server_with_neither_endpoint_is_an_error(server: ReferenceServer):
    server.records = {}
    with pytest.warns(DeprecatedEndpoint), pytest.raises(RequestRejected, match="HTTP 404"):
        list(api(server).records("splits"))
    assert len(server.requests) == 2


def test_tickers_are_those_of_a_day_to_the_last_page(server: ReferenceServer):
    rows = [{"date": "2024-01-02", "ticker": f"T{number}", "active": True} for number in range(5)]
    server.tickers = [*rows, {"date": "2024-01-02", "ticker": "DEAD", "active": False}]
    found = list(api(server).tickers(dt.date(2024, 1, 2), active=True))
    assert [row["ticker"] for row in found] == ["T0", "T1", "T2", "T3", "T4"]
    assert "market=stocks&active=true&date=2024-01-02" in server.requests[0][0]
    dead = api(server).tickers(dt.date(2024, 1, 2), active=False)
    assert [row["ticker"] for row in dead] == ["DEAD"]
    assert list(api(server).tickers(dt.date(2024, 1, 3), active=True)) == []


def test_events_name_their_security_and_an_unknown_security_has_none(server: ReferenceServer):
    event = {"type": "ticker_change", "date": "2022-06-09", "ticker_change": {"ticker": "META"}}
    server.events = {
        "META": {"name": "Meta", "composite_figi": "BBG000MM2P62", "cik": "1", "events": [event]}
    }
    (found,) = api(server).ticker_events("META")
    assert (found["entity"], found["date"], found["ticker_change"]) == (
        "BBG000MM2P62",
        "2022-06-09",
        {"ticker": "META"},
    )
    assert server.requests[-1][0] == "/vX/reference/tickers/META/events?types=ticker_change"
    assert api(server).ticker_events("BRK/B?x") == []
    assert server.requests[-1][0].startswith("/vX/reference/tickers/BRK%2FB%3Fx/events")


@pytest.mark.parametrize("page_rows", [2, 1000])
def test_the_vendors_own_client_asks_the_same_and_gets_the_same(server: ReferenceServer, page_rows: int):
    """Both clients on one server: endpoints, pages, header and records."""
    server.page_rows = page_rows
    server.records["dividends"] = SyntheticMarket(3).dividends(dt.date(2024, 1, 1), dt.date(2024, 12, 31))
    server.tickers = [
        {"date": "2024-01-02", "ticker": f"T{n}", "active": True, "name": "x", "type": "CS"} for n in range(5)
    ]
    server.events = {"T1": {"name": "T", "events": [{"type": "ticker_change", "date": "2020-01-02",
                                                     "ticker_change": {"ticker": "T1"}}]}}  # fmt: skip
    theirs = massive.RESTClient(API_KEY, base=server.url)
    ours = api(server)

    def asked(action) -> tuple[list, list[str], set[str | None]]:
        server.requests.clear()
        found = action()
        targets = [urlsplit(target) for target, _ in server.requests]
        queries = [(t.path, {k: v for k, v in parse_qs(t.query).items() if k != "limit"}) for t in targets]
        return found, queries, {header for _, header in server.requests}

    def compare(mine, vendors, fields: tuple[str, ...]) -> None:
        found, targets, headers = asked(lambda: [tuple(r.get(f) for f in fields) for r in mine()])
        expected, their_targets, their_headers = asked(
            lambda: [tuple(getattr(r, f) for f in fields) for r in vendors()]
        )
        assert found == expected
        assert found
        assert targets[0][0] == their_targets[0][0]
        assert headers == their_headers == {f"Bearer {API_KEY}"}
        # The same pages, whichever else was asked for.
        assert [t[0] for t in targets] == [t[0] for t in their_targets]
        assert [t[1].get("cursor") for t in targets] == [t[1].get("cursor") for t in their_targets]

    compare(
        lambda: ours.records("splits"),
        lambda: theirs.list_stocks_splits(limit=1000),
        ("id", "ticker", "execution_date", "split_from", "split_to", "adjustment_type"),
    )
    compare(
        lambda: ours.records("dividends"),
        lambda: theirs.list_stocks_dividends(limit=1000),
        ("id", "ticker", "ex_dividend_date", "cash_amount", "currency", "distribution_type"),
    )
    compare(
        lambda: ours.tickers(dt.date(2024, 1, 2), active=True),
        lambda: theirs.list_tickers(market="stocks", active=True, date="2024-01-02", limit=1000),
        ("ticker", "active", "name", "type"),
    )
    events, targets, _ = asked(lambda: ours.ticker_events("T1"))
    vendors, their_targets, _ = asked(lambda: theirs.get_ticker_events("T1", types="ticker_change"))
    assert targets == their_targets
    assert [e["ticker_change"]["ticker"] for e in events] == [
        e["ticker_change"]["ticker"] for e in vendors.events
    ]
