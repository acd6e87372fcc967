"""The security team's cards as the triage keeps them: which alerts have one, and what never waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from fakes import ADDRESS, NOON, UPTIME, a_request, apart_from_trail
from service_harness import ServiceHarness, a_click, a_note, a_take

from bot.errors import (
    AmbiguousError,
    AppRejected,
    StoreError,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage.answer_rules import Refusal
from bot.triage.cards import CARD_TAKES, REFUSED_WAIT
from bot.triage.model import AlertTaken, Change, Choice, MessageRef, Question, Take, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy
from bot.triage.rate_limits import BURST

DAY = timedelta(hours=24)

#: When cards are posted: after every click of these tests.
LATER = NOON + timedelta(minutes=5)


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness(Policy(has_channel=True))


async def carded(harness: ServiceHarness, choice: Choice = Choice.NO) -> Question:
    """Answer, and let the card be posted a moment later; return the question."""
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
        event.slack_name
        if isinstance(event, AlertTaken)
        else event.comment or str(event.said or event.outcome)
        for event in harness.team.told
    ]


# Which alerts have one


@pytest.mark.parametrize("choice", [Choice.NO, Choice.NOT_SURE, Choice.WRONG_USER])
async def test_an_answer_that_is_no_yes_has_a_card(harness: ServiceHarness, choice: Choice) -> None:
    question = await carded(harness, choice)

    assert shown(harness) == [("", 1)]
    assert (question.card_shown, question.card_due_at) == (1, None)
    assert question.card_ts


async def test_a_yes_has_none(harness: ServiceHarness) -> None:
    question = await carded(harness, Choice.YES)

    assert shown(harness) == []
    assert question.card_due_at is None


async def test_a_deadline_that_passed_has_a_card(harness: ServiceHarness) -> None:
    await harness.ask()

    await harness.pass_time(until=NOON + DAY)

    assert [card.standing for card in harness.team.cards] == [Outcome.TIMED_OUT]


async def test_somebody_who_cannot_be_asked_has_a_card(harness: ServiceHarness) -> None:
    harness.messenger.people = {ADDRESS: Undeliverable("users_not_found")}

    await harness.ask()
    await harness.work()

    assert [(card.standing, card.reason) for card in harness.team.cards] == [
        (Outcome.UNDELIVERABLE, "users_not_found")
    ]


async def test_without_a_channel_there_is_no_card() -> None:
    harness = ServiceHarness(Policy(has_channel=False))

    question = await carded(harness)

    assert (shown(harness), question.card_due_at) == ([], None)


async def test_the_alerts_policy_says_which_outcomes_have_one() -> None:
    mine = AlertPolicy(cards=frozenset({Outcome.YES}))
    harness = ServiceHarness(
        Policy(has_channel=True, alerts=AlertPolicies(by_label={a_request().alert: mine}))
    )

    await carded(harness, Choice.YES)

    assert shown(harness) == [("", 1)]


async def test_a_channel_that_was_taken_away_ends_what_was_due_for_it(harness: ServiceHarness) -> None:
    await harness.answer(Choice.NO)
    without = ServiceHarness(Policy(has_channel=False))
    without.store = harness.store
    without.recorder.store = harness.store
    without.clock.now = LATER

    await without.work()

    assert (shown(without), (await harness.question()).card_due_at) == ([], None)


# Later events


async def test_later_events_update_the_same_card(harness: ServiceHarness) -> None:
    first = await carded(harness)

    await harness.service.add_note(a_note(first))
    await harness.work()
    await harness.service.answer(a_click(await harness.question(), Choice.YES))
    await harness.work()

    assert shown(harness) == [("", 1), (first.card_ts, 2), (first.card_ts, 3)]
    assert (await harness.question()).card_shown == 3


async def test_a_yes_after_a_deadline_updates_the_card_that_is_there(harness: ServiceHarness) -> None:
    await harness.ask()
    await harness.pass_time(until=NOON + DAY)

    await harness.service.answer(a_click(await harness.question(), Choice.YES))
    await harness.work()

    posted, updated = harness.team.cards
    assert (posted.standing, updated.standing) == (Outcome.TIMED_OUT, Outcome.YES)
    assert (posted.card_ts, updated.card_ts) == ("", (await harness.question()).card_ts)


async def test_what_comes_while_a_card_is_shown_is_shown_after_it(harness: ServiceHarness) -> None:
    async def note_meanwhile(question: Question) -> None:
        harness.team.before_end = None
        await harness.service.add_note(a_note(question))

    harness.team.before_end = note_meanwhile
    question = await carded(harness)
    assert question.card_shown == 1

    await harness.work()

    assert [reports for _, reports in shown(harness)] == [1, 2]
    assert (await harness.question()).card_due_at is None


async def test_somebody_who_takes_it_while_a_card_is_shown_is_shown_after_it(harness: ServiceHarness) -> None:
    question = await carded(harness)
    await harness.service.add_note(a_note(question))

    async def take_meanwhile(card: Question) -> None:
        harness.team.before_end = None
        await harness.service.take(a_take(card))

    harness.team.before_end = take_meanwhile
    await harness.work()
    await harness.work()

    assert [card.taken_by for card in harness.team.cards] == ["", "", "U0RADIA"]
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


async def test_a_card_over_which_its_worker_died_is_shown_by_another_a_while_later(
    harness: ServiceHarness,
) -> None:
    async def die(_: Question) -> None:
        harness.team.before_end = None
        raise RuntimeError("killed")

    harness.team.before_end = die
    with pytest.raises(RuntimeError, match="killed"):
        await carded(harness)
    harness.restart()

    await harness.work()
    before = len(harness.team.cards)
    await harness.pass_time(until=LATER + CARD_TAKES)

    assert (before, len(harness.team.cards)) == (1, 2)
    assert (await harness.question()).card_due_at is None


async def test_each_of_several_events_gets_its_line_in_order(harness: ServiceHarness) -> None:
    question = await carded(harness)
    assert harness.team.told == []

    await harness.service.add_note(a_note(question, "First."))
    await harness.service.answer(a_click(await harness.question(), Choice.YES))
    await harness.service.take(a_take(question))
    await harness.service.add_note(a_note(question, "Second."))
    await harness.work()

    assert told(harness) == ["First.", "yes", "radia", "Second."]
    assert (await harness.question()).card_due_at is None


async def test_whoever_takes_it_is_told_even_if_a_note_comes_at_the_same_moment(
    harness: ServiceHarness,
) -> None:
    question = await carded(harness)

    await harness.service.take(a_take(question))
    same_moment = replace(a_note(question), at=(await harness.question()).taken_at or NOON)
    await harness.service.add_note(same_moment)
    await harness.work()

    assert told(harness) == ["radia", "I was on a train."]


async def test_what_was_told_is_not_told_again(harness: ServiceHarness) -> None:
    question = await carded(harness)
    await harness.service.take(a_take(question))
    await harness.work()

    await harness.service.add_note(a_note(question))
    await harness.work()

    assert told(harness) == ["radia", "I was on a train."]


async def test_a_clock_that_is_set_back_changes_no_order(harness: ServiceHarness) -> None:
    question = await carded(harness)
    await harness.service.take(replace(a_take(question), at=NOON - DAY))
    await harness.work()

    await harness.service.add_note(replace(a_note(question), at=NOON - 2 * DAY))
    await harness.work()

    assert told(harness) == ["radia", "I was on a train."]


@pytest.mark.parametrize(
    "error",
    [TransientError("no network"), AmbiguousError("lost"), AppRejected("missing_scope", remedy="Add.")],
)
async def test_a_line_that_may_not_be_there_is_told_again_and_those_before_it_are_not(
    harness: ServiceHarness, error: Exception
) -> None:
    question = await carded(harness)
    await harness.service.add_note(a_note(question, "First."))
    await harness.service.add_note(a_note(question, "Second."))
    harness.team.tell_ends = [None, error]

    await harness.work()
    assert (await harness.question()).card_shown == 2
    await harness.pass_time(until=LATER + timedelta(minutes=1))

    assert told(harness) == ["First.", "Second.", "Second."]
    assert (await harness.question()).card_due_at is None


async def test_a_line_that_slack_refuses_is_let_be_since_the_card_says_it_all(
    harness: ServiceHarness,
) -> None:
    question = await carded(harness)
    await harness.service.add_note(a_note(question, "First."))
    await harness.service.add_note(a_note(question, "Second."))
    harness.team.tell_ends = [Undeliverable("restricted_action"), UnknownErrorCode("strange")]

    await harness.work()

    assert told(harness) == ["First.", "Second."]
    assert (await harness.question()).card_due_at is None


async def test_a_card_that_is_posted_anew_says_all_by_itself(harness: ServiceHarness) -> None:
    question = await carded(harness)
    await harness.service.add_note(a_note(question))
    harness.team.gone = True

    await harness.work()

    assert told(harness) == []
    assert (await harness.question()).card_ts != question.card_ts
    assert (await harness.question()).card_due_at is None


async def test_a_backlog_of_cards_is_spread_and_comes_whole() -> None:
    harness = ServiceHarness(Policy(has_channel=True))
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
        Undeliverable("not_in_channel"),
        Undeliverable("channel_not_found"),
        Undeliverable("is_archived"),
        UnknownErrorCode("strange"),
    ],
)
async def test_a_refused_channel_is_tried_again_after_a_while(
    harness: ServiceHarness, error: Exception
) -> None:
    harness.team.show_ends = [error]

    question = await carded(harness)
    assert (question.card_due_at, question.card_ts) == (LATER + REFUSED_WAIT, "")
    await harness.pass_time(until=LATER + REFUSED_WAIT)

    assert len(harness.team.cards) == 2
    assert (await harness.question()).card_ts


async def test_a_refused_channel_touches_neither_the_answer_nor_the_questions_of_others(
    harness: ServiceHarness,
) -> None:
    harness.team.show_ends = [Undeliverable("not_in_channel")]

    question = await carded(harness)

    assert (question.standing, question.reason) == (Outcome.NO, "")
    assert harness.limiter.rejection_code == ""


async def test_a_card_that_may_have_been_posted_is_posted_again(harness: ServiceHarness) -> None:
    harness.team.show_ends = [AmbiguousError("the answer was lost")]

    await carded(harness)
    await harness.pass_time(until=LATER + timedelta(minutes=1))

    assert shown(harness) == [("", 1), ("", 1)]
    assert (await harness.question()).card_due_at is None


@pytest.mark.parametrize(
    "error",
    [TransientError("no network"), AppRejected("missing_scope", remedy="Add it.")],
)
async def test_a_card_that_was_not_posted_is_tried_again_soon(
    harness: ServiceHarness, error: Exception
) -> None:
    harness.team.show_ends = [error]

    question = await carded(harness)

    assert question.card_due_at is not None
    assert LATER < question.card_due_at <= LATER + timedelta(seconds=30)


async def test_a_card_waits_as_long_as_slack_asks(harness: ServiceHarness) -> None:
    harness.team.show_ends = [TransientError("429", retry_after=timedelta(minutes=2))]

    question = await carded(harness)

    assert question.card_due_at is not None
    assert question.card_due_at >= LATER + timedelta(minutes=2)


async def test_a_card_never_delays_a_report(harness: ServiceHarness) -> None:
    without = ServiceHarness(Policy(has_channel=False))
    harness.team.show_ends = [TransientError("no network")] * 100

    await carded(harness)
    await carded(without)

    [delayed], [plain] = await harness.reports(), await without.reports()
    assert (delayed.due_at, delayed.body) == (plain.due_at, plain.body)


async def test_a_card_that_is_due_does_not_keep_the_message_from_being_redrawn(
    harness: ServiceHarness,
) -> None:
    harness.team.show_ends = [Undeliverable("not_in_channel")]

    answered = await harness.answer(Choice.NO)
    harness.clock.now = LATER
    await harness.service.work_on(answered, Work.CARD)
    await harness.service.redraw(await harness.question())

    question = await harness.question()
    assert not question.outdated
    assert question.card_due_at == LATER + REFUSED_WAIT


# Take it


async def test_somebody_of_the_security_team_takes_an_alert(harness: ServiceHarness) -> None:
    question = await carded(harness)

    taken = await harness.service.take(a_take(question))

    assert isinstance(taken, Question)
    assert (taken.taken_by, taken.taken_name) == ("U0RADIA", "radia")
    assert taken.taken_at == NOON + timedelta(minutes=3)
    assert taken == await harness.question()
    assert taken.card_due_at == taken.taken_at
    assert len(await harness.reports()) == 1


async def test_taking_an_alert_proves_no_post_so_the_looks_for_it_go_on() -> None:
    harness = ServiceHarness(Policy(has_channel=True, expire_after=timedelta(seconds=8)))
    harness.messenger.post_ends = [AmbiguousError("the answer was lost")]
    await harness.ask()
    await harness.pass_time(until=NOON + timedelta(seconds=9))
    assert len(harness.messenger.looks) == 1

    taken = await harness.service.take(a_take(await harness.question()))
    await harness.pass_time(until=NOON + timedelta(seconds=60))

    assert isinstance(taken, Question)
    assert taken.in_doubt_since is not None
    assert [moment - NOON for moment in harness.messenger.looks] == [
        timedelta(seconds=5),
        timedelta(seconds=15),
    ]
    assert (await harness.question()).in_doubt_since is None  # it is to be posted again


async def test_whoever_takes_it_first_has_it(harness: ServiceHarness) -> None:
    question = await carded(harness)
    taken = await harness.service.take(a_take(question))

    late = await harness.service.take(replace(a_take(question), slack_id="U0DOROTHY"))

    assert late == taken


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda take: replace(take, same_workspace=False), Refusal.OTHER_WORKSPACE),
        (
            lambda take: replace(take, message_ref=MessageRef(channel="D0ADA", ts="1.1")),
            Refusal.OTHER_CONVERSATION,
        ),
        (lambda take: replace(take, message_ref=None), Refusal.OTHER_CONVERSATION),
        (lambda take: replace(take, ref="unknown"), Refusal.CLOSED),
    ],
)
async def test_nobody_takes_an_alert_from_anywhere_but_its_card(
    harness: ServiceHarness, spoil: Callable[[Take], Take], refusal: Refusal
) -> None:
    question = await carded(harness)

    assert await harness.service.take(spoil(a_take(question))) is refusal

    assert apart_from_trail(await harness.question()) == apart_from_trail(question)


async def test_nobody_takes_an_alert_that_has_no_card(harness: ServiceHarness) -> None:
    question = await harness.answer(Choice.YES)

    assert await harness.service.take(a_take(question)) is Refusal.OTHER_CONVERSATION


async def test_a_take_that_could_not_be_stored_can_be_repeated(harness: ServiceHarness) -> None:
    question = await carded(harness)
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.service.take(a_take(question))

    assert isinstance(await harness.service.take(a_take(question)), Question)


async def test_a_question_whose_card_is_still_due_is_not_removed(harness: ServiceHarness) -> None:
    question = await carded(harness)
    waiting = replace(question, version=question.version + 1, card_due_at=NOON + DAY)
    assert await harness.store.save(Change(question=waiting))
    await harness.store.mark_sent(await harness.reports(), NOON)
    await harness.service.redraw(waiting)

    assert await harness.store.remove_ended(NOON + 100 * DAY, limit=10) == 0
