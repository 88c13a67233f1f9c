"""A store of a few objects that answers exactly as a test says, and remembers what it was asked.

Here: what no S3 server does on purpose: redirects, missing headers, listings in a circle, slow bodies,
certificates of one's own. Not here: faults of the network (`fault_proxy.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, unquote, urlsplit

LAST_MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
# Never for longer than a test may take, whoever is waiting.
_MOST_SECONDS = 30


@dataclasses.dataclass
class Request:
    """What was asked.

    Attributes:
        method: HTTP method.
        target: As on the wire.
        headers: By lower-case name.
    """

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        query = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in query.items()}


@dataclasses.dataclass
class Response:
    """What is answered; a header with the value None is left out, a body in pieces is not announced."""

    status: int = 200
    headers: dict[str, str | None] = dataclasses.field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    pause_seconds: float = 0.0


Answer = Callable[[Request], "Response | None"]


class SmallStore:
    """Objects by key in a bucket of any name, path style.

    Args:
        objects: Bodies by key.
        answer: Asked first; None for the usual answer.
        tls: For https.
        etag: The ETag of a body.
    """

    def __init__(
        self,
        objects: dict[str, bytes] | None = None,
        answer: Answer = lambda _: None,
        tls: ssl.SSLContext | None = None,
        etag: Callable[[bytes], str | None] = lambda body: hashlib.md5(
            body, usedforsecurity=False
        ).hexdigest(),
    ) -> None:
        self.objects = objects or {}
        self.answer = answer
        self.etag = etag
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._tls = tls
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                store.handle(self)

            do_GET = do_HEAD = do_CONNECT = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # Clients leave in the middle; that is what is tested.

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> SmallStore:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def handle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, handler.path, headers)
        self.requests.append(request)
        response = self.answer(request) or self.usual(request)
        is_announced = isinstance(response.body, bytes)
        given = {name.lower() for name in response.headers}
        handler.send_response(response.status)
        if is_announced and "content-length" not in given:
            handler.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        if request.method == "HEAD":
            return
        for piece in [response.body] if isinstance(response.body, bytes) else response.body:
            handler.wfile.write(piece)
            handler.wfile.flush()
            if response.pause_seconds and self.stopping.wait(response.pause_seconds):
                break
        if not is_announced or ("content-length" in given and response.headers.get("Content-Length") is None):
            handler.close_connection = True

    def usual(self, request: Request) -> Response:
        """What S3 answers."""
        key = request.path.strip("/").partition("/")[2]
        if not key:
            prefix = request.query.get("prefix", "")
            keys = sorted(key for key in self.objects if key.startswith(prefix))
            return listing([listed(key, self.objects[key], self.etag) for key in keys])
        if key not in self.objects:
            return refusal(404, "NoSuchKey", "The specified key does not exist.")
        body = self.objects[key]
        etag = self.etag(body)
        headers = {"Last-Modified": LAST_MODIFIED, "ETag": f'"{etag}"' if etag else None}
        return Response(200, headers, body)


def refusal(status: int, code: str, message: str, more: str = "", **headers: str) -> Response:
    """An error as S3 words it."""
    xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    return Response(status, {"Content-Type": "application/xml", **headers}, xml.encode())


def listed(key: str, body: bytes, etag: Callable[[bytes], str | None], *, leave_out: str = "") -> str:
    """An object in a listing, one of its elements left out."""
    parts = {
        "Key": key,
        "LastModified": "2024-01-01T00:00:00.000Z",
        "ETag": f'"{etag(body)}"',
        "Size": str(len(body)),
    }
    return "".join(f"<{name}>{value}</{name}>" for name, value in parts.items() if name != leave_out)


def listing(contents: Iterable[str], token: str | None = None) -> Response:
    """A page of a listing, with more to come where there is a token."""
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    objects = "".join(f"<Contents>{item}</Contents>" for item in contents)
    xml = (
        "<?xml version='1.0'?><ListBucketResult><Name>b</Name>"
        f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{more}{objects}</ListBucketResult>"
    )
    return Response(200, {"Content-Type": "application/xml"}, xml.encode())


def forever(piece: bytes) -> Iterable[bytes]:
    """A body that does not end, within what a test may take."""
    end = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < end:
        yield piece
