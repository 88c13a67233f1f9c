"""The vendor's REST reference endpoints: splits and dividends, page by page.

Here: requests, retries, pagination and what may go wrong with them. Not here: what a record means
(`ingest/reference.py`). The API key travels in a header, to the configured host only; it is in no
URL, no log and no error.

https://polygon.io/docs/rest/stocks/corporate-actions/splits
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import urllib3
from pydantic import SecretStr

from flatfiles_assets.download.errors import (
    AuthenticationFailed,
    DownloadError,
    NotEntitled,
    RequestRejected,
    Throttled,
    TransferFailed,
)
from flatfiles_assets.errors import InvalidArgument

Endpoint = Literal["splits", "dividends"]

_PATHS: Mapping[Endpoint, str] = {
    "splits": "/v3/reference/splits",
    "dividends": "/v3/reference/dividends",
}
_PAGE_ROWS = 1000
# All dividends since 2000 are some hundreds of pages; an endless chain of cursors is a fault.
_MOST_PAGES = 20_000
_RETRIED_STATUSES = (429, 500, 502, 503, 504)
_LONGEST_WAIT_SECONDS = 60
_ERRORS: Mapping[int, tuple[type[DownloadError], str, str]] = {
    401: (
        AuthenticationFailed,
        "the API key is not accepted",
        "check FLATFILES_API_KEY; it is not the S3 access key",
    ),
    403: (NotEntitled, "the API key's plan does not include this endpoint", "see the plan in the dashboard"),
    429: (Throttled, "the server keeps asking to slow down", "wait a minute and try again"),
}


class MalformedAnswer(DownloadError):
    """The server answered with something that is not a page of records."""


class ReferenceApi:
    """The reference endpoints of one host.

    Args:
        base_url: Scheme and host, e.g. ``https://api.polygon.io``.
        api_key: The key, sent as ``Authorization: Bearer``.
        max_retries: Further attempts per page after a 429, a 5xx or a broken connection; a
            ``Retry-After`` of up to a minute is honoured.
        backoff_seconds: Wait before the first retry; doubled for each further one.
        timeout_seconds: Longest silence of the server.

    Raises:
        InvalidArgument: The URL is not one of HTTP.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        max_retries: int = 5,
        backoff_seconds: float = 1.0,
        timeout_seconds: float = 60.0,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise InvalidArgument(
                "the API's address is not a plain http(s) URL",
                where="FLATFILES_API_URL",
                next_step="use scheme and host only, e.g. https://api.polygon.io",
            )
        self._base_url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._api_key = api_key
        self._http = _pool(self._base_url)
        self._timeout_seconds = timeout_seconds
        self._retries = urllib3.Retry(
            total=max_retries,
            status_forcelist=_RETRIED_STATUSES,
            allowed_methods={"GET"},
            backoff_factor=backoff_seconds / 2,
            backoff_max=_LONGEST_WAIT_SECONDS,
            backoff_jitter=backoff_seconds / 2,
            respect_retry_after_header=True,
            retry_after_max=_LONGEST_WAIT_SECONDS,
            raise_on_status=False,
        )

    def __repr__(self) -> str:
        return f"ReferenceApi({self._base_url!r})"

    def records(self, endpoint: Endpoint) -> Iterator[dict[str, Any]]:
        """Every record of an endpoint, in the server's order; a page is fetched when it is needed.

        Raises:
            AuthenticationFailed: The key is not accepted.
            NotEntitled: The plan does not include the endpoint.
            Throttled: The server kept answering 429.
            TransferFailed: The network or the server failed in every attempt.
            RequestRejected: The server refused for another reason.
            MalformedAnswer: An answer is no page of records, or its cursor leads elsewhere or in a
                circle.
        """
        path = _PATHS[endpoint]
        query = urlencode({"limit": _PAGE_ROWS})
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            seen.add(query)
            page = self._page(path, query)
            yield from page["results"]
            following = page.get("next_url")
            if not following:
                return
            query = self._cursor(path, following)
            if query in seen:
                break
        raise MalformedAnswer(
            "the pages lead in a circle",
            where=self._base_url + path,
            why=f"after {len(seen)} pages the server named one that it had already given",
            next_step="try again later; nothing was stored",
        )

    def _cursor(self, path: str, next_url: object) -> str:
        """The query of the next page, which is asked of the configured host whatever the URL says.

        Behind a proxy the vendor names its own host; sending the key there is not for it to decide.
        """
        parts = urlsplit(str(next_url))
        # A proxy may serve the API below a folder that the vendor does not know.
        if parts.path.rstrip("/") not in (path, urlsplit(self._base_url).path + path):
            raise MalformedAnswer(
                "the next page is not one of this endpoint",
                where=self._base_url + path,
                why=f"next_url leads to {parts.hostname or ''}{parts.path}",
                next_step="check FLATFILES_API_URL; nothing was sent there",
            )
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        return urlencode([(name, value) for name, value in pairs if name.lower() != "apikey"])

    def _page(self, path: str, query: str) -> dict[str, Any]:
        where = self._base_url + path
        try:
            response = self._http.request(
                "GET",
                f"{where}?{query}",
                headers={
                    "Authorization": f"Bearer {self._api_key.get_secret_value()}",
                    "Accept": "application/json",
                },
                retries=self._retries,
                redirect=False,
                timeout=urllib3.Timeout(total=None, connect=10.0, read=self._timeout_seconds),
            )
        except urllib3.exceptions.HTTPError as error:
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            raise TransferFailed(
                "the page could not be fetched",
                where=where,
                why=self._without_key(f"{type(reason).__name__}: {reason}"),
                next_step="check the network and FLATFILES_API_URL, and try again",
            ) from None
        if response.status != 200:
            raise self._refusal(where, response)
        try:
            page = json.loads(response.data)
        except ValueError as error:
            raise MalformedAnswer(
                "the answer is not JSON", where=where, why=str(error), next_step="check FLATFILES_API_URL"
            ) from None
        results = page.get("results", []) if isinstance(page, dict) else None
        if not isinstance(results, list) or not all(isinstance(record, dict) for record in results):
            raise MalformedAnswer(
                "the answer is not a page of records",
                where=where,
                why="it has no list named results",
                next_step="check FLATFILES_API_URL",
            )
        return {**page, "results": results}

    def _refusal(self, where: str, response: urllib3.BaseHTTPResponse) -> DownloadError:
        status = response.status
        default = (
            (TransferFailed, "the server failed in every attempt", "try again later")
            if status >= 500
            else (RequestRejected, "the server refused the request", "check FLATFILES_API_URL")
        )
        kind, what, next_step = _ERRORS.get(status, default)
        said = self._without_key(_message(response.data))
        return kind(what, where=where, why=f"HTTP {status}{said and f': {said}'}", next_step=next_step)

    def _without_key(self, text: str) -> str:
        key = self._api_key.get_secret_value()
        return text.replace(key, "…") if key else text


def _pool(base_url: str) -> urllib3.PoolManager:
    parts = urlsplit(base_url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


def _message(body: bytes) -> str:
    """What the server says about an error, where it says so as the vendor does."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    said = (answer.get("error") or answer.get("message")) if isinstance(answer, dict) else None
    return str(said)[:300] if said else ""
