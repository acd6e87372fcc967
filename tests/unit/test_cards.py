"""The security team's cards as the triage keeps them: which alerts have one, and what never waits for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from fakes import ADDRESS, NOON, a_request
from service_desk import Desk, a_click, a_note, a_take

from bot.errors import (
    AmbiguousError,
    CannotGoOn,
    StoreError,
    TransientError,
    Undeliverable,
    UnknownRefusal,
)
from bot.triage.answer_rules import Refusal
from bot.triage.cards import CARD_TAKES, REFUSED_WAIT
from bot.triage.model import Change, Choice, Posted, Question, Taken, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy
from bot.triage.rate_limits import BURST

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.triage.model import Take

DAY = timedelta(hours=24)

#: When cards are posted: after every click of these tests.
LATER = NOON + timedelta(minutes=5)


@pytest.fixture
def desk() -> Desk:
    return Desk(Policy(has_channel=True))


async def carded(desk: Desk, choice: Choice = Choice.NO) -> Question:
    """Answer, and let the card be posted a moment later; return the question."""
    await desk.answer(choice)
    desk.clock.now = LATER
    await desk.work()
    return await desk.question()


def shown(desk: Desk) -> list[tuple[str, int]]:
    """What each call showed: the ts of the card that was updated (empty: a new one), and how many reports."""
    return [(card.card_ts, card.reports) for card in desk.team.cards]


def told(desk: Desk) -> list[str]:
    """What the card's thread was told of: notes, choices, and who took it."""
    return [
        event.slack_name if isinstance(event, Taken) else event.comment or str(event.said or event.outcome)
        for event in desk.team.told
    ]


# Which alerts have one


@pytest.mark.parametrize("choice", [Choice.NO, Choice.NOT_SURE, Choice.WRONG_USER])
async def test_an_answer_that_is_no_yes_has_a_card(desk: Desk, choice: Choice) -> None:
    question = await carded(desk, choice)

    assert shown(desk) == [("", 1)]
    assert (question.card_shown, question.card_due_at) == (1, None)
    assert question.card_ts


async def test_a_yes_has_none(desk: Desk) -> None:
    question = await carded(desk, Choice.YES)

    assert shown(desk) == []
    assert question.card_due_at is None


async def test_a_deadline_that_passed_has_a_card(desk: Desk) -> None:
    await desk.ask()

    await desk.pass_time(until=NOON + DAY)

    assert [card.standing for card in desk.team.cards] == [Outcome.TIMED_OUT]


async def test_somebody_who_cannot_be_asked_has_a_card(desk: Desk) -> None:
    desk.messenger.people = {ADDRESS: Undeliverable("users_not_found")}

    await desk.ask()
    await desk.work()

    assert [(card.standing, card.reason) for card in desk.team.cards] == [
        (Outcome.UNDELIVERABLE, "users_not_found")
    ]


async def test_without_a_channel_there_is_no_card() -> None:
    desk = Desk(Policy(has_channel=False))

    question = await carded(desk)

    assert (shown(desk), question.card_due_at) == ([], None)


async def test_the_alerts_policy_says_which_outcomes_have_one() -> None:
    mine = AlertPolicy(cards=frozenset({Outcome.YES}))
    desk = Desk(Policy(has_channel=True, alerts=AlertPolicies(by_label={a_request().alert: mine})))

    await carded(desk, Choice.YES)

    assert shown(desk) == [("", 1)]


async def test_a_channel_that_was_taken_away_ends_what_was_due_for_it(desk: Desk) -> None:
    await desk.answer(Choice.NO)
    without = Desk(Policy(has_channel=False))
    without.store = desk.store
    without.recorder.store = desk.store
    without.clock.now = LATER

    await without.work()

    assert (shown(without), (await desk.question()).card_due_at) == ([], None)


# Later events


async def test_later_events_update_the_same_card(desk: Desk) -> None:
    first = await carded(desk)

    await desk.service.add_note(a_note(first))
    await desk.work()
    await desk.service.answer(a_click(await desk.question(), Choice.YES))
    await desk.work()

    assert shown(desk) == [("", 1), (first.card_ts, 2), (first.card_ts, 3)]
    assert (await desk.question()).card_shown == 3


