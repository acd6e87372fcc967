"""A throw-away authority and a certificate for 127.0.0.1."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import botocore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Two files in the form of PEM.

    What is trusted includes all authorities that this machine trusts: to load those is what TLS costs in
    production, and a bundle of one would hide it.
    """

    shown: Path  #: key and certificate of the stand-ins
    trusted: Path  #: what the contestants trust


def make_certificates(folder: Path) -> Certificates:
    """Write both files into a folder."""
    certificates = Certificates(shown=folder / "stand-ins.pem", trusted=folder / "trusted.pem")
    authority_key, key = _new_key(), _new_key()
    unsigned = _unsigned(_AUTHORITY, authority_key).add_extension(_SIGNS_CERTIFICATES, critical=True)
    authority = _signed(unsigned, authority_key, is_authority=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    unsigned = _unsigned(_name("127.0.0.1"), key).add_extension(names, critical=False)
    certificate = _signed(unsigned, authority_key, is_authority=False)
    certificates.shown.write_bytes(_written(key) + certificate.public_bytes(serialization.Encoding.PEM))
    certificates.trusted.write_bytes(
        _usual_authorities() + authority.public_bytes(serialization.Encoding.PEM)
    )
    return certificates


def _usual_authorities() -> bytes:
    found = ssl.get_default_verify_paths().cafile
    return Path(found or Path(botocore.__file__).with_name("cacert.pem")).read_bytes() + b"\n"


def _new_key() -> RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


_AUTHORITY: Final = _name("Bench authority")

#: What an authority must say that it does: Python verifies it from 3.13 on.
_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _unsigned(subject: x509.Name, key: RSAPrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, authority_key: RSAPrivateKey, *, is_authority: bool
) -> x509.Certificate:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        builder.add_extension(issuer, critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )


def _written(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
