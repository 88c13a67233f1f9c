"""The way to a store: certificates, proxies, redirects, and what each failure of them says."""

from __future__ import annotations

import asyncio

import pytest

from flatfiles_assets.download import obstore_client
from flatfiles_assets.download.async_downloader import AsyncS3Downloader
from flatfiles_assets.download.connection import StoreOptions
from flatfiles_assets.download.network import NetworkOptions, is_loopback
from flatfiles_assets.download.retries import RetryPolicy
from flatfiles_assets.download.sync_downloader import SyncS3Downloader
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets_tests.certificates import certificate, pem, serving
from flatfiles_assets_tests.download.small_store import Response, SmallStore, refusal

pytestmark = pytest.mark.slow

KEYS = {"access_key_id": "OUR-KEY-ID", "secret_access_key": "our-secret"}
OBJECTS = {"a.csv": b"a,b\n1,2\n"}
ONCE = RetryPolicy(max_retries=0)


def _async_get(url, options=None, keys=KEYS, key="a.csv", timeout=5):
    async def main():
        async with AsyncS3Downloader(
            keys, url, retry_policy=ONCE, options=options, timeout=timeout
        ) as downloader:
            return (await downloader.download_one("bkt", key)).getvalue()

    obstore_client.build.cache_clear()
    return asyncio.run(main())


def _sync_get(url, options=None, keys=KEYS, key="a.csv", timeout=5):
    with SyncS3Downloader(keys, url, retry_policy=ONCE, options=options, timeout=timeout) as downloader:
        return downloader.download("bkt", key).getvalue()


def _list(url, options=None, keys=KEYS, key="a.csv", timeout=5):
    with SyncS3Downloader(keys, url, retry_policy=ONCE, options=options, timeout=timeout) as downloader:
        return OBJECTS[downloader.list_objects("bkt", key)[0]]


ways = pytest.mark.parametrize("get", [_async_get, _sync_get, _list])


@pytest.fixture(params=["private authority", "its own", "its own, as authority"])
def secure(request, tmp_path):
    """A store over TLS, and the file of what has to be believed."""
    if request.param == "private authority":
        authority = certificate("Our Company", authority=True, names=())
        leaf, root = certificate("store", issuer=authority), authority[1]
    else:
        leaf = certificate("store", authority="authority" in request.param)
        root = leaf[1]
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pem(root))
    with SmallStore(OBJECTS, tls=serving(tmp_path, *leaf)) as store:
        yield store, bundle


@ways
def test_a_certificate_of_ones_own_is_believed_by_both_clients_where_the_setting_says_so(
    secure, get, monkeypatch
):
    store, bundle = secure
    with pytest.raises(FlatFilesError, match=r"certificate is not believed.*CA_BUNDLE"):
        get(store.url)
    assert get(store.url, StoreOptions(network=NetworkOptions(bundle))) == OBJECTS["a.csv"]
    monkeypatch.setenv("FLATFILES_CA_BUNDLE", str(bundle))
    assert get(store.url) == OBJECTS["a.csv"]


@ways
def test_a_certificate_that_expired_or_is_anothers_is_refused_though_it_is_believed(tmp_path, get):
    for problem in ({"days": -1}, {"names": ("elsewhere.example",)}):
        leaf = certificate("store", **problem)
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(pem(leaf[1]))
        with (
            SmallStore(OBJECTS, tls=serving(tmp_path, *leaf)) as store,
            pytest.raises(FlatFilesError, match="certificate is not believed"),
        ):
            get(store.url, StoreOptions(network=NetworkOptions(bundle)))


@ways
def test_plain_http_where_tls_is_spoken_and_the_other_way_round_say_so(tmp_path, get):
    with SmallStore(OBJECTS) as store, pytest.raises(FlatFilesError, match="does not speak TLS"):
        get(store.url.replace("http:", "https:"))


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nrubbish\n"])
def test_a_bundle_that_holds_no_certificate_is_refused_by_name(tmp_path, content):
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"bundle\.pem.*CA_BUNDLE"):
        NetworkOptions(bundle).ca_file()


@ways
def test_a_proxy_is_asked_for_what_is_not_this_machine(get, monkeypatch):
    with SmallStore(OBJECTS) as proxy, SmallStore(OBJECTS) as store:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert get(store.url) == get(store.url.replace("127.0.0.1", "localhost")) == OBJECTS["a.csv"]
        assert proxy.requests == []
        assert get("http://store.invalid") == OBJECTS["a.csv"]
        assert {request.target.split("/")[2] for request in proxy.requests} == {"store.invalid"}
        proxy.requests.clear()
        monkeypatch.setenv("FLATFILES_PROXY_URL", "none")
        with pytest.raises(FlatFilesError):
            get("http://store.invalid")
        assert proxy.requests == []
        monkeypatch.setenv("FLATFILES_PROXY_URL", proxy.url)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert get("http://store.invalid") == OBJECTS["a.csv"]


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("example.com", "store.example.com", True),
        (".example.com", "store.example.com", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("*", "store.invalid", True),
        ("store.invalid:9000", "store.invalid:9000", True),
        ("store.invalid:9001", "store.invalid:9000", False),
        ("", "store.invalid", False),
    ],
)
def test_exceptions_from_the_proxy_are_heard(monkeypatch, no_proxy, host, direct):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "proxy.invalid:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", no_proxy)
    expected = None if direct else "http://proxy.invalid:3128"
    assert NetworkOptions().proxy_for(f"http://{host}/") == expected


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0"],
)
def test_this_machine_is_known_by_its_names(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "localhost.example.com", "minio", "", "::2"])
def test_other_machines_are_not_this_one(host):
    assert not is_loopback(host)


