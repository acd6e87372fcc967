"""`triage-bot check` as a process with an environment built from nothing, and how its parts come together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from aws_stand_in import silent
from botocore.config import Config
from mypy_boto3_sqs import SQSClient
from running_slack import APP_TOKEN, BOT_TOKEN, RunningSlack, running
from world.worker import run_command

from bot.cli.checks.findings import CheckStatus, Finding
from bot.cli.checks.runner import PATIENCE, check_everything
from bot.sandbox.child_process import bare_environment
from bot.settings.settings import Purpose, Settings, load_settings

CheckedPlace = Callable[["RunningSlack"], "Place"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the command printed on both streams, and its exit code."""

    code: int
    text: str

    def about(self, subject: str) -> str:
        """Return the finding's status and detail, and what is printed below them."""
        lines = self.text.splitlines()
        start = next(index for index, line in enumerate(lines) if line[11:].startswith(f"{subject}  "))
        below = next(index for index in range(start + 1, len(lines)) if not lines[index].startswith(" "))
        return "\n".join(line.strip() for line in lines[start:below])


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder to run the command in, and the environment in which all is well."""

    folder: Path
    environment: Mapping[str, str]

    async def check(self, *options: str, without: Collection[str] = (), **changes: str) -> Shown:
        environment = {name: value for name, value in self.environment.items() if name not in without}
        done = await asyncio.to_thread(
            run_command, "check", *options, folder=self.folder, environment={**environment, **changes}
        )
        return Shown(code=done.returncode, text=done.stdout + done.stderr)


@pytest.fixture
def place(
    tmp_path: Path, create_queue: Callable[..., str], aws_environment: Mapping[str, str]
) -> CheckedPlace:
    """Return settings with which all is well, with three queues and the given Slack."""

    def beside(world: RunningSlack) -> Place:
        target = f"arn:aws:sqs:us-west-2:123456789012:{create_queue().rpartition('/')[2]}"
        redrive = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 10})
        environment = {
            **bare_environment(tmp_path),
            **aws_environment,
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
            "SLACK_API_URL": world.slack.api_url,
            "REQUEST_QUEUE_URL": create_queue(RedrivePolicy=redrive),
            "RESPONSE_QUEUE_URL": create_queue(fifo=True),
            "DEAD_LETTER_QUEUE_URL": create_queue(),
        }
        return Place(folder=tmp_path, environment=environment)

    return beside


async def test_where_all_is_well_it_says_so_exits_0_and_changes_nothing(
    place: CheckedPlace, sqs: SQSClient
) -> None:
    async with running() as world:
        here = place(world)
        url = here.environment["REQUEST_QUEUE_URL"]
        sqs.send_message(QueueUrl=url, MessageBody="waiting")
        sqs.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=900)

        shown = await here.check()

        assert shown.code == 0, shown.text
        assert shown.text.endswith("\n\n28 ok.\n")
        assert "bot triagebot (U0TRIAGEBOT) in Sandbox (T0SANDBOX01)" in shown.about("bot token")
        line, *facts = shown.about("request queue").splitlines()
        assert line.endswith("1 visible, 0 in flight, 1 delayed")
        name = url.rpartition("/")[2]
        assert facts == [f"URL  {url}", f"ARN  arn:aws:sqs:us-west-2:123456789012:{name}"]
        assert here.environment["DEAD_LETTER_QUEUE_URL"] in shown.about("dead-letter queue")
        assert "will be created at the first run" in shown.about("store")
        assert list(here.folder.iterdir()) == []
        # A link of ours would have taken clicks away from the worker that runs.
        assert world.slack.socket_mode.welcomed == 0


async def test_a_setting_that_is_missing_is_named_and_what_needs_it_is_skipped(place: CheckedPlace) -> None:
    async with running() as world:
        here = place(world)

        shown = await here.check(without=("SLACK_BOT_TOKEN", "RESPONSE_QUEUE_URL"))

        assert shown.code == 1
        assert "incomplete or invalid, from the environment alone" in shown.about("settings")
        assert "is not set\n→ set it to the bot token, xoxb-…" in shown.about("SLACK_BOT_TOKEN")
        assert "not checked: needs SLACK_BOT_TOKEN, see above" in shown.about("bot token")
        assert "not checked: needs RESPONSE_QUEUE_URL" in shown.about("response queue")
        assert shown.about("app-level token").startswith("✓ ok")
        assert shown.about("request queue").startswith("✓ ok")


async def test_no_secret_is_shown_whatever_fails(place: CheckedPlace) -> None:
    async with running() as world:
        here = place(world)
        wrong = {
            "SLACK_BOT_TOKEN": "xoxb-hush-1",
            "SLACK_APP_TOKEN": "xapp-hush-2",
            "RESPONSE_QUEUE_URL": "https://somebody:hush-3@sqs.us-west-2.amazonaws.com/123456789012/none",
            "STORE_URL": "xoxb-hush-4",
            "AWS_SECRET_ACCESS_KEY": "hush-5",
            "LOG_LEVEL": "DEBUG",
        }

        shown = await here.check(**wrong)

        assert shown.code == 1
        assert "Slack refuses it (invalid_auth)" in shown.about("bot token")
        assert "Slack refuses it (invalid_auth)" in shown.about("app-level token")
        assert "hush" not in shown.text


async def test_those_who_may_act_on_cards_are_looked_up(place: CheckedPlace) -> None:
    async with running() as world:
        named = {"SECURITY_CHANNEL": "C0SECURITY1", "RESPONDERS": "U0RADIAP009,U0NOBODY999"}

        shown = await place(world).check(**named)

        assert shown.code == 0, shown.text
        assert "U0NOBODY999 (user_not_found)" in shown.about("responders")


async def test_programs_get_json(place: CheckedPlace) -> None:
    async with running() as world:
        here = place(world)

        sound = await here.check("--json")
        unsound = await here.check("--json", SLACK_APP_TOKEN="xapp-revoked")

        assert (sound.code, unsound.code) == (0, 1)
        assert json.loads(sound.text)["sound"] is True
        findings = {each["subject"]: each for each in json.loads(unsound.text)["findings"]}
        assert findings["app-level token"]["verdict"] == "failed"
        assert "connections:write" in findings["app-level token"]["remedy"]
        assert findings["request queue"]["facts"]["URL"] == here.environment["REQUEST_QUEUE_URL"]
        assert findings["bot token"]["verdict"] == "ok"


pytestmark = pytest.mark.usefixtures("in_aws_environment")


#: Nothing that the check says of these can be good: they are on no machine.
NOWHERE = {
    "SLACK_BOT_TOKEN": "xoxb-token",
    "SLACK_APP_TOKEN": "xapp-token",
    "SLACK_API_URL": "http://127.0.0.1:9",
    "REQUEST_QUEUE_URL": "http://127.0.0.1:9/123456789012/requests",
    "RESPONSE_QUEUE_URL": "http://127.0.0.1:9/123456789012/responses",
    "AWS_REGION": "us-west-2",
}


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings(Purpose.CHECK, environ={**NOWHERE, **environ}, directory=folder)


async def look_into(folder: Path, **environ: str) -> dict[str, Finding]:
    """Look with this folder for the settings' files and for the wording."""
    return await look(settings(folder, CONFIG_DIR=str(folder), **environ))


