"""Checks whether the systemd unit blocks the machine's name servers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path

from bot.cli.checks.findings import Finding

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SUBJECT = "name servers"

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
            SUBJECT,
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
