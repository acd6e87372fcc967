"""The security team's cards as the triage keeps them: which alerts have one, and what never waits for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from fakes import ADDRESS, NOON, UPTIME, a_request, apart_from_trail
from service_harness import ServiceHarness, a_click, a_note, on_card

from bot.errors import (
    AmbiguousError,
    AppRejected,
    StoreError,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage.answer_rules import Refusal
from bot.triage.assignments import Assignment
from bot.triage.cards import CARD_LEASE, REFUSED_WAIT
from bot.triage.model import Choice, Question, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy
from bot.triage.rate_limits import BURST

DAY = timedelta(hours=24)

ONLY_YES = AlertPolicies(by_label={a_request().alert: AlertPolicy(cards=frozenset({Outcome.YES}))})

#: When cards are posted: after every click of these tests.
LATER = NOON + timedelta(minutes=5)


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness(Policy(security_channel="C0SECURITY"))


async def carded(harness: ServiceHarness, choice: Choice = Choice.NO) -> Question:
    """Answer, and have the card posted a moment later; return the question."""
    await harness.answer(choice)
    harness.clock.now = LATER
    await harness.work()
    return await harness.question()


def shown(harness: ServiceHarness) -> list[tuple[str, int]]:
    """What each call showed: the ts of the card that was updated (empty: a new one), and how many reports."""
    return [(card.card_ts, card.reports) for card in harness.team.cards]


def told(harness: ServiceHarness) -> list[str]:
    """What the card's thread was told of: notes, choices, and who took it."""
    return [
        event.by_name if isinstance(event, Assignment) else event.comment or str(event.said or event.outcome)
        for event in harness.team.told
    ]


# Which alerts have one


@pytest.mark.parametrize(
    ("policy", "carded_choices"),
    [
        (Policy(security_channel="C0SECURITY"), {Choice.NO, Choice.NOT_SURE, Choice.WRONG_USER}),
        (Policy(security_channel=""), set()),
        (Policy(security_channel="C0SECURITY", alerts=ONLY_YES), {Choice.YES}),
    ],
    ids=["by default", "without a channel", "the alert's policy"],
)
@pytest.mark.parametrize("choice", Choice)
async def test_the_policy_says_which_answers_have_a_card(
    policy: Policy, carded_choices: set[Choice], choice: Choice
) -> None:
    harness = ServiceHarness(policy)

    question = await carded(harness, choice)

    assert shown(harness) == ([("", 1)] if choice in carded_choices else [])
    assert (question.card_shown, question.card_due_at) == (len(shown(harness)), None)
    assert bool(question.card_ts) is (choice in carded_choices)


async def test_somebody_who_cannot_be_asked_has_a_card(harness: ServiceHarness) -> None:
    harness.messenger.people = {ADDRESS: Undeliverable("users_not_found")}

    await harness.ask()
    await harness.work()

    assert [(card.standing, card.reason) for card in harness.team.cards] == [
        (Outcome.UNDELIVERABLE, "users_not_found")
    ]


async def test_a_channel_that_was_taken_away_ends_what_was_due_for_it(harness: ServiceHarness) -> None:
    await harness.answer(Choice.NO)
    without = ServiceHarness(Policy(security_channel=""))
    without.store = harness.store
    without.recorder.store = harness.store
    without.clock.now = LATER

    await without.work()

    assert (shown(without), (await harness.question()).card_due_at) == ([], None)


# Later events


async def test_later_events_update_the_same_card(harness: ServiceHarness) -> None:
    await harness.ask()
    await harness.pass_time(until=NOON + DAY)
    expired = await harness.question()

    await harness.service.answer(a_click(expired, Choice.YES))
    await harness.work()
    await harness.service.add_note(a_note(expired))
    await harness.work()

    assert shown(harness) == [("", 1), (expired.card_ts, 2), (expired.card_ts, 3)]
    outcomes = [card.standing for card in harness.team.cards]
    assert outcomes == [Outcome.TIMED_OUT, Outcome.YES, Outcome.YES]
    assert (await harness.question()).card_shown == 3


