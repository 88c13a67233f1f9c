"""obstore's client for one bucket, deaf to the environment.

obstore reads ``AWS_*`` whatever it is given: an option that is passed wins over its variable, so every
one that can change a request is passed. Here: that. Not here: what is asked of it (`objects.py`), and
where the options come from (`connection.py`).
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import functools
import os
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

from obstore.store import S3Store

CONNECT_TIMEOUT_SECONDS = 10.0
NOWHERE = "127.0.0.1:0"
"""The "proxy" for every host but the endpoint's: a redirect to another host ends there."""

_NO_TOTAL_TIMEOUT = dt.timedelta(days=7)
_PLAIN_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_TOKENS = ("AWS_SESSION_TOKEN", "AWS_TOKEN")
_environment = threading.Lock()
_LEAVE_SECONDS = 0.05
_EVERY_HOST = "*,0.0.0.0/0,::/0"


@functools.lru_cache(maxsize=16)
def build(
    bucket: str,
    *,
    endpoint_url: str,
    keys: tuple[str, str, str | None],
    region: str,
    virtual: bool,
    proxy_url: str | None,
    certificates: str | None,
    timeout_seconds: float,
    max_pool_connections: int,
) -> S3Store:
    """One client for each store and bucket: making it reads every certificate of the system."""
    parts = urllib.parse.urlsplit(endpoint_url)
    url = endpoint_url.rstrip("/")
    if virtual:
        url = f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path.rstrip('/')}"
    key, secret, token = keys
    config: dict[str, Any] = {
        "access_key_id": key,
        "secret_access_key": secret,
        **({"session_token": token} if token else {}),
        "endpoint": url,
        "aws_endpoint_url_s3": url,
        "region": region,
        "default_region": region,
        "virtual_hosted_style_request": virtual,
        "skip_signature": False,
        "unsigned_payload": False,
        "request_payer": False,
        "s3_express": False,
        "imdsv1_fallback": False,
        "disable_tagging": False,
        "disable_bulk_delete": False,
        # These three only concern uploads, of which there are none; without a value of ours, one from
        # the environment (``sse-c`` most of all) reaches every request.
        "server_side_encryption": "AES256",
        "sse_bucket_key_enabled": False,
        "checksum_algorithm": "SHA256",
        "conditional_put": "etag",
        "copy_if_not_exists": "multipart",
    }
    client: dict[str, Any] = {
        "allow_http": parts.scheme == "http",
        "allow_invalid_certificates": False,
        "timeout": _NO_TOTAL_TIMEOUT,
        "connect_timeout": dt.timedelta(seconds=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS)),
        "read_timeout": dt.timedelta(seconds=timeout_seconds),
        "pool_max_idle_per_host": str(max_pool_connections),
        **_proxy(proxy_url, urllib.parse.urlsplit(url).hostname or ""),
    }
    if certificates:
        client["root_certificate"] = certificates
    _end_gently()
    with _without_foreign_tokens():
        return S3Store(
            bucket,
            config=config,  # type: ignore[arg-type]
            client_options=client,  # type: ignore[arg-type]
            retry_config={"max_retries": 0, "retry_timeout": _NO_TOTAL_TIMEOUT},
        )


@functools.cache
def _end_gently() -> None:
    """Let obstore's threads leave Python before the interpreter ends.

    One of them may be on its way out of the event loop that it has just woken; an interpreter that ends
    meanwhile aborts the process, after everything was done (seen with Python 3.11 in one of eight).
    """
    atexit.register(time.sleep, _LEAVE_SECONDS)


@contextlib.contextmanager
def _without_foreign_tokens() -> Iterator[None]:
    """Take away what no option wins over: an option can set another token, and not none.

    A credential provider could, at the price of a call into Python for every request.
    """
    with _environment:
        found = {name: os.environ[name] for name in list(os.environ) if name.upper() in _TOKENS}
        for name in found:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(found)


def _proxy(proxy_url: str | None, host: str) -> dict[str, str]:
    """A proxy of ours, always: without one the environment's is taken."""
    if proxy_url:
        return {"proxy_url": proxy_url, "proxy_excludes": ""}
    excluded = host if _PLAIN_HOST.fullmatch(host) else _EVERY_HOST
    return {"proxy_url": f"http://{NOWHERE}", "proxy_excludes": excluded}
