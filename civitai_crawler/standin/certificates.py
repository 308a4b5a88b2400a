"""A certificate authority made at run time, for stand-ins that speak TLS.

Needs the package cryptography (the ``test`` extra), so it is imported only when TLS is asked for.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

CA_FILE, SERVER_FILE = "ca.pem", "server.pem"
CA_NAME = "stand-in CA"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    """Start a certificate of a week, issued by the authority."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(CA_NAME))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
    )


def make(folder: Path, addresses: list[str]) -> ssl.SSLContext:
    """Write ``ca.pem`` and ``server.pem`` into the folder; a server context for the addresses."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_public = ca_key.public_key()
    ca = (
        _builder(CA_NAME, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_public), critical=False)
        .sign(ca_key, SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(a)) for a in addresses])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_public)
    server = (
        _builder("stand-in", key)
        .add_extension(names, critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / CA_FILE).write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / SERVER_FILE).write_bytes(secret + server.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / SERVER_FILE)
    return context