async def look(chosen: Settings, *, patience: timedelta = 6 * PATIENCE) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await check_everything(chosen, patience=patience)}


async def test_what_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", address)
        chosen = settings(tmp_path, SLACK_API_URL=address)

        findings = await look(chosen, patience=timedelta(seconds=0.1))

    for subject in ("bot token", "app-level token", "request queue", "response queue"):
        assert findings[subject].detail == "no answer within 0.1 s"
        assert findings[subject].remedy == "check DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY)"


async def test_without_a_dead_letter_queue_it_warns(tmp_path: Path) -> None:
    findings = await look(settings(tmp_path))

    finding = findings["dead-letter queue"]
    assert finding.status is CheckStatus.WARNING
    assert "is counted and logged, but its body is lost" in finding.detail
    assert finding.remedy == "create a queue and put its URL into DEAD_LETTER_QUEUE_URL"


#: What is in the file and who may read it; the status, the detail and the remedy.
ENV_FILES: dict[str, tuple[bytes, int, CheckStatus, str, str]] = {
    "unknown": (
        b"SLACK_BOT_TOKNE=xoxb-misspelt\n",
        0o600,
        CheckStatus.WARNING,
        ".env, which are ignored: SLACK_BOT_TOKNE (did you mean SLACK_BOT_TOKEN?)",
        "remove them, or install the release that knows them",
    ),
    "open": (
        b"SLACK_BOT_TOKEN=xoxb-1-2\n",
        0o664,
        CheckStatus.WARNING,
        "",
        "restrict it to its owner: chmod 600 ",
    ),
    "unreadable": (b"SLACK_BOT_TOKEN=\xff\n", 0o600, CheckStatus.FAILED, ".env cannot be read", ""),
}


