"""An HTTP proxy that makes the faults of real networks and real object stores, on demand.

Here: `FaultProxy`. Not here: the faults it can make (`faults.py`) and what a client must do about them.

The client's head is passed on byte for byte, Host included, because SigV4 signs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
import threading
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlsplit

from flatfiles_assets_tests.faults import (
    Fault,
    FlipByte,
    Reset,
    Respond,
    Rewrite,
    Rule,
    Stall,
    Throttle,
    Truncate,
    TruncateSilently,
)
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

_BUFFER_BYTES = 2**18


@dataclasses.dataclass
class Record:
    """One request that came through."""

    method: str
    path: str
    range_header: str | None
    status: int | None = None
    body_bytes_sent: int = 0
    fault: Fault | None = None


@dataclasses.dataclass
class _Head:
    """A request's or response's first lines, kept verbatim beside what is read from them."""

    raw: bytes

    def __post_init__(self) -> None:
        first, *lines = self.raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.first = first.split(" ", 2)
        self.headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }

    @property
    def content_length(self) -> int | None:
        value = self.headers.get("content-length")
        return None if value is None else int(value)

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def keeps_connection(self) -> bool:
        return "close" not in self.headers.get("connection", "").lower() and "HTTP/1.0" not in self.first

    def with_length(self, size_bytes: int) -> bytes:
        """The head with this Content-Length and no other framing."""
        return self._with({"transfer-encoding": None, "content-length": str(size_bytes)})

    def rewritten(self, header: str, value: str | None) -> bytes:
        """The head with another value of a header; without a length the body ends with the connection."""
        changes = {header.lower(): value}
        return self._with(changes | ({"connection": "close"} if header.lower() == "content-length" else {}))

    def _with(self, changes: dict[str, str | None]) -> bytes:
        first, *lines = self.raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        kept = [line for line in lines if line.partition(":")[0].strip().lower() not in changes]
        added = [f"{name}: {value}" for name, value in changes.items() if value is not None]
        return ("\r\n".join([first, *kept, *added]) + "\r\n\r\n").encode("latin-1")


class _ConnectionOver(Exception):
    """The client's connection ends here, on purpose."""


