"""What falls due while the worker is down, and clocks that run in working hours only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from world import World, until
from world.slack_views import reminders_of

#: The deadline of one kind of alert is far away, and every other's is near.
PATIENT = """
[alert.patient]
expire_after = "1h"
"""
LATER = """
[alert.later]
ask = "working-hours"
"""
EXPIRE_SECONDS = 4
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def moment(report_time: str) -> float:
    return datetime.fromisoformat(report_time).timestamp()


@pytest.fixture
def policies(tmp_path: Path) -> Callable[[str], str]:
    """Write a folder with these policies, and return its path."""

    def write(text: str) -> str:
        (tmp_path / "alerts.toml").write_text(text, encoding="utf-8")
        return str(tmp_path)

    return write


@pytest.mark.slow
def test_what_fell_due_while_the_worker_was_down_is_done_when_it_is_back(
    create_world: Callable[..., World], policies: Callable[[str], str]
) -> None:
    world = create_world(REMIND_AFTER="2s", EXPIRE_AFTER=f"{EXPIRE_SECONDS}s", CONFIG_DIR=policies(PATIENT))
    world.start()
    patient, hasty = world.send(alert="patient"), world.send(user="grace@example.com")
    asked_at = max(moment(world.until_asked(one)["askedAt"]) for one in (patient, hasty))
    questions = {one: world.slack.question(one) for one in (patient, hasty)}

    world.worker.kill()
    until(lambda: time.time() > asked_at + EXPIRE_SECONDS, what="the deadline")
    sent_before = {one: len(reminders_of(world.slack, question)) for one, question in questions.items()}
    world.start()

    report = world.reports(hasty)[0]
    facts = report.details["triagebot"]
    assert (facts["outcome"], facts["sequence"]) == ("timedOut", 0)
    assert moment(json.loads(report.body)["timestamp"]) >= moment(facts["askedAt"]) + EXPIRE_SECONDS
    until(lambda: reminders_of(world.slack, questions[patient]), what="the reminder")
    assert len(reminders_of(world.slack, questions[patient])) == 1
    assert len(reminders_of(world.slack, questions[hasty])) == sent_before[hasty]
    assert [one.details["identifier"] for one in world.responses.letters()] == [hasty]


def test_clocks_and_patient_questions_wait_for_working_hours(
    create_world: Callable[..., World], policies: Callable[[str], str]
) -> None:
    day = (datetime.now(UTC) + timedelta(days=3)).weekday()
    world = create_world(
        REMIND_AFTER="1s",
        EXPIRE_AFTER="2s",
        WORKING_HOURS=f"{DAYS[day]} 09:00-18:00",
        CONFIG_DIR=policies(LATER),
    )
    world.start()

    later = world.send(alert="later")
    at_once = world.send(user="grace@example.com")

    asked = world.until_asked(at_once)
    waiting = until(lambda: _waiting(world, later), what="the question waits")
    for row in (asked, waiting):
        assert moment(row["dueAt"]) > time.time() + 24 * 3600
    until(lambda: time.time() > moment(asked["askedAt"]) + 3, what="more than the time to answer")
    assert world.slack.questions(later) == []
    assert reminders_of(world.slack, world.slack.question(at_once)) == []
    assert list(world.responses.letters()) == []


def _waiting(world: World, identifier: str) -> dict[str, str] | None:
    row = world.row(identifier)
    is_late = row and row["dueAt"] and moment(row["dueAt"]) > time.time() + 3600
    return row if is_late else None
