"""The log of a run in which much goes wrong: no secret and nothing about people, at any level."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from mypy_boto3_sqs import SQSClient
from world import World, until

#: Words of a summary, tokens that stand in one, and an address that is nobody's.
SUMMARY = "Ten-bypass-codes were made with xoxb-1-in-a-summary and AKIAINASUMMARY000001"
STRANGER = "somebody.else@example.org"

ACCESS_KEY = "AKIAOFTHISTEST000001"
SECRET_KEY = "secret-key-of-this-test/0123456789abcdef"
SESSION_TOKEN = "session-token-of-this-test/0123456789abcdef"


@pytest.fixture(params=["INFO", "DEBUG"])
def level(request: pytest.FixtureRequest) -> str:
    level: str = request.param
    return level


@pytest.fixture
def log(tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str], level: str) -> str:
    """The log of a run with requests good and bad, answers, refusals, and an outage of Slack."""
    variables = {
        "LOG_LEVEL": level,
        "SECURITY_CHANNEL": "C0NOTTHERE1",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": SESSION_TOKEN,
    }
    with World(tmp_path, sqs, aws_environment, variables=variables) as world:
        world.start()
        identifier = world.send(summary=SUMMARY)
        question = world.slack.question(identifier)
        world.slack.press(question, "no")
        world.slack.press(question, "yes", user="U0GRACEH002")
        _send_what_fails(world)
        world.slack.stop()
        waiting = world.send(summary=SUMMARY)
        world.worker.until_logged("Slack cannot be reached", waiting)
        world.slack.start()
        world.slack.question(waiting)
        world.worker.stop()
        return world.worker.log


def _send_what_fails(world: World) -> None:
    unknown = world.send(user=STRANGER, summary=SUMMARY)
    world.send_body(f'{{"identifier": "broken", "summary": "{SUMMARY}", "user": "{STRANGER} x"}}')
    world.send_body(f"no JSON, but {SUMMARY} about {STRANGER}")
    world.worker.until_logged(unknown, "users_not_found")
    until(lambda: world.worker.log.count("request.rejected") >= 2, what="both are rejected")
    world.worker.until_logged("card.refused")


def test_no_secret_is_in_the_log(log: str) -> None:
    assert "question.answered" in log
    assert "bot-token" not in log
    for secret in ("xoxb-acceptance", "xapp-acceptance", ACCESS_KEY, SECRET_KEY, SESSION_TOKEN):
        assert secret not in log
    assert not re.search(r"xox[a-z]-\w|xapp-\w|AKIA[A-Z0-9]{12}|ticket=\w", log)


def test_nothing_about_people_is_in_the_log(log: str) -> None:
    assert "request.accepted" in log
    assert not re.search(r"[\w.+-]+@[\w-]+\.\w+", log)
    assert "bypass" not in log
    assert "made with" not in log
