"""The same identifier again: the first request counts, but for an invalid one, which a valid one replaces.

The service decides that, and every store keeps to it.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from any_store import IDENTIFIER
from fakes import ADA, NOON, ScriptedMessenger, SteppedClock, a_request
from memory_store import AnyStore
from wiring import instead, wired

from bot.triage.model import (
    Answer,
    Choice,
    Confidence,
    Conflict,
    InvalidBody,
    Question,
    State,
    TriageRequest,
    Work,
)
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

pytest_plugins = ["store_fixtures"]

HOUR = timedelta(hours=1)
POLICY = Policy(remind_after=None, expire_after=HOUR, hold=timedelta(0))
INVALID = InvalidBody(reason="user is missing", salvaged=replace(a_request(IDENTIFIER), user="", summary=""))
VALID = replace(a_request(IDENTIFIER), alert="another_alert", confidence=Confidence.HIGH)


def a_click(question: Question, choice: Choice) -> Answer:
    return Answer(
        ref=question.ref,
        choice=choice,
        slack_id=ADA.slack_id,
        same_workspace=True,
        message_ref=question.message_ref,
        at=NOON,
    )


class Harness:
    """The triage over a store; its clock stands still unless it is moved."""

    def __init__(self, store: AnyStore) -> None:
        self.store = store
        self.clock = SteppedClock()
        self.messenger = ScriptedMessenger(clock=self.clock)
        parts = wired(store, POLICY, clock=self.clock, messenger=instead(self.messenger))
        self.service = parts.service

    async def receive(self, *batch: TriageRequest | InvalidBody) -> list[bool | Conflict]:
        return list(await self.service.receive(batch))

    async def question(self) -> Question:
        question = await self.store.find(IDENTIFIER)
        assert question is not None
        return question

    async def ask(self) -> Question:
        for question in await self.store.due(Work.ASK, self.clock(), limit=10):
            await self.service.work_on(question, Work.ASK)
        return await self.question()

    async def told(self) -> list[tuple[object, ...]]:
        reports = [json.loads(row.body) for row in await self.store.reports_of(IDENTIFIER)]
        facts = [body["details"]["triagebot"] for body in reports]
        return [
            (fact["sequence"], fact["outcome"], body["category"], body["details"].get("response"))
            for fact, body in zip(facts, reports, strict=True)
        ]


#: What each report tells: its sequence, outcome, category, and response.
FIRST = (0, "undeliverable", "triagebot", "wrongUser")


@pytest.fixture
def harness(store: AnyStore) -> Harness:
    return Harness(store)


@pytest.fixture
async def reopened(harness: Harness) -> Harness:
    """A valid request has come in one batch with an invalid one before it."""
    assert await harness.receive(INVALID, VALID) == [True, True]
    return harness


async def test_a_valid_request_reopens_what_an_invalid_one_has_closed(harness: Harness) -> None:
    assert await harness.receive(INVALID) == [True]
    closed = await harness.question()
    harness.clock.advance(seconds=60)

    assert await harness.receive(VALID) == [True]

    question = await harness.question()
    assert (question.state, question.standing, question.reason) == (State.ACCEPTED, None, "")
    assert (question.request, question.ref) == (VALID, closed.ref)
    assert question.accepted_at == question.due_at == NOON + timedelta(seconds=60)
    assert question.deadline == question.accepted_at + HOUR
    assert await harness.told() == [FIRST]
    assert await harness.store.oldest_open() == question.accepted_at


async def test_what_follows_is_a_change_of_what_mozdef_has_been_told(reopened: Harness) -> None:
    question = await reopened.ask()
    assert (question.state, question.offered) == (State.ASKED, (Choice.YES, Choice.NO, Choice.NOT_SURE))

    await reopened.service.answer(a_click(question, Choice.YES))

    assert (await reopened.question()).standing is Outcome.YES
    assert await reopened.told() == [FIRST, (1, "yes", "triagebot", "yes")]


async def test_a_deadline_that_says_what_mozdef_has_already_is_a_note(reopened: Harness) -> None:
    await reopened.ask()
    reopened.clock.advance(seconds=3600)

    for question in await reopened.store.overdue(reopened.clock(), limit=10):
        await reopened.service.expire(question)

    assert await reopened.told() == [FIRST, (1, "timedOut", "triagebotnote", None)]


async def test_a_row_is_reopened_once_however_many_workers_do_it(store: AnyStore) -> None:
    harnesses = [Harness(store) for _ in range(4)]
    await harnesses[0].receive(INVALID)

    fates = await asyncio.gather(*(harness.receive(VALID) for harness in harnesses))

    assert fates == [[True]] * 4
    question = await harnesses[0].question()
    assert (question.state, question.version) == (State.ACCEPTED, 1)


async def test_an_invalid_request_after_a_valid_one_changes_nothing(reopened: Harness) -> None:
    before = await reopened.question()
    assert before.request == VALID

    assert await reopened.receive(INVALID) == [True]

    assert await reopened.question() == before
    assert await reopened.told() == [FIRST]


async def test_nothing_else_that_is_closed_is_reopened(harness: Harness) -> None:
    harness.messenger.people[VALID.user] = replace(ADA, deactivated=True)
    await harness.receive(VALID)
    closed = await harness.ask()
    assert (closed.state, closed.reason) == (State.CLOSED, "user_deactivated")

    assert await harness.receive(VALID) == [True]
    assert await harness.receive(replace(VALID, user="grace@example.com")) == [Conflict(fields=("user",))]

    assert await harness.question() == closed


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"user": "grace@example.com"}, ("user",)),
        ({"alert": "another"}, ("alert",)),
        ({"confidence": Confidence.HIGHEST}, ("identityConfidence",)),
        ({"summary": "Another text."}, ("summary",)),
        ({"user": "grace@example.com", "summary": "Another text."}, ("user", "summary")),
    ],
)
async def test_another_person_or_text_is_a_conflict_and_the_first_one_counts(
    harness: Harness, changes: dict[str, Any], fields: tuple[str, ...]
) -> None:
    await harness.receive(a_request(IDENTIFIER))
    first = await harness.question()

    assert await harness.receive(replace(a_request(IDENTIFIER), **changes)) == [Conflict(fields=fields)]

    assert await harness.question() == first
    assert await harness.told() == []


async def test_of_a_summary_only_what_can_be_shown_is_compared(harness: Harness) -> None:
    long = replace(a_request(IDENTIFIER), summary="x" * 60_000)
    await harness.receive(long)

    assert await harness.receive(long) == [True]
    assert await harness.receive(replace(long, summary="\u200bx" * 4000 + "and another end")) == [True]
    assert await harness.receive(replace(long, summary="x" * 3999 + "y")) == [Conflict(fields=("summary",))]


async def test_each_request_of_a_batch_has_its_own_fate(harness: Harness) -> None:
    other = replace(a_request(IDENTIFIER), user="grace@example.com")

    fates = await harness.receive(a_request("new"), a_request(IDENTIFIER), other, a_request(IDENTIFIER))

    assert fates == [True, True, Conflict(fields=("user",)), True]
