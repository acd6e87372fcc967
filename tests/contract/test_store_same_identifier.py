"""The same identifier again: the first request counts, but for an invalid one, which a valid one replaces.

Decided by the service, and held by every store.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from any_store import IDENTIFIER
from fakes import NOON, ScriptedMessenger, SteppedClock, a_request
from memory_store import AnyStore
from wiring import instead, wired

from bot.triage.model import (
    Answer,
    Choice,
    Confidence,
    Conflict,
    InvalidBody,
    MessageRef,
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

    async def told(self) -> list[dict[str, Any]]:
        """Return each report: what it says of the outcome, and its category and response."""
        bodies = [json.loads(row.body) for row in await self.store.reports_of(IDENTIFIER)]
        return [
            {
                "sequence": body["details"]["triagebot"]["sequence"],
                "outcome": body["details"]["triagebot"]["outcome"],
                "category": body["category"],
                "response": body["details"].get("response"),
            }
            for body in bodies
        ]


FIRST = {"sequence": 0, "outcome": "undeliverable", "category": "triagebot", "response": "wrongUser"}


# A valid request after an invalid one


async def test_a_valid_request_reopens_what_an_invalid_one_has_closed(store: AnyStore) -> None:
    harness = Harness(store)
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
    assert await store.oldest_open() == question.accepted_at


async def test_what_follows_is_a_change_of_what_mozdef_has_been_told(store: AnyStore) -> None:
    harness = Harness(store)
    await harness.receive(INVALID)
    await harness.receive(VALID)
    question = await harness.ask()
    assert (question.state, question.offered) == (State.ASKED, (Choice.YES, Choice.NO, Choice.NOT_SURE))

    click = Answer(
        ref=question.ref,
        choice=Choice.YES,
        slack_id="U0ADA",
        same_workspace=True,
        message_ref=question.message_ref or MessageRef(channel="D0ADA", ts="1.1"),
        at=harness.clock(),
    )
    await harness.service.answer(click)

    assert (await harness.question()).standing is Outcome.YES
    yes = {"sequence": 1, "outcome": "yes", "category": "triagebot", "response": "yes"}
    assert await harness.told() == [FIRST, yes]


async def test_a_deadline_that_says_what_mozdef_has_already_is_a_note(store: AnyStore) -> None:
    harness = Harness(store)
    await harness.receive(INVALID)
    await harness.receive(VALID)
    await harness.ask()
    harness.clock.advance(seconds=3600)

    for question in await store.overdue(harness.clock(), limit=10):
        await harness.service.expire(question)

    note = {"sequence": 1, "outcome": "timedOut", "category": "triagebotnote", "response": None}
    assert await harness.told() == [FIRST, note]


async def test_both_may_come_in_one_batch(store: AnyStore) -> None:
    harness = Harness(store)

    assert await harness.receive(INVALID, VALID) == [True, True]

    assert (await harness.question()).request == VALID
    assert await harness.told() == [FIRST]


async def test_a_row_is_reopened_once_however_many_workers_do_it(store: AnyStore) -> None:
    harnesses = [Harness(store) for _ in range(4)]
    await harnesses[0].receive(INVALID)

    fates = await asyncio.gather(*(harness.receive(VALID) for harness in harnesses))

    assert fates == [[True]] * 4
    question = await harnesses[0].question()
    assert (question.state, question.version) == (State.ACCEPTED, 1)


async def test_an_invalid_request_after_a_valid_one_changes_nothing(store: AnyStore) -> None:
    harness = Harness(store)
    await harness.receive(INVALID)
    await harness.receive(VALID)
    reopened = await harness.question()

    assert await harness.receive(INVALID) == [True]

    assert await harness.question() == reopened
    assert await harness.told() == [FIRST]


async def test_nothing_else_that_is_closed_is_reopened(store: AnyStore) -> None:
    harness = Harness(store)
    harness.messenger.people[VALID.user] = replace(harness.messenger.people[VALID.user], deactivated=True)  # type: ignore[type-var] # a person
    await harness.receive(VALID)
    closed = await harness.ask()
    assert (closed.state, closed.reason) == (State.CLOSED, "user_deactivated")

    assert await harness.receive(VALID) == [True]
    assert await harness.receive(replace(VALID, user="grace@example.com")) == [Conflict(fields=("user",))]

    assert await harness.question() == closed


# Another request with the same identifier


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
    store: AnyStore, changes: dict[str, Any], fields: tuple[str, ...]
) -> None:
    harness = Harness(store)
    await harness.receive(a_request(IDENTIFIER))
    first = await harness.question()

    assert await harness.receive(replace(a_request(IDENTIFIER), **changes)) == [Conflict(fields=fields)]

    assert await harness.question() == first
    assert await harness.told() == []


async def test_of_a_summary_only_what_can_be_shown_is_compared(store: AnyStore) -> None:
    harness = Harness(store)
    long = replace(a_request(IDENTIFIER), summary="x" * 60_000)
    await harness.receive(long)

    assert await harness.receive(long) == [True]
    assert await harness.receive(replace(long, summary="\u200bx" * 4000 + "and another end")) == [True]
    assert await harness.receive(replace(long, summary="x" * 3999 + "y")) == [Conflict(fields=("summary",))]


async def test_each_request_of_a_batch_has_its_own_fate(store: AnyStore) -> None:
    harness = Harness(store)
    other = replace(a_request(IDENTIFIER), user="grace@example.com")

    fates = await harness.receive(a_request("new"), a_request(IDENTIFIER), other, a_request(IDENTIFIER))

    assert fates == [True, True, Conflict(fields=("user",)), True]
