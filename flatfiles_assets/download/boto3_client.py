"""boto3's client, deaf to the environment and to ``~/.aws``, which goes to its endpoint and nowhere else.

Here: that. Not here: what is asked of it, and where the options come from (`connection.py`).
"""

from __future__ import annotations

import os
import urllib.parse
from typing import TYPE_CHECKING, Any

import boto3
import botocore
import botocore.session
from botocore.config import Config
from botocore.handlers import add_recursion_detection_header
from botocore.utils import is_valid_endpoint_url

from flatfiles_assets.download.obstore_client import CONNECT_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# boto3 refuses host names that DNS allows (``my_minio``, a service's name in Docker): it is given this one.
_STAND_IN = "store.invalid"


def build(
    *,
    endpoint_url: str,
    keys: tuple[str, str, str | None],
    region: str,
    addressing_style: str,
    proxy_url: str | None,
    ca_file: str,
    timeout_seconds: float,
    max_pool_connections: int,
) -> S3Client:
    """A client without retries, redirects, profiles, files and variables."""
    options: dict[str, Any] = {
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "ignore_configured_endpoint_urls": True,
        "s3": {
            "addressing_style": addressing_style,
            "use_accelerate_endpoint": False,
            "payload_signing_enabled": False,
            "disable_s3_express_session_auth": True,
        },
    }
    config = Config(
        signature_version="s3v4",
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS),
        read_timeout=timeout_seconds,
        max_pool_connections=max_pool_connections,
        proxies={"http": proxy_url, "https": proxy_url} if proxy_url else {},
        use_dualstack_endpoint=False,
        use_fips_endpoint=False,
        user_agent=f"flatfiles_assets botocore/{botocore.__version__}",
        **options,
    )
    parts = urllib.parse.urlsplit(endpoint_url)
    stand_in = (
        _STAND_IN if not is_valid_endpoint_url(endpoint_url) and ":" not in (parts.hostname or "") else None
    )
    shown = parts._replace(netloc=stand_in).geturl() if stand_in else endpoint_url
    key, secret, token = keys
    client = boto3.Session(botocore_session=deaf_session()).client(
        "s3",
        endpoint_url=shown,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        verify=ca_file,
        config=config,
    )
    events = client.meta.events
    events.unregister("before-call", add_recursion_detection_header)
    events.register_last("before-parameter-build.s3", _stay_here)
    if stand_in:

        def at_its_host(request: Any, **_: Any) -> None:
            request.url = request.url.replace(stand_in, parts.netloc, 1)

        events.register_first("before-sign.s3", at_its_host)
    return client


def deaf_session() -> botocore.session.Session:
    """A session that reads no profile, no file and no variable."""
    session = botocore.session.Session()
    defaults = {
        name: (None, None, default, cast_)
        for name, (_, _, default, cast_) in botocore.session.Session.SESSION_VARIABLES.items()
    }
    defaults["config_file"] = (None, None, os.devnull, None)
    defaults["credentials_file"] = (None, None, os.devnull, None)
    session.session_var_map.update(defaults)
    return session


def _stay_here(context: dict[str, Any], **_: Any) -> None:
    """Tell botocore that it has been redirected already.

    It would ask again at whatever region or host the answer names, and where the store answers with
    redirects only, without end.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True
