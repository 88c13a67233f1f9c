"""Fixtures of the whole suite: S3 servers, each started once and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.s3_servers import S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A fast store over HTTP that ignores signatures (moto); take a `new_bucket()` of your own."""
    with s3_servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def real_s3() -> Iterator[S3Server]:
    """A real S3 server; mark the tests that use it with ``integration``."""
    with s3_servers.real_server() as server:
        yield server
