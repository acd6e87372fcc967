"""What is remembered of an address, for how long, and what its look-up does to others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asking_harness import AskingHarness
from fakes import ADA, ADDRESS, UPTIME, ScriptedMessenger, SteppedClock, a_request

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
from bot.triage.people_finder import FRESH_FOR, MET_FOR, MISSING_FOR, REMEMBERED_MAX, Finder
from bot.triage.rate_limits import ConcurrencyLimiter

MOMENT = timedelta(seconds=1)
NOBODY = Undeliverable("users_not_found")
WAIT = TransientError("429", retry_after=timedelta(seconds=60))


class FindingHarness:
    """A Finder, and a Slack that counts its look-ups."""

    def __init__(self, rules: PeopleRules | None = None) -> None:
        self.clock = SteppedClock()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.limiter = ConcurrencyLimiter(jitter=lambda: 1.0)
        self.finder = Finder(self.messenger, rules or PeopleRules(), clock=self.clock, limiter=self.limiter)
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
    assert await harness.find() == ADA.slack_id
    harness.messenger.people[ADDRESS] = NOBODY

    assert await harness.find() == ADA.slack_id
    harness.clock.now += FRESH_FOR + MOMENT

    assert await harness.find() == "users_not_found"
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


async def test_no_number_of_invented_addresses_makes_it_forget_somebody_or_grow(
    harness: FindingHarness,
) -> None:
    await harness.find()
    invented = [f"LOGIN{number}@example.com" for number in range(REMEMBERED_MAX + 1)]
    harness.messenger.people |= dict.fromkeys(invented, NOBODY)
    for each in invented:
        await harness.find(each)

    assert harness.finder.knows(ADDRESS)
    assert not harness.finder.is_missing(invented[0])
    assert harness.finder.is_missing(invented[1])


async def test_what_is_remembered_is_by_what_was_looked_up() -> None:
    rules = PeopleRules(
        people={"a@old.example": ADDRESS, "b@old.example": "U0PINNED", ADDRESS: "U0NOBODY"}, strict=True
    )
    harness = FindingHarness(rules)
    harness.messenger.people |= {"U0PINNED": replace(ADA, slack_id="U0PINNED"), "U0NOBODY": NOBODY}

    ends = [await harness.find(each) for each in ("a@old.example", "A@old.example", "b@old.example", ADDRESS)]
    assert ends == [ADA.slack_id, ADA.slack_id, "U0PINNED", "users_not_found"]
    assert harness.calls == 3
    assert [harness.finder.knows(each) for each in (ADDRESS, "U0PINNED", "a@old.example")] == [
        True,
        True,
        False,
    ]

    assert await harness.find("c@old.example") == "not_mapped"
    assert harness.calls == 3
    assert not harness.finder.has_met("c@old.example")


@pytest.mark.parametrize("error", [WAIT, TransientError("no network"), UnknownErrorCode("odd")])
async def test_a_look_up_that_failed_says_nothing_of_anybody(
    harness: FindingHarness, error: Exception
) -> None:
    harness.messenger.people[ADDRESS] = error
    await harness.find()
    harness.messenger.people[ADDRESS] = ADA

    assert await harness.find() == ADA.slack_id


async def test_a_code_that_three_addresses_meet_halts_look_ups_even_if_known_people_are_asked() -> None:
    asking = AskingHarness()
    asking.messenger.people |= dict.fromkeys(("a@b.c", "d@e.f", "g@h.i"), UnknownErrorCode("odd"))
    await asking.accept(a_request("known"))
    await asking.work()
    for number, user in enumerate(("a@b.c", "d@e.f", "g@h.i")):
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
    for name, ends in refusals.items():
        setattr(harness.messenger, name, ends.copy())
    await harness.accept()

    await harness.work(seconds=10)

    look_ups, posts = harness.asker.finder.limiter, harness.limiter
    assert (look_ups.opens_at(UPTIME) is not None, posts.opens_at(UPTIME) is not None) == (
        look_ups_wait,
        posts_wait,
    )
    harness.messenger.people[ADDRESS] = ADA
    await harness.work(seconds=300)
    assert (await harness.question()).state is State.ASKED


async def test_an_app_that_may_not_look_people_up_still_asks_those_it_knows(harness: FindingHarness) -> None:
    await harness.find()
    harness.messenger.people["grace@example.com"] = AppRejected("missing_scope", remedy="Add it.")

    await harness.find("grace@example.com")

    assert harness.limiter.rejection_code == "missing_scope"
    assert await harness.find() == ADA.slack_id
