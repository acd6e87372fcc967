"""How messages are redrawn, and how clickers are told."""

from __future__ import annotations

import pytest
from messenger_harness import ANSWERED, LITERAL, POLICY, TAKEN, UPDATED, messenger_of
from scripted_slack import Answer, refuses, writes
from wording import WORDING

from bot.errors import AmbiguousError, AppRejected, TransientError, UnknownErrorCode
from bot.slack.render.question import notice_message, question_message
from bot.triage.answer_rules import Refusal

# Redrawing


async def test_a_fresh_click_is_redrawn_through_its_response_url() -> None:
    async with messenger_of(TAKEN) as (messenger, slack):
        await messenger.redraw(ANSWERED, response_url=f"{slack.url}response")

    [call] = slack.received
    assert call.values == {**question_message(ANSWERED, WORDING, POLICY), "replace_original": True}


@pytest.mark.parametrize("answer", [writes("expired_url", status=404), refuses("used_url")])
async def test_without_a_good_response_url_the_message_is_updated(answer: Answer) -> None:
    async with messenger_of(answer, UPDATED) as (messenger, slack):
        await messenger.redraw(ANSWERED, response_url=f"{slack.url}response")

    assert slack.methods == ["response", "chat.update"]
    place = {"channel": "D0ADA", "ts": "1.000001", **LITERAL}
    assert slack.received[1].values == {**question_message(ANSWERED, WORDING, POLICY), **place}


async def test_a_response_url_that_is_not_slacks_is_left_alone_and_the_message_is_updated() -> None:
    async with messenger_of(UPDATED) as (messenger, slack):
        await messenger.redraw(ANSWERED, response_url="https://evil.example/response")

    assert slack.methods == ["chat.update"]


@pytest.mark.parametrize(
    "answer",
    [
        refuses("message_not_found"),
        refuses("cant_update_message"),
        refuses("edit_window_closed"),
        refuses("channel_not_found"),
        refuses("is_archived"),
        *map(
            refuses, "invalid_blocks_format invalid_metadata_format metadata_too_large msg_too_long".split()
        ),
        *map(refuses, "invalid_attachments msg_blocks_too_long no_text invalid_arg_name".split()),
        writes("<html>No</html>", status=403),
    ],
)
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
