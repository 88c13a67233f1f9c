"""Fixtures of the download tests."""

from __future__ import annotations

import pytest

from flatfiles_assets.download.cache import FileCache
from flatfiles_assets_tests.download.stores import Bucket


@pytest.fixture
def bucket(s3):
    return Bucket(s3, s3.new_bucket())


@pytest.fixture
def cache(tmp_path):
    return FileCache(tmp_path / "cache")
