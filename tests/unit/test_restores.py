"""What a restored store does not know is read in Slack, and never contradicted by a milder word."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, ADDRESS, NOON, a_message, a_request
from service_harness import IDENTIFIER, ServiceHarness, a_click, a_note, on_card

from bot.errors import AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.sqs.wire import read_report
from bot.triage import restore_rules
from bot.triage.answer_rules import Refusal
from bot.triage.asking_rules import new_ref
from bot.triage.model import (
    Change,
    Choice,
    MessageRef,
    OutboxRow,
    Person,
    Question,
    Restore,
    Shown,
    State,
)
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy
from bot.triage.ports import SendDecision

HOUR = timedelta(hours=1)
RESTORED = NOON + 3 * HOUR
SETTLED = RESTORED + timedelta(seconds=30)
POLICY = Policy(hold=timedelta(0), security_channel="C0SECURITY", open_per_person=100)
NO = Shown(reports=1, standing=Outcome.NO, said=Choice.NO, answered_at=NOON + HOUR)
YES = Shown(reports=1, standing=Outcome.YES, said=Choice.YES, answered_at=NOON + HOUR)
NOT_ANSWERED = Shown(reports=0)
TIMED_OUT = Shown(reports=1, standing=Outcome.TIMED_OUT)

#: Whatever a message shows that nobody can read.
UNREADABLE: list[Any] = [
    "deleted",
    "of an earlier release",
    AppRejected("missing_scope", remedy=""),
    "no channel",
]


class Restored(ServiceHarness):
    """A service that starts with a backup."""

    def __init__(self) -> None:
        super().__init__(POLICY)

    async def work(self) -> None:
        """Do what is due now, and what is due now because of that."""
        for _ in range(3):
            await super().work()

    async def restore(self) -> None:
        """Put the store as it stands in place of a later one."""
        self.clock.now = RESTORED
        await self.store.reset_after_restore(RESTORED, since=NOON, longest=24 * HOUR)
        self.restart()

    async def restore_open(self, shown: Shown | None, *, choice: Choice | None = None) -> Question:
        """Restore a question that was asked before the backup; return it. Its message shows this by now."""
        question = await (self.answer(choice) if choice else self.ask())
        self.messenger.shown = {question.ref: a_message(question, shown=shown)}
        self.clock.now = NOON + timedelta(minutes=2)
        await self.work()
        await self.restore()
        return question

    async def lose(self, shown: Shown | None = NOT_ANSWERED, *, request: bool = True) -> Question:
        """Restore an empty backup, of before a question was asked; return the question."""
        lost = replace(await self.ask(), ref=new_ref(IDENTIFIER, "5" * 32), slack_id="U0ADA", channel="D0ADA")
        found = a_message(lost, shown=shown)
        self.messenger.shown = {lost.ref: found if request else replace(found, request=None)}
        self.store.questions.clear()
        self.messenger.posts.clear()
        await self.restore()
        return lost

    async def told(self) -> list[tuple[int, str, bool]]:
        """The sequence and the outcome of each report, and whether it is a note."""
        return [_told(row) for row in await self.reports()]


def _told(row: OutboxRow) -> tuple[int, str, bool]:
    body = json.loads(row.body)
    return row.sequence, body["details"]["triagebot"]["outcome"], body["category"] != "triagebot"


@pytest.fixture
def harness() -> Restored:
    return Restored()


# What was answered since


@pytest.mark.parametrize("seconds", [60, 30 * 3600])
async def test_a_restored_question_takes_over_the_answer_that_its_message_shows(
    harness: Restored, seconds: float
) -> None:
    await harness.restore_open(NO)

    await harness.pass_time(until=RESTORED + timedelta(seconds=seconds))

    question = await harness.question()
    assert (question.standing, question.said, question.answered_at) == (Outcome.NO, Choice.NO, NOON + HOUR)
    assert await harness.told() == [(1, "no", False)]  # again: its report may have been lost with the store
    assert harness.messenger.reminders == []
    assert len(harness.team.cards) == 1
    assert question.shown == question.reports == 2


async def test_a_question_that_nobody_has_answered_goes_on(harness: Restored) -> None:
    await harness.restore_open(NOT_ANSWERED)

    await harness.pass_time(until=RESTORED + 30 * HOUR)

    assert await harness.told() == [(0, "timedOut", False)]
    assert [moment for moment, _ in harness.messenger.reads] == [SETTLED]
    assert [moment for moment, _ in harness.messenger.reminders] == [SETTLED + 4 * HOUR]


async def test_the_message_is_read_before_an_older_state_is_drawn_over_it(harness: Restored) -> None:
    asked = await harness.ask()
    harness.messenger.redraw_ends = [TransientError("no network")]
    answered = await harness.answer(Choice.YES)
    assert answered.outdated
    harness.messenger.shown = {asked.ref: a_message(asked, shown=replace(NO, reports=2))}
    await harness.restore()

    await harness.pass_time(until=RESTORED + HOUR)

    assert {drawn.standing for drawn, _ in harness.messenger.redraws} == {Outcome.NO}
    assert (await harness.told())[-1] == (2, "no", False)


@pytest.mark.parametrize("choice", [Choice.YES, Choice.NOT_SURE])
async def test_a_click_counts_against_what_the_message_shows(harness: Restored, choice: Choice) -> None:
    question = await harness.restore_open(replace(NO, reports=2), choice=Choice.YES)

    answered = await harness.service.answer(a_click(question, choice))

    assert isinstance(answered, Question)
    assert (answered.standing, answered.said, answered.retracted) == (Outcome.NO, choice, True)
    assert await harness.told() == [(0, "yes", False), (2, "no", False), (3, "no", True)]


async def test_a_click_cannot_count_while_slack_does_not_answer(harness: Restored) -> None:
    question = await harness.restore_open(NO)
    shown, harness.messenger.shown = harness.messenger.shown, {"": TransientError("no network")}
    with pytest.raises(TransientError):
        await harness.service.answer(a_click(question, Choice.YES))

    harness.messenger.shown = shown

    answered = await harness.service.answer(a_click(question, Choice.YES))
    assert isinstance(answered, Question)
    assert answered.standing is Outcome.NO


async def test_a_crash_after_the_restore_forgets_nothing(harness: Restored) -> None:
    await harness.restore_open(NO)
    harness.restart()
    await harness.pass_time(until=SETTLED - timedelta(seconds=1))
    assert (await harness.question()).standing is None

    harness.restart()
    await harness.pass_time(until=RESTORED + HOUR)

    assert await harness.told() == [(1, "no", False)]


# What nobody can read


def make_unreadable(harness: Restored, question: Question, why: object) -> None:
    message = a_message(question)
    ends = {
        "deleted": {},
        "of an earlier release": {question.ref: message},
        "no channel": UnknownErrorCode("x"),
    }
    end: Any = ends.get(str(why), why)
    harness.messenger.shown = end if isinstance(end, dict) else {"": end}


@pytest.mark.parametrize("why", UNREADABLE)
@pytest.mark.parametrize("choice", Choice)
async def test_where_the_standing_cannot_be_read_only_a_no_counts(
    harness: Restored, why: object, choice: Choice
) -> None:
    question = await harness.restore_open(None)
    make_unreadable(harness, question, why)
    harness.clock.now = SETTLED

    answered = await harness.service.answer(a_click(question, choice))

    assert isinstance(answered, Question)
    assert await harness.told() == [(100, choice.value, choice is not Choice.NO)]
    await harness.service.answer(a_click(question, Choice.NO))
    await harness.service.answer(a_click(question, Choice.YES))
    assert (await harness.told())[-2:] == (
        [(100, "no", False), (101, "no", True)]
        if choice is Choice.NO
        else [(101, "no", False), (102, "no", True)]
    )


async def test_a_deadline_that_cannot_be_judged_goes_out_as_a_note(harness: Restored) -> None:
    question = await harness.restore_open(NO)
    make_unreadable(harness, question, TransientError("no network"))

    await harness.pass_time(until=RESTORED + 25 * HOUR)

    assert await harness.told() == [(100, "timedOut", True)]


async def test_a_deadline_that_has_come_waits_for_an_hour(harness: Restored) -> None:
    question = await harness.restore_open(NO)
    make_unreadable(harness, question, TransientError("no network"))
    await harness.store.reset_after_restore(RESTORED, longest=timedelta(seconds=1))
    harness.restart()

    await harness.pass_time(until=RESTORED + HOUR / 2)
    assert await harness.told() == []

    harness.messenger.shown = {question.ref: a_message(question, shown=NO)}
    await harness.pass_time(until=RESTORED + HOUR)
    assert await harness.told() == [(1, "no", False)]


async def test_whoever_cannot_be_found_any_more_may_have_answered(harness: Restored) -> None:
    await harness.accept()
    await harness.restore()
    harness.messenger.can_look_up = False

    await harness.pass_time(until=RESTORED + HOUR)

    assert await harness.told() == [(100, "undeliverable", True)]


def test_sequences_go_on_from_the_next_hundred() -> None:
    restore = Restore(since=NOON, until=RESTORED)
    question = Question(request=a_request(), ref="k.s", accepted_at=NOON, due_at=None, reports=103, shown=102)

    unsure = restore_rules.give_up_reading(question, restore, RESTORED)

    assert (unsure.reports, unsure.shown, unsure.outdated) == (200, 199, False)


# What was asked since


async def test_a_request_that_is_delivered_again_takes_over_its_message(harness: Restored) -> None:
    lost = await harness.lose(NO)
    await harness.accept()

    await harness.pass_time(until=RESTORED + HOUR)

    question = await harness.question()
    assert harness.messenger.posts == []
    assert (question.ref, question.message_ref) == (lost.ref, MessageRef(channel="D0ADA", ts=lost.ts))
    assert (question.state, question.standing, question.slack_id) == (State.ASKED, Outcome.NO, "U0ADA")
    assert await harness.told() == [(1, "no", False)]


@pytest.mark.parametrize(
    ("readable_after", "told"),
    [
        (HOUR / 2, [(1, "no", False)]),
        (2 * HOUR, [(100, "undeliverable", True), (101, "no", False)]),
    ],
)
async def test_a_deadline_of_a_request_that_is_delivered_again_waits_until_its_message_may_be_found(
    harness: Restored, readable_after: timedelta, told: list[tuple[int, str, bool]]
) -> None:
    await harness.lose(NO)
    harness.messenger.pages = [TransientError("no network")] * 100_000
    await harness.accept()
    question = await harness.question()
    hurried = replace(question, version=question.version + 1, deadline=RESTORED + timedelta(seconds=5))
    assert await harness.store.save(Change(question=hurried))

    await harness.pass_time(until=RESTORED + readable_after)
    harness.messenger.pages = []
    await harness.pass_time(until=RESTORED + readable_after + HOUR)

    assert await harness.told() == told
    assert harness.messenger.posts == []


async def test_a_conversation_is_read_once_whole_and_from_before_the_backup(harness: Restored) -> None:
    await harness.lose()
    await harness.accept()
    await harness.service.receive([a_request("another"), a_request("a third")])
    harness.messenger.pages = [TransientError("no network")]

    await harness.pass_time(until=RESTORED + HOUR)
    harness.restart()
    await harness.service.receive([a_request("the last")])
    await harness.pass_time(until=RESTORED + 2 * HOUR)

    asked = {question.identifier for _, question in harness.messenger.posts}
    assert asked == {"another", "a third", "the last"}
    read = [moment for moment, read in harness.messenger.reads if read == "U0ADA"]
    assert len(read) == 2  # the first failed
    assert read[0] == SETTLED
    assert harness.store.restore == Restore(since=NOON - timedelta(minutes=30), until=RESTORED)


async def test_a_message_that_does_not_say_what_it_shows_is_taken_over_too(harness: Restored) -> None:
    await harness.lose(None)
    await harness.accept()

    await harness.pass_time(until=RESTORED + 25 * HOUR)

    assert harness.messenger.posts == []
    assert await harness.told() == [(100, "timedOut", True)]


@pytest.mark.parametrize("trouble", ["no scope", "refused"])
async def test_nobody_is_asked_while_their_conversation_cannot_be_read(
    harness: Restored, trouble: str
) -> None:
    await harness.lose()
    await harness.accept()
    if trouble == "no scope":
        harness.messenger.can_look_up = False
    else:
        harness.messenger.pages = [AppRejected("missing_scope", remedy="")] * 1000

    await harness.pass_time(until=RESTORED + HOUR)

    assert harness.messenger.posts == []
    assert (await harness.question()).state is State.ACCEPTED


# A click on what is lost


@pytest.mark.parametrize("in_home", [False, True])
async def test_a_click_on_a_lost_question_recreates_its_row(harness: Restored, in_home: bool) -> None:  # noqa: FBT001 - of a table
    lost = await harness.lose(TIMED_OUT)
    click = a_click(lost, Choice.NO)
    harness.clock.now = SETTLED

    answered = await harness.service.answer(replace(click, message_ref=None) if in_home else click)

    assert isinstance(answered, Question)
    assert (answered.ref, answered.standing, answered.request.user) == (lost.ref, Outcome.NO, ADDRESS)
    assert await harness.told() == [(1, "timedOut", False), (2, "no", False)]
    await harness.accept()  # its request, delivered again, says the same
    await harness.pass_time(until=RESTORED + 30 * HOUR)
    assert harness.messenger.posts == []


async def test_a_click_on_a_lost_question_that_is_delivered_again_answers_that(harness: Restored) -> None:
    lost = await harness.lose()
    await harness.accept()

    answered = await harness.service.answer(a_click(lost, Choice.NO))

    assert isinstance(answered, Question)
    assert answered == await harness.question()
    assert (answered.ref, answered.standing) == (lost.ref, Outcome.NO)
    await harness.pass_time(until=RESTORED + HOUR)
    assert harness.messenger.posts == []


async def test_a_note_on_a_lost_answer_is_kept(harness: Restored) -> None:
    lost = await harness.lose(NO)
    harness.clock.now = SETTLED

    noted = await harness.service.add_note(a_note(lost))

    assert isinstance(noted, Question)
    assert await harness.told() == [(1, "no", False), (2, "no", True)]


@pytest.mark.parametrize(
    "why", ["never restored", "long ago", "no metadata", "other workspace", "other message", "somebody else"]
)
async def test_any_other_click_on_an_unknown_ref_is_told_so(harness: Restored, why: str) -> None:
    lost = await harness.lose(NO, request=why != "no metadata")
    click = a_click(lost, Choice.YES)
    harness.clock.now = SETTLED
    if why == "never restored":
        harness.store.restore = None
        harness.restart()
    elif why == "long ago":
        harness.clock.now = NOON + timedelta(days=31)
    elif why == "other workspace":
        click = replace(click, same_workspace=False)
    elif why == "other message":
        click = replace(click, message_ref=MessageRef(channel="D0ADA", ts="1.1"))
    elif why == "somebody else":
        click = replace(click, message_ref=MessageRef(channel="C0HALL", ts=lost.ts))

    assert await harness.service.answer(click) is Refusal.CLOSED
    assert harness.store.questions == {}


async def test_somebody_elses_click_changes_nothing_of_what_is_not_read(harness: Restored) -> None:
    await harness.accept()
    await harness.restore()
    before = await harness.question()

    refused = await harness.service.answer(replace(a_click(before), slack_id="U0EVE"))

    assert refused is Refusal.OTHER_PERSON
    assert (await harness.question()).read_at is None


# Cards


async def test_a_card_that_the_message_names_is_not_posted_again(harness: Restored) -> None:
    await harness.restore_open(replace(NO, card_ts="1764000001.000200"))

    await harness.pass_time(until=RESTORED + HOUR)

    assert [card.card_ts for card in harness.team.cards] == ["1764000001.000200"]
    assert harness.team.told == []


async def test_a_card_that_somebody_takes_is_not_posted_again(harness: Restored) -> None:
    question = await harness.restore_open(NO)
    harness.clock.now = SETTLED

    taken = await harness.responders.take(on_card(question, ts="1764000001.000200"))
    await harness.pass_time(until=RESTORED + HOUR)

    assert isinstance(taken, Question)
    assert {card.card_ts for card in harness.team.cards} == {"1764000001.000200"}


async def test_thread_lines_go_on_after_a_gap_in_the_sequences(harness: Restored) -> None:
    question = await harness.restore_open(None, choice=Choice.NOT_SURE)
    harness.clock.now = SETTLED

    await harness.service.answer(a_click(question, Choice.NO))
    await harness.pass_time(until=RESTORED + HOUR)

    assert [event.sequence for event in harness.team.told if hasattr(event, "sequence")] == [100]


# The window


@pytest.mark.parametrize(
    ("earlier", "written_at", "since"),
    [
        (None, NOON, NOON - timedelta(minutes=30)),
        (None, None, RESTORED - timedelta(days=14, minutes=30)),
        (Restore(since=NOON - HOUR, until=NOON), NOON, NOON - HOUR),
        (Restore(since=NOON - 900 * HOUR, until=NOON - 800 * HOUR), NOON, NOON - timedelta(minutes=30)),
    ],
)
def test_the_window_begins_before_the_backups_last_commit(
    earlier: Restore | None, written_at: Any, since: Any
) -> None:
    assert restore_rules.restore_window(earlier, written_at, RESTORED) == Restore(since=since, until=RESTORED)


# Reports that waited in the backup


@pytest.mark.parametrize(
    ("shown", "fate", "told"),
    [
        (replace(NO, reports=2), SendDecision.DROP, [(0, "yes", False), (2, "no", False)]),
        (YES, SendDecision.SEND, [(0, "yes", False)]),
        (None, SendDecision.DROP, [(0, "yes", False), (100, "yes", True)]),
    ],
)
async def test_a_report_of_the_backup_is_not_sent_over_a_harsher_one(
    harness: Restored, shown: Shown | None, fate: SendDecision, told: list[tuple[int, str, bool]]
) -> None:
    await harness.restore_open(shown, choice=Choice.YES)
    [waiting] = await harness.reports()
    restores = harness.restores
    assert await restores.judge_report(read_report, waiting) is SendDecision.WAIT

    harness.clock.now = SETTLED

    assert [await restores.judge_report(read_report, waiting) for _ in range(2)] == [fate] * 2
    assert await harness.told() == told


async def test_a_report_of_the_backup_goes_before_what_was_said_since_the_restore(harness: Restored) -> None:
    question = await harness.restore_open(YES, choice=Choice.YES)
    harness.clock.now = SETTLED
    await harness.service.answer(replace(a_click(question, Choice.NO), at=SETTLED))

    fates = [await harness.restores.judge_report(read_report, row) for row in await harness.reports()]

    assert fates == [SendDecision.SEND, SendDecision.SEND]
    assert await harness.told() == [(0, "yes", False), (1, "no", False)]


async def test_of_reports_that_all_waited_in_the_backup_only_the_harshest_is_sent(harness: Restored) -> None:
    await harness.answer(Choice.YES)
    await harness.restore_open(replace(NO, reports=2), choice=Choice.NO)
    harness.clock.now = SETTLED

    fates = [await harness.restores.judge_report(read_report, row) for row in await harness.reports()]

    assert fates[:2] == [SendDecision.DROP, SendDecision.SEND]


async def test_what_is_reported_after_the_restore_is_sent(harness: Restored) -> None:
    question = await harness.restore_open(NOT_ANSWERED)
    harness.clock.now = SETTLED
    click = replace(a_click(question, Choice.NO), at=SETTLED)
    assert isinstance(await harness.service.answer(click), Question)
    [row] = await harness.reports()

    assert await harness.restores.judge_report(read_report, row) is SendDecision.SEND


async def test_questions_that_waited_for_the_history_are_asked_one_after_another(harness: Restored) -> None:
    await harness.restore()
    await harness.service.receive([a_request(name) for name in "abcde"])

    await harness.pass_time(until=RESTORED + HOUR)

    asked = sorted(moment - SETTLED for moment, _ in harness.messenger.posts)
    assert asked == [timedelta(seconds=number) for number in (0, 0, 0, 1, 2)]  # a burst of three


async def test_a_question_of_before_the_restore_that_is_asked_after_it_need_not_be_read(
    harness: Restored,
) -> None:
    await harness.accept()
    await harness.restore()

    await harness.pass_time(until=RESTORED + HOUR)

    assert len(harness.messenger.posts) == 1
    assert [read for _, read in harness.messenger.reads] == ["U0ADA"]  # the conversation alone


async def test_a_request_that_comes_after_the_restore_is_new_though_the_time_goes_back(
    harness: Restored,
) -> None:
    await harness.restore()
    harness.clock.now = RESTORED - timedelta(seconds=1)
    harness.messenger.people = {ADDRESS: Undeliverable("users_not_found")}
    await harness.accept()

    await harness.pass_time(until=RESTORED + HOUR)

    assert await harness.told() == [(0, "undeliverable", False)]


async def test_a_code_that_nobody_knows_settles_nothing(harness: Restored) -> None:
    question = await harness.restore_open(NO)
    make_unreadable(harness, question, "no channel")
    await harness.pass_time(until=RESTORED + HOUR)
    assert (await harness.question()).read_at is None

    harness.messenger.shown = {question.ref: a_message(question, shown=NO)}
    await harness.pass_time(until=RESTORED + 2 * HOUR)

    assert await harness.told() == [(1, "no", False)]


async def test_a_click_on_the_card_of_a_lost_alert_recreates_its_row_and_renews_the_card(
    harness: Restored,
) -> None:
    lost = await harness.lose(NO)
    take = on_card(lost, ts="1764000001.000200")
    assert await harness.responders.take(take) is Refusal.CLOSED  # nobody has read the conversation yet
    await harness.service.receive([a_request("another")])
    await harness.pass_time(until=RESTORED + HOUR)

    assert await harness.responders.take(take) is Refusal.OLD_CARD  # its secret is lost with the row
    await harness.work()
    renewed = await harness.question()
    taken = await harness.responders.take(on_card(renewed))

    assert isinstance(taken, Question)
    assert (taken.ref, taken.slack_id, taken.taken_by) == (lost.ref, "U0ADA", "U0RADIA")
    assert taken.card_ts == "1764000001.000200"


async def test_a_message_is_taken_over_with_the_person_whom_it_was_put_to(harness: Restored) -> None:
    await harness.lose()
    await harness.service.receive([a_request("another")])
    await harness.pass_time(until=RESTORED + HOUR)
    harness.messenger.people |= {ADDRESS: Person(slack_id="U0EVE", slack_name="eve"), "": ADA}
    harness.restart()

    await harness.accept()
    await harness.pass_time(until=RESTORED + 2 * HOUR)

    question = await harness.question()
    assert (question.state, question.slack_id) == (State.ASKED, "U0ADA")
    assert {asked.identifier for _, asked in harness.messenger.posts} == {"another"}


async def test_a_worker_that_wakes_up_after_the_deadline_reads_first(harness: Restored) -> None:
    await harness.restore_open(NO)
    harness.clock.now = RESTORED + 100 * HOUR

    await harness.pass_time(until=RESTORED + 101 * HOUR)

    assert await harness.told() == [(1, "no", False)]
