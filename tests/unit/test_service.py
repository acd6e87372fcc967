from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON, a_request, apart_from_trail
from memory_store import MemoryStore
from service_harness import URL, ServiceHarness, a_click

from bot.errors import AmbiguousError, StoreError, TransientError, TriageBotError
from bot.triage import asking_rules
from bot.triage.answer_rules import Refusal
from bot.triage.model import Answer, Change, Choice, InvalidBody, MessageRef, Question, State, TriageRequest
from bot.triage.outcomes import Outcome


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness()


# Receive


async def test_a_new_request_is_stored_and_due(harness: ServiceHarness) -> None:
    fates = await harness.service.receive([a_request()])

    question = await harness.question()
    assert fates == [True]
    assert (question.request, question.state) == (a_request(), State.ACCEPTED)
    assert (question.accepted_at, question.due_at) == (NOON, NOON)
    assert harness.woken == 1


async def test_each_question_has_a_ref_that_nobody_can_guess(harness: ServiceHarness) -> None:
    await harness.service.receive([a_request("one"), a_request("two")])

    refs = [(await harness.question(name)).ref for name in ("one", "two")]
    secrets = [ref.partition(".")[2] for ref in refs]
    assert [ref.partition(".")[0] for ref in refs] == [
        asking_rules.row_key("one"),
        asking_rules.row_key("two"),
    ]
    assert len(set(secrets)) == 2
    assert all(len(bytes.fromhex(secret)) == 16 for secret in secrets)


async def test_a_known_request_may_be_deleted_and_changes_nothing(harness: ServiceHarness) -> None:
    asked = await harness.ask()

    fates = await harness.service.receive([a_request()])

    assert fates == [True]
    assert await harness.question() == asked


async def test_a_request_that_cannot_be_held_against_the_first_one_is_left(harness: ServiceHarness) -> None:
    await harness.service.receive([InvalidBody(reason="no user", salvaged=a_request())])

    class Broken(MemoryStore):
        async def save(self, change: Change) -> bool:  # noqa: ARG002 - the shape of Store
            raise StoreError("disk full")

    harness.store.__class__ = Broken
    assert await harness.service.receive([a_request(), a_request("new")]) == [False, True]
    with pytest.raises(StoreError, match="disk full"):
        await harness.service.receive([a_request(), InvalidBody(reason="not JSON", salvaged=None)])
    harness.store.__class__ = MemoryStore
    assert await harness.service.receive([a_request()]) == [True]
    assert (await harness.question()).state is State.ACCEPTED


async def test_a_request_whose_first_one_was_removed_meanwhile_is_left_and_then_new(
    harness: ServiceHarness,
) -> None:
    await harness.service.receive([a_request()])

    class Forgetful(MemoryStore):
        async def find(self, identifier: str) -> Question | None:
            self.questions.clear()
            return await super().find(identifier)

    harness.store.__class__ = Forgetful
    assert await harness.service.receive([a_request(), a_request("new")]) == [False, True]
    assert await harness.service.receive([a_request()]) == [True]


