"""When a question in doubt is looked for, and what a look is worth."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import ADA, NOON, ScriptedMessenger, SteppedClock, a_request

from bot.errors import (
    AmbiguousError,
    AppRejected,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage import asking_rules
from bot.triage.look_ups import SCOPE_WAIT, LookUpDelays, LookUpResult, LookUps
from bot.triage.model import Bookmark, MessageRef, Question
from bot.triage.policy import Policy

PLACE = MessageRef(channel="D0ADA", ts="1764000099.000100")
CLAIMED = asking_rules.claim(
    asking_rules.accept(a_request(), "key.secret", NOON, Policy()).question, ADA, NOON
).question
SECOND = timedelta(seconds=1)


PAUSE = TransientError("429", retry_after=60 * SECOND)
SECOND_PAGE, THIRD_PAGE = (Bookmark(channel="D0ADA", cursor=cursor) for cursor in ("two", "three"))


class LookUpHarness:
    """A Looker that doubts, and a Slack whose history is as the test says."""

    def __init__(self, delays: LookUpDelays | None = None) -> None:
        self.clock = SteppedClock()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.looker = LookUps(self.messenger, clock=self.clock, delays=delays or LookUpDelays())
        self.looks_at = self.looker.mark_in_doubt(CLAIMED)

    async def look_after(self, seconds: float) -> MessageRef | LookUpResult:
        self.clock.advance(seconds=seconds)
        return await self.looker.look(CLAIMED)

    async def look_in_vain(self, seconds: float, times: int = 1) -> list[TransientError]:
        """Look this many times; return the result."""
        errors = []
        for _ in range(times):
            with pytest.raises(TransientError) as caught:
                await self.look_after(seconds)
            errors.append(caught.value)
        return errors


@pytest.fixture
def harness() -> LookUpHarness:
    return LookUpHarness()


async def test_only_two_looks_ten_seconds_apart_say_that_it_is_not_there(harness: LookUpHarness) -> None:
    assert harness.looks_at == NOON + 5 * SECOND

    looks = [await harness.look_after(seconds) for seconds in (0, 4.9, 0.1, 1, 8.9, 0.1)]

    soon, not_yet = LookUpResult.TOO_SOON, LookUpResult.NOT_FOUND_YET
    assert looks == [soon, soon, not_yet, soon, soon, LookUpResult.NOT_POSTED]
    assert len(harness.messenger.looks) == 2


async def test_a_look_during_which_a_click_settles_the_doubt_counts(harness: LookUpHarness) -> None:
    async def settle(question: Question | None) -> None:
        assert question is not None
        harness.looker.forget(question)

    harness.messenger.before["look"] = settle

    assert await harness.look_after(5) is LookUpResult.NOT_FOUND_YET
    assert harness.looker.look_at(CLAIMED) == NOON + 20 * SECOND  # nothing is known of it any more


@pytest.mark.parametrize(
    ("failure", "wait"),
    [
        (TransientError("no network"), None),
        (TransientError("429", retry_after=7 * SECOND), 7 * SECOND),
        (AmbiguousError("half a page"), None),
        (Undeliverable("channel_not_found"), None),
        (UnknownErrorCode("strange_code"), None),
        (AppRejected("missing_scope", remedy="Add it."), SCOPE_WAIT),
    ],
)
async def test_a_failed_look_is_only_to_be_tried_again(
    harness: LookUpHarness, failure: TriageBotError, wait: timedelta | None
) -> None:
    harness.messenger.look_ends = [failure]

    [error] = await harness.look_in_vain(5)

    assert (type(error), error.retry_after) == (TransientError, wait)
    assert await harness.look_after(1) is LookUpResult.NOT_FOUND_YET


async def test_the_lag_is_the_composition_roots_to_choose() -> None:
    harness = LookUpHarness(LookUpDelays(first_look=timedelta(0), looks_apart=2 * SECOND))

    looks = [await harness.look_after(seconds) for seconds in (0, 2)]

    assert looks == [LookUpResult.NOT_FOUND_YET, LookUpResult.NOT_POSTED]


async def test_a_look_reads_page_after_page_and_counts_once(harness: LookUpHarness) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, THIRD_PAGE, None]

    assert await harness.look_after(5) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, THIRD_PAGE]
    assert await harness.look_after(10) is LookUpResult.NOT_POSTED


@pytest.mark.parametrize(
    "failure", [PAUSE, AmbiguousError("half a page"), AppRejected("missing_scope", remedy="Add it.")]
)
async def test_a_look_that_cannot_go_on_now_goes_on_later_where_it_was(
    harness: LookUpHarness, failure: TriageBotError
) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, failure, THIRD_PAGE, failure, PLACE]

    await harness.look_in_vain(60, times=2)

    assert await harness.look_after(60) == PLACE
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, SECOND_PAGE, THIRD_PAGE, THIRD_PAGE]


async def test_a_look_that_was_paused_counts_from_its_last_page(harness: LookUpHarness) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, PAUSE, None, None]
    await harness.look_in_vain(5)

    looks = [await harness.look_after(seconds) for seconds in (60, 9, 1)]

    assert looks == [LookUpResult.NOT_FOUND_YET, LookUpResult.TOO_SOON, LookUpResult.NOT_POSTED]


@pytest.mark.parametrize("circle", [[SECOND_PAGE], [SECOND_PAGE, THIRD_PAGE]])
@pytest.mark.parametrize("pause", [[], [PAUSE]])
async def test_pages_that_lead_in_a_circle_let_the_look_starts_again(
    harness: LookUpHarness, circle: list[Bookmark], pause: list[TriageBotError]
) -> None:
    harness.messenger.look_ends = [*circle, *pause, circle[0], SECOND_PAGE, None]
    await harness.look_in_vain(60, times=1 + len(pause))

    assert await harness.look_after(1) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks[-2:] == [None, SECOND_PAGE]


@pytest.mark.parametrize("failure", [UnknownErrorCode("invalid_cursor"), Undeliverable("channel_not_found")])
async def test_after_a_refused_page_a_look_starts_again(
    harness: LookUpHarness, failure: TriageBotError
) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, failure, SECOND_PAGE, None]
    await harness.look_in_vain(5)

    assert await harness.look_after(1) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, None, SECOND_PAGE]


async def test_a_new_doubt_begins_a_new_look(harness: LookUpHarness) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, TransientError("429"), None]
    await harness.look_in_vain(5)

    harness.looker.mark_in_doubt(CLAIMED)

    assert await harness.look_after(5) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, None]
