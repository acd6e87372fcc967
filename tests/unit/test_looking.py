"""When a question in doubt is looked for, and what a look is worth."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import ADA, NOON, ScriptedMessenger, SteppedClock, a_request

from bot.errors import (
    AmbiguousError,
    CannotGoOn,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownRefusal,
)
from bot.triage import asking_rules
from bot.triage.looking import SCOPE_WAIT, Lag, Look, Looker
from bot.triage.model import Bookmark, Posted
from bot.triage.policy import Policy

if TYPE_CHECKING:
    from bot.triage.model import Question

PLACE = Posted(channel="D0ADA", ts="1764000099.000100")
CLAIMED = asking_rules.claim(
    asking_rules.accept(a_request(), "key.secret", NOON, Policy()).question, ADA, NOON
).question
SECOND = timedelta(seconds=1)


class Desk:
    """A Looker, and a Slack whose history is as the test says."""

    def __init__(self, lag: Lag | None = None) -> None:
        self.clock = SteppedClock()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.looker = Looker(self.messenger, clock=self.clock, lag=lag or Lag())

    async def look_after(self, seconds: float) -> Posted | Look:
        self.clock.advance(seconds=seconds)
        return await self.looker.look(CLAIMED)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_only_two_looks_ten_seconds_apart_say_that_it_is_not_there(desk: Desk) -> None:
    assert desk.looker.doubt(CLAIMED) == NOON + 5 * SECOND

    looks = [await desk.look_after(seconds) for seconds in (0, 4.9, 0.1, 1, 8.9, 0.1)]

    assert looks == [Look.TOO_SOON] * 2 + [Look.MISSED] + [Look.TOO_SOON] * 2 + [Look.NOT_THERE]
    assert len(desk.messenger.looks) == 2


async def test_what_is_found_counts_at_once(desk: Desk) -> None:
    desk.messenger.look_ends = [PLACE]
    desk.looker.doubt(CLAIMED)

    assert await desk.look_after(5) == PLACE


async def test_a_row_of_a_dead_process_is_in_doubt_since_it_was_met(desk: Desk) -> None:
    desk.clock.advance(seconds=1000)

    assert await desk.looker.look(CLAIMED) is Look.TOO_SOON
    assert desk.looker.look_at(CLAIMED) == NOON + 1005 * SECOND


async def test_a_new_doubt_is_looked_into_anew(desk: Desk) -> None:
    desk.looker.doubt(CLAIMED)
    assert await desk.look_after(5) is Look.MISSED

    desk.looker.doubt(CLAIMED)

    assert await desk.look_after(10) is Look.MISSED


async def test_what_was_forgotten_is_met_anew(desk: Desk) -> None:
    desk.looker.doubt(CLAIMED)
    assert await desk.look_after(5) is Look.MISSED

    desk.looker.forget(CLAIMED)

    assert desk.looker.look_at(CLAIMED) == NOON + 20 * SECOND  # a post may still be under way


async def test_a_look_during_which_a_click_settles_the_doubt_is_a_look_all_the_same(desk: Desk) -> None:
    class ClickedSlack(ScriptedMessenger):
        async def look_up(
            self, question: Question, *, after: Bookmark | None = None
        ) -> Posted | Bookmark | None:
            looker.forget(question)
            return await super().look_up(question, after=after)

    looker = Looker(ClickedSlack(clock=desk.clock), clock=desk.clock, lag=Lag())
    looker.doubt(CLAIMED)
    desk.clock.advance(seconds=5)

    assert await looker.look(CLAIMED) is Look.MISSED
    assert looker.look_at(CLAIMED) == NOON + 20 * SECOND  # nothing is known of it any more


async def test_an_app_that_may_not_look_says_so(desk: Desk) -> None:
    desk.messenger.can_look_up = False
    desk.looker.doubt(CLAIMED)

    assert await desk.look_after(60) is Look.IMPOSSIBLE
    assert desk.messenger.looks == []


@pytest.mark.parametrize(
    ("failure", "wait"),
    [
        (TransientError("no network"), None),
        (TransientError("429", retry_after=7 * SECOND), 7 * SECOND),
        (AmbiguousError("half a page"), None),
        (Undeliverable("channel_not_found"), None),
        (UnknownRefusal("strange_code"), None),
        (CannotGoOn("missing_scope", remedy="Add it."), SCOPE_WAIT),
    ],
)
async def test_a_failed_look_is_only_to_be_tried_again(
    desk: Desk, failure: TriageBotError, wait: timedelta | None
) -> None:
    desk.messenger.look_ends = [failure]
    desk.looker.doubt(CLAIMED)

    with pytest.raises(TransientError) as caught:
        await desk.look_after(5)

    assert type(caught.value) is TransientError
    assert caught.value.retry_after == wait
    assert await desk.look_after(1) is Look.MISSED


async def test_the_lag_is_the_composition_roots_to_choose() -> None:
    desk = Desk(Lag(first_look=timedelta(0), looks_apart=2 * SECOND))
    desk.looker.doubt(CLAIMED)

    assert [await desk.look_after(seconds) for seconds in (0, 2)] == [Look.MISSED, Look.NOT_THERE]


# Pages

SECOND_PAGE = Bookmark(channel="D0ADA", cursor="two")
THIRD_PAGE = Bookmark(channel="D0ADA", cursor="three")


async def test_a_look_reads_page_after_page_and_counts_once(desk: Desk) -> None:
    desk.messenger.look_ends = [SECOND_PAGE, THIRD_PAGE, None]
    desk.looker.doubt(CLAIMED)

    assert await desk.look_after(5) is Look.MISSED
    assert desk.messenger.bookmarks == [None, SECOND_PAGE, THIRD_PAGE]
    assert await desk.look_after(10) is Look.NOT_THERE


@pytest.mark.parametrize(
    "failure",
    [
        TransientError("429", retry_after=60 * SECOND),
        AmbiguousError("half a page"),
        CannotGoOn("missing_scope", remedy="Add it."),
    ],
)
async def test_a_look_that_cannot_go_on_now_goes_on_later_where_it_was(
    desk: Desk, failure: TriageBotError
) -> None:
    desk.messenger.look_ends = [SECOND_PAGE, failure, THIRD_PAGE, failure, PLACE]
    desk.looker.doubt(CLAIMED)

    for _ in range(2):
        with pytest.raises(TransientError):
            await desk.look_after(60)

    assert await desk.look_after(60) == PLACE
    assert desk.messenger.bookmarks == [None, SECOND_PAGE, SECOND_PAGE, THIRD_PAGE, THIRD_PAGE]


async def test_a_look_that_was_paused_counts_from_its_last_page(desk: Desk) -> None:
    desk.messenger.look_ends = [SECOND_PAGE, TransientError("429", retry_after=60 * SECOND), None, None]
    desk.looker.doubt(CLAIMED)
    with pytest.raises(TransientError):
        await desk.look_after(5)

    looks = [await desk.look_after(seconds) for seconds in (60, 9, 1)]

    assert looks == [Look.MISSED, Look.TOO_SOON, Look.NOT_THERE]


@pytest.mark.parametrize("failure", [UnknownRefusal("invalid_cursor"), Undeliverable("channel_not_found")])
async def test_a_page_that_slack_refuses_lets_the_look_begin_anew(
    desk: Desk, failure: TriageBotError
) -> None:
    desk.messenger.look_ends = [SECOND_PAGE, failure, SECOND_PAGE, None]
    desk.looker.doubt(CLAIMED)
    with pytest.raises(TransientError):
        await desk.look_after(5)

    assert await desk.look_after(1) is Look.MISSED
    assert desk.messenger.bookmarks == [None, SECOND_PAGE, None, SECOND_PAGE]


async def test_a_new_doubt_begins_a_new_look(desk: Desk) -> None:
    desk.messenger.look_ends = [SECOND_PAGE, TransientError("429"), None]
    desk.looker.doubt(CLAIMED)
    with pytest.raises(TransientError):
        await desk.look_after(5)

    desk.looker.doubt(CLAIMED)

    assert await desk.look_after(5) is Look.MISSED
    assert desk.messenger.bookmarks == [None, SECOND_PAGE, None]
