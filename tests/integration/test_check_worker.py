"""What `check` learns from the running worker, and about name servers that its unit blocks."""

from __future__ import annotations

import base64
import shutil
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from store_files import fill, overwrite
from world import World, until

from bot.cli.checks.findings import CheckStatus, Finding
from bot.cli.checks.machine import check_name_servers
from bot.cli.checks.worker import check_store_and_worker
from bot.errors import StoreError, StoreReplaced
from bot.settings.settings import Purpose, Settings, load_settings
from bot.worker.control import ControlServer, Handler
from bot.worker.handlers import CONDITION, condition_handler

CHANNEL = "C0SECURITY1"


class Store:
    """Takes writes, or refuses them with a sentence, or because it was replaced."""

    def __init__(self, trouble: str | StoreError = "") -> None:
        self._trouble = trouble

    async def probe(self) -> None:
        if isinstance(self._trouble, StoreError):
            raise self._trouble
        if self._trouble:
            raise StoreError(self._trouble)


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings(Purpose.CHECK, environ={"SECURITY_CHANNEL": CHANNEL, **environ}, directory=folder)


async def look(chosen: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await check_store_and_worker(chosen)}


async def look_beside(
    folder: Path, handler: Handler, *, deep: bool = False, **others: Handler
) -> dict[str, Finding]:
    """Run the check while a worker listens next to the store, with this condition and these commands."""
    chosen = settings(folder)
    assert chosen.control_path
    control = ControlServer(chosen.control_path, {CONDITION: handler, **others})
    await control.start()
    findings = await check_store_and_worker(chosen, deep=deep)
    await control.stop()
    return {finding.subject: finding for finding in findings}


def condition(
    *, trouble: str | StoreError = "", card: str | None = None, links: int = 2, clock: str = ""
) -> Handler:
    told = {"card": card, "links": links, "clock": clock, "ahead_seconds": 0.4}
    return condition_handler(Store(trouble), lambda: told)


async def test_a_worker_that_does_its_job_is_fine(tmp_path: Path) -> None:
    findings = await look_beside(tmp_path, condition(card=""))

    assert {finding.status for finding in findings.values()} == {CheckStatus.OK}
    assert findings["store"].detail.endswith("triage-bot.db, open in the running worker, accepts writes")
    assert findings["worker"].detail == "running, with 2 connections to Slack"
    assert findings["security channel"].detail == f"{CHANNEL}: the last card arrived"
    assert findings["worker's time"].detail == "Slack's and AWS's; this machine's clock is +0.4 s off"


async def test_a_store_that_was_taken_from_its_worker_is_told_by_it(tmp_path: Path) -> None:
    findings = await look_beside(tmp_path, condition(trouble=StoreReplaced()))

    assert findings["store"].status is CheckStatus.FAILED
    assert "was removed or replaced while the worker runs" in findings["store"].detail
    assert findings["store"].remedy == (
        "the worker ends once it has written triage-bot.db.rescue next to it: put that in its place, and"
        " start once with `triage-bot run --restored`"
    )


@pytest.mark.parametrize("is_damaged", [False, True])
async def test_every_part_of_a_store_is_checked_in_a_copy_that_its_worker_makes(
    tmp_path: Path, *, is_damaged: bool
) -> None:
    copy = tmp_path / "copy.db"
    await fill(copy, 200)
    if is_damaged:
        overwrite(copy, 4096 * 4, b"\xa5" * 4096 * 4)

    async def backup(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"data": base64.b64encode(copy.read_bytes()).decode()}

    findings = await look_beside(tmp_path, condition(), deep=True, backup=backup)

    finding = findings["store, every part"]
    assert finding.status is (CheckStatus.FAILED if is_damaged else CheckStatus.OK)
    assert ("is corrupt" if is_damaged else "triage-bot.db is intact") in finding.detail


async def test_a_copy_that_the_worker_cannot_make_is_a_failure(tmp_path: Path) -> None:
    async def backup(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"data": ""}
        raise StoreError("the disk is full")

    findings = await look_beside(tmp_path, condition(), deep=True, backup=backup)

    finding = findings["store, every part"]
    assert finding.status is CheckStatus.FAILED
    assert finding.detail == f"{tmp_path / 'triage-bot.db'} could not be copied: the disk is full"
    assert finding.remedy == "try again, or see the log"


async def test_a_store_that_takes_no_writes_is_told_by_its_worker(tmp_path: Path) -> None:
    findings = await look_beside(tmp_path, condition(trouble="the store operation failed: disk is full"))

    assert findings["store"].status is CheckStatus.FAILED
    path = tmp_path / "triage-bot.db"
    trouble = "the store operation failed: disk is full"
    assert findings["store"].detail == f"{path}, open in the running worker: {trouble}"
    remedy = f"free space or repair the disk (df -h {tmp_path}); the worker then recovers by itself"
    assert findings["store"].remedy == remedy


async def test_a_worker_without_a_link_fails(tmp_path: Path) -> None:
    findings = await look_beside(tmp_path, condition(links=0))

    assert findings["worker"].status is CheckStatus.FAILED
    assert "no click can reach it" in findings["worker"].detail
    assert "its log says why" in findings["worker"].remedy


async def test_what_is_wrong_with_the_time_is_told(tmp_path: Path) -> None:
    wrong = condition(clock="Slack and AWS are 90 s apart; enable NTP")

    finding = (await look_beside(tmp_path, wrong))["worker's time"]

    assert (finding.status, finding.detail) == (CheckStatus.FAILED, "Slack and AWS are 90 s apart")
    assert finding.remedy == "enable NTP"


