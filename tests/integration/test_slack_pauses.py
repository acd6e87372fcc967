"""A method that Slack asks to wait with waits for everybody; the others go on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import SteppedClock
from scripted_slack import Answer, api_of, refuses, says, scripted_slack
from slack_failures import failure, post

from bot.errors import TransientError
from bot.slack.errors import DEFAULT_WAIT

DONE = says({"ok": True, "channel": "D0ADA", "ts": "1.000001"})
UNSAID = DEFAULT_WAIT.total_seconds()


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (refuses("ratelimited", status=429, Retry_After="30"), 30),
        (refuses("ratelimited", status=429, Retry_After="1.5"), 1.5),
        (refuses("ratelimited", status=429, Retry_After="soon"), UNSAID),
        (refuses("ratelimited", status=429), UNSAID),
        (refuses("ratelimited", Retry_After="7"), 7),
        (refuses("ratelimited"), UNSAID),
        (refuses("rate_limited"), UNSAID),
        (refuses("ratelimited", status=429, Retry_After="99999"), 3600),
    ],
)
async def test_a_method_is_not_called_again_before_its_time(answer: Answer, seconds: float) -> None:
    clock = SteppedClock()
    async with scripted_slack(answer, DONE) as slack, api_of(slack, clock=clock) as api:
        await failure(post(api))

        clock.advance(seconds=seconds / 2)
        error = await failure(post(api))
        assert type(error) is TransientError
        assert error.retry_after == timedelta(seconds=seconds / 2)
        assert slack.methods == ["chat.postMessage"]

        clock.advance(seconds=seconds / 2)
        await post(api)
        assert slack.methods == ["chat.postMessage"] * 2


async def test_a_wait_of_nothing_pauses_for_a_moment_at_the_most() -> None:
    clock = SteppedClock()
    answer = refuses("ratelimited", status=429, Retry_After="0")
    async with scripted_slack(answer, DONE) as slack, api_of(slack, clock=clock) as api:
        await failure(post(api))

        clock.advance(seconds=UNSAID)
        await post(api)

        assert slack.methods == ["chat.postMessage"] * 2


async def test_other_methods_go_on() -> None:
    clock = SteppedClock()
    answer = refuses("ratelimited", status=429, Retry_After="30")
    async with scripted_slack(answer, DONE) as slack, api_of(slack, clock=clock) as api:
        await failure(post(api))

        await api.write("chat.update", {"channel": "D0ADA", "ts": "1.000001", "text": "Thanks."})
        await api.read("conversations.history", {"channel": "D0ADA"})

        assert slack.methods == ["chat.postMessage", "chat.update", "conversations.history"]


async def test_a_failure_that_asks_for_no_wait_pauses_nothing() -> None:
    async with scripted_slack(refuses("users_not_found"), DONE) as slack, api_of(slack) as api:
        await failure(post(api))

        await post(api)

        assert slack.methods == ["chat.postMessage"] * 2