class FaultProxy:
    """A proxy in front of one plain-HTTP server, in a thread with a loop of its own.

    Args:
        upstream_url: The server, e.g. ``http://127.0.0.1:9000``.
        latency_seconds: Added to every request; may be changed while it runs.

    Attributes:
        records: Every request so far, in order of arrival.
        peak_in_flight: The most requests there ever were at once.
    """

    def __init__(self, upstream_url: str, latency_seconds: float = 0.0) -> None:
        parts = urlsplit(upstream_url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.latency_seconds = latency_seconds
        self.records: list[Record] = []
        self.peak_in_flight = 0
        self._in_flight = 0
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._thread: threading.Thread | None = None

    @property
    def endpoint_url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self._port}"

    def add(
        self, fault: Fault, *, method: str = "GET", path: str = "", skip: int = 0, times: int | None = 1
    ) -> None:
        """Make a fault on requests to come.

        Args:
            fault: What happens to them.
            method: Only these; empty for all.
            path: Only those whose path and query contain this.
            skip: Let that many matching ones pass first.
            times: For so many matching ones; None for all.
        """
        with self._lock:
            self._rules.append(Rule(fault, method, path, skip, times))

    def clear(self) -> None:
        """Forget every fault and record."""
        with self._lock:
            self._rules.clear()
            self.records.clear()
            self.peak_in_flight = 0

    def requests(self, method: str = "GET", path: str = "") -> list[Record]:
        """The records of that method whose path and query contain this."""
        with self._lock:
            return [record for record in self.records if record.method == method and path in record.path]

    def __enter__(self) -> FaultProxy:
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
        self._port = started.result(timeout=PATIENCE_SECONDS)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(timeout=PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(timeout=PATIENCE_SECONDS)
        self._loop.close()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=_BUFFER_BYTES, backlog=512
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def _shut_down(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await _Conversation(self, reader, writer).run()
        except (_ConnectionOver, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # Either side may leave at any time; that is what this is for.
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _connect_upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._upstream, limit=_BUFFER_BYTES)

    @contextlib.contextmanager
    def _recorded(self, head: _Head) -> Iterator[Record]:
        method, path = head.first[0], head.first[1]
        record = Record(method, path, head.headers.get("range"))
        with self._lock:
            self.records.append(record)
            self._in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
            record.fault = next((rule.fault for rule in self._rules if rule.take(method, path)), None)
        try:
            yield record
        finally:
            with self._lock:
                self._in_flight -= 1


class _Conversation:
    """One client's connection and the connection to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self) -> None:
        try:
            while True:
                request = _Head(await self._reader.readuntil(b"\r\n\r\n"))
                with self._proxy._recorded(request) as record:
                    if self._proxy.latency_seconds:
                        await asyncio.sleep(self._proxy.latency_seconds)
                    await self._answer(request, record)
        finally:
            self._leave_upstream()

    def _leave_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream[1].close()
            self._upstream = None

    async def _answer(self, request: _Head, record: Record) -> None:
        fault = record.fault
        if fault == Reset(None):
            self._reset()
        if isinstance(fault, Respond):
            await self._respond(request, fault, record)
            return
        response = await self._ask_upstream(request)
        record.status = int(response.first[1])
        assert self._upstream is not None
        source = self._upstream[0]
        empty = request.first[0] == "HEAD" or record.status in (204, 304)
        if empty:
            raw = (
                response.rewritten(fault.header, fault.value) if isinstance(fault, Rewrite) else response.raw
            )
            self._writer.write(raw)
            await self._writer.drain()
        elif fault is None and not response.chunked and response.content_length is not None:
            await self._relay(source, response, response.content_length, record)
        else:
            body = await _read_body(source, response)
            await self._send_with_fault(response, body, record)
        if not response.keeps_connection or (not response.chunked and response.content_length is None):
            raise _ConnectionOver

    async def _respond(self, request: _Head, fault: Respond, record: Record) -> None:
        if "100-continue" not in request.headers.get("expect", "").lower():
            await _read_body(self._reader, request, until_end=False)
        body = b"" if request.first[0] == "HEAD" else fault.body
        head = (
            f"HTTP/1.1 {fault.status} Fault\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        record.status = fault.status
        self._writer.write(head.encode() + body)
        await self._writer.drain()
        raise _ConnectionOver

    async def _ask_upstream(self, request: _Head) -> _Head:
        """Pass the request on and return the head of the final response."""
        expects = "100-continue" in request.headers.get("expect", "").lower()
        body = b"" if expects else await _read_raw_body(self._reader, request)
        for attempt in (1, 2):
            fresh = self._upstream is None
            if self._upstream is None:
                self._upstream = await self._proxy._connect_upstream()
            source, sink = self._upstream
            try:
                sink.write(request.raw + body)
                await sink.drain()
                response = _Head(await source.readuntil(b"\r\n\r\n"))
                break
            except (ConnectionError, asyncio.IncompleteReadError):
                # A kept connection may have been closed by the server in the meantime.
                self._leave_upstream()
                if fresh or attempt == 2:
                    raise
        if response.first[1] == "100":
            self._writer.write(response.raw)
            await self._writer.drain()
            sink.write(await _read_raw_body(self._reader, request))
            await sink.drain()
            response = _Head(await source.readuntil(b"\r\n\r\n"))
        return response

    async def _relay(
        self, source: asyncio.StreamReader, response: _Head, size_bytes: int, record: Record
    ) -> None:
        self._writer.write(response.raw)
        while record.body_bytes_sent < size_bytes:
            piece = await source.read(min(_BUFFER_BYTES, size_bytes - record.body_bytes_sent))
            if not piece:
                raise _ConnectionOver
            self._writer.write(piece)
            record.body_bytes_sent += len(piece)
            await self._writer.drain()
        await self._writer.drain()

    async def _send_with_fault(self, response: _Head, body: bytes, record: Record) -> None:
        fault, sent = record.fault, body
        if isinstance(fault, Reset | Stall | Truncate | TruncateSilently):
            sent = body[: fault.after_bytes]
        elif isinstance(fault, FlipByte) and body:
            position = fault.position % len(body)
            sent = body[:position] + bytes([body[position] ^ 0xFF]) + body[position + 1 :]
        announced = len(sent) if isinstance(fault, TruncateSilently) else len(body)
        head = response.with_length(announced)
        if isinstance(fault, Rewrite):
            head = _Head(head).rewritten(fault.header, fault.value)
        self._writer.write(head)
        await self._send_body(sent, fault.bytes_per_second if isinstance(fault, Throttle) else None, record)
        if isinstance(fault, Stall):
            await self._reader.read()
            raise _ConnectionOver
        if isinstance(fault, Reset):
            # Let the bytes arrive first: a reset discards what the client has not read.
            await asyncio.sleep(0.02)
            self._reset()
        if isinstance(fault, Truncate) or (
            isinstance(fault, Rewrite) and b"content-length" not in head.lower()
        ):
            raise _ConnectionOver

    async def _send_body(self, body: bytes, bytes_per_second: int | None, record: Record) -> None:
        step = _BUFFER_BYTES if bytes_per_second is None else max(1, bytes_per_second // 20)
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            self._writer.write(piece)
            await self._writer.drain()
            record.body_bytes_sent += len(piece)
            if bytes_per_second is not None:
                await asyncio.sleep(len(piece) / bytes_per_second)
        await self._writer.drain()

    def _reset(self) -> None:
        connection = self._writer.get_extra_info("socket")
        # Linger on with zero seconds: close() sends RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        raise _ConnectionOver


async def _read_raw_body(source: asyncio.StreamReader, head: _Head) -> bytes:
    """A request's body as framed on the wire, chunk sizes included."""
    if not head.chunked:
        return await source.readexactly(head.content_length or 0)
    raw = bytearray()
    while True:
        line = await source.readline()
        size_bytes = int(line.split(b";")[0], 16)
        raw += line + await source.readexactly(size_bytes)
        raw += await source.readline()
        if size_bytes == 0:
            return bytes(raw)


async def _read_body(source: asyncio.StreamReader, head: _Head, until_end: bool = True) -> bytes:
    """A body without its framing; one without any reaches until the end of the connection."""
    if head.chunked:
        raw, body, start = await _read_raw_body(source, head), bytearray(), 0
        while True:
            end = raw.index(b"\r\n", start)
            size_bytes = int(raw[start:end].split(b";")[0], 16)
            if size_bytes == 0:
                return bytes(body)
            body += raw[end + 2 : end + 2 + size_bytes]
            start = end + 2 + size_bytes + 2
    if head.content_length is None and until_end:
        return await source.read()
    return await source.readexactly(head.content_length or 0)