async def test_a_yes_after_a_deadline_updates_the_card_that_is_there(desk: Desk) -> None:
    await desk.ask()
    await desk.pass_time(until=NOON + DAY)

    await desk.service.answer(a_click(await desk.question(), Choice.YES))
    await desk.work()

    posted, updated = desk.team.cards
    assert (posted.standing, updated.standing) == (Outcome.TIMED_OUT, Outcome.YES)
    assert (posted.card_ts, updated.card_ts) == ("", (await desk.question()).card_ts)


async def test_what_comes_while_a_card_is_shown_is_shown_after_it(desk: Desk) -> None:
    async def note_meanwhile(question: Question) -> None:
        desk.team.before_end = None
        await desk.service.add_note(a_note(question))

    desk.team.before_end = note_meanwhile
    question = await carded(desk)
    assert question.card_shown == 1

    await desk.work()

    assert [reports for _, reports in shown(desk)] == [1, 2]
    assert (await desk.question()).card_due_at is None


async def test_somebody_who_takes_it_while_a_card_is_shown_is_shown_after_it(desk: Desk) -> None:
    question = await carded(desk)
    await desk.service.add_note(a_note(question))

    async def take_meanwhile(card: Question) -> None:
        desk.team.before_end = None
        await desk.service.take(a_take(card))

    desk.team.before_end = take_meanwhile
    await desk.work()
    await desk.work()

    assert [card.taken_by for card in desk.team.cards] == ["", "", "U0RADIA"]
    assert (await desk.question()).card_due_at is None


async def test_a_card_that_one_worker_is_showing_is_left_to_it_by_another(desk: Desk) -> None:
    async def come_to_another_worker(question: Question) -> None:
        desk.team.before_end = None
        desk.restart()
        await desk.service.add_note(a_note(question))
        await desk.service.work_on(await desk.question(), Work.CARD)
        await desk.service.work_on(question, Work.CARD)

    desk.team.before_end = come_to_another_worker
    question = await carded(desk)
    assert shown(desk) == [("", 1)]

    await desk.work()

    assert shown(desk) == [("", 1), (question.card_ts, 2)]


async def test_a_card_over_which_its_worker_died_is_shown_by_another_a_while_later(desk: Desk) -> None:
    async def die(_: Question) -> None:
        desk.team.before_end = None
        raise RuntimeError("killed")

    desk.team.before_end = die
    with pytest.raises(RuntimeError, match="killed"):
        await carded(desk)
    desk.restart()

    await desk.work()
    before = len(desk.team.cards)
    await desk.pass_time(until=LATER + CARD_TAKES)

    assert (before, len(desk.team.cards)) == (1, 2)
    assert (await desk.question()).card_due_at is None


async def test_each_of_several_events_gets_its_line_in_order(desk: Desk) -> None:
    question = await carded(desk)
    assert desk.team.told == []

    await desk.service.add_note(a_note(question, "First."))
    await desk.service.answer(a_click(await desk.question(), Choice.YES))
    await desk.service.take(a_take(question))
    await desk.service.add_note(a_note(question, "Second."))
    await desk.work()

    assert told(desk) == ["First.", "yes", "radia", "Second."]
    assert (await desk.question()).card_due_at is None


async def test_whoever_takes_it_is_told_even_if_a_note_comes_at_the_same_moment(desk: Desk) -> None:
    question = await carded(desk)

    await desk.service.take(a_take(question))
    same_moment = replace(a_note(question), at=(await desk.question()).taken_at or NOON)
    await desk.service.add_note(same_moment)
    await desk.work()

    assert told(desk) == ["radia", "I was on a train."]


async def test_what_was_told_is_not_told_again(desk: Desk) -> None:
    question = await carded(desk)
    await desk.service.take(a_take(question))
    await desk.work()

    await desk.service.add_note(a_note(question))
    await desk.work()

    assert told(desk) == ["radia", "I was on a train."]


async def test_a_clock_that_is_set_back_changes_no_order(desk: Desk) -> None:
    question = await carded(desk)
    await desk.service.take(replace(a_take(question), at=NOON - DAY))
    await desk.work()

    await desk.service.add_note(replace(a_note(question), at=NOON - 2 * DAY))
    await desk.work()

    assert told(desk) == ["radia", "I was on a train."]


