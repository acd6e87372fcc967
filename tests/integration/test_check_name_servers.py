"""What `check` says of name servers that the installed unit blocks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bot.cli.checks.findings import Verdict
from bot.cli.checks.machine import check_name_servers

UNITS = Path(__file__).parents[2] / "systemd"
UNIT = "triage-bot.service"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of systemd's with our unit in it as it ships, and a resolv.conf beside it."""
    (tmp_path / "system" / f"{UNIT}.d").mkdir(parents=True)
    shutil.copy(UNITS / UNIT, tmp_path / "system")
    return tmp_path


def complaints(machine: Path, *name_servers: str) -> list[str]:
    """Return what `check` says; every complaint has the remedy."""
    resolv_conf = machine / "resolv.conf"
    lines = ["# of this machine", "search example.com", *(f"nameserver {each}" for each in name_servers)]
    resolv_conf.write_text("\n".join(lines), encoding="utf-8")
    findings = check_name_servers(resolv_conf, [machine / "system", machine / "lower"])
    for finding in findings:
        assert finding.verdict is Verdict.WARNING
        assert "the service cannot reach it, because its unit blocks that address" in finding.detail
        assert finding.remedy.startswith(
            "put the address into systemd/triage-bot.service.d/name-server.conf and install that as"
        )
    return [finding.detail.partition(" (")[0] for finding in findings]


def install(machine: Path, name: str, text: str = "", *, folder: str = "system") -> None:
    path = machine / folder / f"{UNIT}.d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or (UNITS / f"{UNIT}.d" / name).read_text(encoding="utf-8"), encoding="utf-8")


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.20.10", "fe80::1%eth0"])
def test_a_link_local_name_server_is_blocked_by_the_unit(machine: Path, address: str) -> None:
    assert complaints(machine, "192.0.2.53", address) == [address.partition("%")[0]]


@pytest.mark.parametrize("address", ["127.0.0.53", "192.0.2.53", "::1", "2001:db8::53", "no address", ""])
def test_any_other_name_server_is_not(machine: Path, address: str) -> None:
    assert complaints(machine, address) == []


def test_the_drop_in_that_ships_mends_it(machine: Path) -> None:
    install(machine, "name-server.conf")

    assert complaints(machine, "169.254.20.10") == []
    assert complaints(machine, "169.254.169.254") == ["169.254.169.254"]


def test_amazons_name_server_is_allowed_with_its_metadata_service(machine: Path) -> None:
    assert complaints(machine, "169.254.169.253") == ["169.254.169.253"]

    install(machine, "instance-profile.conf")

    assert complaints(machine, "169.254.169.253") == []


def test_an_egress_proxy_blocks_every_name_server_that_is_not_named(machine: Path) -> None:
    install(machine, "egress-proxy.conf")

    assert complaints(machine, "192.0.2.53", "127.0.0.53") == ["192.0.2.53"]

    install(machine, "name-server.conf", "[Service]\nIPAddressAllow=192.0.2.0/24\n", folder="lower")

    assert complaints(machine, "192.0.2.53") == []


def test_a_drop_in_that_forgets_the_list_blocks_nothing(machine: Path) -> None:
    install(machine, "zz-open.conf", "[Service]\nIPAddressDeny=\n")

    assert complaints(machine, "169.254.20.10") == []


def test_a_machine_without_the_unit_or_without_name_servers_has_no_complaint(tmp_path: Path) -> None:
    (tmp_path / "system").mkdir()

    assert complaints(tmp_path, "169.254.20.10") == []
    assert check_name_servers(tmp_path / "missing", [tmp_path / "system"]) == []
