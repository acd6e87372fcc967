"""Who on the security team may act on an alert, and what a take, a hand-over and a release do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, ADDRESS, NOON, a_request, apart_from_trail
from service_harness import ServiceHarness, on_card

from bot.errors import TransientError
from bot.triage.answer_rules import Refusal
from bot.triage.assignments import AssignmentKind, CardClick
from bot.triage.event_kinds import EventKind
from bot.triage.model import Choice, Person, Question, change_question
from bot.triage.policy import Policy
from bot.triage.responder_rules import ASSIGNMENTS_MAX

LATER = NOON + timedelta(minutes=5)
TEAM = Policy(security_channel="C0SECURITY")
GRACE = Person(slack_id="U0GRACE", slack_name="grace")

Act = Callable[[ServiceHarness, CardClick], Awaitable[Question | Refusal]]

ACTS: dict[str, Act] = {
    "take": lambda harness, click: harness.responders.take(click),
    "hand over": lambda harness, click: harness.responders.hand_over(click, "U0GRACE"),
    "release": lambda harness, click: harness.responders.release(click),
    "window": lambda harness, click: harness.responders.find_carded(click),
}


@pytest.fixture(params=[TEAM], ids=["everybody in the channel"])
def harness(request: pytest.FixtureRequest) -> ServiceHarness:
    return team_of(request.param)


def team_of(policy: Policy) -> ServiceHarness:
    harness = ServiceHarness(policy)
    harness.messenger.people["U0GRACE"] = GRACE
    return harness


async def carded(harness: ServiceHarness) -> Question:
    """Answer a question with *no*, and post its card."""
    await harness.answer(Choice.NO)
    harness.clock.now = LATER
    await harness.work()
    return await harness.question()


async def take(harness: ServiceHarness) -> Question:
    """Take the alert of an existing card as Radia."""
    taken = await harness.responders.take(on_card(await carded(harness)))
    assert isinstance(taken, Question)
    return taken


async def events(harness: ServiceHarness) -> list[tuple[EventKind, dict[str, Any]]]:
    trail = await harness.store.trail_of((await harness.question()).identifier)
    assert trail is not None
    return [(each.kind, dict(each.facts)) for each in trail.events]


# What they do


async def test_an_alert_goes_from_hand_to_hand_and_each_time_the_trail_and_the_thread_say_so(
    harness: ServiceHarness,
) -> None:
    question = await take(harness)

    handed = await harness.responders.hand_over(on_card(question, key="V1"), "U0GRACE")
    assert isinstance(handed, Question)
    assert (handed.taken_by, handed.taken_name) == ("U0GRACE", "grace")
    released = await harness.responders.release(on_card(question, key="2"))
    assert isinstance(released, Question)
    await harness.work()

    assert (released.taken_by, released.taken_name, released.taken_at) == ("", "", None)
    assert (await events(harness))[-3:] == [
        (EventKind.TAKEN, {"by": "U0RADIA"}),
        (EventKind.HANDED_OVER, {"by": "U0RADIA", "to": "U0GRACE"}),
        (EventKind.RELEASED, {"by": "U0RADIA"}),
    ]
    lines = [(each.kind, each.to) for each in released.handled]
    assert lines == [
        (AssignmentKind.TAKEN, "U0RADIA"),
        (AssignmentKind.HANDED_OVER, "U0GRACE"),
        (AssignmentKind.RELEASED, ""),
    ]
    assert harness.team.told == list(released.handled)
    assert len(await harness.reports()) == 1  # MozDef is told nothing of it
    assert (await harness.question()).card_due_at is None


async def test_an_alert_that_nobody_has_can_be_handed_over_and_not_released(harness: ServiceHarness) -> None:
    question = await carded(harness)

    nothing = await harness.responders.release(on_card(question))
    handed = await harness.responders.hand_over(on_card(question), "U0GRACE")

    assert nothing == question
    assert isinstance(handed, Question)
    assert handed.taken_by == "U0GRACE"


async def test_a_click_that_is_delivered_again_undoes_nothing_that_came_after_it(
    harness: ServiceHarness,
) -> None:
    question = await take(harness)
    release = on_card(question, key="1764000300.000100")
    await harness.responders.release(release)
    await harness.responders.take(on_card(question, key="1764000301.000100"))

    again = await harness.responders.release(release)

    assert isinstance(again, Question)
    assert again.taken_by == "U0RADIA"


async def test_a_hand_over_to_whoever_has_the_alert_changes_nothing(harness: ServiceHarness) -> None:
    question = await carded(harness)
    handed = await harness.responders.hand_over(on_card(question, key="V1"), "U0GRACE")

    assert await harness.responders.hand_over(on_card(question, key="V2"), "U0GRACE") == handed


async def test_an_alert_changes_hands_forty_times_at_the_most(harness: ServiceHarness) -> None:
    question = await carded(harness)
    for _ in range(ASSIGNMENTS_MAX // 2):
        await harness.responders.take(on_card(question))
        await harness.responders.release(on_card(question))

    assert await harness.responders.take(on_card(question)) is Refusal.TOO_MANY_ASSIGNMENTS
    assert (await harness.question()).taken_by == ""


async def test_an_alert_that_the_release_before_let_somebody_take_can_be_handed_over(
    harness: ServiceHarness,
) -> None:
    question = await carded(harness)
    taken = {"taken_by": "U0DOROTHY", "taken_name": "dorothy", "taken_at": LATER, "card_shown": 2}
    await harness.put(change_question(question, **taken))

    await harness.responders.hand_over(on_card(question), "U0GRACE")
    await harness.work()

    handled = (await harness.question()).handled
    assert [(each.kind, each.by) for each in handled] == [
        (AssignmentKind.TAKEN, "U0DOROTHY"),
        (AssignmentKind.HANDED_OVER, "U0RADIA"),
    ]
    assert harness.team.told == [handled[-1]]


# Who may


@pytest.mark.parametrize("act", list(ACTS))
@pytest.mark.parametrize(
    ("forged", "refusal"),
    [
        ({"same_workspace": False}, Refusal.OTHER_WORKSPACE),
        ({"channel": "D0ADA"}, Refusal.OTHER_CHANNEL),
        ({"channel": "C0ELSEWHERE"}, Refusal.OTHER_CHANNEL),
        ({"channel": ""}, Refusal.OTHER_CHANNEL),
        ({"slack_id": "U0ADA"}, Refusal.PERSON_ASKED),
        ({"slack_id": "W0ADA"}, Refusal.PERSON_ASKED),
        ({"card": "unknown"}, Refusal.CLOSED),
        ({"card": ""}, Refusal.CLOSED),
    ],
)
async def test_nobody_acts_on_an_alert_who_may_not(
    harness: ServiceHarness, act: str, forged: dict[str, Any], refusal: Refusal
) -> None:
    before = await take(harness)
    before = await harness.put(change_question(before, other_slack_id="W0ADA"))

    assert await ACTS[act](harness, replace(on_card(before), **forged)) is refusal

    assert apart_from_trail(await harness.question()) == apart_from_trail(before)
    if refusal is not Refusal.CLOSED:
        by = forged.get("slack_id", "U0RADIA")
        assert (await events(harness))[-1] == (EventKind.REFUSED, {"by": by, "reason": refusal.value})


@pytest.mark.parametrize("act", list(ACTS))
async def test_where_responders_are_named_only_they_act(act: str) -> None:
    harness = team_of(replace(TEAM, responders=frozenset({"U0RADIA", "U0GRACE"})))
    question = await take(harness)

    stranger = replace(on_card(question), slack_id="U0DOROTHY")
    assert await ACTS[act](harness, stranger) is Refusal.NO_RESPONDER
    assert isinstance(await ACTS[act](harness, on_card(question)), Question)


async def test_without_a_channel_nobody_acts() -> None:
    harness = team_of(TEAM)
    question = await carded(harness)
    harness.policy = replace(TEAM, security_channel="")
    harness.restart()

    nowhere = replace(on_card(question), channel="")
    assert await harness.responders.take(nowhere) is Refusal.OTHER_CHANNEL


@pytest.mark.parametrize("act", list(ACTS))
@pytest.mark.parametrize("had_secret", [True, False])
async def test_a_card_of_the_release_before_is_renewed_when_it_is_clicked_and_the_click_is_refused(
    harness: ServiceHarness, act: str, *, had_secret: bool
) -> None:
    question = await carded(harness)
    if not had_secret:
        question = await harness.put(change_question(question, card_secret=""))
    old = replace(on_card(question, ts="1764000009.000900"), card=question.ref)

    assert await ACTS[act](harness, old) is Refusal.OLD_CARD
    await harness.work()

    renewed = await harness.question()
    drawn = harness.team.cards[-1]
    assert (drawn.card_ts, drawn.card) == ("1764000009.000900", renewed.card)
    assert renewed.card_secret
    assert renewed.card != renewed.ref
    assert renewed.taken_by == ""
    assert isinstance(await ACTS["take"](harness, on_card(renewed)), Question)


async def test_no_card_is_drawn_over_another(harness: ServiceHarness) -> None:
    question = await carded(harness)
    forged = replace(on_card(question, ts="1764000009.000900"), card=question.ref, is_carried=False)

    assert await harness.responders.take(forged) is Refusal.OLD_CARD
    await harness.work()

    assert (await harness.question()).card_ts == question.card_ts
    assert len(harness.team.cards) == 1


async def test_a_take_before_its_card_is_known_tells_where_that_is_if_the_message_is_the_card(
    harness: ServiceHarness,
) -> None:
    question = await harness.put(change_question(await carded(harness), card_ts=""))

    taken = await harness.responders.take(replace(on_card(question, ts="1.1"), is_carried=False))
    assert isinstance(taken, Question)
    assert taken.card_ts == ""
    await harness.responders.release(on_card(question, ts="1764000009.000900"))

    assert (await harness.question()).card_ts == "1764000009.000900"


async def test_an_alert_about_whoever_took_it_before_they_were_found_is_released(
    harness: ServiceHarness,
) -> None:
    harness.messenger.people[ADDRESS] = TransientError("no network")
    await harness.accept()
    await harness.pass_time(until=NOON + timedelta(days=2))  # nobody could be asked: there is a card
    question = await harness.question()
    own = replace(on_card(question), slack_id="U0ADA", slack_name="ada", at=harness.clock())
    assert isinstance(await harness.responders.take(own), Question)

    harness.messenger.people[ADDRESS] = ADA
    await harness.pass_time(until=NOON + timedelta(days=2, hours=2))
    await harness.work()

    row = await harness.question()
    assert (row.slack_id, row.taken_by) == ("U0ADA", "")
    assert bool(row.ts)
    told = await events(harness)
    assert (EventKind.TAKEN, {"by": "U0ADA"}) in told
    assert (EventKind.RELEASED, {}) in told
    assert harness.team.told[-1] == row.handled[-1]
    assert row.handled[-1].by == ""


async def test_a_card_without_a_secret_is_known_to_nobody(harness: ServiceHarness) -> None:
    question = await harness.put(change_question(await carded(harness), card_secret=""))

    assert await harness.responders.take(on_card(question)) is Refusal.OLD_CARD


async def test_the_secret_of_a_card_is_drawn_when_its_request_is_stored_and_stays(
    harness: ServiceHarness,
) -> None:
    await harness.ask()
    stored = await harness.question()
    later = await carded(harness)

    assert len(bytes.fromhex(stored.card_secret)) == 16
    assert stored.card_secret == later.card_secret
    assert stored.card_secret not in stored.ref
    await harness.service.receive([a_request("another")])
    another = await harness.store.find("another")
    assert another is not None
    assert another.card_secret != stored.card_secret


# Who may receive an alert


@pytest.mark.parametrize(
    ("person", "refusal"),
    [
        (replace(GRACE, deactivated=True), Refusal.RECEIVER_UNFIT),
        (replace(GRACE, is_bot=True), Refusal.RECEIVER_UNFIT),
        (replace(GRACE, is_guest=True), Refusal.RECEIVER_UNFIT),
        (replace(GRACE, is_external=True), Refusal.RECEIVER_UNFIT),
        (replace(GRACE, slack_id="U0ADA"), Refusal.RECEIVER_ASKED),
        (replace(GRACE, other_slack_id="U0ADA"), Refusal.RECEIVER_ASKED),
        (replace(GRACE, slack_id="W0ADA"), Refusal.RECEIVER_ASKED),
        (replace(GRACE, slack_id="U0DOROTHY"), Refusal.RECEIVER_NO_RESPONDER),
        (TransientError("no network"), Refusal.RECEIVER_UNKNOWN),
    ],
)
async def test_an_alert_is_handed_over_to_nobody_who_could_not_take_it(
    person: Person | Exception, refusal: Refusal
) -> None:
    harness = team_of(replace(TEAM, responders=frozenset({"U0RADIA", "U0GRACE", "U0ADA", "W0ADA"})))
    question = await harness.put(change_question(await carded(harness), other_slack_id="W0ADA"))
    harness.messenger.people["U0GRACE"] = person

    assert await harness.responders.hand_over(on_card(question), "U0GRACE") is refusal

    assert (await harness.question()).taken_by == ""


async def test_an_alert_is_handed_over_within_the_organisation_where_somebody_could_take_it(
    harness: ServiceHarness,
) -> None:
    question = await carded(harness)
    harness.messenger.people["U0GRACE"] = replace(GRACE, is_external=True, is_colleague=True)

    await harness.responders.hand_over(on_card(question), "U0GRACE")

    assert (await harness.question()).taken_by == "U0GRACE"


async def test_slack_is_not_asked_about_a_receiver_by_somebody_who_may_not_hand_over(
    harness: ServiceHarness,
) -> None:
    question = await carded(harness)
    harness.messenger.finds.clear()

    await harness.responders.hand_over(replace(on_card(question), slack_id="U0ADA"), "U0GRACE")

    assert harness.messenger.finds == []


# What a Home lists


async def test_whoever_has_an_alert_finds_it_on_their_home(harness: ServiceHarness) -> None:
    question = await take(harness)
    mine = (await harness.service.questions_of("U0RADIA")).taken
    await harness.responders.hand_over(on_card(question), "U0GRACE")

    assert [each.ref for each in mine] == [question.ref]
    assert (await harness.service.questions_of("U0RADIA")).taken == []
    assert [each.ref for each in (await harness.service.questions_of("U0GRACE")).taken] == [question.ref]


async def test_a_take_that_is_stored_late_keeps_its_place_among_the_events(harness: ServiceHarness) -> None:
    question = await take(harness)
    early = replace(on_card(question), at=NOON - timedelta(days=1))

    await harness.responders.release(early)

    first, last = (await harness.question()).handled
    assert first.at < last.at