async def test_a_worker_that_starts_says_what_it_waits_for(tmp_path: Path) -> None:
    starting = condition_handler(Store(), lambda: {"starting": "the parameter store"})

    findings = await look_beside(tmp_path, starting)

    assert findings["store"].status is CheckStatus.OK
    assert findings["worker"].status is CheckStatus.FAILED
    assert findings["worker"].detail.startswith("starting, and waiting for the parameter store")
    assert "check again in a moment" in findings["worker"].remedy
    assert "not tried yet" in findings["security channel"].detail


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        ("not_in_channel", "invite the bot"),
        ("channel_not_found", "correct SECURITY_CHANNEL"),
        ("is_archived", "unarchive the channel"),
        ("restricted_action", "allow the bot to post there"),
        ("Slack cannot be reached (…)", "see the worker's log"),
    ],
)
async def test_a_card_that_did_not_arrive_has_its_remedy(tmp_path: Path, trouble: str, remedy: str) -> None:
    finding = (await look_beside(tmp_path, condition(card=trouble)))["security channel"]

    assert finding.status is CheckStatus.FAILED
    assert finding.detail == f"{CHANNEL}: the last card did not arrive ({trouble})"
    assert finding.remedy.startswith(remedy)


async def test_a_channel_that_no_card_went_to_is_not_tried_yet(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    without_worker = (await look(chosen))["security channel"]
    beside_worker = (await look_beside(tmp_path, condition(card=None)))["security channel"]
    nowhere = (await look(settings(tmp_path, SECURITY_CHANNEL="")))["security channel"]

    for finding in (without_worker, beside_worker):
        assert finding.status is CheckStatus.OK
        assert "not tried yet" in finding.detail
    assert "not set, so there are no cards" in nowhere.detail


async def test_a_worker_that_cannot_tell_how_it_is_fails(tmp_path: Path) -> None:
    async def broken(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"store": arguments["what no command hands over"]}

    findings = await look_beside(tmp_path, broken)

    assert findings["store"].status is CheckStatus.FAILED
    trouble = "the worker failed to run this command; see its log for the reason"
    path = tmp_path / "triage-bot.db"
    assert findings["store"].detail == f"cannot tell whether a worker has {path} open: {trouble}"
    assert "if you already do, read the worker's log" in findings["store"].remedy
    assert findings["security channel"].status is CheckStatus.SKIPPED


def test_the_real_worker_tells_that_the_bot_is_not_in_the_channel(create_world: Callable[..., World]) -> None:
    world = create_world(SECURITY_CHANNEL="C0NOTTHERE1")
    world.start()
    until(lambda: world.worker.log.count("link.opened") == 2, what="the worker knows of its links")
    before = world.worker.command("check").stdout
    identifier = world.send()
    world.slack.press(world.slack.question(identifier), "no")
    world.worker.until_logged("card.refused", identifier)

    checked = until(lambda: _failed_check(world), what="the check fails")

    assert "C0NOTTHERE1: not tried yet" in before
    assert "with 2 connections to Slack" in before
    assert "the last card did not arrive (channel_not_found)" in checked


def _failed_check(world: World) -> str:
    checked = world.worker.command("check")
    return checked.stdout if checked.returncode == 1 else ""


UNITS = Path(__file__).parents[2] / "systemd"
UNIT = "triage-bot.service"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of systemd's that contains our unit as it ships, and a resolv.conf."""
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
        assert finding.status is CheckStatus.WARNING
        assert "the service cannot reach it, because its unit blocks that address" in finding.detail
        assert finding.remedy.startswith(
            "put the address into systemd/triage-bot.service.d/name-server.conf and install that as"
        )
    return [finding.detail.partition(" (")[0] for finding in findings]


def install(machine: Path, name: str, text: str = "", folder: str = "system") -> None:
    path = machine / folder / f"{UNIT}.d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or (UNITS / f"{UNIT}.d" / name).read_text(encoding="utf-8"), encoding="utf-8")


#: The drop-ins that are installed, the name servers of the machine, and those that are blocked.
NAME_SERVERS: list[tuple[list[tuple[str, ...]], list[str], list[str]]] = [
    *[
        ([], ["192.0.2.53", address], [address.partition("%")[0]])
        for address in ("169.254.169.254", "169.254.20.10", "169.254.169.253", "fe80::1%eth0")
    ],
    ([], ["127.0.0.53", "192.0.2.53", "::1", "2001:db8::53", "no address", ""], []),
    ([("name-server.conf",)], ["169.254.20.10", "169.254.169.254"], ["169.254.169.254"]),
    # Amazon's name server is allowed with its metadata service.
    ([("instance-profile.conf",)], ["169.254.169.253"], []),
    ([("egress-proxy.conf",)], ["192.0.2.53", "127.0.0.53"], ["192.0.2.53"]),
    (
        [("egress-proxy.conf",), ("name-server.conf", "[Service]\nIPAddressAllow=192.0.2.0/24\n", "lower")],
        ["192.0.2.53"],
        [],
    ),
    # One that empties the list blocks nothing.
    ([("zz-open.conf", "[Service]\nIPAddressDeny=\n")], ["169.254.20.10"], []),
]


@pytest.mark.parametrize(("drop_ins", "name_servers", "blocked"), NAME_SERVERS)
def test_a_name_server_that_the_unit_and_its_drop_ins_block_is_a_warning(
    machine: Path, drop_ins: list[tuple[str, ...]], name_servers: list[str], blocked: list[str]
) -> None:
    for drop_in in drop_ins:
        install(machine, *drop_in)

    assert complaints(machine, *name_servers) == blocked


def test_a_machine_without_the_unit_or_without_name_servers_has_no_complaint(tmp_path: Path) -> None:
    (tmp_path / "system").mkdir()

    assert complaints(tmp_path, "169.254.20.10") == []
    assert check_name_servers(tmp_path / "missing", [tmp_path / "system"]) == []
