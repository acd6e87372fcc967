"""How the parts of `check` come together, and the worker beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from bot.cli.checks.findings import Finding, Verdict
from bot.cli.checks.runner import PATIENCE, check_everything
from bot.settings.settings import Purpose, Settings, load_settings

pytestmark = pytest.mark.usefixtures("in_aws_environment")


#: Nothing that the check says of these can be good: they are on no machine.
NOWHERE = {
    "SLACK_BOT_TOKEN": "xoxb-token",
    "SLACK_APP_TOKEN": "xapp-token",
    "REQUEST_QUEUE_URL": "http://127.0.0.1:9/123456789012/requests",
    "RESPONSE_QUEUE_URL": "http://127.0.0.1:9/123456789012/responses",
    "AWS_REGION": "us-west-2",
}


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings(Purpose.CHECK, environ={**NOWHERE, **environ}, directory=folder)


async def look(chosen: Settings, *, patience: timedelta = 6 * PATIENCE) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await check_everything(chosen, patience=patience)}


@asynccontextmanager
async def silence() -> AsyncIterator[str]:
    """A server that takes every call and never answers; yields its address."""
    over = asyncio.Event()

    calls: set[asyncio.Task[None]] = set()

    async def wait(writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.add(asyncio.create_task(wait(writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    over.set()
    server.close()
    await server.wait_closed()
    for _ in range(10):  # a connection that was accepted just now becomes a call only a few turns later
        await asyncio.sleep(0)
    await asyncio.gather(*calls)


async def test_what_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with silence() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", address)
        chosen = settings(tmp_path, SLACK_API_URL=address)

        findings = await look(chosen, patience=timedelta(seconds=0.1))

    for subject in ("bot token", "app-level token", "request queue", "response queue"):
        assert findings[subject].detail == "no answer within 0.1 s"
        assert findings[subject].remedy == ("check DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY)")


async def test_without_a_dead_letter_queue_it_warns(tmp_path: Path) -> None:
    findings = await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9"))

    finding = findings["dead-letter queue"]
    assert finding.verdict is Verdict.WARNING
    assert "is counted and logged, but its body is lost" in finding.detail
    assert finding.remedy == "create a queue and put its URL into DEAD_LETTER_QUEUE_URL"


async def test_a_setting_that_this_release_does_not_know_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SLACK_BOT_TOKNE=xoxb-misspelt\n", encoding="utf-8")

    findings = await check_everything(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9"))

    finding = next(each for each in findings if each.subject == "settings")
    assert finding.verdict is Verdict.WARNING
    assert finding.detail == (
        f"ignored in {tmp_path / '.env'}, because nothing reads them there:"
        " SLACK_BOT_TOKNE (did you mean SLACK_BOT_TOKEN?)"
    )
    assert finding.remedy == "remove them, or install the release that knows them"


async def test_an_env_file_that_others_may_read_is_a_warning_with_the_command(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("SLACK_BOT_TOKEN=xoxb-1-2\n", encoding="utf-8")
    path.chmod(0o664)

    findings = await check_everything(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9"))

    finding = next(each for each in findings if each.subject == "settings")
    assert finding.verdict is Verdict.WARNING
    assert finding.remedy == f"restrict it to its owner: chmod 600 {path}"


@pytest.mark.parametrize(
    ("wrong", "skipped"),
    [
        ({"SLACK_API_URL": "slack"}, {"bot token", "app-level token"}),
        ({"SLACK_APP_TOKEN": "xoxb-swapped"}, {"app-level token"}),
        ({"AWS_REGION": "the moon"}, {"request queue", "response queue"}),
        ({"DEAD_LETTER_QUEUE_URL": NOWHERE["REQUEST_QUEUE_URL"]}, {"dead-letter queue"}),
        ({"STORE_URL": "mysql://store"}, {"store"}),
        ({"CONFIG_DIR": "/nowhere/at/all"}, {"wording", "people"}),
        (
            {"https_proxy": "socks5://127.0.0.1:1080"},
            {"bot token", "app-level token", "request queue", "response queue"},
        ),
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
    assert passed_over - {"scopes", "texts in Slack"} == skipped


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


@pytest.mark.parametrize(
    ("text", "verdict", "detail"),
    [
        ("", Verdict.OK, "looked up by the addresses of the requests"),
        ('[people]\n"ada@mozilla.com" = "ada"', Verdict.FAILED, "[people] \"ada@mozilla.com\" is 'ada'"),
        ('[people]\n"ada@mozilla.com" "U1"', Verdict.FAILED, "at line 2"),
        ('strict = true\n[domains]\n"a.b" = "c.d"', Verdict.OK, "1 of [domains]; nobody else is asked"),
    ],
)
async def test_who_is_meant_is_judged(tmp_path: Path, text: str, verdict: Verdict, detail: str) -> None:
    (tmp_path / "people.toml").write_text(text, encoding="utf-8")

    finding = (await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9", CONFIG_DIR=str(tmp_path))))[
        "people"
    ]

    assert finding.verdict is verdict
    assert detail in finding.detail


async def test_a_folder_without_wording_of_its_own_is_said(tmp_path: Path) -> None:
    findings = await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9", CONFIG_DIR=str(tmp_path)))

    assert findings["wording"].detail == f"messages.toml as it ships ({tmp_path} has none)"


async def test_a_token_whose_parameter_cannot_be_read_is_named_and_what_needs_it_is_skipped(
    tmp_path: Path, aws_session: boto3.Session, sqs_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # moto loads its parameter store at the first call, which may take longer than `check` waits.
    patient = Config(read_timeout=120)
    with closing(aws_session.client("ssm", endpoint_url=sqs_endpoint, config=patient)) as ssm:
        ssm.describe_parameters()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", sqs_endpoint)
    tokens = {"SLACK_BOT_TOKEN": "ssm:/triage/nowhere", "SLACK_APP_TOKEN": "ssm:/triage/nowhere"}

    findings = await look(settings(tmp_path, SLACK_API_URL="http://127.0.0.1:9", **tokens))

    for subject in ("bot token", "app-level token"):
        assert findings[subject].verdict is Verdict.FAILED
        assert findings[subject].detail == "the parameter /triage/nowhere cannot be read (ParameterNotFound)"
        assert findings[subject].remedy == "create it as a SecureString, or correct its name"
    assert findings["scopes"].verdict is Verdict.SKIPPED
