"""How messages are redrawn, clickers told and people reminded, before a server that answers as told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON
from messenger_harness import ANSWERED, CLAIMED, LITERAL, LITERAL_POST, POLICY, TAKEN, UPDATED, messenger_of
from scripted_slack import Answer, refuses, says, writes
from wording import WORDING, as_read

from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.slack.render.question import notice_message, question_message, reminder_message
from bot.triage.answer_rules import Refusal
from bot.triage.model import State

# Redrawing


async def test_a_fresh_click_is_redrawn_through_its_response_url() -> None:
    async with messenger_of(TAKEN) as (messenger, slack):
        await messenger.redraw(ANSWERED, response_url=f"{slack.url}response")

    [call] = slack.received
    assert call.values == {**question_message(ANSWERED, WORDING, POLICY), "replace_original": True}


@pytest.mark.parametrize(
    ("url", "answers", "methods"),
    [
        ("{slack}response", [writes("expired_url", status=404)], ["response", "chat.update"]),
        ("{slack}response", [refuses("used_url")], ["response", "chat.update"]),
        ("https://evil.example/response", [], ["chat.update"]),
    ],
)
async def test_without_a_good_response_url_the_message_is_updated(
    url: str, answers: list[Answer], methods: list[str]
) -> None:
    async with messenger_of(*answers, UPDATED) as (messenger, slack):
        await messenger.redraw(ANSWERED, response_url=url.format(slack=slack.url))

    assert slack.methods == methods
    place = {"channel": "D0ADA", "ts": "1.000001", **LITERAL}
    assert slack.received[-1].values == {**question_message(ANSWERED, WORDING, POLICY), **place}


NEVER = """message_not_found cant_update_message edit_window_closed channel_not_found is_archived
    invalid_blocks_format invalid_metadata_format metadata_too_large msg_too_long invalid_attachments
    msg_blocks_too_long no_text invalid_arg_name""".split()


@pytest.mark.parametrize("answer", [*map(refuses, NEVER), writes("<html>No</html>", status=403)])
async def test_a_message_that_can_never_be_updated_is_let_be(answer: Answer) -> None:
    async with messenger_of(answer) as (messenger, slack):
        await messenger.redraw(ANSWERED)

    assert slack.methods == ["chat.update"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refuses("ratelimited", status=429, Retry_After="9"), TransientError),
        (writes("", status=502), AmbiguousError),
        (refuses("internal_error"), AmbiguousError),
        (refuses("a_code_of_next_year"), TransientError),
        (refuses("token_revoked"), AppRejected),
    ],
)
async def test_any_other_failure_of_a_redraw_is_tried_again(answer: Answer, kind: type[Exception]) -> None:
    async with messenger_of(answer) as (messenger, _):
        with pytest.raises(kind) as caught:
            await messenger.redraw(ANSWERED)

    assert type(caught.value) is kind
    assert not isinstance(caught.value, UnknownErrorCode)


# Telling


async def test_the_clicker_alone_is_told() -> None:
    async with messenger_of(TAKEN) as (messenger, slack):
        await messenger.tell(f"{slack.url}response", Refusal.OTHER_PERSON)

    sent = slack.received[0].values
    assert sent == {**notice_message(Refusal.OTHER_PERSON, WORDING), "response_type": "ephemeral"}
    assert sent["replace_original"] is False


async def test_without_a_response_url_nobody_can_be_told() -> None:
    async with messenger_of(writes("expired_url", status=404)) as (messenger, slack):
        with pytest.raises(TransientError):
            await messenger.tell("", Refusal.CLOSED)
        with pytest.raises(TransientError):
            await messenger.tell(f"{slack.url}response", Refusal.CLOSED)


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
