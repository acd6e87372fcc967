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


class LookUpHarness:
    """A Looker, and a Slack whose history is as the test says."""

    def __init__(self, delays: LookUpDelays | None = None) -> None:
        self.clock = SteppedClock()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.looker = LookUps(self.messenger, clock=self.clock, delays=delays or LookUpDelays())

    async def look_after(self, seconds: float) -> MessageRef | LookUpResult:
        self.clock.advance(seconds=seconds)
        return await self.looker.look(CLAIMED)


@pytest.fixture
def harness() -> LookUpHarness:
    return LookUpHarness()


async def test_only_two_looks_ten_seconds_apart_say_that_it_is_not_there(harness: LookUpHarness) -> None:
    assert harness.looker.doubt(CLAIMED) == NOON + 5 * SECOND

    looks = [await harness.look_after(seconds) for seconds in (0, 4.9, 0.1, 1, 8.9, 0.1)]

    assert looks == [LookUpResult.TOO_SOON] * 2 + [LookUpResult.NOT_FOUND_YET] + [
        LookUpResult.TOO_SOON
    ] * 2 + [LookUpResult.NOT_POSTED]
    assert len(harness.messenger.looks) == 2


async def test_what_is_found_counts_at_once(harness: LookUpHarness) -> None:
    harness.messenger.look_ends = [PLACE]
    harness.looker.doubt(CLAIMED)

    assert await harness.look_after(5) == PLACE


async def test_a_row_of_a_dead_process_is_in_doubt_since_it_was_met(harness: LookUpHarness) -> None:
    harness.clock.advance(seconds=1000)

    assert await harness.looker.look(CLAIMED) is LookUpResult.TOO_SOON
    assert harness.looker.look_at(CLAIMED) == NOON + 1005 * SECOND


async def test_a_new_doubt_is_looked_into_anew(harness: LookUpHarness) -> None:
    harness.looker.doubt(CLAIMED)
    assert await harness.look_after(5) is LookUpResult.NOT_FOUND_YET

    harness.looker.doubt(CLAIMED)

    assert await harness.look_after(10) is LookUpResult.NOT_FOUND_YET


async def test_what_was_forgotten_is_met_anew(harness: LookUpHarness) -> None:
    harness.looker.doubt(CLAIMED)
    assert await harness.look_after(5) is LookUpResult.NOT_FOUND_YET

    harness.looker.forget(CLAIMED)

    assert harness.looker.look_at(CLAIMED) == NOON + 20 * SECOND  # a post may still be under way


async def test_a_look_during_which_a_click_settles_the_doubt_is_a_look_all_the_same(
    harness: LookUpHarness,
) -> None:
    class ClickedSlack(ScriptedMessenger):
        async def look_up(
            self, question: Question, *, after: Bookmark | None = None
        ) -> MessageRef | Bookmark | None:
            looker.forget(question)
            return await super().look_up(question, after=after)

    looker = LookUps(ClickedSlack(clock=harness.clock), clock=harness.clock, delays=LookUpDelays())
    looker.doubt(CLAIMED)
    harness.clock.advance(seconds=5)

    assert await looker.look(CLAIMED) is LookUpResult.NOT_FOUND_YET
    assert looker.look_at(CLAIMED) == NOON + 20 * SECOND  # nothing is known of it any more


async def test_an_app_that_may_not_look_says_so(harness: LookUpHarness) -> None:
    harness.messenger.can_look_up = False
    harness.looker.doubt(CLAIMED)

    assert await harness.look_after(60) is LookUpResult.IMPOSSIBLE
    assert harness.messenger.looks == []


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
    harness.looker.doubt(CLAIMED)

    with pytest.raises(TransientError) as caught:
        await harness.look_after(5)

    assert type(caught.value) is TransientError
    assert caught.value.retry_after == wait
    assert await harness.look_after(1) is LookUpResult.NOT_FOUND_YET


