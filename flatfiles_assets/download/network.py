"""The way to a server: whether through a proxy, and whose certificates are believed.

Here: `NetworkOptions`, the same for every client that asks a store or the reference API. Not here:
the clients (`connection.py`, `reference_api.py`).
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import ipaddress
import os
import ssl
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import urllib3

from flatfiles_assets.errors import InvalidArgument

NO_PROXY = ("none", "direct", "off")
"""Values of a proxy setting that mean: none, whatever the environment says."""

_BEGIN = "-----BEGIN CERTIFICATE-----"


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """How servers are reached.

    Attributes:
        ca_bundle: PEM file (or folder of them) with certificates that are believed beside the system's:
            a private authority's, or a server's own self-signed one.
        proxy_url: Proxy for every request, ``none`` for no proxy; None for what ``HTTPS_PROXY``,
            ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` say. In no representation, since it may hold
            a password. This machine's own addresses are never asked through a proxy.
    """

    ca_bundle: Path | None = None
    proxy_url: str | None = dataclasses.field(default=None, repr=False)

    def proxy_for(self, url: str) -> str | None:
        """The proxy through which a URL is asked; None for directly.

        Raises:
            InvalidArgument: The proxy is no URL.
        """
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        if is_loopback(host):
            return None
        if self.proxy_url:
            return None if self.proxy_url.lower() in NO_PROXY else _checked_proxy(self.proxy_url)
        found = urllib.request.getproxies()
        proxy = found.get(parts.scheme) or found.get("all")
        if not proxy or _is_excepted(host, parts.netloc.rpartition("@")[2], found.get("no", "")):
            return None
        return _checked_proxy(proxy)

    def certificates(self) -> str | None:
        """The certificates of `ca_bundle` as PEM text; None without one.

        Raises:
            InvalidArgument: There are none at that path, or they are not PEM.
        """
        return None if self.ca_bundle is None else _read_certificates(*_identity(self.ca_bundle))

    def ca_file(self) -> str:
        """A file with every certificate that is believed, for clients that take nothing but a file.

        Raises:
            InvalidArgument: As `certificates`.
        """
        own = self.certificates()
        return _system_certificates() if own is None else _merged(_system_certificates(), own)

    def pool(self, url: str) -> urllib3.PoolManager:
        """Plain HTTP connections to a URL's server.

        Raises:
            InvalidArgument: The proxy is no URL, or the bundle holds no certificates.
        """
        proxy, ca_certs = self.proxy_for(url), self.ca_file()
        if proxy is None:
            return urllib3.PoolManager(ca_certs=ca_certs)
        parts = urllib.parse.urlsplit(proxy)
        headers = None
        if parts.username:
            name, password = (urllib.parse.unquote(text or "") for text in (parts.username, parts.password))
            headers = urllib3.make_headers(proxy_basic_auth=f"{name}:{password}")
        return urllib3.ProxyManager(proxy, ca_certs=ca_certs, proxy_headers=headers)

    def is_own_certificate(self, host: str) -> bool:
        """Whether the bundle holds the host's own certificate, signed by itself and made out as authority.

        That is what ``openssl req -x509`` makes. Most clients believe it; some accept an authority
        only where it signed another certificate.
        """
        pem = self.certificates()
        if pem is None:
            return False
        found: list[Any] = _context_with(pem).get_ca_certs()
        return any(
            item.get("subject") == item.get("issuer") and host.lower() in _names(item) for item in found
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _is_excepted(host: str, host_and_port: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host: by name, by ending, with its port, or by its network."""
    if urllib.request.proxy_bypass(host_and_port):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _networks(no_proxy))


def _networks(no_proxy: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in no_proxy.split(","):
        try:
            yield ipaddress.ip_network(entry.strip(), strict=False)
        except ValueError:
            continue


def _checked_proxy(text: str) -> str:
    url = text.strip() if "://" in text else f"http://{text.strip()}"
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidArgument(
            "the proxy is not the URL of an HTTP proxy",  # not shown: it may hold a password
            next_step="use http://host:port, or none, in FLATFILES_PROXY_URL, MINIO_PROXY_URL or HTTPS_PROXY",
        )
    return url


def _identity(path: Path) -> tuple[Path, int]:
    try:
        return path, path.stat().st_mtime_ns
    except OSError as error:
        raise _no_certificates(path, error.strerror or type(error).__name__) from None


@functools.lru_cache(maxsize=8)
def _read_certificates(path: Path, mtime_ns: int) -> str:  # noqa: ARG001  (a changed file is another one)
    files = sorted(path.glob("*")) if path.is_dir() else [path]
    try:
        texts = [file.read_bytes().decode("latin-1") for file in files if file.is_file()]
    except OSError as error:
        raise _no_certificates(path, error.strerror or type(error).__name__) from None
    pem = "\n".join(text for text in texts if _BEGIN in text)
    if not pem:
        raise _no_certificates(path, f"no {_BEGIN} in it")
    try:
        _context_with(pem)
    except (ssl.SSLError, ValueError) as error:
        raise _no_certificates(path, str(error)) from None
    return pem


def _context_with(pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem)
    return context


def _no_certificates(path: Path, why: str) -> InvalidArgument:
    return InvalidArgument(
        "the CA bundle holds no certificates that can be read",
        where=str(path),
        why=why,
        next_step="set FLATFILES_CA_BUNDLE or MINIO_CA_BUNDLE to a PEM file",
    )


def _system_certificates() -> str:
    return ssl.get_default_verify_paths().cafile or certifi.where()


@functools.lru_cache(maxsize=8)
def _merged(system_file: str, own: str) -> str:
    descriptor, name = tempfile.mkstemp(prefix="flatfiles-ca-", suffix=".pem")
    with os.fdopen(descriptor, "w", encoding="latin-1") as file:
        file.write(Path(system_file).read_text("latin-1") + "\n" + own)
    atexit.register(_remove_own, name, os.getpid())
    return name


def _remove_own(name: str, process_id: int) -> None:
    if os.getpid() == process_id:  # not a forked child's to remove
        Path(name).unlink(missing_ok=True)


def _names(certificate: dict[str, Any]) -> set[str]:
    return {value.lower() for _, value in certificate.get("subjectAltName", ())}
