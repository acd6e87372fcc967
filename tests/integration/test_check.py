"""`triage-bot check` as the engineer runs it: a process with an environment built from nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from mypy_boto3_sqs import SQSClient
from running_slack import APP_TOKEN, BOT_TOKEN, RunningSlack, running
from world import PATIENCE_SECONDS

from bot.sandbox.child_process import bare_environment

CheckedPlace = Callable[["RunningSlack"], "Place"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the command printed on both streams, and its exit code."""

    code: int
    text: str

    def about(self, subject: str) -> str:
        """Return the finding's verdict and detail, and what stands below them."""
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
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "bot", "check", *options),
            cwd=self.folder,
            env={**environment, **changes},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert process.returncode is not None
        return Shown(code=process.returncode, text=output.decode())


@pytest.fixture
def place(
    tmp_path: Path, create_queue: Callable[..., str], aws_environment: Mapping[str, str]
) -> CheckedPlace:
    """Tell of a place where all is well, with three queues and the given Slack."""

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
        verdict, *facts = shown.about("request queue").splitlines()
        assert verdict.endswith("1 visible, 0 in flight, 1 delayed")
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
