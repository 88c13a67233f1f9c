"""Certificates that tests make for themselves: authorities, servers, expired ones.

Not here: who is to believe them (`NetworkOptions`).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(name, *, issuer=None, authority=False, names=("localhost",), days=30):
    """A key and its certificate, signed by itself or by an issuer (key and certificate)."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, signed_by = issuer or (key, None)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by.subject if signed_by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        alternatives = [x509.DNSName(name) for name in names]
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if "localhost" in names else []
        builder = builder.add_extension(
            x509.SubjectAlternativeName([*alternatives, *addresses]), critical=False
        )
    return key, builder.sign(signer, hashes.SHA256())


def pem(found):
    """A certificate as text."""
    return found.public_bytes(serialization.Encoding.PEM)


def serving(folder, key, found):
    """What a server needs to speak TLS with a certificate."""
    both = pem(found) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(both)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context
