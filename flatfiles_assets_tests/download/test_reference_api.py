"""Every record arrives, page by page, and the API key goes nowhere but into one header of one host."""

from __future__ import annotations

import logging
import time

import pytest
from pydantic import SecretStr

from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.download.errors import (
    AuthenticationFailed,
    NotEntitled,
    RequestRejected,
    Throttled,
    TransferFailed,
)
from flatfiles_assets.download.reference_api import MalformedAnswer, ReferenceApi
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
    assert server.requests[0][0] == "/v3/reference/splits?limit=1000"


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
    page = b'{"results":[],"next_url":"http://x/v3/reference/splits?cursor=99&apiKey=leaked"}'
    server.answers = [Answer(200, page)]
    list(api(server).records("splits"))
    assert server.requests[1][0] == "/v3/reference/splits?cursor=99"


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
        (404, RequestRejected),
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
