"""The guard passes on what the UI's own pages ask, and nothing that another page or a picture could."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.cli.ui_guard import UiGuard

MUTATION = "mutation { launchRun(executionParams: {}) { __typename } }"


def ask(
    path: str = "/graphql",
    query: str = "",
    *,
    method: str = "GET",
    host: str | None = "127.0.0.1:3000",
    allowed: tuple[str, ...] = (),
    kind: str = "http",
    server: tuple[str, int] = ("127.0.0.1", 3000),
    **headers: str,
) -> int:
    """The status of one request; 101 for a websocket that is let in, 403 for one that is not."""
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    found = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    if host is not None:
        found.append((b"host", host.encode()))
    scope = {
        "type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": found,
        "server": server,
    }  # fmt: skip
    asyncio.run(UiGuard(app, allowed)(scope, receive, send))
    if kind == "websocket":
        assert bool(reached) != (sent[0]["type"] == "websocket.close")
        return 101 if reached else 403
    status = sent[0]["status"]
    assert bool(reached) == (status == 200)
    return status


@pytest.mark.parametrize(
    "query",
    [
        MUTATION,
        "subscription { pipelineRunLogs(runId: 1) { __typename } }",
        "query Q { version } " + MUTATION,
        "fragment F on Mutation { x } mutation M { ...F }",
        "#comment\n" + MUTATION,
        "\ufeff" + MUTATION,
        "mutation($a: Int) { x(a: $a) }",
        "not graphql (",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_picture_cannot_change_anything(query: str, method: str):
    assert ask(query=f"query={quote(query)}", method=method) == 403
    assert ask(query=f"operationName=Q&query=%7Bversion%7D&query={quote(query)}", method=method) == 403
    assert ask(query=f"query={quote(query)}&query=%7Bversion%7D", method=method) == 403
    assert ask(path="/some/graphql/", query=f"query={quote(query)}", method=method) == 403


def test_queries_and_pages_are_answered():
    assert ask(query="query=%7Bversion%7D") == 200
    assert ask(query=f"query={quote('query A { version } query B { version }')}&operationName=A") == 200
    assert ask("/assets/market/stocks_daily", "view=partitions&query=not+graphql+(") == 200
    assert ask("/") == 200
    assert ask(method="POST", origin="http://127.0.0.1:3000", sec_fetch_site="same-origin") == 200
    assert ask(method="POST") == 200, "a script, which no page can send"
    assert ask(kind="websocket", origin="http://127.0.0.1:3000") == 101


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:3000", 200),
        ("127.0.0.1", 200),
        ("127.1.2.3:3000", 200),
        ("localhost:3000", 200),
        ("LOCALHOST", 200),
        ("localhost.:3000", 200),
        ("ui.localhost:3000", 200),
        ("[::1]:3000", 200),
        ("evil.example", 403),
        ("evil.example:3000", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("notlocalhost", 403),
        ("192.0.2.7:3000", 403),
        ("0.0.0.0:3000", 403),
        ("127.0.0.1@evil.example", 403),
        ("evil.example#127.0.0.1", 403),
        ("evil.example/127.0.0.1", 403),
        ("2130706433", 403),
        ("127.0.0.1:x", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_the_ui_answers_to_its_own_name_only_on_loopback_too(host: str | None, status: int):
    assert ask("/", host=host) == status
    assert ask(method="POST", host=host) == status
    assert ask(kind="websocket", host=host) == (101 if status == 200 else 403)


def test_an_address_is_answered_where_it_is_the_one_that_was_called():
    assert ask("/", host="192.0.2.7:3000", server=("192.0.2.7", 3000)) == 200
    assert ask("/", host="[2001:db8::7]:3000", server=("2001:db8::7", 3000)) == 200
    assert ask("/", host="192.0.2.7:3000", server=("::ffff:192.0.2.7", 3000)) == 200
    assert ask("/", host="192.0.2.8:3000", server=("192.0.2.7", 3000)) == 403


def test_two_hosts_in_one_request_are_refused():
    assert ask("/", host="127.0.0.1", Host="evil.example") == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "https://evil.example:3000", "null", "http://127.0.0.1:3001",
        "http://localhost:3000", "file://", "http://127.0.0.1:3000.evil.example", "chrome-extension://a", "",
    ],
)  # fmt: skip
def test_another_page_is_refused_whatever_it_asks(origin: str):
    for asked in ({}, {"method": "POST"}, {"kind": "websocket"}, {"query": "query=%7Bversion%7D"}):
        assert ask(**asked, origin=origin) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_elsewhere_changes_nothing(site: str):
    assert ask(method="POST", sec_fetch_site=site) == 403
    assert ask(kind="websocket", sec_fetch_site=site) == 403
    assert ask("/", sec_fetch_site=site) == 200, "a link to the UI may be followed"


def test_a_team_opens_it_by_name():
    allowed = ("ui.example", " Proxy.Example:8443 ")
    assert ask("/", host="ui.example", allowed=allowed) == 200
    assert ask("/", host="UI.example:80", allowed=allowed) == 200
    assert ask("/", host="proxy.example:8443", allowed=allowed) == 200
    assert ask("/", host="proxy.example", allowed=allowed) == 403
    assert ask("/", host="other.ui.example", allowed=allowed) == 403
    # Behind a proxy that calls the UI by its address.
    assert ask(method="POST", origin="https://ui.example", allowed=allowed) == 200
    assert ask(method="POST", origin="https://evil.example", allowed=allowed) == 403
    assert ask(query=f"query={quote(MUTATION)}", host="ui.example", allowed=allowed) == 403


def test_pages_show_no_pictures_from_elsewhere():
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(UiGuard(app)(scope, None, send))
    headers = dict(sent[0]["headers"])
    assert headers[b"x-own"] == b"1"
    assert b"img-src 'self' data:" in headers[b"content-security-policy"]


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["Host", "Origin"]))
def test_no_header_makes_it_fail(host: str, other: str, name: str):
    headers = {name: _on_the_wire(host), "sec_fetch_site": _on_the_wire(other)}
    assert ask("/", host=None, **headers) in (200, 403)


def _on_the_wire(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")
