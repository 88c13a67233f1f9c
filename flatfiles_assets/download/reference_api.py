"""The vendor's REST reference endpoints: splits, dividends, tickers and their changes, page by page.

Here: requests, retries, pagination and what may go wrong with them. Not here: what a record means
(`ingest/reference.py`). The API key travels in a header, to the configured host only; it is in no
URL, no log and no error.

https://polygon.io/docs/rest/stocks/corporate-actions/splits
https://polygon.io/docs/rest/stocks/tickers/all-tickers
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

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
from flatfiles_assets.download.faults import certificate_refused
from flatfiles_assets.download.network import NetworkOptions, is_loopback
from flatfiles_assets.errors import InvalidArgument

Endpoint = Literal["splits", "dividends"]

# The newer endpoint first. The older ones are deprecated since 2026-02-18 and will be removed.
_PATHS: Mapping[Endpoint, tuple[str, str]] = {
    "splits": ("/stocks/v1/splits", "/v3/reference/splits"),
    "dividends": ("/stocks/v1/dividends", "/v3/reference/dividends"),
}
_TICKERS_PATH = "/v3/reference/tickers"
_USUAL_WAY = NetworkOptions()
_PAGE_ROWS = 1000
# All dividends since 2000 are some hundreds of pages; an endless chain of cursors is a fault.
_MOST_PAGES = 20_000
_RETRIED_STATUSES = (429, 500, 502, 503, 504)
_LONGEST_WAIT_SECONDS = 60


class MalformedAnswer(DownloadError):
    """The server answered with something that is not a page of records."""


class NotThere(RequestRejected):
    """The server answered 404: it has no such endpoint, or knows no such security."""


_ERRORS: Mapping[int, tuple[type[DownloadError], str, str]] = {
    401: (
        AuthenticationFailed,
        "the API key is not accepted",
        "check FLATFILES_API_KEY; it is not the S3 access key",
    ),
    403: (NotEntitled, "the API key's plan does not include this endpoint", "see the plan in the dashboard"),
    404: (NotThere, "the server has no such thing", "check FLATFILES_API_URL"),
    429: (Throttled, "the server keeps asking to slow down", "wait a minute and try again"),
}


class DeprecatedEndpoint(UserWarning):
    """The server lacks the endpoint of today, and an older one was asked."""


class ReferenceApi:
    """The reference endpoints of one host.

    Args:
        base_url: Scheme and host, e.g. ``https://api.polygon.io``.
        api_key: The key, sent as ``Authorization: Bearer``.
        max_retries: Further attempts per page after a 429, a 5xx or a broken connection; a
            ``Retry-After`` of up to a minute is honoured.
        backoff_seconds: Wait before the first retry; doubled for each further one.
        timeout_seconds: Longest silence of the server.
        network: Proxy and certificates.

    Raises:
        InvalidArgument: The URL is not one of https, nor of http on this machine.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        max_retries: int = 5,
        backoff_seconds: float = 1.0,
        timeout_seconds: float = 60.0,
        network: NetworkOptions = _USUAL_WAY,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise InvalidArgument(
                "the API's address is not a plain http(s) URL",
                where="FLATFILES_API_URL",
                next_step="use scheme and host only, e.g. https://api.polygon.io",
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise InvalidArgument(
                "the API's address is not one of https",
                where="FLATFILES_API_URL",
                why="the key would be readable on its way",
                next_step="use https; http is for this machine only, e.g. http://127.0.0.1:8080",
            )
        self._base_url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._api_key = api_key
        self._http = network.pool(self._base_url)
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
        newer, older = _PATHS[endpoint]
        query = {"limit": str(_PAGE_ROWS)}
        try:
            first = self._page(newer, urlencode(query))
        except NotThere:
            warnings.warn(
                f"{self._base_url} has no {newer}; {older}, which the vendor will remove, is asked instead",
                DeprecatedEndpoint,
                stacklevel=2,
            )
            yield from self._pages(older, query)
        else:
            yield from self._pages(newer, query, first)

    def tickers(self, date: dt.date, *, active: bool) -> Iterator[dict[str, Any]]:
        """Every stock ticker as of a day.

        Args:
            date: The day; a subscription decides how far back it may be.
            active: Those listed on that day, or those delisted before.

        Raises as `records`.
        """
        query = {
            "market": "stocks",
            "active": str(active).lower(),
            "date": date.isoformat(),
            "limit": str(_PAGE_ROWS),
            "sort": "ticker",
            "order": "asc",
        }
        return self._pages(_TICKERS_PATH, query)

    def ticker_events(self, identifier: str) -> list[dict[str, Any]]:
        """The recorded changes of ticker of one security; none where the server knows no such security.

        Args:
            identifier: Ticker, composite FIGI or CUSIP.

        Returns:
            A record per event, with the security's ``name``, ``composite_figi`` and ``cik`` in each.

        Raises as `records`.
        """
        path = f"/vX/reference/tickers/{quote(identifier, safe='')}/events"
        try:
            page = self._answer(path, urlencode({"types": "ticker_change"}))
        except NotThere:
            return []
        found = page.get("results") or {}
        events = found.get("events", []) if isinstance(found, dict) else None
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise MalformedAnswer(
                "the answer holds no events",
                where=self._base_url + path,
                why="its results have no list named events",
                next_step="check FLATFILES_API_URL",
            )
        shared = {name: found.get(name) for name in ("name", "composite_figi", "cik")}
        entity = shared["composite_figi"] or identifier
        return [{**shared, "entity": entity, **event} for event in events]

    def _pages(
        self, path: str, parameters: Mapping[str, str], first: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The records of a page and of all that follow it; `first` is that page, where it is here."""
        query = urlencode(parameters)
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            page = first if first is not None and not seen else self._page(path, query)
            seen.add(query)
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
        page = self._answer(path, query)
        results = page.get("results", [])
        if not isinstance(results, list) or not all(isinstance(record, dict) for record in results):
            raise self._no_page(path)
        return {**page, "results": results}

    def _no_page(self, path: str) -> MalformedAnswer:
        return MalformedAnswer(
            "the answer is not a page of records",
            where=self._base_url + path,
            why="it has no list named results",
            next_step="check FLATFILES_API_URL",
        )

    def _answer(self, path: str, query: str) -> dict[str, Any]:
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
            certificate = certificate_refused(error, where)
            if certificate:
                raise certificate from None
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
        except (ValueError, RecursionError) as error:
            raise MalformedAnswer(
                "the answer is not JSON", where=where, why=str(error), next_step="check FLATFILES_API_URL"
            ) from None
        if not isinstance(page, dict):
            raise self._no_page(path)
        return page

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


def _message(body: bytes) -> str:
    """What the server says about an error, where it says so as the vendor does."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    said = (answer.get("error") or answer.get("message")) if isinstance(answer, dict) else None
    return str(said)[:300] if said else ""
