"""A flood for one person: a limited number of questions are open at a time, and the others wait."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bursts_harness import PERSON, BurstsHarness, flood
from fakes import ADA, ADDRESS, NOON
from memory_store import MemoryStore

from bot.errors import AmbiguousError, PermanentError, StoreError, TransientError
from bot.triage import asking_rules, place_rules, restore_rules
from bot.triage.answer_rules import Refusal
from bot.triage.assignments import CardClick
from bot.triage.model import FOUND_LINE, Change, Choice, FoundQuestion, MessageRef, Question, State, Work
from bot.triage.outcomes import Outcome, Reason
from bot.triage.places import Places
from bot.triage.policy import AlertPolicies, AlertPolicy, AskWhen, Policy
from bot.triage.working_time import parse_working_hours

HOUR = 3600


@pytest.fixture
def harness() -> BurstsHarness:
    return BurstsHarness()


async def test_three_questions_of_one_person_are_open_at_a_time(harness: BurstsHarness) -> None:
    await harness.accept(*flood(5))

    await harness.work(seconds=30)

    assert harness.asked() == ["decoy-0000", "decoy-0001", "decoy-0002"]
    waiting = await harness.question("decoy-0003")
    assert (waiting.state, waiting.waits_for, waiting.due_at) == (State.ACCEPTED, PERSON, None)
    assert waiting.waited_since is not None


async def test_an_answer_lets_the_oldest_that_waits_be_asked(harness: BurstsHarness) -> None:
    await harness.accept(*flood(6))
    await harness.work(seconds=30)

    await harness.answer("decoy-0001", Choice.NO)
    await harness.work(seconds=2)

    assert harness.asked() == ["decoy-0000", "decoy-0002", "decoy-0003"]
    still = await harness.question("decoy-0004")
    assert (still.standing, still.waits_for) == (None, PERSON)


async def test_a_question_that_nobody_answered_gives_its_place_back(harness: BurstsHarness) -> None:
    harness.policy = replace(harness.policy, expire_after=timedelta(minutes=10), remind_after=None)
    harness.restart()
    await harness.accept(*flood(3))
    await harness.work(seconds=60)
    await harness.accept(*flood(1, start=3))

    await harness.work(seconds=539)
    before = harness.posted()
    await harness.work(seconds=30)

    assert "decoy-0003" not in before
    assert harness.posted()[-1] == "decoy-0003"


async def test_an_alert_of_another_label_is_not_hidden_by_decoys(harness: BurstsHarness) -> None:
    await harness.accept(*flood(300), *flood(2, label="real"))

    await harness.work(seconds=10)

    assert harness.asked() == ["decoy-0000", "decoy-0001", "decoy-0002", "real-0000"]
    assert harness.posted()[3] == "real-0000"


async def test_there_are_ten_further_places(harness: BurstsHarness) -> None:
    await harness.accept(*flood(4))
    await harness.accept(*[each for number in range(12) for each in flood(1, label=f"other{number:02}")])

    await harness.work(seconds=60)

    assert len(harness.asked()) == 3 + 10


class YieldingStore(MemoryStore):
    """A store whose reads let others go on, as those of a file and of a table do."""

    async def find_places(self, person: str) -> Places | None:
        found: Places | None = await super().find_places(person)
        await asyncio.sleep(0)
        return found

    async def save(self, change: Change) -> bool:
        await asyncio.sleep(0)
        is_saved: bool = await super().save(change)
        return is_saved


class CountingStore(MemoryStore):
    """Counts how often each label is looked at that waits."""

    first_reads = 0

    async def first_waiting(self, person: str) -> Sequence[Question]:
        self.first_reads += 1
        return await super().first_waiting(person)


async def test_labels_that_find_no_place_are_not_read_again_and_again(harness: BurstsHarness) -> None:
    harness.store = CountingStore()
    harness.restart()
    for number in range(20):
        await harness.accept(*flood(1, label=f"kind-{number:02}"))
    await harness.work(seconds=10)
    assert len(harness.posted()) == 13
    before = harness.store.first_reads

    await harness.work(seconds=600)
    assert harness.store.first_reads == before

    await harness.answer("kind-00-0000")
    await harness.work(seconds=10)
    assert len(harness.posted()) == 14


async def test_those_that_come_at_once_reserve_no_turns_that_hide_an_alert_behind_them(
    harness: BurstsHarness,
) -> None:
    harness.store = YieldingStore()
    harness.restart()
    await harness.accept(*flood(60), *flood(1, label="real"), *flood(60, start=60))

    due = await harness.store.due(Work.ASK, harness.clock(), limit=128)
    await asyncio.gather(*(harness.service.work_on(each, Work.ASK) for each in due))
    await harness.work(seconds=2)

    assert harness.posted() == ["decoy-0000", "decoy-0001", "decoy-0002", "real-0000"]


async def test_who_waits_for_a_turn_has_a_place(harness: BurstsHarness) -> None:
    """Else all that come meanwhile would reserve turns, too."""
    harness.policy = replace(harness.policy, open_per_person=5)
    harness.restart()

    await harness.accept(*flood(60), *flood(1, label="real"))
    await harness.work(seconds=4)

    assert [each for each in harness.asked() if "real" in each] == ["real-0000"]
    assert len(harness.posted()) == 5 + 1


async def test_other_people_are_not_held_up(harness: BurstsHarness) -> None:
    grace = replace(ADA, slack_id="U0GRACE", slack_name="grace")
    harness.messenger.people["grace@example.com"] = grace
    await harness.accept(*flood(100), *flood(1, label="hers", user="grace@example.com"))

    await harness.work(seconds=2)

    assert "hers-0000" in harness.asked()


async def test_the_person_gets_one_line_and_the_team_one_card(harness: BurstsHarness) -> None:
    await harness.accept(*flood(40))
    await harness.work(seconds=60)
    for number in range(10):
        await harness.answer(f"decoy-{number:04}")
        await harness.work(seconds=3)
    await harness.work(seconds=60)

    burst = await harness.burst()
    assert len(harness.messenger.lines) == 1
    assert {each.burst.card_ts for each in harness.team.bursts[1:] if each.burst} == {burst.card_ts}
    assert harness.team.cards == []
    assert burst.waiting == 40 - 3 - 10
    assert burst.kinds == {"decoy": 37}
    assert list(burst.first) == [f"decoy-{number:04}" for number in range(3, 23)]


async def test_the_card_counts_all_however_many_kinds_there_are(harness: BurstsHarness) -> None:
    kinds = [each for number in range(80) for each in flood(2, label=f"kind{number:02}")]
    await harness.accept(*kinds)
    await harness.work(seconds=60)

    burst = await harness.burst()

    assert burst.waiting == 160 - 13
    assert burst.waiting <= sum(burst.kinds.values()) <= 160
    assert len(burst.kinds) == 51


async def test_members_that_were_never_asked_have_no_card_of_their_own_whatever_becomes_of_them(
    harness: BurstsHarness,
) -> None:
    await harness.accept(*flood(20))
    await harness.work(seconds=30)
    harness.messenger.people[ADDRESS] = replace(ADA, deactivated=True)
    harness.restart()

    for number in range(3):
        await harness.answer(f"decoy-{number:04}")
    await harness.work(seconds=60)

    ended = [await harness.question(f"decoy-{number:04}") for number in range(3, 20)]
    assert {(each.state, each.reason) for each in ended} == {(State.CLOSED, Reason.USER_DEACTIVATED)}
    assert harness.team.cards == []
    assert (await harness.places()).burst is None


async def test_the_card_is_updated_at_a_pace(harness: BurstsHarness) -> None:
    await harness.accept(*flood(500))
    await harness.work(seconds=60)

    assert len(harness.team.bursts) <= 3


async def test_a_no_changes_nothing_for_those_that_wait_and_is_named_on_the_card(
    harness: BurstsHarness,
) -> None:
    await harness.accept(*flood(6))
    await harness.work(seconds=30)

    await harness.answer("decoy-0000", Choice.NO)
    await harness.work(seconds=30)

    last = harness.team.bursts[-1].burst
    assert last
    assert list(last.denied) == ["decoy-0000"]
    assert [(await harness.question(f"decoy-000{number}")).standing for number in (4, 5)] == [None, None]


async def test_a_burst_ends_once_nobody_waits_and_the_next_has_a_card_of_its_own(
    harness: BurstsHarness,
) -> None:
    await harness.accept(*flood(5))
    await harness.work(seconds=30)
    for number in range(5):
        await harness.work(seconds=10)
        await harness.answer(f"decoy-000{number}")
    await harness.work(seconds=60)

    assert (await harness.places()).burst is None
    ended = harness.team.bursts[-1].burst
    assert ended
    assert ended.ended_at

    await harness.accept(*flood(5, start=5))
    await harness.work(seconds=30)

    assert len(harness.messenger.lines) == 2
    assert (await harness.burst()).card_ts != ended.card_ts


async def test_what_finds_no_place_for_an_hour_is_reported_and_still_asked_later(
    harness: BurstsHarness,
) -> None:
    await harness.accept(*flood(4))

    await harness.work(seconds=HOUR + 60)

    row = await harness.question("decoy-0003")
    assert (row.state, row.standing, row.reason) == (
        State.ACCEPTED,
        Outcome.UNDELIVERABLE,
        Reason.TOO_MANY_OPEN,
    )
    assert row.settled_at == (row.waited_since or NOON) + timedelta(hours=1)
    assert harness.team.cards == []

    await harness.answer("decoy-0000")
    await harness.work(seconds=5)
    await harness.answer("decoy-0003", Choice.NO)

    assert (await harness.question("decoy-0003")).standing is Outcome.NO
    assert len(await harness.reports("decoy-0003")) == 2


async def test_what_was_called_too_late_to_be_asked_in_time_has_a_card_of_its_own(
    harness: BurstsHarness,
) -> None:
    await harness.accept(*flood(4))
    await harness.work(seconds=30)
    waiting, places = await harness.question("decoy-0003"), await harness.places()

    called = place_rules.call(waiting, places, NOON, harness.policy).question
    ended = asking_rules.expire(called, called.deadline or NOON, harness.policy)

    assert ended is not None
    assert (ended.question.reason, ended.question.in_doubt_since) == (Reason.NOT_ASKED_IN_TIME, None)
    assert ended.question.card_due_at == called.deadline


async def test_what_never_finds_a_place_is_given_up_without_another_report(harness: BurstsHarness) -> None:
    harness.policy = replace(harness.policy, expire_after=None, remind_after=None)
    harness.restart()
    await harness.accept(*flood(5))

    await harness.work(seconds=60)
    harness.clock.advance(seconds=24 * HOUR - 120)  # in which it would be looked at every few seconds
    await harness.work()
    waits = await harness.question("decoy-0004")
    await harness.work(seconds=120)

    row = await harness.question("decoy-0004")
    assert waits.state is State.ACCEPTED
    assert (row.state, row.reason, row.work, row.due_at) == (State.CLOSED, Reason.TOO_MANY_OPEN, None, None)
    assert len(await harness.reports("decoy-0004")) == 1
    await harness.work(seconds=120)
    assert (await harness.places()).burst is None


async def test_one_that_was_asked_late_keeps_its_place(harness: BurstsHarness) -> None:
    """It has an outcome, and yet the person has it before them: else the whole backlog would follow."""
    await harness.accept(*flood(20))
    await harness.work(seconds=HOUR + 60)

    for number in range(3):
        await harness.answer(f"decoy-{number:04}")
    await harness.work(seconds=60)

    assert harness.posted()[3:] == ["decoy-0003", "decoy-0004", "decoy-0005"]


async def test_a_question_in_doubt_counts_as_open(harness: BurstsHarness) -> None:
    harness.messenger.post_ends = [AmbiguousError("lost"), MessageRef(channel="D0ADA", ts="1.000001")]
    harness.messenger.can_look_up = True
    harness.messenger.look_ends = [TransientError("no network")] * 100
    await harness.accept(*flood(4))

    await harness.work(seconds=60)

    assert len(harness.posted()) == 3


async def test_a_restart_loses_neither_place_nor_burst(harness: BurstsHarness) -> None:
    await harness.accept(*flood(6))
    await harness.work(seconds=30)
    harness.restart()
    await harness.work(seconds=30)
    assert len(harness.posted()) == 3

    await harness.answer("decoy-0002")
    await harness.work(seconds=10)

    assert harness.posted()[3:] == ["decoy-0003"]
    assert len(harness.messenger.lines) == 1


async def test_a_line_in_doubt_is_looked_up_before_it_is_posted_again(harness: BurstsHarness) -> None:
    harness.messenger.line_ends = [AmbiguousError("lost")]
    await harness.accept(*flood(4))

    await harness.work(seconds=120)

    assert len(harness.messenger.looks) == 2
    assert len(harness.messenger.lines) == 2
    assert (await harness.burst()).line.is_over


async def test_a_line_that_is_found_is_not_posted_again(harness: BurstsHarness) -> None:
    harness.messenger.line_ends = [AmbiguousError("lost")]
    harness.messenger.look_ends = [MessageRef(channel="D0ADA", ts="1764000001.000900")]
    await harness.accept(*flood(4))

    await harness.work(seconds=120)

    assert len(harness.messenger.lines) == 1


async def test_a_burst_whose_line_stays_in_doubt_ends_on_its_card_and_leaves_nothing_behind(
    harness: BurstsHarness,
) -> None:
    harness.messenger.line_ends = [AmbiguousError("lost")]
    harness.messenger.look_ends = [TransientError("ratelimited")] * 99
    await harness.accept(*flood(4))
    await harness.work(seconds=3)
    for number in range(4):
        await harness.answer(f"decoy-000{number}")
        await harness.work(seconds=2)
    await harness.work(seconds=60)

    ended = harness.team.bursts[-1].burst
    assert ended
    assert ended.line.in_doubt_since
    assert ended.ended_at
    assert (await harness.places()).burst is None
    assert len(harness.messenger.lines) == 1
    assert harness.bursts._look_ups._doubts == {}


async def test_a_refused_card_holds_up_nothing(harness: BurstsHarness) -> None:
    harness.team.show_ends = [PermanentError("channel_not_found")] * 3
    await harness.accept(*flood(4))

    await harness.work(seconds=60)
    await harness.answer("decoy-0000")
    await harness.work(seconds=5)

    assert harness.posted()[-1] == "decoy-0003"


async def on_burst(harness: BurstsHarness, **changes: Any) -> CardClick:
    """Return a click of a stranger to the burst on *Take all*, who is in the channel."""
    click = CardClick(
        card=(await harness.places()).card,
        channel="C0SECURITY",
        ts=(await harness.burst()).card_ts,
        slack_id="U0RADIA",
        slack_name="radia",
        same_workspace=True,
        at=harness.clock(),
    )
    return replace(click, **changes)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"slack_id": "U0ADA"}, Refusal.PERSON_ASKED),
        ({"slack_id": "W0ADA"}, Refusal.PERSON_ASKED),
        ({"same_workspace": False}, Refusal.OTHER_WORKSPACE),
        ({"channel": "C0GENERAL"}, Refusal.OTHER_CHANNEL),
        ({"channel": ""}, Refusal.OTHER_CHANNEL),
        ({"slack_id": "U0GRACE"}, Refusal.NO_RESPONDER),
        ({"card": f"{PERSON}.{'0' * 32}"}, Refusal.OLD_CARD),
        ({"card": PERSON}, Refusal.OLD_CARD),
        ({"card": "U0NOBODY.0"}, Refusal.CLOSED),
        ({"card": ""}, Refusal.CLOSED),
    ],
)
async def test_only_a_responder_in_the_channel_takes_all(
    harness: BurstsHarness, changes: dict[str, Any], refusal: Refusal
) -> None:
    harness.policy = replace(harness.policy, responders=frozenset({"U0RADIA", "U0ADA", "W0ADA"}))
    harness.restart()
    harness.messenger.people[ADDRESS] = replace(ADA, other_slack_id="W0ADA")
    await harness.accept(*flood(5))
    await harness.work(seconds=30)

    assert await harness.bursts.take(await on_burst(harness, **changes)) is refusal

    assert (await harness.burst()).taken_by == ""
    assert isinstance(await harness.bursts.take(await on_burst(harness)), Places)


async def test_the_first_to_take_all_has_it_and_no_question_changes(harness: BurstsHarness) -> None:
    await harness.accept(*flood(5))
    await harness.work(seconds=30)
    before = dict(harness.store.questions)

    for name in ("U0RADIA", "U0RADIA"):
        assert isinstance(await harness.bursts.take(await on_burst(harness, slack_id=name)), Places)
    late = await harness.bursts.take(await on_burst(harness, slack_id="U0GRACE"))
    assert late is Refusal.BURST_TAKEN
    await harness.bursts.drain()

    assert (await harness.burst()).taken_by == "U0RADIA"
    assert harness.store.questions == before
    await harness.answer("decoy-0000")
    await harness.work(seconds=5)
    assert harness.posted()[3:] == ["decoy-0003"]


@pytest.mark.parametrize("is_carried", [True, False])
async def test_a_click_shows_where_a_card_is_only_if_its_message_is_that_card(
    harness: BurstsHarness, *, is_carried: bool
) -> None:
    harness.team.show_ends = [AmbiguousError("lost")]
    await harness.accept(*flood(5))
    await harness.work(seconds=10)
    assert (await harness.burst()).card_ts == ""

    click = await on_burst(harness, ts="5.5", is_carried=is_carried)
    assert isinstance(await harness.bursts.take(click), Places)

    assert ((await harness.burst()).card_ts == "5.5") is is_carried


async def test_a_card_of_a_burst_that_is_over_takes_nothing_of_the_next(harness: BurstsHarness) -> None:
    await harness.accept(*flood(4))
    await harness.work(seconds=30)
    old = await on_burst(harness)
    for number in range(4):
        await harness.answer(f"decoy-000{number}")
        await harness.work(seconds=10)
    await harness.work(seconds=60)
    assert await harness.bursts.take(old) is Refusal.CLOSED
    await harness.accept(*flood(4, start=4))
    await harness.work(seconds=30)

    assert await harness.bursts.take(old) is Refusal.OLD_CARD


async def test_without_a_channel_there_is_no_card_and_the_rest_goes_on(harness: BurstsHarness) -> None:
    harness.policy = replace(harness.policy, security_channel="")
    harness.restart()
    await harness.accept(*flood(5))
    await harness.work(seconds=30)
    taken = await harness.bursts.take(await on_burst(harness, channel=""))
    for number in range(5):
        await harness.answer(f"decoy-000{number}")
        await harness.work(seconds=10)
    await harness.work(seconds=60)

    assert taken is Refusal.OTHER_CHANNEL
    assert harness.team.bursts == []
    assert len(harness.messenger.lines) == 1
    assert len(harness.posted()) == 5
    assert (await harness.places()).burst is None


async def test_a_card_that_is_refused_keeps_no_burst_alive(harness: BurstsHarness) -> None:
    """Else the person would get no line for the next."""
    harness.team.show_ends = [PermanentError("channel_not_found")] * 99
    await harness.accept(*flood(5))
    await harness.work(seconds=30)
    for number in range(5):
        await harness.work(seconds=10)
        await harness.answer(f"decoy-000{number}")
    await harness.work(seconds=60)

    await harness.accept(*flood(5, start=5))
    await harness.work(seconds=30)

    assert len(harness.messenger.lines) == 2


async def test_two_workers_do_not_both_take_the_last_place(harness: BurstsHarness) -> None:
    other = BurstsHarness(beside=harness)
    await harness.accept(*flood(4))
    rows = [await harness.question(f"decoy-000{number}") for number in range(4)]
    for row in rows[:2]:
        await harness.service.work_on(row, row.work)  # type: ignore[arg-type]
    ours = await harness.bursts.find_place(rows[2], ADA)
    theirs = await other.bursts.find_place(rows[3], ADA)
    assert ours
    assert theirs

    assert await harness.bursts.claim(rows[2], ADA, ours)
    assert await other.bursts.claim(rows[3], ADA, theirs) is None

    assert (await harness.question("decoy-0003")).waits_for == PERSON


async def test_questions_that_were_removed_hold_no_place(harness: BurstsHarness) -> None:
    await harness.accept(*flood(3))
    await harness.work(seconds=10)
    harness.store.questions.clear()

    await harness.accept(*flood(1, start=9))
    await harness.work(seconds=10)

    assert harness.posted()[-1] == "decoy-0009"
    assert (await harness.places()).burst is None


async def test_a_lower_limit_takes_nothing_back_and_asks_nobody_before_it_is_met(
    harness: BurstsHarness,
) -> None:
    await harness.accept(*flood(5))
    await harness.work(seconds=30)
    harness.policy = replace(harness.policy, open_per_person=1)
    harness.restart()

    for number in range(2):
        await harness.answer(f"decoy-000{number}")
        await harness.work(seconds=10)
    assert len(harness.posted()) == 3

    await harness.answer("decoy-0002")
    await harness.work(seconds=10)
    assert harness.posted()[3:] == ["decoy-0003"]


async def test_a_store_of_the_release_before_knows_who_is_asked(harness: BurstsHarness) -> None:
    await harness.accept(*flood(3))
    await harness.work(seconds=10)
    harness.store.places.clear()

    await harness.accept(*flood(1, start=3))
    await harness.work(seconds=10)

    assert len(harness.asked()) == 3


async def test_a_restore_asks_no_more_than_may_be_open(harness: BurstsHarness) -> None:
    """Each that waited may have been asked since the backup, and is looked up in Slack."""
    harness.messenger.can_look_up = True
    await harness.accept(*flood(30))
    await harness.work(seconds=30)
    await harness.store.reset_after_restore(harness.clock())
    harness.restart()

    await harness.work(seconds=600)

    assert harness.posted() == ["decoy-0000", "decoy-0001", "decoy-0002"]
    await harness.answer("decoy-0000")
    await harness.work(seconds=5)
    assert harness.posted()[3:] == ["decoy-0003"]


@pytest.mark.parametrize("known_before", ["U0ADA", ""], ids=["both known", "one is new"])
async def test_both_ids_of_a_person_share_their_places(harness: BurstsHarness, known_before: str) -> None:
    harness.messenger.people[ADDRESS] = replace(ADA, slack_id="W0ADA", other_slack_id=known_before)
    await harness.accept(*flood(2))
    await harness.work(seconds=10)
    harness.messenger.people[ADDRESS] = replace(ADA, slack_id="U0ADA", other_slack_id="W0ADA")
    harness.restart()
    await harness.accept(*flood(2, start=2))

    await harness.work(seconds=10)

    assert len(harness.asked()) == 3


async def test_a_question_that_takes_a_message_over_waits_no_longer(harness: BurstsHarness) -> None:
    """It was lost, delivered again, and clicked while it waited."""
    await harness.accept(*flood(4))
    await harness.work(seconds=10)
    waits = await harness.question("decoy-0003")
    place = MessageRef(channel="D0ADA", ts="1.5")
    ref = f"{waits.ref.partition('.')[0]}.{'f' * 32}"
    found = FoundQuestion(ref=ref, message_ref=place, posted_at=NOON, shown=None)

    step = restore_rules.adopt(waits, found, ADA, harness.clock(), harness.policy)

    assert step
    assert (step.question.state, step.question.waits_for) == (State.ASKED, "")


async def test_what_waits_for_its_hours_keeps_no_place_at_night() -> None:
    """It had a place, and was to wait a moment for its turn, when the working day ended."""
    day = AlertPolicy(ask=AskWhen.WORKING_HOURS)
    policy = Policy(
        hours=parse_working_hours("Mon-Fri 09:00-18:00"),
        alerts=AlertPolicies(by_label={"day": day}),
        open_per_person=4,
    )
    harness = BurstsHarness(policy)
    harness.clock.advance(seconds=6 * HOUR - 0.5)
    await harness.accept(*flood(4, label="day"))
    await harness.work(seconds=30)
    assert len(harness.posted()) == 3

    await harness.accept(*flood(1, label="night"), *flood(1, label="night", start=1))
    await harness.work(seconds=30)

    assert (await harness.places()).held[3].label == "night"
    assert harness.posted()[3:] == ["night-0000", "night-0001"]


async def test_a_question_of_working_hours_takes_no_place_at_night() -> None:
    day = AlertPolicy(ask=AskWhen.WORKING_HOURS)
    policy = Policy(
        hours=parse_working_hours("Mon-Fri 09:00-18:00"),
        alerts=AlertPolicies(by_label={"decoy": day}),
        security_channel="C0SECURITY",
    )
    harness = BurstsHarness(policy)
    await harness.accept(*flood(10))
    await harness.work(seconds=60)
    harness.clock.advance(seconds=8 * HOUR)  # 20:00
    for number in range(3):
        await harness.answer(f"decoy-{number:04}")
    await harness.accept(*flood(4, label="real"))

    await harness.work(seconds=60)

    assert [each for each in harness.posted()[3:] if "decoy" in each] == []
    assert len([each for each in harness.posted()[3:] if "real" in each]) == 3


async def test_slack_that_is_down_loses_nothing(harness: BurstsHarness) -> None:
    harness.messenger.post_ends = [TransientError("no network")] * 30
    harness.messenger.line_ends = [TransientError("no network")] * 30
    await harness.accept(*flood(6))

    await harness.work(seconds=HOUR / 2)
    await harness.answer("decoy-0000")
    await harness.work(seconds=60)

    assert len(harness.asked()) == 3
    assert (await harness.burst()).line.is_over


async def test_a_store_that_fails_is_tried_again(harness: BurstsHarness) -> None:
    await harness.accept(*flood(4))
    await harness.work(seconds=30)
    harness.store.fails = []
    await harness.answer("decoy-0000")
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.work(seconds=1)
    await harness.work(seconds=20)

    assert harness.posted()[-1] == "decoy-0003"


async def test_what_waits_is_in_the_trail(harness: BurstsHarness) -> None:
    await harness.accept(*flood(4))
    await harness.work(seconds=30)

    kinds = [each.kind.value for each in harness.store.events["decoy-0003"]]

    assert kinds == ["accepted", "waited"]


def test_places_are_kept_whole() -> None:
    places = Places(person="U0ADA", touched_at=NOON)

    assert not places.holds("ref")
    assert places.card == ""


@pytest.mark.parametrize(("posted", "lines"), [(timedelta(), 1), (timedelta(hours=-1), 2)])
async def test_a_restore_tells_nobody_twice_of_a_burst_that_the_store_has_lost(
    harness: BurstsHarness, posted: timedelta, lines: int
) -> None:
    """The line is in Slack. One from before the backup was about another burst."""
    await harness.accept(*flood(3))
    await harness.work(seconds=10)
    backup = copy.deepcopy(harness.store)
    backed_up_at = harness.clock()
    harness.clock.advance(seconds=60)
    await harness.accept(*flood(4, start=3))
    await harness.work(seconds=60)
    [(at, line)] = harness.messenger.lines
    ref = f"{FOUND_LINE}{line.ref}"
    place = MessageRef(channel="D0ADA", ts="1.7")
    harness.messenger.shown = {
        ref: FoundQuestion(ref=ref, message_ref=place, posted_at=at + posted, shown=None)
    }
    harness.store = backup
    await harness.store.reset_after_restore(harness.clock(), since=backed_up_at)
    harness.restart()
    await harness.accept(*flood(4, start=3))

    await harness.work(seconds=600)

    assert (await harness.burst()).line.is_over
    assert len(harness.messenger.lines) == lines
