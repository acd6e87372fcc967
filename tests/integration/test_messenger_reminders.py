"""Reminders, through the real client of a server that answers as each test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON
from messenger_harness import CLAIMED, LITERAL, LITERAL_POST, POLICY, UPDATED, messenger_of
from scripted_slack import Answer, refuses, says, writes
from wording import WORDING, as_read

from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable
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
        **LITERAL_POST,
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
        (refuses("token_revoked"), AppRejected),
        (refuses("channel_not_found"), Undeliverable),
    ],
)
async def test_what_a_failed_reminder_means_is_passed_on(answer: Answer, error: type[Exception]) -> None:
    async with messenger_of(LINKED, answer) as (messenger, slack):
        with pytest.raises(error):
            await messenger.remind(UNANSWERED, link=await messenger.link_to(UNANSWERED))

    assert slack.methods == ["chat.getPermalink", "chat.postMessage"]


ALONE = says({"ok": True, "channel": "D0ADA", "ts": "9.000009", "message": {"ts": "9.000009"}})
REPLIED = says({"ok": True, "channel": "D0ADA", "ts": "9.000009", "message": {"thread_ts": "1.000001"}})


async def test_a_reminder_that_stands_alone_is_changed_in_its_place() -> None:
    async with messenger_of(ALONE, UPDATED) as (messenger, slack):
        await messenger.remind(UNANSWERED, link=LINK)

    post, update = slack.received
    assert (post.method, update.method) == ("chat.postMessage", "chat.update")
    place = {"channel": "D0ADA", "ts": "9.000009", **LITERAL}
    assert update.values == {**reminder_message(UNANSWERED, WORDING, POLICY, link=""), **place}


@pytest.mark.parametrize("answer", [refuses("ratelimited", status=429), writes("", status=502), refuses("x")])
async def test_a_reminder_that_cannot_be_changed_was_sent_all_the_same(answer: Answer) -> None:
    async with messenger_of(ALONE, answer) as (messenger, slack):
        await messenger.remind(UNANSWERED, link=LINK)

    assert slack.methods == ["chat.postMessage", "chat.update"]


@pytest.mark.parametrize(("answer", "link"), [(REPLIED, LINK), (UPDATED, LINK), (ALONE, "")])
async def test_a_reminder_in_its_thread_or_without_a_link_is_left_as_it_is(answer: Answer, link: str) -> None:
    async with messenger_of(answer) as (messenger, slack):
        await messenger.remind(UNANSWERED, link=link)

    assert slack.methods == ["chat.postMessage"]


@pytest.mark.parametrize("code", ["thread_not_found", "message_not_found", "cannot_reply_to_message"])
async def test_a_reply_that_slack_refuses_for_want_of_the_question_goes_out_alone(code: str) -> None:
    async with messenger_of(refuses(code), ALONE) as (messenger, slack):
        await messenger.remind(UNANSWERED, link=LINK)

    _, post = slack.received
    assert "thread_ts" not in post.values
    assert post.values["text"].endswith(as_read(WORDING["reminder"]["home"]))
