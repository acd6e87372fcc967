"""The log of the real worker: as JSON it tells an alert's story, but no secret and nothing about people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from wording import WORDING
from world import GRACE, World, until

# As JSON


@dataclass(frozen=True, kw_only=True)
class Life:
    """The whole log of a run, and the identifier of its one alert."""

    identifier: str
    entries: list[dict[str, Any]]
    log: str

    def events(self, **fields: str) -> list[str]:
        """Return the events of the entries with these fields, in alphabetical order."""
        found = [entry for entry in self.entries if entry["fields"].items() >= fields.items()]
        return sorted(entry["event"] for entry in found)


@pytest.fixture(scope="module")
def life(create_shared_world: Callable[..., World]) -> Life:
    world = create_shared_world(LOG_FORMAT="json")
    world.start()
    summary = "A session was opened on prod-7."
    identifier, question = world.ask(summary=summary)
    world.slack.press(question, "no")
    world.slack.press(question, "no")
    world.slack.press(question, "yes", user=GRACE)
    world.send(identifier=identifier, summary=summary)
    for event in ("request.known", "report.sent", "click.refused"):
        world.worker.until_logged(event)
    answered = world.slack.redrawn(identifier, WORDING["answer"]["no"])
    world.slack.faults.refuse("views.open", "expired_trigger_id")
    assert world.slack.press(answered, "", action_id="note").acknowledged
    world.worker.until_logged("follow_up.failed")
    world.worker.stop()
    # A refused start is reported in the same form, and so is a warning about the settings.
    for wrong in (
        {"EXPIRE_AFTR": "4h", "REMIND_AFTER": "soon"},
        {"REMIND_AFTER": "1h", "STORE_URL": "sqlite:////nowhere/store.db"},
    ):
        world.worker.environment |= wrong
        world.worker.start()
        assert world.worker.exit_code() == 78
    log = world.worker.log
    return Life(identifier=identifier, entries=[json.loads(line) for line in log.splitlines()], log=log)


@pytest.mark.slow
def test_every_line_of_a_workers_life_is_an_object(life: Life) -> None:
    told = [(entry["event"], entry["message"].partition(" ")[0]) for entry in life.entries[-5:]]
    assert told[0][0] == "worker.stopped"
    assert told[1:] == [
        ("settings.questionable", "unknown"),
        ("start.failed", "REMIND_AFTER"),
        ("settings.questionable", "unknown"),
        ("start.failed", "the"),
    ]
    assert {frozenset(entry) for entry in life.entries} == {
        frozenset({"time", "level", "event", "message", "fields"})
    }


def test_the_lines_with_an_alerts_identifier_tell_its_story(life: Life) -> None:
    assert life.events(identifier=life.identifier) == [
        "click.refused",
        "follow_up.failed",
        "question.answered",
        "question.asked",
        "report.sent",
        "request.accepted",
        "request.known",
    ]
    for secret in ("prod-7", "ada@example.com", "xoxb-", "xapp-"):
        assert secret not in life.log


# At any level

#: Words of a summary, tokens that stand in one, and an address that is nobody's.
SUMMARY = "Ten-bypass-codes were made with xoxb-1-in-a-summary and AKIAINASUMMARY000001"
STRANGER = "somebody.else@example.org"

ACCESS_KEY = "AKIAOFTHISTEST000001"
SECRET_KEY = "secret-key-of-this-test/0123456789abcdef"
SESSION_TOKEN = "session-token-of-this-test/0123456789abcdef"


@pytest.fixture(scope="module", params=["INFO", "DEBUG"])
def log(create_shared_world: Callable[..., World], request: pytest.FixtureRequest) -> str:
    """The log of a run with requests good and bad, answers, refusals, and an outage of Slack."""
    world = create_shared_world(
        LOG_LEVEL=request.param,
        SECURITY_CHANNEL="C0NOTTHERE1",
        AWS_ACCESS_KEY_ID=ACCESS_KEY,
        AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        AWS_SESSION_TOKEN=SESSION_TOKEN,
    )
    world.start()
    question = world.slack.question(world.send(summary=SUMMARY))
    world.slack.press(question, "no")
    world.slack.press(question, "yes", user=GRACE)
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
