"""Whether Socket Mode's host can be reached: a TLS handshake with it, and no websocket."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp

from bot.cli.checks.findings import Finding, Verdict
from bot.slack.client import proxy_for

SUBJECT = "Socket Mode host"

_NETWORK = (
    "let this machine reach {host} too (firewall, proxy: HTTPS_PROXY, NO_PROXY); Slack names other hosts of"
    " slack.com for it from time to time"
)
_CERTIFICATE = (
    "trust the certificate of whoever reads TLS on the way (SSL_CERT_FILE), or let {host} through unread"
)


async def check_host(session: aiohttp.ClientSession, url: str) -> Finding:
    """Shake hands with the host of a websocket's URL, through the proxy where there is one. Raises nothing.

    What is asked for then is the host's front page: whatever it answers, the way is free.
    """
    parts = urlsplit(url)
    page = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/"
    try:
        async with session.head(page, proxy=proxy_for(page), allow_redirects=False):
            pass
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        return _failed(parts.netloc, f"no TLS with {parts.netloc}: {_reason(error)}", _CERTIFICATE)
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError) as error:
        return _failed(parts.netloc, f"{parts.netloc} cannot be reached ({_reason(error)})", _NETWORK)
    except (aiohttp.ClientError, OSError):
        pass  # it was reached, and does not care for our question
    how = "TLS" if parts.scheme == "wss" else "no TLS, a stand-in"
    return Finding(subject=SUBJECT, verdict=Verdict.OK, detail=f"{parts.netloc} answers ({how}; no link)")


def _failed(host: str, detail: str, remedy: str) -> Finding:
    return Finding(subject=SUBJECT, verdict=Verdict.FAILED, detail=detail, remedy=remedy.format(host=host))


def _reason(error: Exception) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(cause) or type(cause).__name__
