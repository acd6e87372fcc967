"""Checks this machine: its clock, the credentials that systemd passes, and its name servers."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from bot.cli.checks.findings import Finding
from bot.clock import REMEDY
from bot.settings.credentials import Credentials

CREDENTIALS = "systemd credentials"
NAME_SERVERS = "name servers"

#: AWS rejects a signature whose time is off by this much or more.
REFUSED_FROM = timedelta(minutes=5)

#: From here on, the log and the ages that `list` shows mislead. The worker itself uses the services' time.
WARNED_FROM = timedelta(seconds=30)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

RESOLV_CONF = Path("/etc/resolv.conf")

#: Where systemd looks for a unit and its drop-ins, the most important first (systemd.unit(5)).
_PREFIXES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
UNIT_FOLDERS = tuple(Path(prefix, "systemd/system") for prefix in _PREFIXES)

_UNIT = "triage-bot.service"
_DROP_IN = f"{_UNIT}.d/name-server.conf"

#: What systemd means by each name in an address list (systemd.resource-control(5)).
_NAMED_NETWORKS = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}


def check_clock(server: str, date: str, now: datetime) -> list[Finding]:
    """Compare `now`, aware, with the `Date` of an HTTP answer from `server`; return nothing if it is no date.

    A difference of 30 s is a warning, one of 5 min a failure.
    """
    try:
        skew = now - parsedate_to_datetime(date)
    except ValueError:
        return []
    subject = f"clock and {server}"
    side = "ahead of" if skew > timedelta(0) else "behind"
    detail = f"{abs(skew).total_seconds():.0f} s {side} {server}"
    if abs(skew) < WARNED_FROM:  # a `Date` has whole seconds
        is_same = abs(skew) <= timedelta(seconds=1)
        return [Finding.ok(subject, f"agrees with {server}" if is_same else detail)]
    judge = Finding.warning if abs(skew) < REFUSED_FROM else Finding.failed
    return [judge(subject, detail, REMEDY)]


def check_credentials(credentials: Credentials) -> Finding:
    """Judge the credentials in the folder. Unreadable files are among the settings' problems already."""
    if credentials.folder is None:
        how = "to check the service's, run as root with the settings in /etc/triage-bot.env"
        return Finding.ok(CREDENTIALS, f"none here; {how}")
    if credentials.unused:
        detail = f"ignored, because also set elsewhere: {', '.join(credentials.unused)}"
        remedy = "remove it from the environment file, or remove the credential"
        return Finding.warning(CREDENTIALS, detail, f"keep each token in one place: {remedy}")
    paths = [credentials.folder / name.lower() for name in credentials.values]
    exposed = " ".join(str(path) for path in paths if path.stat().st_mode & stat.S_IROTH)
    if exposed:
        return Finding.warning(CREDENTIALS, f"everybody can read {exposed}", f"chmod 600 {exposed}")
    found = ", ".join(path.name for path in paths) or "none"
    return Finding.ok(CREDENTIALS, f"{found}, in {credentials.folder}")


def check_name_servers(
    resolv_conf: Path = RESOLV_CONF, unit_folders: Sequence[Path] = UNIT_FOLDERS
) -> Sequence[Finding]:
    """Report the name servers that the installed unit blocks; nothing if it blocks none. Raises nothing."""
    lines = list(_unit_lines(unit_folders))
    denied, allowed = _networks("IPAddressDeny", lines), _networks("IPAddressAllow", lines)
    blocked = [
        str(server)
        for server in _name_servers(resolv_conf)
        if _is_in(server, denied) and not _is_in(server, allowed)
    ]
    if not blocked:
        return []
    return [
        Finding.warning(
            NAME_SERVERS,
            f"{', '.join(blocked)} ({resolv_conf}): the service cannot reach it, because its unit blocks"
            " that address",
            f"put the address into systemd/{_DROP_IN} and install that as {UNIT_FOLDERS[0]}/{_DROP_IN},"
            " then: systemctl daemon-reload && systemctl restart triage-bot",
        )
    ]


def _name_servers(resolv_conf: Path) -> Iterator[_Address]:
    for line in _lines(resolv_conf):
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                yield ipaddress.ip_address(words[1].partition("%")[0])
            except ValueError:
                continue  # no resolver can use it either


def _unit_lines(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the lines of the installed unit and its drop-ins, in the order in which they count."""
    unit = next((folder / _UNIT for folder in folders if (folder / _UNIT).is_file()), None)
    if unit is None:
        return
    yield from _lines(unit)
    drop_ins: dict[str, Path] = {}
    for folder in folders:
        for path in (folder / f"{_UNIT}.d").glob("*.conf"):
            drop_ins.setdefault(path.name, path)
    for name in sorted(drop_ins):
        yield from _lines(drop_ins[name])


def _networks(setting: str, lines: Sequence[str]) -> list[_Network]:
    """Return the networks that a setting lists; an empty value clears those before it."""
    found: list[_Network] = []
    for line in lines:
        name, separator, value = line.partition("=")
        if separator and name.strip() == setting:
            found = [*found, *_read_networks(value)] if value.strip() else []
    return found


def _read_networks(value: str) -> Iterator[_Network]:
    for word in value.split():
        for network in _NAMED_NETWORKS.get(word, (word,)):
            try:
                yield ipaddress.ip_network(network, strict=False)
            except ValueError:
                continue  # systemd ignores it, too


def _is_in(address: _Address, networks: Sequence[_Network]) -> bool:
    return any(address in network for network in networks)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
