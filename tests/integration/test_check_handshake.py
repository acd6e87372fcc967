"""The way to Socket Mode's host: a handshake, and no websocket."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bot.cli.checks.findings import Finding, Verdict
from bot.cli.checks.slack import check_host
from bot.slack.client import open_session

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is missing")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, by an authority that nobody knows: itself."""
    path = tmp_path / "certificate.pem"
    subprocess.run(  # noqa: S603 - words of our own
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(path), "-out", str(tmp_path / "public.pem")),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + (tmp_path / "public.pem").read_text())
    return path


@asynccontextmanager
async def host(answer: bytes, *, certificate: Path | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives one answer, whatever is asked; yields its port, and what it was asked."""
    asked: list[bytes] = []
    calls: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            asked.append(await reader.readline())
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.add(asyncio.create_task(serve(reader, writer)))

    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1], asked
    server.close()
    await server.wait_closed()
    await asyncio.gather(*calls)


async def look(url: str, *, authority: Path | None = None) -> Finding:
    tls = ssl.create_default_context()
    if authority:
        tls.load_verify_locations(authority)
    async with open_session(tls) as session:
        return await check_host(session, url)


@needs_openssl
async def test_a_host_that_shakes_hands_is_fine_and_gets_no_ticket(certificate: Path) -> None:
    async with host(b"HTTP/1.1 404 Not Found\r\n\r\n", certificate=certificate) as (port, asked):
        finding = await look(f"wss://127.0.0.1:{port}/link/?ticket=secret", authority=certificate)

    assert finding.verdict is Verdict.OK
    assert finding.detail == f"127.0.0.1:{port} answers (TLS; not connected)"
    assert asked == [b"HEAD / HTTP/1.1\r\n"]


async def test_a_host_that_hangs_up_was_reached() -> None:
    async with host(b"") as (port, _):
        finding = await look(f"ws://127.0.0.1:{port}/link/")

    assert finding.verdict is Verdict.OK


@needs_openssl
async def test_a_certificate_that_nobody_vouches_for_fails(certificate: Path) -> None:
    async with host(b"", certificate=certificate) as (port, asked):
        finding = await look(f"wss://127.0.0.1:{port}/link/")

    assert finding.verdict is Verdict.FAILED
    assert finding.detail.startswith(f"TLS with 127.0.0.1:{port} failed: ")
    assert "certificate" in finding.detail
    assert finding.remedy.startswith("trust the certificate of the proxy that intercepts TLS (SSL_CERT_FILE)")
    assert asked in ([], [b""])


async def test_a_host_that_speaks_no_tls_fails() -> None:
    async with host(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        finding = await look(f"wss://127.0.0.1:{port}/link/")

    assert finding.verdict is Verdict.FAILED


async def test_a_host_that_cannot_be_reached_is_named() -> None:
    async with host(b"") as (port, _):
        pass

    finding = await look(f"wss://127.0.0.1:{port}/link/?ticket=secret")

    assert finding.verdict is Verdict.FAILED
    assert finding.detail.startswith(f"127.0.0.1:{port} cannot be reached")
    assert finding.remedy.startswith(f"allow this machine to reach 127.0.0.1:{port} too (firewall, proxy: ")
    assert "secret" not in str(finding)
