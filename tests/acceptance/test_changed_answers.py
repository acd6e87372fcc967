"""A changed mind: what is reported to MozDef, in which order, and which outcome stands in the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

import pytest
from wording import WORDING
from world import World, paragraphs, until

#: How far apart two reports of one alert must be: standard queues do not keep order.
APART_SECONDS = 5

#: The hold of these worlds. Long enough for two clicks within it, even on a busy machine.
HOLD_SECONDS = 3

CHANGES: Mapping[str, Sequence[str]] = {
    "rising": ("yes", "no"),
    "falling": ("no", "yes"),
    "level": ("notSure", "wrongUser"),
}


@pytest.fixture(scope="module")
def worlds(create_shared_world: Callable[..., World]) -> tuple[World, World]:
    """Both worlds at a time, since most of each one's time is waiting.

    The other one has a FIFO response queue and our own words, and there the last answer always wins.
    """
    others = {"RESPONSE_PROFILE": "verbatim", "ALLOW_DEESCALATION": "true", "MOZDEF_SYNC_SECONDS": "0"}
    worlds = (
        create_shared_world(MOZDEF_SYNC_SECONDS=str(HOLD_SECONDS)),
        create_shared_world(fifo=True, **others),
    )
    for world in worlds:
        world.start()
        _change_minds(world)
    return worlds


@pytest.fixture
def world(worlds: tuple[World, World]) -> World:
    return worlds[0]


@pytest.fixture
def other_world(worlds: tuple[World, World]) -> World:
    return worlds[1]


def _change_minds(world: World) -> None:
    """Answer one alert for each of the changes, and the other way a moment later."""
    for identifier in CHANGES:
        world.send(identifier=identifier)
    for identifier, choices in CHANGES.items():
        question = world.slack.question(identifier)
        for choice in choices:
            assert world.slack.press(question, choice).acknowledged


def test_yes_and_then_no_reach_mozdef_in_that_order_and_leave_the_alert_escalated(world: World) -> None:
    reports = world.reports("rising", 2)

    assert [one.details["response"] for one in reports] == ["yes", "no"]
    assert [one.details["triagebot"]["sequence"] for one in reports] == [0, 1]
    assert world.status("rising", 2) == "escalated"


@pytest.mark.parametrize("identifier", CHANGES)
def test_reports_of_one_alert_are_apart_and_held_until_mozdef_can_know_the_alert(
    world: World, identifier: str
) -> None:
    first, second = world.reports(identifier, 2)

    assert second.sent_at - first.sent_at >= APART_SECONDS
    # The worker's clock and the queue's are the same here; SQS tells milliseconds only.
    assert first.sent_at >= world.accepted_at(identifier) + HOLD_SECONDS - 0.001


def test_no_and_then_yes_stays_escalated_and_mozdef_gets_a_note_of_the_retraction(world: World) -> None:
    first, note = world.reports("falling", 2)

    assert first.details["response"] == "no"
    assert json.loads(note.body)["category"] == "triagebotnote"
    assert "response" not in note.details
    assert "user" not in note.details
    facts = note.details["triagebot"]
    assert (facts["outcome"], facts["said"], facts["retracted"]) == ("no", "yes", True)
    assert world.status("falling", 2) == "escalated"
    assert all(verdict.kept for verdict in world.verdicts("falling", 2)[1])


def test_whoever_takes_back_a_no_is_told_that_the_security_team_still_comes(world: World) -> None:
    def look() -> str:
        told = [text for one in world.slack.questions("falling") for text in paragraphs(one)]
        return next((text for text in told if WORDING["answer"]["retracted"] in text), "")

    assert WORDING["answer"]["yes"] not in until(look, what="the kind words")


def test_a_change_that_mozdef_would_take_for_a_repeat_is_sent_as_a_note(world: World) -> None:
    first, second = world.reports("level", 2)

    assert first.details["response"] == "wrongUser"
    assert json.loads(second.body)["category"] == "triagebotnote"
    assert second.details["triagebot"]["outcome"] == "wrongUser"
    assert world.status("level", 2) == "manual"
    assert all(verdict.kept for verdict in world.verdicts("level", 2)[1])


def test_with_de_escalation_the_last_answer_counts(other_world: World) -> None:
    reports = other_world.reports("falling", 2)

    assert [one.details["response"] for one in reports] == ["no", "yes"]
    assert other_world.status("falling", 2) == "acknowledged"


def test_the_verbatim_profile_has_a_word_for_each_outcome(other_world: World) -> None:
    undeliverable = other_world.send(user="nobody@example.com")

    assert [one.details["response"] for one in other_world.reports("level", 2)] == ["notSure", "wrongUser"]
    assert other_world.reports(undeliverable)[0].details["response"] == "undeliverable"


def test_a_fifo_queue_gets_each_alert_as_a_group_and_each_event_once(other_world: World) -> None:
    reports = other_world.reports("rising", 2)

    group = hashlib.sha256(b"rising").hexdigest()
    event_ids = [one.details["triagebot"]["eventId"] for one in reports]
    assert [one.attributes["MessageGroupId"] for one in reports] == [group, group]
    assert [one.attributes["MessageDeduplicationId"] for one in reports] == event_ids
    assert len(set(event_ids)) == 2