@pytest.mark.parametrize(
    "error",
    [TransientError("no network"), AmbiguousError("lost"), CannotGoOn("missing_scope", remedy="Add.")],
)
async def test_a_line_that_may_not_be_there_is_told_again_and_those_before_it_are_not(
    desk: Desk, error: Exception
) -> None:
    question = await carded(desk)
    await desk.service.add_note(a_note(question, "First."))
    await desk.service.add_note(a_note(question, "Second."))
    desk.team.tell_ends = [None, error]

    await desk.work()
    assert (await desk.question()).card_shown == 2
    await desk.pass_time(until=LATER + timedelta(minutes=1))

    assert told(desk) == ["First.", "Second.", "Second."]
    assert (await desk.question()).card_due_at is None


async def test_a_line_that_slack_refuses_is_let_be_since_the_card_says_it_all(desk: Desk) -> None:
    question = await carded(desk)
    await desk.service.add_note(a_note(question, "First."))
    await desk.service.add_note(a_note(question, "Second."))
    desk.team.tell_ends = [Undeliverable("restricted_action"), UnknownRefusal("strange")]

    await desk.work()

    assert told(desk) == ["First.", "Second."]
    assert (await desk.question()).card_due_at is None


async def test_a_card_that_is_posted_anew_says_all_by_itself(desk: Desk) -> None:
    question = await carded(desk)
    await desk.service.add_note(a_note(question))
    desk.team.gone = True

    await desk.work()

    assert told(desk) == []
    assert (await desk.question()).card_ts != question.card_ts
    assert (await desk.question()).card_due_at is None


async def test_a_backlog_of_cards_is_spread_and_comes_whole() -> None:
    desk = Desk(Policy(has_channel=True))
    names = [f"alert-{number}" for number in range(BURST + 3)]
    desk.messenger.people = {ADDRESS: Undeliverable("users_not_found")}
    await desk.service.receive([a_request(name) for name in names])
    times: list[float] = []

    async def look_at_the_clock(_: Question) -> None:
        times.append((desk.clock() - NOON) / timedelta(seconds=1))

    desk.team.before_end = look_at_the_clock
    await desk.pass_time(until=NOON + timedelta(minutes=1))

    assert [card.card_ts for card in desk.team.cards] == [""] * len(names)
    assert {card.request.identifier for card in desk.team.cards} == set(names)
    gaps = [later - earlier for earlier, later in pairwise(sorted(times))]
    assert gaps.count(1.0) >= 3


async def test_what_falls_due_again_while_it_waits_for_its_turn_waits_on(desk: Desk) -> None:
    for _ in range(BURST):
        desk.pacing.pace.reserve("security channel", LATER)
    question = await carded(desk)
    assert shown(desk) == []

    await desk.service.add_note(a_note(question))
    await desk.work()
    assert shown(desk) == []
    await desk.pass_time(until=LATER + timedelta(seconds=1))

    assert shown(desk) == [("", 2)]


# What goes wrong


@pytest.mark.parametrize(
    "error",
    [
        Undeliverable("not_in_channel"),
        Undeliverable("channel_not_found"),
        Undeliverable("is_archived"),
        UnknownRefusal("strange"),
    ],
)
async def test_a_refused_channel_is_tried_again_after_a_while(desk: Desk, error: Exception) -> None:
    desk.team.show_ends = [error]

    question = await carded(desk)
    assert (question.card_due_at, question.card_ts) == (LATER + REFUSED_WAIT, "")
    await desk.pass_time(until=LATER + REFUSED_WAIT)

    assert len(desk.team.cards) == 2
    assert (await desk.question()).card_ts


async def test_a_refused_channel_touches_neither_the_answer_nor_the_questions_of_others(desk: Desk) -> None:
    desk.team.show_ends = [Undeliverable("not_in_channel")]

    question = await carded(desk)

    assert (question.standing, question.reason) == (Outcome.NO, "")
    assert desk.gate.halted_by == ""


async def test_a_card_that_may_have_been_posted_is_posted_again(desk: Desk) -> None:
    desk.team.show_ends = [AmbiguousError("the answer was lost")]

    await carded(desk)
    await desk.pass_time(until=LATER + timedelta(minutes=1))

    assert shown(desk) == [("", 1), ("", 1)]
    assert (await desk.question()).card_due_at is None


@pytest.mark.parametrize(
    "error",
    [TransientError("no network"), CannotGoOn("missing_scope", remedy="Add it.")],
)
async def test_a_card_that_was_not_posted_is_tried_again_soon(desk: Desk, error: Exception) -> None:
    desk.team.show_ends = [error]

    question = await carded(desk)

    assert question.card_due_at is not None
    assert LATER < question.card_due_at <= LATER + timedelta(seconds=30)


