"""Fixtures of the whole suite: S3 servers, each started once and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flatfiles_assets import escaping
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.platform import Platform
from flatfiles_assets_tests.s3_servers import S3Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs Dagster on a store of its own: seconds each, which `make test-fast` leaves out."""
    for item in items:
        if "platform" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.whole_platform)


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


@pytest.fixture
def platform(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The whole platform in a folder and on a bucket of its own, as the settings see it."""
    found = Platform(s3, s3.new_bucket(), tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATFILES_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("FLATFILES_ACCESS_KEY_ID", s3.access_key_id)
    monkeypatch.setenv("FLATFILES_SECRET_ACCESS_KEY", s3.secret_access_key)
    monkeypatch.setenv("FLATFILES_BUCKET", found.bucket)
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(found.data_dir))
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "warehouse.duckdb"


@pytest.fixture
def warehouse(path: Path) -> Warehouse:
    return Warehouse(path, lock_timeout_seconds=PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process masks every secret that it ever read; what one test calls a secret is a word in another."""
    monkeypatch.setattr(escaping, "_known", set())


@pytest.fixture(autouse=True)
def _no_instance_of_other_tests() -> Iterator[None]:
    """Dagster loads definitions by the instance in force, and keeps one that was closed out of order.

    Contexts of sensors close theirs when they are collected, which is any time.
    """
    from dagster._core.storage.defs_state.base import set_defs_state_storage

    with set_defs_state_storage(None):
        yield
