"""What `check` learns from the worker that runs beside it."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_sqs import SQSClient
from store_files import fill, overwrite
from world import World, until

from bot.cli.checks.findings import Finding, Verdict
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


def condition(
    *, trouble: str | StoreError = "", card: str | None = None, links: int = 2, clock: str = ""
) -> Handler:
    told = {"card": card, "links": links, "clock": clock, "ahead_seconds": 0.4}
    return condition_handler(Store(trouble), lambda: told)


@asynccontextmanager
async def worker(chosen: Settings, **handlers: Handler) -> AsyncIterator[None]:
    """A worker that listens beside the store, and can do these."""
    assert chosen.control_path
    control = ControlServer(chosen.control_path, handlers)
    await control.start()
    yield
    await control.stop()


async def look(chosen: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await check_store_and_worker(chosen)}


async def test_a_worker_that_does_its_job_is_fine(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    async with worker(chosen, **{CONDITION: condition(card="")}):
        findings = await look(chosen)

    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}
    assert findings["store"].detail.endswith("triage-bot.db, open in the running worker, accepts writes")
    assert findings["worker"].detail == "running, with 2 connections to Slack"
    assert findings["security channel"].detail == f"{CHANNEL}: the last card arrived"
    assert findings["worker's time"].detail == "Slack's and AWS's; this machine's clock is +0.4 s off"


async def test_a_store_that_was_taken_from_its_worker_is_told_by_it(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    async with worker(chosen, **{CONDITION: condition(trouble=StoreReplaced())}):
        findings = await look(chosen)

    assert findings["store"].verdict is Verdict.FAILED
    assert "was removed or replaced while the worker runs" in findings["store"].detail
    assert "triage-bot.db.rescue" in findings["store"].remedy
    assert "run --restored" in findings["store"].remedy


@pytest.mark.parametrize("is_damaged", [False, True])
async def test_every_part_of_a_store_is_checked_in_a_copy_that_its_worker_makes(
    tmp_path: Path, *, is_damaged: bool
) -> None:
    chosen = settings(tmp_path)
    copy = tmp_path / "copy.db"
    await fill(copy, 200)
    if is_damaged:
        overwrite(copy, 4096 * 4, b"\xa5" * 4096 * 4)

    async def backup(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"data": base64.b64encode(copy.read_bytes()).decode()}

    async with worker(chosen, **{CONDITION: condition(), "backup": backup}):
        findings = {each.subject: each for each in await check_store_and_worker(chosen, deep=True)}

    finding = findings["store, every part"]
    assert finding.verdict is (Verdict.FAILED if is_damaged else Verdict.OK)
    assert ("is corrupt" if is_damaged else "triage-bot.db is intact") in finding.detail


async def test_a_store_that_takes_no_writes_is_told_by_its_worker(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    async with worker(chosen, **{CONDITION: condition(trouble="the store operation failed: disk is full")}):
        findings = await look(chosen)

    assert findings["store"].verdict is Verdict.FAILED
    path = tmp_path / "triage-bot.db"
    trouble = "the store operation failed: disk is full"
    assert findings["store"].detail == f"{path}, open in the running worker: {trouble}"
    remedy = f"free space or repair the disk (df -h {tmp_path}); the worker then recovers by itself"
    assert findings["store"].remedy == remedy


async def test_a_worker_without_a_link_fails(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    async with worker(chosen, **{CONDITION: condition(links=0)}):
        findings = await look(chosen)

    assert findings["worker"].verdict is Verdict.FAILED
    assert "no click can reach it" in findings["worker"].detail
    assert "its log says why" in findings["worker"].remedy


async def test_what_is_wrong_with_the_time_is_told(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    async with worker(chosen, **{CONDITION: condition(clock="Slack and AWS are 90 s apart; enable NTP")}):
        finding = (await look(chosen))["worker's time"]

    assert (finding.verdict, finding.detail) == (Verdict.FAILED, "Slack and AWS are 90 s apart")
    assert finding.remedy == "enable NTP"


async def test_a_worker_that_starts_says_what_it_waits_for(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    starting = condition_handler(Store(), lambda: {"starting": "the parameter store"})

    async with worker(chosen, **{CONDITION: starting}):
        findings = await look(chosen)

    assert findings["store"].verdict is Verdict.OK
    assert findings["worker"].verdict is Verdict.FAILED
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
    chosen = settings(tmp_path)

    async with worker(chosen, **{CONDITION: condition(card=trouble)}):
        finding = (await look(chosen))["security channel"]

    assert finding.verdict is Verdict.FAILED
    assert finding.detail == f"{CHANNEL}: the last card did not arrive ({trouble})"
    assert finding.remedy.startswith(remedy)


async def test_a_channel_that_no_card_went_to_is_not_tried_yet(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    without_worker = (await look(chosen))["security channel"]
    async with worker(chosen, **{CONDITION: condition(card=None)}):
        beside_worker = (await look(chosen))["security channel"]
    nowhere = (await look(settings(tmp_path, SECURITY_CHANNEL="")))["security channel"]

    for finding in (without_worker, beside_worker):
        assert finding.verdict is Verdict.OK
        assert "not tried yet" in finding.detail
    assert "not set, so there are no cards" in nowhere.detail


async def test_a_worker_that_cannot_tell_how_it_is_fails(tmp_path: Path) -> None:
    async def broken(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"store": arguments["what no command hands over"]}

    chosen = settings(tmp_path)

    async with worker(chosen, **{CONDITION: broken}):
        findings = await look(chosen)

    assert findings["store"].verdict is Verdict.FAILED
    trouble = "the worker failed to run this command; see its log for the reason"
    path = tmp_path / "triage-bot.db"
    assert findings["store"].detail == f"cannot tell whether a worker has {path} open: {trouble}"
    assert "if you already do, read the worker's log" in findings["store"].remedy
    assert findings["security channel"].verdict is Verdict.SKIPPED


def test_the_real_worker_tells_that_the_bot_is_not_in_the_channel(
    tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> None:
    variables = {"SECURITY_CHANNEL": "C0NOTTHERE1"}
    with World(tmp_path, sqs, aws_environment, variables=variables) as world:
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