def test_a_proxys_password_is_in_no_message():
    options = NetworkOptions(proxy_url="ftp://user:hidden-word@proxy")
    with pytest.raises(InvalidArgument) as caught:
        options.proxy_for("https://store.invalid")
    assert "hidden-word" not in str(caught.value) + repr(options)


@ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("leads", ["itself", "another host", "another port"])
def test_a_redirect_is_not_followed_and_says_that_it_is_one(get, status, leads):
    with SmallStore(OBJECTS) as elsewhere:
        host = "localhost" if leads == "another host" else "127.0.0.1"

        def answer(request):
            there = "" if leads == "itself" else f"http://{host}:{elsewhere.port}"
            return Response(status, {"Location": there + request.target})

        with SmallStore(answer=answer) as store:
            keys = {**KEYS, "session_token": "OUR-TOKEN"}
            with pytest.raises(FlatFilesError, match="redirects to another address"):
                get(store.url, keys=keys)
            assert len(store.requests) <= 4
            assert elsewhere.requests == []
            # Without a token obstore asks, which would follow to another port.
            with pytest.raises(FlatFilesError, match="redirects to another address"):
                get(store.url)
            assert elsewhere.requests == []


@ways
def test_a_wrong_region_says_which_is_right(get):
    words = "the region 'us-east-1' is wrong; expecting 'eu-west-3'"
    for answer in (
        refusal(400, "AuthorizationHeaderMalformed", words, "<Region>eu-west-3</Region>"),
        refusal(
            301, "PermanentRedirect", "must be addressed elsewhere", **{"x-amz-bucket-region": "eu-west-3"}
        ),
    ):
        with SmallStore(answer=lambda _, answer=answer: answer) as store:
            expected = "region" if answer.status == 400 else "redirects|region"
            with pytest.raises(FlatFilesError, match=expected) as caught:
                get(store.url)
            if answer.status == 400:
                assert "eu-west-3" in str(caught.value)
                assert "FLATFILES_REGION" in str(caught.value)


@ways
@pytest.mark.parametrize(
    ("answer", "says", "says_not"),
    [
        (
            refusal(400, "InvalidArgument", "S3 API Requests must be made to API port."),
            "9000",
            "subscription",
        ),
        (refusal(403, "AccessDenied", "Denied by policy X-17."), "policy X-17", "subscription"),
        (refusal(403, "InvalidObjectState", "The object's storage class"), "archived", "subscription"),
        (refusal(404, "NoSuchKey", "Not here, said the store"), "Not here, said the store", "New York"),
        (refusal(403, "ExpiredToken", "The token has expired"), "session token", "clock"),
        (Response(403, {"Content-Type": "text/html"}, b"<html>Forbidden</html>"), "403", "subscription"),
        (
            Response(200, {"Content-Type": "text/html"}, b"<!doctype html><html>Console</html>"),
            "web page",
            "vendor",
        ),
        (
            refusal(403, "SignatureDoesNotMatch", "key OUR-KEY-ID, signature " + "0123456789abcdef" * 4),
            "credentials",
            "OUR-KEY-ID|0123456789abcdef",
        ),
        (refusal(403, "Access\x1b[31mDenied", "red \x1b[31m ink"), "red", "\x1b"),
    ],
)
def test_the_stores_own_words_are_kept_and_no_subscription_is_blamed(get, answer, says, says_not):
    body = answer.body.replace(b"\x1b", b"&#27;")
    sent = Response(answer.status, answer.headers, body)
    with SmallStore(answer=lambda _: sent) as store, pytest.raises(FlatFilesError) as caught:
        get(store.url)
    assert says in str(caught.value)
    assert not any(word in str(caught.value) for word in says_not.split("|"))


@ways
def test_a_host_with_an_underscore_is_a_host(get, monkeypatch):
    with SmallStore(OBJECTS) as proxy:
        monkeypatch.setenv("FLATFILES_PROXY_URL", proxy.url)
        assert get("http://my_minio:9000") == OBJECTS["a.csv"]
        assert {request.headers["host"] for request in proxy.requests} == {"my_minio:9000"}
