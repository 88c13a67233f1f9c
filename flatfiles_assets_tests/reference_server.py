"""A local server that behaves like the vendor's reference endpoints, on loopback HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

API_KEY = "a-secret-api-key"


@dataclasses.dataclass
class Answer:
    """An answer given once instead of a page."""

    status: int
    body: bytes = b'{"status":"ERROR","error":"something"}'
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ReferenceServer:
    """What the server holds and what it was asked.

    Attributes:
        records: By endpoint: ``splits`` and ``dividends``, of today's endpoints and of the older ones.
        tickers: Rows of the list of tickers, each with the ``date`` as of which it is.
        events: Results of the events endpoint, by identifier.
        has_v1: Whether the server has today's endpoints.
        page_rows: Most records on a page, whatever limit is asked for.
        answers: Given, in order, before any page.
        next_host: The host named in next_url; None for the server's own.
        requests: (path with query, Authorization) of every request.
    """

    url: str = ""
    records: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    tickers: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    events: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    has_v1: bool = True
    page_rows: int = 1000
    answers: list[Answer] = dataclasses.field(default_factory=list)
    next_host: str | None = None
    next_path: str | None = None
    circular: bool = False
    requests: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)

    def answer(self, target: str, authorization: str | None) -> Answer:
        self.requests.append((target, authorization))
        if self.answers:
            return self.answers.pop(0)
        if authorization != f"Bearer {API_KEY}":
            return Answer(401, b'{"status":"ERROR","error":"Unknown API Key"}')
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/events"):
            found = self.events.get(unquote(parts.path.split("/")[-2]))
            return (
                Answer(200, json.dumps({"status": "OK", "results": found}).encode()) if found else Answer(404)
            )
        rows = self._rows(parts.path, query)
        if rows is None:
            return Answer(404)
        first = int(query.get("cursor", "0"))
        size = min(self.page_rows, int(query.get("limit", self.page_rows)))
        page: dict[str, Any] = {"status": "OK", "results": rows[first : first + size]}
        if first + size < len(rows) or self.circular:
            cursor = 0 if self.circular else first + size
            host = self.next_host or self.url
            kept = {name: value for name, value in query.items() if name in ("date", "active")}
            following = urlencode({**kept, "cursor": cursor, "limit": size})
            page["next_url"] = f"{host}{self.next_path or parts.path}?{following}"
        return Answer(200, json.dumps(page).encode())

    def _rows(self, path: str, query: dict[str, str]) -> list[dict[str, Any]] | None:
        if path == "/v3/reference/tickers":
            active = query.get("active", "true") == "true"
            return [
                {name: value for name, value in row.items() if name != "date"}
                for row in self.tickers
                if row["date"] == query.get("date") and row["active"] == active
            ]
        prefixes = ("/stocks/v1/", "/v3/reference/") if self.has_v1 else ("/v3/reference/",)
        for prefix in prefixes:
            if path.startswith(prefix):
                return self.records.get(path.removeprefix(prefix))
        return None


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[ReferenceServer]:
    """A running server on a free port."""
    state = ReferenceServer(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            given = state.answer(self.path, self.headers.get("Authorization"))
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
