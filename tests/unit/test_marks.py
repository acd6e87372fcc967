"""A question's message says what it shows and whose request it is, and is read back so after a restore."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from drawn import POLICY, a_question
from fakes import NOON
from wording import WORDING

from bot.sandbox.fake_slack.limits import problem_of_metadata
from bot.slack.render.marks import read_question
from bot.slack.render.question import question_message
from bot.triage.asking_rules import AS_SHOWN, new_ref
from bot.triage.model import Choice, Confidence, FoundQuestion, MessageRef, Question, Shown
from bot.triage.outcomes import Outcome, Reason

ANSWERED: dict[str, Any] = {
    "standing": Outcome.NO,
    "said": Choice.NOT_SURE,
    "answered_at": NOON + timedelta(microseconds=1),
    "reports": 103,
    "is_unsure": True,
    "card_ts": "1764000001.000200",
}
PLACE = MessageRef(channel="D0ADA", ts="1764000000.000100")


def drawn(question: Question, **changes: Any) -> dict[str, Any]:
    return {"ts": PLACE.ts, **question_message(question, WORDING, POLICY), **changes}


def read(message: dict[str, Any]) -> FoundQuestion | None:
    return read_question(message, PLACE.channel)


@pytest.mark.parametrize(
    "changes",
    [
        {"reports": 0},
        ANSWERED,
        {"reports": 1, "standing": Outcome.TIMED_OUT},
        {"reports": 0, "proofs": 2},
        {**ANSWERED, "proofs": 0, "reason": Reason.FACTOR_FRAUD},
    ],
)
def test_what_a_message_shows_is_read_back(changes: dict[str, Any]) -> None:
    question = replace(a_question(Confidence.MODERATE, summary="One <line>\nand another"), **changes)

    assert read(drawn(question)) == FoundQuestion(
        ref=question.ref,
        message_ref=PLACE,
        posted_at=datetime(2025, 11, 24, 16, 0, 0, 100, tzinfo=UTC),
        shown=Shown(**changes),
        request=replace(question.request, left_out=(AS_SHOWN,)),
    )


def test_a_message_that_was_replaced_without_its_metadata_still_says_what_it_shows() -> None:
    question = replace(a_question(), **ANSWERED)

    found = read(drawn(question, metadata=None))

    assert found is not None
    assert (found.ref, found.shown, found.request) == (question.ref, Shown(**ANSWERED), None)


@pytest.mark.parametrize(
    "block_id", ["about", "shows:", "shows:x:no:no:0:0:", "shows:1:maybe:no:0:0:", "shows:1"]
)
def test_a_message_that_does_not_say_what_it_shows_is_read_all_the_same(block_id: str) -> None:
    message = drawn(a_question())
    for block in message["blocks"]:
        block["block_id"] = block_id if block["block_id"].startswith("shows:") else block["block_id"]

    found = read(message)

    assert found is not None
    assert found.shown is None


@pytest.mark.parametrize(
    "changes",
    [
        {"ts": None},
        {"ts": "soon"},
        {"metadata": None, "blocks": "none"},
        {"metadata": {"event_type": "triage_question", "event_payload": "ref"}},
        {"metadata": {"event_type": "triage_reminder", "event_payload": {"ref": "k.s"}}, "blocks": []},
    ],
)
def test_any_other_message_is_no_question(changes: dict[str, Any]) -> None:
    assert read(drawn(a_question(), **changes)) is None


@pytest.mark.parametrize("missing", ["identifier", "user", "alert", "confidence"])
def test_a_request_that_is_not_whole_is_none(missing: str) -> None:
    message = drawn(a_question())
    message["metadata"]["event_payload"][missing] = 7

    found = read(message)

    assert found is not None
    assert found.request is None


def test_slack_takes_the_longest_marks() -> None:
    longest = "\U0001f419" * 255
    question = a_question(identifier=longest, user="a" * 242 + "@example.com")
    request = replace(question.request, alert=longest)
    marked = replace(question, request=request, ref=new_ref(longest, "f" * 32), **ANSWERED)

    message = drawn(marked)

    assert problem_of_metadata(message["metadata"]) is None
    assert max(len(block["block_id"]) for block in message["blocks"]) <= 100