async def test_what_became_of_a_request_whose_identifier_is_known_is_logged(
    harness: ServiceHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await harness.service.receive([InvalidBody(reason="no user", salvaged=a_request())])

    await harness.service.receive([a_request(), a_request()])

    events = [vars(record)["event"] for record in caplog.records]
    assert events == ["question.closed", "request.reopened", "request.known"]


async def test_what_was_left_out_of_a_request_is_logged_when_it_is_stored_and_not_again(
    harness: ServiceHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reduced = replace(a_request(), left_out=("facts must be an array",))
    other = replace(reduced, identifier="other")
    await harness.service.receive([InvalidBody(reason="no user", salvaged=a_request("other"))])

    await harness.service.receive([reduced, reduced, other])

    logged = [record.getMessage() for record in caplog.records if vars(record)["event"] == "request.reduced"]
    assert logged == ["left out: facts must be an array"] * 2


async def test_a_request_twice_in_a_batch_is_one_question(harness: ServiceHarness) -> None:
    fates = await harness.service.receive([a_request(), a_request()])

    assert fates == [True, True]
    assert len(harness.store.questions) == 1


async def test_an_invalid_request_is_reported_as_undeliverable(harness: ServiceHarness) -> None:
    salvaged = replace(a_request(), user="", summary="")

    fates = await harness.service.receive([InvalidBody(reason="user is missing", salvaged=salvaged)])

    assert fates == [True]
    question = await harness.question()
    assert (question.state, question.standing, question.due_at) == (
        State.CLOSED,
        Outcome.UNDELIVERABLE,
        None,
    )
    [report] = await harness.reports()
    assert '"reason":"invalid_request"' in report.body
    assert report.due_at == NOON + timedelta(seconds=90)


async def test_an_invalid_request_for_a_known_identifier_is_told_to_nobody(harness: ServiceHarness) -> None:
    asked = await harness.ask()

    fates = await harness.service.receive([InvalidBody(reason="no user", salvaged=a_request())])

    assert fates == [True]
    assert await harness.question() == asked
    assert await harness.reports() == []


async def test_a_body_of_which_nothing_is_usable_may_be_deleted(harness: ServiceHarness) -> None:
    fates = await harness.service.receive([InvalidBody(reason="not JSON", salvaged=None)])

    assert fates == [True]
    assert harness.store.questions == {}


async def test_what_cannot_be_stored_is_left_in_the_queue_alone(harness: ServiceHarness) -> None:
    await harness.service.receive([a_request("known")])
    batch: list[TriageRequest | InvalidBody] = [
        a_request("one"),
        InvalidBody(reason="not JSON", salvaged=None),
        replace(a_request("poisoned"), alert="\ud800"),
        a_request("known"),
        a_request("two"),
    ]

    fates = await harness.service.receive(batch)

    assert fates == [True, True, False, True, True]
    assert {each.request.identifier for each in harness.store.questions.values()} == {"known", "one", "two"}


async def test_a_store_that_takes_nothing_at_all_is_the_stores_trouble_and_no_requests(
    harness: ServiceHarness,
) -> None:
    harness.store.fails = [StoreError("disk full")]
    batch: list[TriageRequest | InvalidBody] = [
        a_request("one"),
        InvalidBody(reason="not JSON", salvaged=None),
        a_request("two"),
    ]

    with pytest.raises(StoreError, match="disk full"):
        await harness.service.receive(batch)
    assert harness.store.questions == {}

    assert await harness.service.receive(batch) == [True, True, True]


async def test_a_batch_with_nothing_to_store_asks_nothing_of_a_broken_store(harness: ServiceHarness) -> None:
    harness.store.fails = [StoreError("disk full")]

    assert await harness.service.receive([InvalidBody(reason="not JSON", salvaged=None)]) == [True]


# Answer


async def test_an_answer_is_durable_when_it_returns(harness: ServiceHarness) -> None:
    await harness.ask()
    woken = harness.woken

    answered = await harness.answer(Choice.YES)

    assert answered == await harness.question()
    assert answered.standing is Outcome.YES
    [report] = await harness.reports()
    assert '"response":"yes"' in report.body
    assert harness.woken == woken + 1


async def test_the_same_click_twice_makes_one_report(harness: ServiceHarness) -> None:
    first = await harness.answer(Choice.YES)

    second = await harness.answer(Choice.YES)

    assert second == first
    assert len(await harness.reports()) == 1


async def test_two_clicks_at_once_are_taken_one_after_the_other(harness: ServiceHarness) -> None:
    question = await harness.ask()

    await asyncio.gather(
        *(harness.service.answer(a_click(question, each)) for each in (Choice.YES, Choice.NO))
    )

    assert (await harness.question()).standing is Outcome.NO
    assert [report.sequence for report in await harness.reports()] == [0, 1]


async def test_an_unknown_ref_is_a_closed_question(harness: ServiceHarness) -> None:
    question = await harness.ask()
    unknown = replace(a_click(question), ref=f"{'0' * 32}.{'0' * 32}")
    forged = replace(a_click(question), ref=f"{question.ref.partition('.')[0]}.{'0' * 32}")

    assert await harness.service.answer(unknown) is Refusal.CLOSED
    assert await harness.service.answer(forged) is Refusal.CLOSED
    assert await harness.question() == question


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda click: replace(click, same_workspace=False), Refusal.OTHER_WORKSPACE),
        (lambda click: replace(click, slack_id="U0EVE"), Refusal.OTHER_PERSON),
        (
            lambda click: replace(click, message_ref=MessageRef(channel="D0EVE", ts="1.1")),
            Refusal.OTHER_CONVERSATION,
        ),
    ],
)
async def test_a_click_that_is_refused_is_counted_and_changes_nothing_else(
    harness: ServiceHarness, spoil: Callable[[Answer], Answer], refusal: Refusal
) -> None:
    question = await harness.ask()

    result = await harness.service.answer(spoil(a_click(question)))

    assert result is refusal
    stored = await harness.question()
    assert stored.refusals == 1
    assert apart_from_trail(stored) == apart_from_trail(question)
    assert await harness.reports() == []


async def test_an_answer_that_could_not_be_stored_can_be_given_again(harness: ServiceHarness) -> None:
    question = await harness.ask()
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.service.answer(a_click(question))
    assert await harness.reports() == []

    assert isinstance(await harness.service.answer(a_click(question)), Question)
    assert len(await harness.reports()) == 1


# Tell


async def test_the_clicker_is_told_why(harness: ServiceHarness) -> None:
    await harness.service.tell(URL, Refusal.OTHER_PERSON)

    assert harness.messenger.told == [(URL, "other_person")]


@pytest.mark.parametrize("error", [TransientError("expired"), AmbiguousError("lost")])
async def test_a_clicker_who_cannot_be_told_stops_nothing(
    harness: ServiceHarness, error: TriageBotError
) -> None:
    harness.messenger.tell_ends = [error]

    await harness.service.tell(URL, Refusal.CLOSED)

    assert len(harness.messenger.told) == 1
    assert harness.meter.clickers_untold == 1


@pytest.mark.parametrize(
    ("end", "is_shown"), [(None, True), (TransientError("429"), False), (AmbiguousError("lost"), False)]
)
async def test_a_redraw_tells_whether_the_message_shows_the_answer(
    harness: ServiceHarness, end: Exception | None, *, is_shown: bool
) -> None:
    question = await harness.answer(Choice.NO)
    harness.messenger.redraw_ends = [end]

    assert await harness.service.redraw(question) is is_shown


async def test_the_log_names_the_alert_whose_clicker_was_not_told(
    harness: ServiceHarness, caplog: pytest.LogCaptureFixture
) -> None:
    question = await harness.ask()
    harness.messenger.tell_ends = [TransientError("expired"), TransientError("expired")]

    await harness.service.tell(URL, Refusal.OTHER_PERSON, ref=question.ref)
    await harness.service.tell(URL, Refusal.CLOSED, ref="a ref that nobody knows")

    records = [vars(record) for record in caplog.records]
    lost = [record["fields"] for record in records if record.get("event") == "reply.failed"]
    assert lost == [{"identifier": question.request.identifier}, {}]
