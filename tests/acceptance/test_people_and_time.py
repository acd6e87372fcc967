"""Reminders, deadlines, notes, cards and the Home, by the real worker, with waits of seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import dropwhile
from pathlib import Path

import pytest
from wording import WORDING
from world import ADA, GRACE, World, buttons, paragraphs, until
from world.slack_views import (
    ALERT_URL,
    RADIA,
    card_of,
    home_of,
    open_home,
    reminders_of,
    send_note,
    thread_of,
)

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.workspace import Message

EXPIRE_SECONDS = 5

#: A deadline may be as much later as the worker's time may be behind Slack's.
LATE_SECONDS = 3
VARIABLES = {
    "REMIND_AFTER": "2s",
    "EXPIRE_AFTER": f"{EXPIRE_SECONDS}s",
    "SECURITY_CHANNEL": SECURITY_CHANNEL,
    "MOZDEF_ALERT_URL": ALERT_URL,
}


#: What takes its time on a busy machine is not to be overtaken by those waits.
UNHURRIED = """
[alert.unhurried]
remind_after = "1h"
expire_after = "1h"
"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A world in which each of these alerts has been processed as far as possible."""

    world: World
    silent: Message  #: Ada says nothing until the deadline has passed
    answered: Message  #: Grace says yes at once
    refused: Message  #: Alan says no, and then yes
    noted: Message  #: Katherine says that she is not sure, and writes a note
    at_home: Message  #: Grace answers in her Home


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, create_shared_world: Callable[..., World]) -> Asked:
    """One world for all, since most of its time is waiting."""
    folder = tmp_path_factory.mktemp("people")
    (folder / "alerts.toml").write_text(UNHURRIED, encoding="utf-8")
    world = create_shared_world(**VARIABLES, CONFIG_DIR=str(folder))
    world.start()
    world.send(identifier="unasked", user="nobody@example.com")
    people = {
        "answered": "grace",
        "at_home": "grace",
        "refused": "alan",
        "noted": "katherine",
        "silent": "ada",
    }
    for identifier, name in people.items():
        label = "unhurried" if identifier in ("at_home", "noted") else "hurried"
        address, summary = f"{name}@example.com", f"About {identifier}."
        world.send(identifier=identifier, alert=label, user=address, summary=summary)
    asked = Asked(world=world, **{identifier: world.slack.question(identifier) for identifier in people})
    _answer(asked)
    return asked


def _answer(asked: Asked) -> None:
    slack = asked.world.slack
    presses = (
        (asked.answered, "yes"),
        (asked.refused, "no"),
        (asked.refused, "yes"),
        (asked.noted, "notSure"),
    )
    for question, choice in presses:
        assert slack.press(question, choice).acknowledged
    home = open_home(slack, GRACE)
    assert asked.at_home.metadata
    below = dropwhile(lambda block: "About at_home." not in str(block), home["blocks"])
    place = next(block for block in below if block["type"] == "actions")
    pressed = slack.stand_in.click(user=GRACE, action_id="answer-no", block_id=place["block_id"], via="home")
    assert slack.run(pressed).acknowledged
    send_note(slack, asked.noted, "I was on a train.")


def outcomes(world: World, identifier: str, count: int) -> list[tuple[str, int, str]]:
    """Return outcome, sequence and category of each report."""
    reports = world.reports(identifier, count)
    facts = [one.details["triagebot"] for one in reports]
    return [
        (fact["outcome"], fact["sequence"], json.loads(one.body)["category"])
        for fact, one in zip(facts, reports, strict=True)
    ]


# Reminders and deadlines


def test_a_deadline_is_reported_not_early_and_at_most_five_seconds_late(asked: Asked) -> None:
    report = asked.world.reports("silent")[0]

    facts = report.details["triagebot"]
    assert (facts["outcome"], facts["sequence"], report.details["response"]) == ("timedOut", 0, "wrongUser")
    asked_at = datetime.fromisoformat(facts["askedAt"]).timestamp()
    stored_at = datetime.fromisoformat(json.loads(report.body)["timestamp"]).timestamp()
    assert 0 <= stored_at - asked_at - EXPIRE_SECONDS <= 5
    assert report.sent_at >= asked_at + EXPIRE_SECONDS - 0.001  # SQS tells milliseconds only


def test_an_unanswered_question_is_reminded_of_once_in_its_thread_and_in_the_conversation(
    asked: Asked,
) -> None:
    asked.world.reports("silent")

    [reminder] = reminders_of(asked.world.slack, asked.silent)

    assert (reminder.thread_ts, reminder.is_broadcast) == (asked.silent.ts, True)
    assert reminder.channel == asked.silent.channel
    assert float(reminder.ts) - float(asked.silent.ts) >= 2
    assert buttons(reminder) == []
    [text] = paragraphs(reminder)
    assert "ada@example.com" in text
    [link] = [each for each in reminder.blocks[0]["elements"][0]["elements"] if each["type"] == "link"]
    assert link["url"].endswith(f"/p{asked.silent.ts.replace('.', '')}")
    assert link["text"] == WORDING["reminder"]["link"]


