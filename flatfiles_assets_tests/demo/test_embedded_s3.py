"""The embedded store: a real process over real HTTP that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from flatfiles_assets.demo import embedded_s3
from flatfiles_assets.demo.embedded_s3 import DemoUnavailable, EmbeddedS3
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


def _answers(endpoint_url: str) -> bool:
    try:
        urllib.request.urlopen(endpoint_url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def test_what_is_put_is_got_and_a_stopped_store_is_gone():
    with EmbeddedS3() as s3:
        s3.create_bucket("flatfiles")
        s3.create_bucket("flatfiles")
        s3.client().put_object(Bucket="flatfiles", Key="a/b.csv.gz", Body=b"bytes")
        assert s3.client().get_object(Bucket="flatfiles", Key="a/b.csv.gz")["Body"].read() == b"bytes"
        endpoint_url = s3.endpoint_url
    assert not _answers(endpoint_url)
    with pytest.raises(DemoUnavailable, match="start"):
        _ = s3.endpoint_url


def test_two_stores_run_side_by_side_and_stop_can_be_called_twice():
    with EmbeddedS3() as one, EmbeddedS3() as two:
        one.create_bucket("only-here")
        names = [bucket["Name"] for bucket in two.client().list_buckets()["Buckets"]]
        assert "only-here" not in names
        one.stop()
        one.stop()
        assert _answers(two.endpoint_url)


def test_it_dies_with_a_parent_that_is_killed():
    program = (
        "import time; from flatfiles_assets.demo.embedded_s3 import EmbeddedS3;"
        "print(EmbeddedS3().start().endpoint_url, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        endpoint_url = parent.stdout.readline().strip()
        assert _answers(endpoint_url)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _answers(endpoint_url):
        assert time.monotonic() < deadline, "the store outlived its parent"
        time.sleep(0.05)


def test_without_moto_the_error_names_what_to_install(monkeypatch):
    find = embedded_s3.importlib.util.find_spec
    monkeypatch.setattr(
        embedded_s3.importlib.util, "find_spec", lambda name: None if name == "moto" else find(name)
    )
    with pytest.raises(DemoUnavailable, match=r"missing: moto.*flatfiles-assets\[demo\]"):
        EmbeddedS3().start()


def test_a_server_that_cannot_start_is_reported_with_its_own_words(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded_s3.sys, "executable", str(broken))
    with pytest.raises(DemoUnavailable, match="no such module"):
        EmbeddedS3().start()
