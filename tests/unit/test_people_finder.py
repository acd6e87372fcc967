"""Who is looked up when, and what is remembered and believed of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asking_harness import AskingHarness
from fakes import ADA, ADDRESS, NOON, UPTIME, ScriptedMessenger, SteppedClock, a_request

from bot.errors import (
    AmbiguousError,
    AppRejected,
    NoConversation,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage.model import Question, State
from bot.triage.people import PeopleRules
from bot.triage.people_finder import FRESH_FOR, MET_FOR, MISSING_FOR, Finder
from bot.triage.people_queue import LookUpQueue, Waiting
from bot.triage.rate_limits import ConcurrencyLimiter
from bot.triage.unknown_errors import PATIENCE, UnknownErrorHistory

MOMENT = timedelta(seconds=1)
NOBODY = Undeliverable("users_not_found")
WAIT = TransientError("429", retry_after=timedelta(seconds=60))


class FindingHarness:
    """A Finder, and a Slack that counts its look-ups."""

    def __init__(self, rules: PeopleRules | None = None, **options: int) -> None:
        self.clock = SteppedClock()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.limiter = ConcurrencyLimiter(jitter=lambda: 1.0)
        self.finder = Finder(
            self.messenger, rules or PeopleRules(), clock=self.clock, limiter=self.limiter, **options
        )
        self.calls = 0
        self.messenger.before["find"] = self._count

    async def find(self, email: str = ADDRESS) -> str:
        """Return the id of the person, or why there is none."""
        request = a_request(email, user=email)
        question = Question(request=request, ref=email, accepted_at=self.clock(), due_at=self.clock())
        try:
            return (await self.finder.find(question)).slack_id
        except TriageBotError as error:
            return str(error)

    async def _count(self, _: Question | None) -> None:
        self.calls += 1


@pytest.fixture
def harness() -> FindingHarness:
    return FindingHarness()


async def test_who_was_found_is_believed_for_an_hour_and_known_for_a_day(harness: FindingHarness) -> None:
    await harness.find()

    harness.clock.now += FRESH_FOR
    assert harness.finder.knows(ADDRESS)
    harness.clock.now += MOMENT
    assert not harness.finder.knows(ADDRESS)
    harness.clock.now += MET_FOR - FRESH_FOR - MOMENT
    assert harness.finder.has_met(ADDRESS)
    harness.clock.now += MOMENT
    assert not harness.finder.has_met(ADDRESS)


async def test_an_account_that_vanished_is_noticed_after_an_hour(harness: FindingHarness) -> None:
    ends = [await harness.find()]
    harness.messenger.people[ADDRESS] = NOBODY
    ends.append(await harness.find())
    harness.clock.now += FRESH_FOR + MOMENT
    ends.append(await harness.find())

    assert ends == [ADA.slack_id, ADA.slack_id, "users_not_found"]
    assert not harness.finder.has_met(ADDRESS)


async def test_that_there_is_nobody_is_believed_for_five_minutes(harness: FindingHarness) -> None:
    harness.messenger.people[ADDRESS] = NOBODY

    ends = [await harness.find(), await harness.find()]
    harness.messenger.people[ADDRESS] = ADA
    harness.clock.now += MISSING_FOR
    ends.append(await harness.find())
    assert (ends, harness.calls) == (["users_not_found"] * 3, 1)

    harness.clock.now += MOMENT
    assert await harness.find() == ADA.slack_id
    assert not harness.finder.is_missing(ADDRESS)


async def test_no_number_of_invented_addresses_makes_it_forget_or_grow() -> None:
    harness = FindingHarness(remembered_max=20)
    await harness.find()
    invented = [f"LOGIN{number}@example.com" for number in range(21)]
    harness.messenger.people |= dict.fromkeys(invented, NOBODY)
    for each in invented:
        await harness.find(each)

    assert harness.finder.knows(ADDRESS)
    assert not harness.finder.is_missing(invented[0])
    assert harness.finder.is_missing(invented[1])


async def test_what_is_remembered_is_by_what_was_looked_up() -> None:
    people = {"a@old.example": ADDRESS, "b@old.example": "U0PINNED", ADDRESS: "U0NOBODY"}
    harness = FindingHarness(PeopleRules(people=people, strict=True))
    harness.messenger.people |= {"U0PINNED": replace(ADA, slack_id="U0PINNED"), "U0NOBODY": NOBODY}

    ends = [await harness.find(each) for each in ("a@old.example", "A@old.example", "b@old.example", ADDRESS)]
    assert ends == [ADA.slack_id, ADA.slack_id, "U0PINNED", "users_not_found"]
    known = {each: harness.finder.knows(each) for each in (ADDRESS, "U0PINNED", "a@old.example")}
    assert known == {ADDRESS: True, "U0PINNED": True, "a@old.example": False}

    assert await harness.find("c@old.example") == "not_mapped"
    assert harness.calls == 3
    assert not harness.finder.has_met("c@old.example")


@pytest.mark.parametrize("error", [WAIT, TransientError("no network"), UnknownErrorCode("odd")])
async def test_a_failed_look_up_says_nothing_of_anybody(harness: FindingHarness, error: Exception) -> None:
    harness.messenger.people[ADDRESS] = error
    await harness.find()
    harness.messenger.people[ADDRESS] = ADA

    assert await harness.find() == ADA.slack_id


async def test_a_code_that_three_addresses_meet_halts_look_ups_even_if_known_people_are_asked() -> None:
    asking, unknown = AskingHarness(), ("a@b.c", "d@e.f", "g@h.i")
    asking.messenger.people |= dict.fromkeys(unknown, UnknownErrorCode("odd"))
    await asking.ask(seconds=0)
    for number, user in enumerate(unknown):
        await asking.accept(a_request(f"{number}", user=user), a_request(f"known-{number}"))
        await asking.work(seconds=5)

    assert asking.asker.finder.limiter.rejection_code == "odd"
    assert asking.limiter.rejection_code == ""
    await asking.work(seconds=3600)
    assert await asking.reasons() == []


# Each method has its own limiter


@pytest.mark.parametrize(
    ("refusals", "look_ups_wait", "posts_wait"),
    [
        ({"people": {ADDRESS: WAIT}}, True, False),
        ({"post_ends": [WAIT]}, False, True),
        ({"post_ends": [NoConversation()], "open_ends": [WAIT]}, False, False),
        ({"post_ends": [AmbiguousError("lost")], "look_ends": [WAIT]}, False, False),
    ],
    ids=["users.lookupByEmail", "chat.postMessage", "conversations.open", "conversations.history"],
)
async def test_a_method_that_slack_limits_holds_up_no_other(
    refusals: dict[str, Any], *, look_ups_wait: bool, posts_wait: bool
) -> None:
    harness = AskingHarness()
    await harness.ask(seconds=10, **{name: ends.copy() for name, ends in refusals.items()})

    waits = [limiter.opens_at(UPTIME) for limiter in (harness.asker.finder.limiter, harness.limiter)]
    assert [each is not None for each in waits] == [look_ups_wait, posts_wait]
    harness.messenger.people[ADDRESS] = ADA
    await harness.work(seconds=300)
    assert (await harness.question()).state is State.ASKED


async def test_an_app_that_may_not_look_people_up_still_asks_those_it_knows(harness: FindingHarness) -> None:
    await harness.find()
    harness.messenger.people["grace@example.com"] = AppRejected("missing_scope", remedy="Add it.")

    await harness.find("grace@example.com")

    assert harness.limiter.rejection_code == "missing_scope"
    assert await harness.find() == ADA.slack_id


def row(name: str, label: str = "flood", *, minute: int = 0, wanted: str = "") -> Waiting:
    return Waiting(
        ref=name, wanted=wanted or f"{name}@example.com", label=label, since=NOON + timedelta(minutes=minute)
    )


def filled(limit: int | None = None, *, first: bool = False, **counts: int) -> LookUpQueue:
    """Return a queue in which this many questions of each label wait."""
    queue = LookUpQueue(**({"limit": limit} if limit else {}))
    for label, count in counts.items():
        fill(queue, label, count, first=first)
    return queue


def fill(queue: LookUpQueue, label: str, count: int, *, first: bool = False) -> None:
    for number in range(count):
        queue.add(row(f"{label}-{number}", label, minute=number), first=first)


def turns(queue: LookUpQueue) -> list[str]:
    """Take all; return whose turns they were."""
    taken = []
    while rows := queue.take():
        taken.append(rows[0].ref)
    return taken


def test_the_newest_and_the_oldest_of_a_label_take_turns() -> None:
    assert turns(filled(flood=5)) == ["flood-4", "flood-0", "flood-3", "flood-1", "flood-2"]


def test_labels_take_turns_however_long_their_lines_are() -> None:
    first = [ref.split("-")[0] for ref in turns(filled(flood=1000, quiet=3, rare=1))[:8]]

    assert first == ["flood", "quiet", "rare", "flood", "quiet", "flood", "quiet", "flood"]


def test_a_label_that_comes_again_and_again_does_not_starve_another() -> None:
    queue, taken = filled(flood=10), []
    for number in range(6):
        queue.add(row(f"again-{number}", "again", minute=number))
        taken.append(queue.take()[0].label)

    assert taken == ["flood", "again"] * 3


def test_whoever_was_met_lately_goes_first_and_the_longest_waiting_of_them() -> None:
    queue = filled(flood=3)
    fill(queue, "met", 3, first=True)

    assert turns(queue)[:4] == ["met-0", "met-1", "met-2", "flood-2"]


def test_all_questions_for_an_address_leave_together() -> None:
    queue = filled(flood=3)
    for label in ("flood", "other"):
        queue.add(row(f"ada-{label}", label, minute=9, wanted="ada@example.com"))
    queue.add(row("ada-met", wanted="ada@example.com"), first=True)

    assert [each.ref for each in queue.take()] == ["ada-met", "ada-flood", "ada-other"]
    assert turns(queue) == ["flood-2", "flood-0", "flood-1"]
    assert len(queue) == 0


def test_a_question_waits_once_and_keeps_its_place() -> None:
    queue = filled(flood=2)
    fill(queue, "flood", 2)

    assert turns(queue) == ["flood-1", "flood-0"]


def test_when_too_many_wait_the_middle_of_the_longest_line_leaves_or_the_last_who_was_met_lately() -> None:
    queue = filled(limit=10, quiet=2, flood=1000)

    assert len(queue) == 10
    assert turns(queue)[:5] == ["quiet-1", "flood-999", "quiet-0", "flood-0", "flood-998"]
    assert len(queue._by_wanted) == len(queue._lines) == 0
    assert turns(filled(limit=3, first=True, met=5)) == ["met-0", "met-1", "met-2"]


MINUTE = timedelta(minutes=1)
LATE = PATIENCE / MINUTE

#: What happens: who meets a code (none: is asked; a dash: is forgotten), and how many minutes after noon.
Event = tuple[str, str, float]


def after(*events: Event) -> UnknownErrorHistory:
    history = UnknownErrorHistory()
    for number, (user, code, minutes) in enumerate(events):
        # Ada's first question is the one that is in trouble.
        question = question_of(user, 0 if (user, code) == ("ada", "strange") else number)
        if code == "-":
            history.forget(question_of(user))
        elif code:
            history.note(question, code, UPTIME + minutes * MINUTE)
        else:
            history.note_success(question, UPTIME + minutes * MINUTE)
    return history


def question_of(user: str, number: int = 0) -> Question:
    request = a_request(f"{user}-{number}", user=f"{user}@example.com")
    return Question(request=request, ref=f"{user}-{number}.secret", accepted_at=NOON, due_at=NOON)


STRANGE: Event = ("ada", "strange", 0)


@pytest.mark.parametrize(
    ("events", "minutes", "is_final"),
    [
        pytest.param([STRANGE, ("grace", "", 1)], LATE - 1 / 60, False, id="too soon"),
        pytest.param([STRANGE, ("grace", "", 1)], LATE, True, id="somebody else was asked"),
        pytest.param([("grace", "", -1 / 60), STRANGE, ("ada", "", 1)], 100 * LATE, False, id="nobody else"),
        pytest.param(
            [STRANGE, ("grace", "", 1), *(("ada", "", minutes) for minutes in (2, 3, 4))],
            *(LATE, True),
            id="somebody else, and the same person since",
        ),
        pytest.param(
            [("ada", "stranger", 0), ("ada", "strange", LATE), ("grace", "", LATE + 1 / 60)],
            *(LATE + 1 / 60, False),
            id="another code has a quarter of an hour of its own",
        ),
        pytest.param(
            [STRANGE, ("alan", "", 1), *((user, "strange", 2) for user in ("ada", "grace", "edsger"))],
            *(LATE, False),
            id="what three people meet is never believed",
        ),
        pytest.param(
            [STRANGE, ("grace", "", LATE), ("ada", "-", LATE)], LATE, False, id="one that ended is forgotten"
        ),
    ],
)
def test_a_code_is_believed_after_a_quarter_of_an_hour_in_which_somebody_else_was_asked(
    events: list[Event], minutes: float, *, is_final: bool
) -> None:
    history, now = after(*events), UPTIME + minutes * MINUTE

    history.note(question_of("ada"), "strange", now)

    assert history.is_final(question_of("ada"), "strange", now) is is_final


@pytest.mark.parametrize(
    ("events", "is_trouble"),
    [
        pytest.param([STRANGE, ("grace", "strange", 0), ("edsger", "strange", 0)], True, id="three people"),
        pytest.param([("grace", "strange", 0)] * 3, False, id="one person three times"),
        pytest.param([STRANGE, ("grace", "odd", 0), ("edsger", "weird", 0)], False, id="three codes"),
        pytest.param(
            [STRANGE, ("grace", "strange", 0), ("edsger", "", 0), ("alan", "strange", 0)],
            False,
            id="somebody is asked in between",
        ),
        pytest.param(
            [("grace", "strange", 0), ("edsger", "strange", 0), ("ada", "strange", 2 * LATE + 1 / 60)],
            False,
            id="long ago",
        ),
    ],
)
def test_a_code_that_three_people_meet_is_the_workers(events: list[Event], *, is_trouble: bool) -> None:
    history = after(*events)

    assert history.is_worker_trouble("strange") is is_trouble
    assert not any(history.is_worker_trouble(code) for code in ("odd", "weird"))
