"""Requests are made of settings only: what other programs left in the environment changes no byte of them."""

from __future__ import annotations

import asyncio
import re

import pytest

from flatfiles_assets.download import obstore_client
from flatfiles_assets.download.async_downloader import AsyncS3Downloader
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.fetch import fetch_files
from flatfiles_assets.download.listing import list_remote
from flatfiles_assets.download.sync_downloader import SyncS3Downloader
from flatfiles_assets.minio_data_downloader import MinIODataDownloader
from flatfiles_assets.settings import load_settings
from flatfiles_assets_tests.download.small_store import SmallStore

pytestmark = pytest.mark.slow

OBJECTS = {"samples/a.csv": b"a,b\n1,2\n", "samples/b.csv": b"a,b\n3,4\n"}
KEYS = {"access_key_id": "OUR-KEY", "secret_access_key": "our-secret"}
AWS_CONFIG = """[default]
region = eu-west-1
s3 =
    use_accelerate_endpoint = true
    use_dualstack_endpoint = true
    addressing_style = virtual
    payload_signing_enabled = true
[profile gone]
aws_session_token = FOREIGN
"""


_URLS = """AWS_ENDPOINT AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_STS AWS_STS_ENDPOINT
    AWS_METADATA_ENDPOINT AWS_PROXY_URL AWS_EC2_METADATA_SERVICE_ENDPOINT
    AWS_CONTAINER_CREDENTIALS_FULL_URI HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy"""
_KEYS = "AWS_SESSION_TOKEN AWS_TOKEN AWS_SECURITY_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"
_SWITCHES = """AWS_SKIP_SIGNATURE AWS_UNSIGNED_PAYLOAD AWS_S3_EXPRESS AWS_VIRTUAL_HOSTED_STYLE_REQUEST
    AWS_DISABLE_TAGGING AWS_DISABLE_BULK_DELETE AWS_IMDSV1_FALLBACK AWS_SSE_BUCKET_KEY_ENABLED
    AWS_ALLOW_INVALID_CERTIFICATES AWS_HTTP2_ONLY AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT
    AWS_S3_USE_ARN_REGION AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS AWS_S3_DISABLE_EXPRESS_SESSION_AUTH
    AWS_EC2_METADATA_DISABLED"""
_OTHERS = """AWS_ALLOW_HTTP=false AWS_REQUEST_PAYER=requester AWS_REGION=eu-central-1
    AWS_DEFAULT_REGION=eu-central-1 AWS_BUCKET=another AWS_BUCKET_NAME=another
    AWS_SERVER_SIDE_ENCRYPTION=sse-c AWS_SSE_CUSTOMER_KEY_BASE64=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
    AWS_SSE_KMS_KEY_ID=a-key AWS_CHECKSUM_ALGORITHM=SHA256 AWS_REQUEST_CHECKSUM_CALCULATION=when_supported
    AWS_RESPONSE_CHECKSUM_VALIDATION=when_supported AWS_CONDITIONAL_PUT=nonsense
    AWS_COPY_IF_NOT_EXISTS=nonsense AWS_TIMEOUT=1ms AWS_CONNECT_TIMEOUT=1ms AWS_READ_TIMEOUT=1ms
    AWS_USER_AGENT=somebody AWS_EXECUTION_ENV=AWS_Lambda_python3.11 AWS_LAMBDA_FUNCTION_NAME=a-function
    _X_AMZN_TRACE_ID=Root=1-foreign AWS_SDK_UA_APP_ID=somebody AWS_PROFILE=not-there
    AWS_DEFAULT_PROFILE=not-there AWS_RETRY_MODE=adaptive AWS_MAX_ATTEMPTS=9 AWS_DEFAULTS_MODE=mobile
    AWS_ROLE_ARN=arn:aws:iam::1:role/x AWS_AUTH_SCHEME_PREFERENCE=sigv4a AWS_SIGV4A_SIGNING_REGION_SET=*
    AWS_S3_US_EAST_1_REGIONAL_ENDPOINT=legacy AWS_STS_REGIONAL_ENDPOINTS=legacy AWS_ACCOUNT_ID=123456789012"""
_FILES = """AWS_CONFIG_FILE=config AWS_SHARED_CREDENTIALS_FILE=credentials AWS_CA_BUNDLE=not-there.pem
    REQUESTS_CA_BUNDLE=not-there.pem AWS_WEB_IDENTITY_TOKEN_FILE=config AWS_DATA_PATH=."""


