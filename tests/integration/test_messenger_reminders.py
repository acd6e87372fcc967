"""Reminders, through the real client of a server that answers as each test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON
from messenger_desk import CLAIMED, POLICY, UPDATED, WORDING, messenger_of
from scripted_slack import Answer, refuses, says, writes

from bot.errors import AmbiguousError, CannotGoOn, TransientError, Undeliverable
from bot.slack.render.question import reminder_message
from bot.triage.model import State

LINK = "https://sandbox.slack.com/archives/D0ADA/p1000001"
LINKED = says({"ok": True, "permalink": LINK})
UNANSWERED = replace(
    CLAIMED,
    state=State.ASKED,
    channel="D0ADA",
    ts="1.000001",
    deadline=NOON + timedelta(hours=24),
    reminders=1,
)


async def test_a_reminder_is_a_reply_that_the_conversation_shows_and_links_to_the_question() -> None:
    async with messenger_of(LINKED, UPDATED) as (messenger, slack):
        await messenger.remind(UNANSWERED, link=await messenger.link_to(UNANSWERED))

    look_up, post = slack.received
    assert (look_up.method, look_up.verb) == ("chat.getPermalink", "GET")
    assert look_up.values == {"channel": "D0ADA", "message_ts": "1.000001"}
    assert post.method == "chat.postMessage"
    assert post.values == {
        **reminder_message(UNANSWERED, WORDING, POLICY, link=LINK),
        "channel": "D0ADA",
        "thread_ts": "1.000001",
        "reply_broadcast": True,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    assert "actions" not in [block["type"] for block in post.values["blocks"]]


@pytest.mark.parametrize(
    "answer",
    [
        refuses("unknown_method"),
        refuses("message_not_found"),
        refuses("channel_not_found"),
        refuses("ratelimited", status=429, Retry_After="60"),
        writes("<html>", status=502),
        says({"ok": True}),
    ],
)
async def test_a_reminder_is_worth_more_than_its_link(answer: Answer) -> None:
    async with messenger_of(answer, UPDATED) as (messenger, slack):
        await messenger.remind(UNANSWERED, link=await messenger.link_to(UNANSWERED))

    post = slack.received[1].values
    assert post["blocks"] == reminder_message(UNANSWERED, WORDING, POLICY, link="")["blocks"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (writes("<html>", status=502), AmbiguousError),
        (refuses("internal_error"), AmbiguousError),
        (refuses("ratelimited", status=429, Retry_After="7"), TransientError),
        (refuses("token_revoked"), CannotGoOn),
        (refuses("channel_not_found"), Undeliverable),
    ],
)
async def test_what_a_failed_reminder_means_is_passed_on(answer: Answer, error: type[Exception]) -> None:
    async with messenger_of(LINKED, answer) as (messenger, slack):
        with pytest.raises(error):
            await messenger.remind(UNANSWERED, link=await messenger.link_to(UNANSWERED))

    assert slack.methods == ["chat.getPermalink", "chat.postMessage"]