@pytest.mark.parametrize("takes", [False, True], ids=["a note", "a take"])
async def test_what_comes_during_a_card_is_shown_after_it(harness: ServiceHarness, *, takes: bool) -> None:
    async def happen_meanwhile(card: Question) -> None:
        harness.team.before_end = None
        await (
            harness.responders.take(on_card(card)) if takes else harness.service.add_note(a_note(card, "b"))
        )

    question = await carded(harness)
    await harness.service.add_note(a_note(question, "a"))
    harness.team.before_end = happen_meanwhile
    await harness.work()
    assert (await harness.question()).card_due_at is not None
    await harness.work()

    shown = [(card.taken_by, card.reports) for card in harness.team.cards]
    assert shown == [("", 1), ("", 2), ("U0RADIA", 2) if takes else ("", 3)]
    assert (await harness.question()).card_due_at is None


async def test_a_card_that_one_worker_is_showing_is_left_to_it_by_another(harness: ServiceHarness) -> None:
    async def come_to_another_worker(question: Question) -> None:
        harness.team.before_end = None
        harness.restart()
        await harness.service.add_note(a_note(question))
        await harness.service.work_on(await harness.question(), Work.CARD)
        await harness.service.work_on(question, Work.CARD)

    harness.team.before_end = come_to_another_worker
    question = await carded(harness)
    assert shown(harness) == [("", 1)]

    await harness.work()

    assert shown(harness) == [("", 1), (question.card_ts, 2)]


async def test_a_card_over_which_its_worker_died_is_shown_by_another(harness: ServiceHarness) -> None:
    async def die(_: Question) -> None:
        harness.team.before_end = None
        raise RuntimeError("killed")

    harness.team.before_end = die
    with pytest.raises(RuntimeError, match="killed"):
        await carded(harness)
    harness.restart()

    await harness.work()
    before = len(harness.team.cards)
    await harness.pass_time(until=LATER + CARD_LEASE)

    assert (before, len(harness.team.cards)) == (1, 2)
    assert (await harness.question()).card_due_at is None


async def test_each_of_several_events_gets_its_line_in_order(harness: ServiceHarness) -> None:
    question = await carded(harness)
    assert harness.team.told == []

    await harness.service.add_note(a_note(question, "First."))
    await harness.service.answer(a_click(await harness.question(), Choice.YES))
    await harness.responders.take(on_card(question))
    same_moment = (await harness.question()).taken_at or NOON
    await harness.service.add_note(replace(a_note(question, "Second."), at=same_moment))
    await harness.work()

    assert told(harness) == ["First.", "yes", "radia", "Second."]
    assert (await harness.question()).card_due_at is None


@pytest.mark.parametrize("set_back", [0 * DAY, DAY], ids=["by the clock", "clock set back"])
async def test_what_was_told_is_not_told_again(harness: ServiceHarness, set_back: timedelta) -> None:
    question = await carded(harness)
    take, note = on_card(question), a_note(question)
    await harness.responders.take(replace(take, at=take.at - set_back))
    await harness.work()

    await harness.service.add_note(replace(note, at=note.at - 2 * set_back))
    await harness.work()

    assert told(harness) == ["radia", "I was on a train."]


@pytest.mark.parametrize(
    ("ends", "lines"),
    [
        ([None, TransientError("no network")], ["First.", "Second.", "Second."]),
        ([None, AmbiguousError("lost")], ["First.", "Second.", "Second."]),
        ([None, AppRejected("missing_scope", remedy="Add.")], ["First.", "Second.", "Second."]),
        # What Slack refuses is left out, since the card says it all.
        ([Undeliverable("restricted_action"), UnknownErrorCode("strange")], ["First.", "Second."]),
    ],
    ids=["no network", "lost", "rejected", "refused"],
)
async def test_a_line_that_may_not_be_there_is_told_again_and_those_before_it_are_not(
    harness: ServiceHarness, ends: list[Exception | None], lines: list[str]
) -> None:
    question = await carded(harness)
    await harness.service.add_note(a_note(question, "First."))
    await harness.service.add_note(a_note(question, "Second."))
    harness.team.tell_ends = ends.copy()

    await harness.work()
    assert (await harness.question()).card_shown == (2 if len(lines) == 3 else 3)
    await harness.pass_time(until=LATER + timedelta(minutes=1))

    assert told(harness) == lines
    assert (await harness.question()).card_due_at is None