def _variables(elsewhere: str, folder) -> dict[str, str]:
    """Every variable of obstore, boto3 and HTTP clients that was found to mean anything."""
    others = dict(pair.split("=", 1) for pair in _OTHERS.split())
    files = {name: str(folder / file) for name, file in (pair.split("=", 1) for pair in _FILES.split())}
    return {
        **dict.fromkeys(_URLS.split(), elsewhere),
        **dict.fromkeys(_KEYS.split(), "FOREIGN"),
        **dict.fromkeys(_SWITCHES.split(), "true"),
        **others,
        **files,
    }


def _fetch_all(url: str, folder) -> None:
    """Every door to a store: async, sync, listing, the mirror's fetch, the user's bucket."""

    async def with_async() -> None:
        async with AsyncS3Downloader(KEYS, url) as downloader:
            assert (await downloader.download_one("bkt", "samples/a.csv")).getvalue() == OBJECTS[
                "samples/a.csv"
            ]
            assert await downloader.list_objects("bkt", "samples/") == list(OBJECTS)

    asyncio.run(with_async())
    with SyncS3Downloader(KEYS, url) as downloader:
        assert downloader.download("bkt", "samples/b.csv").getvalue() == OBJECTS["samples/b.csv"]
        assert downloader.check_exists("bkt", "samples/a.csv")
    connection = S3Connection(url, "OUR-KEY", "our-secret")
    assert [item.key for item in list_remote(connection, "bkt")] == list(OBJECTS)
    with FileCache(folder / "cache") as cache:
        (result,) = fetch_files(connection, "bkt", cache, ["samples/a.csv"])
        assert result.path.read_bytes() == OBJECTS["samples/a.csv"]
    mirror = MinIODataDownloader(
        folder / "mirror", endpoint_url=url, bucket="bkt", access_key="OUR-KEY", secret_key="our-secret"
    )
    assert len(mirror.download_directory("samples")) == len(OBJECTS)


def _on_the_wire(store: SmallStore) -> list[tuple[object, ...]]:
    """The requests, without what differs from one moment to the next."""
    shown = []
    for request in store.requests:
        headers = {
            name: re.sub(r"Signature=\w+", "Signature=…", re.sub(r"\d{8}/", "DATE/", value)).replace(
                str(store.port), "PORT"
            )
            for name, value in request.headers.items()
            if name not in ("x-amz-date", "amz-sdk-invocation-id")
        }
        shown.append((request.method, request.target, tuple(sorted(headers.items()))))
    # Requests that are made at once arrive in any order.
    return sorted(shown)


@pytest.mark.parametrize("config", [AWS_CONFIG, "no [ini at all"], ids=["options", "unparsable"])
def test_no_variable_and_no_file_of_another_program_changes_a_request(tmp_path, monkeypatch, config):
    (tmp_path / "clean").mkdir()
    (tmp_path / "config").write_text(config)
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = FOREIGN\naws_session_token = FOREIGN\n"
    )
    with SmallStore(OBJECTS) as store, SmallStore(OBJECTS) as elsewhere:
        for name in _variables("", tmp_path):
            monkeypatch.delenv(name, raising=False)
        _fetch_all(store.url, tmp_path / "clean")
        clean = _on_the_wire(store)
        store.requests.clear()
        for name, value in _variables(elsewhere.url, tmp_path).items():
            monkeypatch.setenv(name, value)
        _clear_clients()
        _fetch_all(store.url, tmp_path / "hostile")
        assert _on_the_wire(store) == clean
        assert elsewhere.requests == []
    assert "FOREIGN" not in repr(clean)


def test_each_variable_alone_changes_nothing(tmp_path, monkeypatch):
    # One may hide what another does.
    with SmallStore(OBJECTS) as store, SmallStore(OBJECTS) as elsewhere:
        variables = _variables(elsewhere.url, tmp_path)
        for name in variables:
            monkeypatch.delenv(name, raising=False)

        def asked() -> list[tuple[object, ...]]:
            _clear_clients()
            store.requests.clear()

            async def main() -> None:
                async with AsyncS3Downloader(KEYS, store.url, max_retries=0) as downloader:
                    await downloader.download_one("bkt", "samples/a.csv")

            asyncio.run(main())
            return _on_the_wire(store)

        clean = asked()
        for name, value in variables.items():
            with monkeypatch.context() as alone:
                alone.setenv(name, value)
                assert asked() == clean, name
        assert elsewhere.requests == []


def test_a_session_token_is_sent_where_it_is_ours_and_nowhere_else(tmp_path):
    with SmallStore(OBJECTS) as store:
        connection = S3Connection(store.url, "OUR-KEY", "our-secret", session_token="OUR-TOKEN")
        with FileCache(tmp_path) as cache:
            (result,) = fetch_files(connection, "bkt", cache, ["samples/a.csv"])
        assert result.path.read_bytes() == OBJECTS["samples/a.csv"]
        list(list_remote(connection, "bkt"))
        assert {request.headers["x-amz-security-token"] for request in store.requests} == {"OUR-TOKEN"}
        assert "OUR-TOKEN" not in repr(connection)


