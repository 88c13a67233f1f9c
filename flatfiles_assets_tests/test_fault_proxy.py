"""The fault proxy makes what it says: checked with plain HTTP clients, so that fault tests mean something."""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from flatfiles_assets.demo.embedded_s3 import s3_client
from flatfiles_assets_tests import faults
from flatfiles_assets_tests.fault_proxy import FaultProxy
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

BODY = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def stored(s3):
    bucket = s3.new_bucket()
    s3.client().put_object(Bucket=bucket, Key="folder/object", Body=BODY)
    return f"/{bucket}/folder/object"


@pytest.fixture
def proxy(s3):
    with FaultProxy(s3.endpoint_url) as running:
        yield running


def _connection(proxy, timeout=PATIENCE_SECONDS):
    parts = urlsplit(proxy.endpoint_url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def _get(proxy, path, timeout=PATIENCE_SECONDS):
    connection = _connection(proxy, timeout)
    # moto lets nobody in without a key, of whatever kind.
    connection.request("GET", path, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/s3/x"})
    return connection.getresponse()


@pytest.mark.integration
def test_signed_requests_of_every_kind_pass_through_it_unharmed(real_s3):
    bucket = real_s3.new_bucket()
    with FaultProxy(real_s3.endpoint_url) as proxy:
        client = s3_client(proxy.endpoint_url, real_s3.access_key_id, real_s3.secret_access_key)
        client.put_object(Bucket=bucket, Key="a", Body=BODY)
        assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == BODY
        ranged = client.get_object(Bucket=bucket, Key="a", Range="bytes=10-19")["Body"].read()
        assert ranged == BODY[10:20]
        assert client.head_object(Bucket=bucket, Key="a")["ContentLength"] == len(BODY)
        assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
        client.delete_object(Bucket=bucket, Key="a")
        with pytest.raises(ClientError, match="NoSuchKey"):
            client.get_object(Bucket=bucket, Key="a")
        assert [record.range_header for record in proxy.requests()][:2] == [None, "bytes=10-19"]
        assert proxy.requests()[1].body_bytes_sent == 10


def test_an_error_is_made_for_so_many_matching_requests_and_no_others(proxy, stored):
    proxy.add(faults.SLOW_DOWN, path="folder/object", skip=1, times=2)
    answers = [_get(proxy, stored) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 503, 503, 200]
    assert b"<Code>SlowDown</Code>" in answers[1].read()
    assert answers[3].read() == BODY
    proxy.add(faults.ACCESS_DENIED, method="HEAD", times=None)
    assert _get(proxy, stored).status == 200


def test_a_reset_before_the_body(proxy, stored):
    proxy.add(faults.Reset())
    with pytest.raises(ConnectionResetError):
        _get(proxy, stored)


def test_a_reset_inside_the_body(proxy, stored):
    proxy.add(faults.Reset(after_bytes=1000))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        _get(proxy, stored).read()


def test_a_stall_sends_nothing_more(proxy, stored):
    proxy.add(faults.Stall(after_bytes=1000))
    response = _get(proxy, stored, timeout=0.3)
    assert response.read(1000) == BODY[:1000]
    with pytest.raises(TimeoutError):
        response.read(1)


def test_a_truncation_is_shorter_than_announced_and_a_silent_one_is_not(proxy, stored):
    proxy.add(faults.Truncate(1000))
    proxy.add(faults.TruncateSilently(1000))
    with pytest.raises(http.client.IncompleteRead):
        _get(proxy, stored).read()
    assert _get(proxy, stored).read() == BODY[:1000]


def test_exactly_one_byte_is_flipped(proxy, stored):
    proxy.add(faults.FlipByte(5000))
    got = _get(proxy, stored).read()
    assert [i for i, (a, b) in enumerate(zip(got, BODY, strict=True)) if a != b] == [5000]


def test_a_header_is_rewritten_or_left_out(proxy, stored):
    proxy.add(faults.Rewrite("ETag", '"another"'))
    proxy.add(faults.Rewrite("Content-Length", None))
    another, endless = _get(proxy, stored), _get(proxy, stored)
    assert (another.headers["ETag"], another.read()) == ('"another"', BODY)
    assert (endless.headers["Content-Length"], endless.read()) == (None, BODY)


def test_throttle_and_latency_take_their_time(proxy, stored):
    proxy.add(faults.Throttle(bytes_per_second=len(BODY) * 4))
    started = time.monotonic()
    assert _get(proxy, stored).read() == BODY
    assert time.monotonic() - started >= 0.2
    proxy.latency_seconds = 0.2
    started = time.monotonic()
    _get(proxy, stored).read()
    assert time.monotonic() - started >= 0.2


def test_it_counts_how_many_requests_are_in_flight(proxy, stored):
    proxy.latency_seconds = 0.3
    connections = [_connection(proxy) for _ in range(5)]
    for connection in connections:
        connection.request("GET", stored)
    for connection in connections:
        connection.getresponse().read()
    assert proxy.peak_in_flight == 5
