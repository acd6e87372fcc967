"""The proxy variables, in a form that all libraries understand in the same way.

boto3 takes `proxy:3128` for an HTTP proxy; aiohttp, which calls Slack, waits on it forever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.redaction import REDACTED

#: In lower case; they may also be in upper case. `NO_PROXY` is a list of hosts.
_HTTPS, _ALL = "https_proxy", "all_proxy"
_NAMES = frozenset({"http_proxy", _HTTPS, _ALL})

_EXPECTED = "http://HOST:PORT, or HOST:PORT"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxies:
    """The proxy variables of the environment. `values` may hold passwords."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)  #: as they should be there
    problems: tuple[str, ...] = ()  #: a sentence for each that no library can use


def is_proxy_variable(name: str) -> bool:
    """Whether a variable names a proxy."""
    return name.lower() in _NAMES


def read_proxies(surroundings: Mapping[str, str]) -> Proxies:
    """Return the proxy variables, each with a scheme.

    `ALL_PROXY` is used for https if `HTTPS_PROXY` is not set, since no library reads it by itself.
    """
    values, problems = {}, []
    for name, text in surroundings.items():
        if is_proxy_variable(name):
            try:
                values[name] = _proxy_url(text)
            except ValueError as error:
                problems.append(f"{name} {error}")
    by_name = {name.lower(): value for name, value in values.items()}
    if _ALL in by_name:
        values.setdefault(_HTTPS, by_name.get(_HTTPS, by_name[_ALL]))
    return Proxies(values=values, problems=tuple(problems))


def _proxy_url(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        # What follows the host begins inside a password that is not percent-encoded, or a scheme is misspelt.
        usable = (
            parts.hostname and parts.port != 0 and parts.path.strip("/") + parts.query + parts.fragment == ""
        )
    except ValueError as error:  # a port that is no number
        raise _wrong(text) from error
    if parts.scheme not in {"http", "https"} or not usable or not re.fullmatch("[!-~]+", url):
        raise _wrong(text)
    return url


def _wrong(text: str) -> ValueError:
    # A user name and password may precede the host, in any form: none of that is shown.
    _, at, host = text.rpartition("@")
    shown = f"{REDACTED}@{host}" if at else text
    return ValueError(f"is {shown!r}; expected {_EXPECTED}")