async def test_a_card_waits_as_long_as_slack_asks(desk: Desk) -> None:
    desk.team.show_ends = [TransientError("429", retry_after=timedelta(minutes=2))]

    question = await carded(desk)

    assert question.card_due_at is not None
    assert question.card_due_at >= LATER + timedelta(minutes=2)


async def test_a_card_never_delays_a_report(desk: Desk) -> None:
    without = Desk(Policy(has_channel=False))
    desk.team.show_ends = [TransientError("no network")] * 100

    await carded(desk)
    await carded(without)

    [delayed], [plain] = await desk.reports(), await without.reports()
    assert (delayed.due_at, delayed.body) == (plain.due_at, plain.body)


async def test_a_card_that_is_due_does_not_keep_the_message_from_being_redrawn(desk: Desk) -> None:
    desk.team.show_ends = [Undeliverable("not_in_channel")]

    answered = await desk.answer(Choice.NO)
    desk.clock.now = LATER
    await desk.service.work_on(answered, Work.CARD)
    await desk.service.redraw(await desk.question())

    question = await desk.question()
    assert not question.outdated
    assert question.card_due_at == LATER + REFUSED_WAIT


# Take it


async def test_somebody_of_the_security_team_takes_an_alert(desk: Desk) -> None:
    question = await carded(desk)

    taken = await desk.service.take(a_take(question))

    assert isinstance(taken, Question)
    assert (taken.taken_by, taken.taken_name) == ("U0RADIA", "radia")
    assert taken.taken_at == NOON + timedelta(minutes=3)
    assert taken == await desk.question()
    assert taken.card_due_at == taken.taken_at
    assert len(await desk.reports()) == 1


async def test_taking_an_alert_proves_no_post_so_the_looks_for_it_go_on() -> None:
    desk = Desk(Policy(has_channel=True, expire_after=timedelta(seconds=8)))
    desk.messenger.post_ends = [AmbiguousError("the answer was lost")]
    await desk.ask()
    await desk.pass_time(until=NOON + timedelta(seconds=9))
    assert len(desk.messenger.looks) == 1

    taken = await desk.service.take(a_take(await desk.question()))
    await desk.pass_time(until=NOON + timedelta(seconds=60))

    assert isinstance(taken, Question)
    assert taken.in_doubt_since is not None
    assert [moment - NOON for moment in desk.messenger.looks] == [timedelta(seconds=5), timedelta(seconds=15)]
    assert (await desk.question()).in_doubt_since is None  # it is to be posted again


async def test_whoever_takes_it_first_has_it(desk: Desk) -> None:
    question = await carded(desk)
    taken = await desk.service.take(a_take(question))

    late = await desk.service.take(replace(a_take(question), slack_id="U0DOROTHY"))

    assert late == taken


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda take: replace(take, ours=False), Refusal.OTHER_WORKSPACE),
        (
            lambda take: replace(take, posted=Posted(channel="D0ADA", ts="1.1")),
            Refusal.OTHER_CONVERSATION,
        ),
        (lambda take: replace(take, posted=None), Refusal.OTHER_CONVERSATION),
        (lambda take: replace(take, ref="unknown"), Refusal.CLOSED),
    ],
)
async def test_nobody_takes_an_alert_from_anywhere_but_its_card(
    desk: Desk, spoil: Callable[[Take], Take], refusal: Refusal
) -> None:
    question = await carded(desk)

    assert await desk.service.take(spoil(a_take(question))) is refusal

    assert await desk.question() == question


async def test_nobody_takes_an_alert_that_has_no_card(desk: Desk) -> None:
    question = await desk.answer(Choice.YES)

    assert await desk.service.take(a_take(question)) is Refusal.OTHER_CONVERSATION


async def test_a_take_that_could_not_be_stored_can_be_repeated(desk: Desk) -> None:
    question = await carded(desk)
    desk.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await desk.service.take(a_take(question))

    assert isinstance(await desk.service.take(a_take(question)), Question)


async def test_a_question_whose_card_is_still_due_is_not_removed(desk: Desk) -> None:
    question = await carded(desk)
    waiting = replace(question, version=question.version + 1, card_due_at=NOON + DAY)
    assert await desk.store.save(Change(question=waiting))
    await desk.store.mark_sent(await desk.reports(), NOON)
    await desk.service.redraw(waiting)

    assert await desk.store.remove_ended(NOON + 100 * DAY, limit=10) == 0