@pytest.mark.parametrize("region", ["eu-west-3", "auto"])
def test_requests_are_signed_for_the_region_of_the_settings(monkeypatch, tmp_path, region):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATFILES_REGION", region)
    monkeypatch.setenv("MINIO_REGION", region)
    with SmallStore(OBJECTS) as store:
        _fetch_through_settings(store, monkeypatch, tmp_path)
        assert all(f"/{region}/s3/" in request.headers["authorization"] for request in store.requests)


def test_the_bucket_stands_in_front_of_the_host_where_that_is_wanted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATFILES_ADDRESSING_STYLE", "virtual")
    monkeypatch.setenv("MINIO_ADDRESSING_STYLE", "virtual")
    with SmallStore(OBJECTS) as store:

        def answer(request):
            # The bucket is in the host: the whole path is the key.
            request.target = "/bkt" + request.path + "?" + request.target.partition("?")[2]

        store.answer = answer
        monkeypatch.setenv("FLATFILES_PROXY_URL", store.url)
        monkeypatch.setenv("MINIO_PROXY_URL", store.url)
        # A name that nobody resolves: the proxy is asked for it.
        _fetch_through_settings(store, monkeypatch, tmp_path, "http://store.invalid")
        assert {request.headers["host"] for request in store.requests} == {"bkt.store.invalid"}


def _fetch_through_settings(store: SmallStore, monkeypatch, folder, url: str | None = None) -> None:
    _clear_clients()
    monkeypatch.setenv("FLATFILES_ENDPOINT_URL", url or store.url)
    monkeypatch.setenv("FLATFILES_ACCESS_KEY_ID", "OUR-KEY")
    monkeypatch.setenv("FLATFILES_SECRET_ACCESS_KEY", "our-secret")
    monkeypatch.setenv("MINIO_ENDPOINT_URL", url or store.url)
    monkeypatch.setenv("MINIO_BUCKET", "bkt")
    monkeypatch.setenv("MINIO_ACCESS_KEY", "OUR-KEY")
    monkeypatch.setenv("MINIO_SECRET_KEY", "our-secret")
    connection = S3Connection.of_vendor(load_settings())
    assert [item.key for item in list_remote(connection, "bkt")] == list(OBJECTS)
    with FileCache(folder / "cache") as cache:
        (result,) = fetch_files(connection, "bkt", cache, ["samples/a.csv"])
        assert result.path.read_bytes() == OBJECTS["samples/a.csv"]
    with SyncS3Downloader(KEYS, url or store.url) as downloader:
        assert downloader.download("bkt", "samples/b.csv").getvalue() == OBJECTS["samples/b.csv"]
    assert len(MinIODataDownloader(folder / "mirror").download_directory("samples")) == len(OBJECTS)


@pytest.mark.parametrize("form", ["{url}/bkt", "{url}/bkt/", "{url}/"])
def test_an_endpoint_that_contains_the_bucket_is_understood(tmp_path, form):
    with SmallStore(OBJECTS) as store:
        _clear_clients()
        _fetch_all(form.format(url=store.url), tmp_path)
        assert {request.path.split("/")[1] for request in store.requests} == {"bkt"}
        assert not [request for request in store.requests if request.path.startswith("/bkt/bkt")]


@pytest.mark.parametrize(
    ("endpoint", "bucket", "expected"),
    [
        ("https://b.s3.eu-west-1.amazonaws.com", "b", ("https://s3.eu-west-1.amazonaws.com", "virtual")),
        ("https://b.s3.example.com:9000", "b", ("https://s3.example.com:9000", "virtual")),
        ("https://b.fra1.digitaloceanspaces.com", "b", ("https://fra1.digitaloceanspaces.com", "virtual")),
        # A bucket may be called as its host is.
        ("https://minio.example.com", "minio", ("https://minio.example.com", "path")),
        ("https://files.polygon.io", "files", ("https://files.polygon.io", "path")),
        ("http://localhost:9000/market-data/", "market-data", ("http://localhost:9000", "path")),
        ("http://gateway/s3/market-data", "market-data", ("http://gateway/s3", "path")),
    ],
)
def test_a_bucket_in_the_endpoint_is_told_from_a_host_of_that_name(endpoint, bucket, expected):
    found = S3Connection(endpoint, "key", "secret").for_bucket(bucket)
    assert (found.endpoint_url, found.addressing_style) == expected


def _clear_clients() -> None:
    obstore_client.build.cache_clear()