async def test_a_card_that_is_posted_again_says_all_by_itself(harness: ServiceHarness) -> None:
    question = await carded(harness)
    await harness.service.add_note(a_note(question))
    harness.team.gone = True

    await harness.work()

    assert told(harness) == []
    assert (await harness.question()).card_ts != question.card_ts
    assert (await harness.question()).card_due_at is None


async def test_a_backlog_of_cards_is_spread_and_comes_whole() -> None:
    harness = ServiceHarness(Policy(security_channel="C0SECURITY"))
    names = [f"alert-{number}" for number in range(BURST + 3)]
    harness.messenger.people = {ADDRESS: Undeliverable("users_not_found")}
    await harness.service.receive([a_request(name) for name in names])
    times: list[float] = []

    async def look_at_the_clock(_: Question) -> None:
        times.append((harness.clock() - NOON) / timedelta(seconds=1))

    harness.team.before_end = look_at_the_clock
    await harness.pass_time(until=NOON + timedelta(minutes=1))

    assert [card.card_ts for card in harness.team.cards] == [""] * len(names)
    assert {card.request.identifier for card in harness.team.cards} == set(names)
    gaps = [later - earlier for earlier, later in pairwise(sorted(times))]
    assert gaps.count(1.0) >= 3


async def test_what_falls_due_again_while_it_waits_for_its_turn_waits_on(harness: ServiceHarness) -> None:
    for _ in range(BURST):
        harness.pacing.rate_limiter.reserve("security channel", UPTIME + (LATER - NOON))
    question = await carded(harness)
    assert shown(harness) == []

    await harness.service.add_note(a_note(question))
    await harness.work()
    assert shown(harness) == []
    await harness.pass_time(until=LATER + timedelta(seconds=1))

    assert shown(harness) == [("", 2)]


# What goes wrong


@pytest.mark.parametrize(
    "error",
    [
        UnknownErrorCode("strange"),
        *map(Undeliverable, ("not_in_channel", "channel_not_found", "is_archived")),
    ],
)
async def test_a_refused_channel_is_tried_again_after_a_while_and_touches_nothing_else(
    harness: ServiceHarness, error: Exception
) -> None:
    harness.team.show_ends = [error]

    question = await carded(harness)
    assert (question.card_due_at, question.card_ts) == (LATER + REFUSED_WAIT, "")
    assert (question.standing, question.reason) == (Outcome.NO, "")
    assert harness.limiter.rejection_code == ""
    await harness.pass_time(until=LATER + REFUSED_WAIT)

    assert len(harness.team.cards) == 2
    assert (await harness.question()).card_ts


@pytest.mark.parametrize(
    ("error", "asked_for"),
    [
        (TransientError("no network"), timedelta(microseconds=1)),
        (AppRejected("missing_scope", remedy="Add it."), timedelta(microseconds=1)),
        (AmbiguousError("the answer was lost"), timedelta(microseconds=1)),
        (TransientError("429", retry_after=timedelta(minutes=2)), timedelta(minutes=2)),
    ],
    ids=["no network", "rejected", "may have been posted", "asked to wait"],
)
async def test_a_card_that_failed_is_posted_again_soon_but_not_before_slack_wants_it(
    harness: ServiceHarness, error: Exception, asked_for: timedelta
) -> None:
    harness.team.show_ends = [error]

    question = await carded(harness)

    assert question.card_due_at is not None
    assert asked_for <= question.card_due_at - LATER <= asked_for + timedelta(seconds=30)
    await harness.pass_time(until=question.card_due_at)
    assert shown(harness) == [("", 1), ("", 1)]
    assert (await harness.question()).card_due_at is None