def test_nobody_is_reminded_of_what_they_have_answered(asked: Asked) -> None:
    asked.world.reports("silent")  # its reminder and its deadline have passed: so have all others

    for identifier, question in (("answered", asked.answered), ("refused", asked.refused)):
        answered_at = datetime.fromisoformat(asked.world.known_row(identifier)["answeredAt"]).timestamp()
        sent = [float(one.ts) for one in reminders_of(asked.world.slack, question)]
        assert [ts for ts in sent if ts > answered_at] == []
    assert [one[0] for one in outcomes(asked.world, "answered", 1)] == ["yes"]


@pytest.mark.slow
def test_a_late_yes_is_welcome_and_leaves_the_alert_acknowledged(asked: Asked) -> None:
    world = asked.world
    late = world.slack.redrawn("silent", WORDING["answer"]["timedOut"])
    assert [one["value"] for one in buttons(late)] == [one["value"] for one in buttons(asked.silent)]

    click = world.slack.press(late, "yes")

    assert click.acknowledged
    world.slack.redrawn("silent", WORDING["answer"]["yes"])
    assert outcomes(world, "silent", 2) == [("timedOut", 0, "triagebot"), ("yes", 1, "triagebot")]
    assert world.status("silent", 2) == "acknowledged"


# Notes


def test_a_note_reaches_mozdef_and_leaves_the_alert_as_it_is(asked: Asked) -> None:
    answer, note = asked.world.reports("noted", 2)

    assert outcomes(asked.world, "noted", 2) == [("notSure", 0, "triagebot"), ("notSure", 1, "triagebotnote")]
    assert note.details["triagebot"]["comment"] == "I was on a train."
    assert "comment" not in answer.details["triagebot"]
    assert asked.world.status("noted", 2) == "manual"
    asked.world.slack.redrawn("noted", WORDING["answer"]["notSure"])
    until(
        lambda: WORDING["note"]["thanks"] in str(asked.world.slack.questions("noted")[0].blocks),
        what="thanks",
    )


# The security team


def test_every_outcome_but_yes_has_one_card(asked: Asked) -> None:
    slack = asked.world.slack

    for identifier in ("silent", "refused", "noted", "at_home", "unasked"):
        card = until(partial(card_of, slack, identifier), what=f"a card about {identifier}")
        assert card.user == slack.stand_in.workspace.bot.id
        assert "<@" not in str(card.blocks)

    assert card_of(slack, "answered") is None


def test_a_note_updates_the_card_and_adds_a_line_that_says_only_that(asked: Asked) -> None:
    slack = asked.world.slack
    asked.world.reports("noted", 2)

    def look() -> bool:
        card = card_of(slack, "noted")
        return card is not None and "I was on a train." in str(card.blocks)

    until(look, what="the note on the card")
    card = card_of(slack, "noted")
    assert card is not None
    noted = f"{WORDING['card']['noted']}\nI was on a train."
    # A card that was posted only after the note says all of it at once.
    assert thread_of(slack, card) in ([noted], [])


def test_somebody_takes_an_alert_and_everybody_sees_who(asked: Asked) -> None:
    slack = asked.world.slack
    card = until(lambda: card_of(slack, "at_home"), what="the card")

    click = slack.press(card, "", action_id="take-it", user=RADIA)

    assert click.acknowledged

    def look() -> str:
        shown = card_of(slack, "at_home")
        return str(shown.blocks) if shown and "Taken by" in str(shown.blocks) else ""

    blocks = until(look, what="who took it")
    assert "@radia" in blocks
    assert "take-it" not in blocks
    until(lambda: "takes it" in " ".join(thread_of(slack, card)), what="the line in the thread")


# Home


def test_an_answer_in_the_home_counts_and_the_message_shows_it(asked: Asked) -> None:
    world = asked.world

    world.slack.redrawn("at_home", WORDING["answer"]["no"])

    assert outcomes(world, "at_home", 1) == [("no", 0, "triagebot")]
    assert world.status("at_home") == "escalated"

    def look() -> bool:
        shown = str(home_of(world.slack, GRACE))
        return "About at_home." not in shown and WORDING["home"]["answered"] in shown

    until(look, what="the Home without the question")


def test_a_home_tells_that_this_is_real_and_shows_nothing_of_others(asked: Asked) -> None:
    home = str(open_home(asked.world.slack, ADA))

    assert WORDING["home"]["real"] in home
    for other in ("answered", "refused", "noted", "at_home"):
        assert f"About {other}." not in home


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
    until(lambda: time.time() > asked_at + EXPIRE_SECONDS + LATE_SECONDS, what="the deadline")
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


@pytest.mark.slow
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