@pytest.mark.parametrize("fault", ENV_FILES)
async def test_what_is_wrong_with_the_env_file_is_a_finding(tmp_path: Path, fault: str) -> None:
    content, mode, status, detail, remedy = ENV_FILES[fault]
    path = tmp_path / ".env"
    path.write_bytes(content)
    path.chmod(mode)

    finding = next(each for each in await check_everything(settings(tmp_path)) if each.subject == "settings")

    assert finding.status is status
    assert detail in finding.detail
    assert finding.remedy.startswith(f"{remedy}{path}" if fault == "open" else remedy)


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

    findings = await look(settings(tmp_path, **wrong))

    assert findings[variable].status is CheckStatus.FAILED
    assert findings[variable].remedy.startswith("set it to ")
    passed_over = {name for name, each in findings.items() if each.status is CheckStatus.SKIPPED}
    assert passed_over - {"scopes", "texts in Slack"} == skipped


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

    findings = await look_into(tmp_path)

    assert findings["wording"].status is CheckStatus.FAILED
    assert detail in findings["wording"].detail
    assert findings["wording"].remedy.startswith("expected ")


@pytest.mark.parametrize(
    ("text", "status", "detail"),
    [
        ("", CheckStatus.OK, "looked up by the addresses of the requests"),
        ('[people]\n"ada@mozilla.com" = "ada"', CheckStatus.FAILED, "[people] \"ada@mozilla.com\" is 'ada'"),
        ('[people]\n"ada@mozilla.com" "U1"', CheckStatus.FAILED, "at line 2"),
        ('strict = true\n[domains]\n"a.b" = "c.d"', CheckStatus.OK, "1 of [domains]; nobody else is asked"),
    ],
)
async def test_who_is_meant_is_judged(tmp_path: Path, text: str, status: CheckStatus, detail: str) -> None:
    (tmp_path / "people.toml").write_text(text, encoding="utf-8")

    finding = (await look_into(tmp_path))["people"]

    assert finding.status is status
    assert detail in finding.detail


async def test_a_folder_without_wording_of_its_own_is_said(tmp_path: Path) -> None:
    findings = await look_into(tmp_path)

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

    findings = await look(settings(tmp_path, **tokens))

    for subject in ("bot token", "app-level token"):
        assert findings[subject].status is CheckStatus.FAILED
        assert findings[subject].detail == "the parameter /triage/nowhere cannot be read (ParameterNotFound)"
        assert findings[subject].remedy == "create it as a SecureString, or correct its name"
    assert findings["scopes"].status is CheckStatus.SKIPPED
