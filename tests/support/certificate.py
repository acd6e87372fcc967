"""A certificate for 127.0.0.1 that is its own authority, made by openssl(1)."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is missing")


def make_certificate(folder: Path) -> Path:
    """Return a file with the certificate and its key."""
    path = folder / "certificate.pem"
    subprocess.run(  # noqa: S603 - words of our own
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(path), "-out", str(folder / "public.pem")),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + (folder / "public.pem").read_text())
    return path


def trust(certificate: Path) -> ssl.SSLContext:
    """Return what a client needs to believe a server with this certificate."""
    context = ssl.create_default_context()
    context.load_verify_locations(certificate)
    return context


def show(certificate: Path) -> ssl.SSLContext:
    """Return what a server needs to show it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
