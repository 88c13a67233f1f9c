"""What the UI answers, and to whom: the guard before Dagster's web server.

Here: one ASGI application around another. Not here: starting either (`ui_server.py`).

Dagster's server asks nobody who they are, so whatever a browser can be made to send, it carries out.
Three things are refused, on loopback as elsewhere:

- a host name that is not the UI's: a foreign name that resolves to this machine makes a foreign page
  the UI's own origin (DNS rebinding);
- a request or websocket that comes from another page than the UI's;
- a mutation by GET: an image is fetched by GET, and text of others may hold the address of one.

The pages may show pictures of their own and of the UI's, and none from elsewhere.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flatfiles_assets.escaping import printable

_PICTURES = (b"content-security-policy", b"img-src 'self' data: blob:; frame-ancestors 'self'")
_MOST_SHOWN = 100


class UiGuard:
    """Passes on what the UI's own pages ask, and refuses the rest with the reason.

    Args:
        app: Dagster's web server.
        hosts: Names, besides those of loopback, under which the UI may be called: ``ui.example``, or
            ``ui.example:8443`` for one port. Those of a proxy in front belong here, too.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.strip().lower().rstrip(".") for host in hosts if host.strip())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = self._refusal(scope)
        if reason is None:
            await self._app(scope, receive, _with_policy(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:_MOST_SHOWN]})
        else:
            await _refuse(send, reason)

    def _refusal(self, scope: Scope) -> str | None:
        headers = list(scope["headers"])
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or not self._is_ours(hosts[0], scope):
            return (
                f"the UI is not called {_shown(hosts)}: "
                "name the host in FLATFILES_ALLOWED_HOSTS if it should be"
            )
        for origin in _values(headers, b"origin"):
            if not self._is_own_page(origin, hosts[0]):
                return (
                    f"the request comes from a page of {_shown([origin])}, not from the UI: "
                    "name its host in FLATFILES_ALLOWED_HOSTS if it is the UI's"
                )
        writes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if writes and set(_values(headers, b"sec-fetch-site")) - {"same-origin", "none"}:
            own = _values(headers, b"origin")
            if not own:  # One that is there was judged above.
                return "the request comes from another page than the UI's"
        if scope["type"] == "http" and scope["method"] != "POST" and _changes_something(scope):
            return "only queries are answered by GET; whatever changes something is sent by POST"
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        name, address = _host_name(host), scope.get("server")
        if name is None:
            return False
        if name == "localhost" or name.endswith(".localhost") or host.lower() in self._hosts:
            return True
        if name in self._hosts:
            return True
        try:
            found = ipaddress.ip_address(name)
        except ValueError:
            return False
        # No name was resolved; an address is that of this connection, or of loopback.
        return found.is_loopback or bool(address and _same_address(found, str(address[0])))

    def _is_own_page(self, origin: str, host: str) -> bool:
        parts = urlsplit(origin.lower())
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return False
        return (
            parts.netloc == host.lower()
            or parts.netloc in self._hosts
            or (_host_name(parts.netloc) or "") in self._hosts
        )


def _changes_something(scope: Scope) -> bool:
    """Whether the address carries an operation of GraphQL that is no query, or one that cannot be read."""
    parameters = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    # All of them: which one of a repeated parameter counts is not for us to say.
    queries = parameters.get("query", [])
    is_graphql = scope["path"].rstrip("/").endswith("/graphql")
    for query in queries:
        try:
            operations = [
                node for node in parse(query).definitions if isinstance(node, OperationDefinitionNode)
            ]
        except (GraphQLError, RecursionError):
            if is_graphql:
                return True
            continue
        if any(node.operation is not OperationType.QUERY for node in operations):
            return True
    return False


def _host_name(host: str) -> str | None:
    """The name or address in ``name:port``; None where it is not written so."""
    try:
        parts = urlsplit(f"//{host.lower()}")
        port = parts.port  # Raises where it is none.
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment or port == 0:
        return None
    return (parts.hostname or "").rstrip(".") or None


def _same_address(found: ipaddress.IPv4Address | ipaddress.IPv6Address, local: str) -> bool:
    try:
        here = ipaddress.ip_address(local.partition("%")[0])
    except ValueError:
        return False
    if here.is_unspecified:
        return False
    return found == here or getattr(here, "ipv4_mapped", None) == found


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for found, value in headers if found.lower() == name]


def _shown(values: Iterable[str]) -> str:
    return printable(", ".join(values) or "by any name")[:_MOST_SHOWN]


def _with_policy(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            # A second policy narrows the first.
            message = {**message, "headers": [*message.get("headers", ()), _PICTURES]}
        await send(message)

    return sending


async def _refuse(send: Send, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
