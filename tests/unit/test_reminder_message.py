"""What a reminder says, and that it can be known again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from drawn import (
    POLICY,
    a_question,
    objects_in,
    text_in,
)
from fakes import NOON
from wording import WORDING, as_read

from bot.sandbox.fake_slack.limits import problem_of_metadata
from bot.slack.render.question import reminder_message

LINK = "https://sandbox.slack.com/archives/D0ADA/p1764000001000100"
WORDS = WORDING["reminder"]
UNANSWERED = replace(
    a_question(),
    channel="D0ADA",
    ts="1764000001.000100",
    deadline=NOON + timedelta(hours=24),
    reminders=1,
    time_zone="America/New_York",
)


def test_a_reminder_says_what_is_asked_and_by_when_in_the_persons_own_time() -> None:
    message = reminder_message(UNANSWERED, WORDING, POLICY, link=LINK)

    expected = as_read(
        WORDS["text"], user="ada@example.com", deadline="Wed 25 Nov 2026, 07:00 (America/New_York)"
    )
    assert message["text"] == expected
    assert text_in(message, "reminder") == f"{expected} {WORDS['link']}"


def test_a_reminder_has_a_link_and_no_button() -> None:
    message = reminder_message(UNANSWERED, WORDING, POLICY, link=LINK)

    assert [each["url"] for each in objects_in(message) if each["type"] == "link"] == [LINK]
    assert [each["type"] for each in message["blocks"]] == ["rich_text"]


def test_a_reminder_without_a_link_points_to_the_home() -> None:
    message = reminder_message(UNANSWERED, WORDING, POLICY, link="")

    assert message["text"].endswith(as_read(WORDS["home"]))
    assert text_in(message, "reminder") == message["text"]


def test_a_reminder_of_a_question_without_a_deadline_names_none() -> None:
    message = reminder_message(replace(UNANSWERED, deadline=None), WORDING, POLICY, link=LINK)

    assert message["text"] == as_read(WORDS["text_open"], user="ada@example.com")


@pytest.mark.parametrize("number", [1, 2, 7])
def test_each_reminder_can_be_known_again_and_is_no_question(number: int) -> None:
    message = reminder_message(replace(UNANSWERED, reminders=number), WORDING, POLICY, link="")

    assert message["metadata"] == {
        "event_type": "triage_reminder",
        "event_payload": {"ref": UNANSWERED.ref, "n": number},
    }
    assert problem_of_metadata(message["metadata"]) is None
