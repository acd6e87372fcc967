"""How the parts of `check` come together, and the worker beside it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bot.checking import PATIENCE, check_everything
from bot.config import Settings, load_settings
from bot.control import ControlServer
from bot.findings import Finding, Verdict
from bot.store import open_store
from bot.store_commands import store_handlers
from bot.triage.model import utc_now
from bot.variable_table import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from pathlib import Path

#: Nothing that the check says of these can be good: they are on no machine.
NOWHERE = {
    "SLACK_BOT_TOKEN": "xoxb-token",
    "SLACK_APP_TOKEN": "xapp-token",
    "REQUEST_QUEUE_URL": "http://127.0.0.1:9/123456789012/requests",
    "RESPONSE_QUEUE_URL": "http://127.0.0.1:9/123456789012/responses",
    "AWS_REGION": "us-west-2",
}


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(aws_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings(Purpose.CHECK, environ={**NOWHERE, **environ}, directory=folder)


async def look(chosen: Settings, *, patience: timedelta = PATIENCE) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await check_everything(chosen, patience=patience)}


@asynccontextmanager
async def silence() -> AsyncIterator[str]:
    """A server that takes every call and never answers; yields its address."""
    over = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    over.set()
    server.close()
    await server.wait_closed()


async def test_what_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with silence() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", address)
        chosen = settings(tmp_path, SLACK_API_URL=address)

        findings = await look(chosen, patience=timedelta(seconds=0.1))

    for subject in ("bot token", "app-level token", "request queue", "response queue"):
        assert findings[subject].detail == "no answer within 0.1 s"
        assert "firewall" in findings[subject].remedy


async def test_without_a_dead_letter_queue_it_warns(tmp_path: Path) -> None:
    findings = await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9"))

    assert findings["dead-letter queue"].verdict is Verdict.WARNING
    assert "DEAD_LETTER_QUEUE_URL" in findings["dead-letter queue"].remedy


@pytest.mark.parametrize(
    ("wrong", "skipped"),
    [
        ({"SLACK_API_URL": "slack"}, {"bot token", "app-level token"}),
        ({"SLACK_APP_TOKEN": "xoxb-swapped"}, {"app-level token"}),
        ({"AWS_REGION": "the moon"}, {"request queue", "response queue"}),
        ({"DEAD_LETTER_QUEUE_URL": NOWHERE["REQUEST_QUEUE_URL"]}, {"dead-letter queue"}),
        ({"STORE_URL": "mysql://store"}, {"store"}),
        ({"CONFIG_DIR": "/nowhere/at/all"}, {"wording"}),
    ],
)
async def test_a_wrong_setting_fails_and_what_needs_it_is_skipped(
    tmp_path: Path, wrong: dict[str, str], skipped: set[str]
) -> None:
    (variable,) = wrong

    findings = await look(settings(tmp_path, **{"SLACK_API_URL": "http://127.0.0.1:9", **wrong}))

    assert findings[variable].verdict is Verdict.FAILED
    assert findings[variable].remedy.startswith("set it to ")
    passed_over = {name for name, each in findings.items() if each.verdict is Verdict.SKIPPED}
    assert passed_over - {"scopes"} == skipped


async def test_an_env_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SLACK_BOT_TOKEN=\xff\n")

    findings = await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9"))

    assert findings["settings"].verdict is Verdict.FAILED
    assert ".env cannot be read" in findings["settings"].detail


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('[question]\naks = "Was it you?"', "[question] aks is not known"),
        (f'[button]\nyes = "{"y" * 100}"', "100 characters"),
        ("[question", "cannot be read"),
    ],
)
async def test_wrong_wording_is_named_with_its_key(tmp_path: Path, text: str, detail: str) -> None:
    (tmp_path / "messages.toml").write_text(text, encoding="utf-8")

    findings = await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9", CONFIG_DIR=str(tmp_path)))

    assert findings["wording"].verdict is Verdict.FAILED
    assert detail in findings["wording"].detail
    assert findings["wording"].remedy.startswith("expected ")


async def test_a_folder_without_wording_of_its_own_is_said(tmp_path: Path) -> None:
    findings = await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9", CONFIG_DIR=str(tmp_path)))

    assert findings["wording"].detail == f"messages.toml as it ships ({tmp_path} has none)"


async def test_a_store_that_the_running_worker_holds_is_fine(tmp_path: Path) -> None:
    chosen = settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9")
    store = await open_store(chosen.store_url, create=True)
    control = ControlServer(chosen.control_path, store_handlers(store, chosen.store_path, clock=utc_now))
    await control.start()

    findings = await look(chosen)

    await control.stop()
    await store.close()
    assert findings["store"].verdict is Verdict.OK
    assert findings["store"].detail.endswith("triage-bot.db, held by the worker that runs")


async def test_a_worker_that_cannot_read_its_store_fails(tmp_path: Path) -> None:
    async def list_questions(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"identifier": arguments["what no command hands over"]}

    chosen = settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9")
    control = ControlServer(chosen.control_path, {"list": list_questions})
    await control.start()

    findings = await look(chosen)

    await control.stop()
    assert findings["store"].verdict is Verdict.FAILED
    assert "the worker failed to do this" in findings["store"].detail
    assert "the worker's log" in findings["store"].remedy
