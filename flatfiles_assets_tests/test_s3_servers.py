"""The servers that the suite stands on: they store, and the real ones refuse a wrong secret."""

from __future__ import annotations

import contextlib

import botocore.exceptions
import pytest

from flatfiles_assets.demo.embedded_s3 import s3_client
from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.daemons import ServerUnavailable


def _refuses_a_wrong_secret(server: s3_servers.S3Server) -> bool:
    client = s3_client(server.endpoint_url, server.access_key_id, "wrong", retries={"max_attempts": 0})
    try:
        client.list_buckets()
    except botocore.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False


@pytest.mark.integration
@pytest.mark.parametrize("launch", [s3_servers.radosgw, s3_servers.swift, s3_servers.rclone])
def test_a_launched_server_stores_checks_signatures_and_ends(launch):
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(launch())
        except ServerUnavailable as error:
            pytest.skip(str(error))
        bucket = server.new_bucket()
        server.client().put_object(Bucket=bucket, Key="a/b.csv.gz", Body=b"bytes")
        assert server.client().get_object(Bucket=bucket, Key="a/b.csv.gz")["Body"].read() == b"bytes"
        assert _refuses_a_wrong_secret(server)
        server.delete_buckets()
        assert bucket not in {entry["Name"] for entry in server.client().list_buckets()["Buckets"]}
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        server.client().list_buckets()


def test_moto_gives_every_test_a_bucket_of_its_own(s3):
    one, two = s3.new_bucket(), s3.new_bucket()
    s3.client().put_object(Bucket=one, Key="k", Body=b"1")
    assert "Contents" not in s3.client().list_objects_v2(Bucket=two)


def test_a_half_given_environment_is_an_error_and_not_another_server(monkeypatch):
    monkeypatch.setenv("FLATFILES_TEST_S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.delenv("FLATFILES_TEST_S3_ACCESS_KEY", raising=False)
    with pytest.raises(ValueError, match="FLATFILES_TEST_S3_SECRET_KEY"), s3_servers.given_by_environment():
        pass