async def test_the_lag_is_the_composition_roots_to_choose() -> None:
    harness = LookUpHarness(LookUpDelays(first_look=timedelta(0), looks_apart=2 * SECOND))
    harness.looker.doubt(CLAIMED)

    assert [await harness.look_after(seconds) for seconds in (0, 2)] == [
        LookUpResult.NOT_FOUND_YET,
        LookUpResult.NOT_POSTED,
    ]


# Pages

SECOND_PAGE = Bookmark(channel="D0ADA", cursor="two")
THIRD_PAGE = Bookmark(channel="D0ADA", cursor="three")


async def test_a_look_reads_page_after_page_and_counts_once(harness: LookUpHarness) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, THIRD_PAGE, None]
    harness.looker.doubt(CLAIMED)

    assert await harness.look_after(5) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, THIRD_PAGE]
    assert await harness.look_after(10) is LookUpResult.NOT_POSTED


@pytest.mark.parametrize(
    "failure",
    [
        TransientError("429", retry_after=60 * SECOND),
        AmbiguousError("half a page"),
        AppRejected("missing_scope", remedy="Add it."),
    ],
)
async def test_a_look_that_cannot_go_on_now_goes_on_later_where_it_was(
    harness: LookUpHarness, failure: TriageBotError
) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, failure, THIRD_PAGE, failure, PLACE]
    harness.looker.doubt(CLAIMED)

    for _ in range(2):
        with pytest.raises(TransientError):
            await harness.look_after(60)

    assert await harness.look_after(60) == PLACE
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, SECOND_PAGE, THIRD_PAGE, THIRD_PAGE]


async def test_a_look_that_was_paused_counts_from_its_last_page(harness: LookUpHarness) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, TransientError("429", retry_after=60 * SECOND), None, None]
    harness.looker.doubt(CLAIMED)
    with pytest.raises(TransientError):
        await harness.look_after(5)

    looks = [await harness.look_after(seconds) for seconds in (60, 9, 1)]

    assert looks == [LookUpResult.NOT_FOUND_YET, LookUpResult.TOO_SOON, LookUpResult.NOT_POSTED]


@pytest.mark.parametrize("circle", [[SECOND_PAGE], [SECOND_PAGE, THIRD_PAGE]])
@pytest.mark.parametrize("pause", [[], [TransientError("429", retry_after=60 * SECOND)]])
async def test_pages_that_lead_in_a_circle_let_the_look_begin_anew(
    harness: LookUpHarness, circle: list[Bookmark], pause: list[TriageBotError]
) -> None:
    harness.messenger.look_ends = [*circle, *pause, circle[0], SECOND_PAGE, None]
    harness.looker.doubt(CLAIMED)
    for _ in range(1 + len(pause)):
        with pytest.raises(TransientError):
            await harness.look_after(60)

    assert await harness.look_after(1) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks[-2:] == [None, SECOND_PAGE]


@pytest.mark.parametrize("failure", [UnknownErrorCode("invalid_cursor"), Undeliverable("channel_not_found")])
async def test_a_page_that_slack_refuses_lets_the_look_begin_anew(
    harness: LookUpHarness, failure: TriageBotError
) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, failure, SECOND_PAGE, None]
    harness.looker.doubt(CLAIMED)
    with pytest.raises(TransientError):
        await harness.look_after(5)

    assert await harness.look_after(1) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, None, SECOND_PAGE]


async def test_a_new_doubt_begins_a_new_look(harness: LookUpHarness) -> None:
    harness.messenger.look_ends = [SECOND_PAGE, TransientError("429"), None]
    harness.looker.doubt(CLAIMED)
    with pytest.raises(TransientError):
        await harness.look_after(5)

    harness.looker.doubt(CLAIMED)

    assert await harness.look_after(5) is LookUpResult.NOT_FOUND_YET
    assert harness.messenger.bookmarks == [None, SECOND_PAGE, None]