async def test_an_update_that_may_still_come_is_waited_for_before_the_next_one(
    harness: ServiceHarness,
) -> None:
    question = await carded(harness)
    await harness.service.add_note(a_note(question))
    harness.drawn = 0.1
    harness.restart()
    harness.team.show_ends = [AmbiguousError("the answer was lost")]
    began_at = harness.clock.now
    await harness.work()

    await harness.service.answer(a_click(question, Choice.YES))

    waiting = await harness.question()
    assert waiting.card_due_at is not None
    assert waiting.card_due_at >= began_at + CARD_LEASE
    await harness.pass_time(until=waiting.card_due_at)
    assert shown(harness) == [("", 1), (waiting.card_ts, 2), (waiting.card_ts, 3)]


async def test_a_card_never_delays_a_report(harness: ServiceHarness) -> None:
    without = ServiceHarness(Policy(security_channel=""))
    harness.team.show_ends = [TransientError("no network")] * 100

    await carded(harness)
    await carded(without)

    [delayed], [plain] = await harness.reports(), await without.reports()
    assert (delayed.due_at, delayed.body) == (plain.due_at, plain.body)


async def test_a_card_that_is_due_does_not_hold_up_a_redraw(harness: ServiceHarness) -> None:
    harness.team.show_ends = [Undeliverable("not_in_channel")]

    answered = await harness.answer(Choice.NO)
    harness.clock.now = LATER
    await harness.service.work_on(answered, Work.CARD)
    await harness.service.redraw(await harness.question())

    question = await harness.question()
    assert not question.outdated
    assert question.card_due_at == LATER + REFUSED_WAIT


# Take it


async def test_whoever_of_the_security_team_takes_an_alert_first_has_it(harness: ServiceHarness) -> None:
    question = await carded(harness)

    taken = await harness.responders.take(on_card(question))
    late = await harness.responders.take(replace(on_card(question), slack_id="U0DOROTHY"))

    assert isinstance(taken, Question)
    assert (taken.taken_by, taken.taken_name) == ("U0RADIA", "radia")
    assert taken.card_due_at == taken.taken_at == NOON + timedelta(minutes=3)
    assert late is Refusal.TAKEN_ALREADY
    assert await harness.responders.take(on_card(question)) == taken == await harness.question()
    assert len(await harness.reports()) == 1


async def test_taking_an_alert_proves_no_post_so_the_looks_for_it_go_on() -> None:
    harness = ServiceHarness(Policy(security_channel="C0SECURITY", expire_after=timedelta(seconds=8)))
    harness.messenger.post_ends = [AmbiguousError("the answer was lost")]
    await harness.ask()
    await harness.pass_time(until=NOON + timedelta(seconds=9))
    assert len(harness.messenger.looks) == 1

    taken = await harness.responders.take(on_card(await harness.question()))
    await harness.pass_time(until=NOON + timedelta(seconds=60))

    assert isinstance(taken, Question)
    assert taken.in_doubt_since is not None
    assert [(moment - NOON).total_seconds() for moment in harness.messenger.looks] == [5, 15]
    assert (await harness.question()).in_doubt_since is None  # it is to be posted again


@pytest.mark.parametrize(
    ("choice", "spoiled", "refusal"),
    [
        (Choice.NO, {"same_workspace": False}, Refusal.OTHER_WORKSPACE),
        (Choice.NO, {"channel": "D0ADA"}, Refusal.OTHER_CHANNEL),
        (Choice.NO, {"card": "unknown"}, Refusal.CLOSED),
    ],
)
async def test_nobody_takes_an_alert_from_anywhere_but_its_card(
    harness: ServiceHarness, choice: Choice, spoiled: dict[str, Any], refusal: Refusal
) -> None:
    question = await carded(harness, choice)

    assert await harness.responders.take(replace(on_card(question), **spoiled)) is refusal

    assert apart_from_trail(await harness.question()) == apart_from_trail(question)


async def test_a_take_that_could_not_be_stored_can_be_repeated(harness: ServiceHarness) -> None:
    question = await carded(harness)
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.responders.take(on_card(question))

    assert isinstance(await harness.responders.take(on_card(question)), Question)
