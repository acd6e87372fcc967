"""A throw-away authority and a certificate for 127.0.0.1, made by openssl(1)."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import botocore


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
    # Python wants an authority to say what its key is for, from 3.13 on.
    authority, its_key = _make(folder, "Bench authority", "keyUsage=critical,keyCertSign")
    signed = ("-CA", str(authority), "-CAkey", str(its_key))
    certificate, key = _make(
        folder,
        "127.0.0.1",
        "subjectAltName=IP:127.0.0.1",
        "basicConstraints=critical,CA:false",
        signed=signed,
    )
    made = Certificates(shown=folder / "stand-ins.pem", trusted=folder / "trusted.pem")
    made.shown.write_bytes(key.read_bytes() + certificate.read_bytes())
    usual = ssl.get_default_verify_paths().cafile or Path(botocore.__file__).with_name("cacert.pem")
    made.trusted.write_bytes(Path(usual).read_bytes() + b"\n" + authority.read_bytes())
    return made


def _make(folder: Path, name: str, *extensions: str, signed: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """Make a certificate, which signs itself unless it is said who does; return it and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    words = [word for each in extensions for word in ("-addext", each)]
    subprocess.run(  # noqa: S603 - words of our own
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "30",
                "-subj",
                f"/CN={name}",
            ),
            *(*signed, *words, "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
