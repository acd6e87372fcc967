"""The Messenger's own decisions, through the real client of a server that answers as each test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, NOON, SteppedClock
from scripted_slack import (
    ACCEPTED,
    ANSWERED,
    CLAIMED,
    FOUND,
    LITERAL,
    LITERAL_POST,
    MEMBER,
    OPENED,
    POLICY,
    TAKEN,
    UPDATED,
    Answer,
    api_of,
    messenger_of,
    refuses,
    says,
    scripted_slack,
    writes,
)
from wording import WORDING, as_read

from bot.errors import (
    AmbiguousError,
    AppRejected,
    NoConversation,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.slack.identity import Identity
from bot.slack.messenger import SlackMessenger
from bot.slack.render.question import notice_message, question_message, reminder_message
from bot.triage import asking_rules
from bot.triage.answer_rules import Refusal
from bot.triage.model import Bookmark, MessageRef, Person, Shown, State


def page(*messages: Any, cursor: str = "", has_more: bool = False) -> Answer:
    return says(
        {
            "ok": True,
            "messages": list(messages),
            "has_more": has_more or bool(cursor),
            "response_metadata": {"next_cursor": cursor},
        }
    )


def message(ref: str = "key.secret", event_type: str = "triage_question", ts: str = "5.000005") -> Any:
    return {"ts": ts, "text": "?", "metadata": {"event_type": event_type, "event_payload": {"ref": ref}}}


# Finding a person


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ADA),
        ({"deleted": True}, replace(ADA, deactivated=True)),
        ({"is_bot": True}, replace(ADA, is_bot=True)),
        ({"id": "USLACKBOT"}, replace(ADA, slack_id="USLACKBOT", is_bot=True)),
        ({"is_restricted": True}, replace(ADA, is_guest=True)),
        ({"is_ultra_restricted": True}, replace(ADA, is_guest=True)),
        ({"is_email_confirmed": False}, replace(ADA, unconfirmed=True)),
        ({"is_stranger": True}, replace(ADA, is_external=True)),
        ({"team_id": "T0ELSEWHERE"}, replace(ADA, is_external=True)),
        ({"team_id": "T0ELSEWHERE", "enterprise_user": {"teams": ["T0HOME"]}}, ADA),
        ({"enterprise_user": {"teams": ["T0OTHER"]}}, ADA),
        ({"enterprise_user": {"id": "W0ADA", "teams": ["T0HOME"]}}, replace(ADA, other_slack_id="W0ADA")),
        ({"enterprise_user": {"id": "U0ADA"}}, ADA),
        ({"enterprise_user": {"id": 7}}, ADA),
        ({"enterprise_user": ["T0OTHER"]}, ADA),
        ({"enterprise_user": {"teams": 7}}, ADA),
        (
            {"team_id": "T0ELSEWHERE", "enterprise_user": {"teams": ["T0OTHER"]}},
            replace(ADA, is_external=True),
        ),
        (
            {"team_id": "T0ELSEWHERE", "enterprise_user": {"enterprise_id": "E0HOME", "teams": ["T0OTHER"]}},
            replace(ADA, is_external=True, is_colleague=True),
        ),
        (
            {"team_id": "T0ELSEWHERE", "enterprise_user": {"enterprise_id": "E0OTHER"}},
            replace(ADA, is_external=True),
        ),
    ],
)
async def test_a_person_is_found_with_what_decides_over_asking(
    facts: dict[str, Any], expected: Person
) -> None:
    async with messenger_of(says({"ok": True, "user": {**MEMBER, **facts}})) as (messenger, slack):
        assert await messenger.find_person("ada@example.com") == expected

        assert slack.received[0].values == {"email": "ada@example.com"}


async def test_a_slack_id_is_looked_up_as_one_and_everybody_each_time() -> None:
    async with messenger_of(refuses("users_not_found"), FOUND) as (messenger, slack):
        with pytest.raises(Undeliverable, match="users_not_found"):
            await messenger.find_person("ada@example.com")

        asked = ("ada@example.com", "U0ADA")
        assert [await messenger.find_person(each) for each in asked] == [ADA, ADA]

    assert slack.methods == ["users.lookupByEmail", "users.lookupByEmail", "users.info"]
    assert slack.received[-1].values == {"user": "U0ADA"}


@pytest.mark.parametrize("answer", [{"ok": True}, {"ok": True, "user": []}, {"ok": True, "user": {"id": 7}}])
async def test_an_answer_without_a_person_is_no_answer(answer: dict[str, Any]) -> None:
    async with messenger_of(says(answer)) as (messenger, _):
        with pytest.raises(TransientError):
            await messenger.find_person("ada@example.com")


# Posting


async def test_a_question_is_posted_with_its_ref_and_unfolds_no_links() -> None:
    async with messenger_of(UPDATED) as (messenger, slack):
        assert await messenger.post(CLAIMED) == MessageRef(channel="D0ADA", ts="1.000001")

    [call] = slack.received
    assert (call.method, call.verb) == ("chat.postMessage", "POST")
    assert call.values == {
        **question_message(CLAIMED, WORDING, POLICY),
        "channel": "U0ADA",
        **LITERAL_POST,
    }


@pytest.mark.parametrize(
    "place",
    [{}, {"channel": "D0ADA"}, {"channel": "D0ADA", "ts": None}, {"channel": {"id": "D"}, "ts": "1.1"}],
)
async def test_a_post_without_a_place_is_in_doubt(place: dict[str, Any]) -> None:
    async with messenger_of(says({"ok": True, **place})) as (messenger, _):
        with pytest.raises(AmbiguousError):
            await messenger.post(CLAIMED)


async def test_a_person_without_a_conversation_is_not_somebody_who_cannot_be_asked() -> None:
    async with messenger_of(refuses("channel_not_found")) as (messenger, _):
        with pytest.raises(NoConversation):
            await messenger.post(CLAIMED)


async def test_a_conversation_that_was_opened_and_is_not_there_ends_the_request() -> None:
    async with messenger_of(OPENED, refuses("channel_not_found")) as (messenger, slack):
        channel = await messenger.open_conversation(CLAIMED)
        with pytest.raises(Undeliverable, match="channel_not_found"):
            await messenger.post(CLAIMED, channel=channel)

    opened, post = slack.received
    assert (opened.method, opened.values) == ("conversations.open", {"users": "U0ADA"})
    assert (post.method, post.values["channel"]) == ("chat.postMessage", "D0ADA")


@pytest.mark.parametrize(
    ("code", "kind"), [("channel_not_found", UnknownErrorCode), ("user_disabled", Undeliverable)]
)
async def test_a_conversation_that_is_not_found_says_nothing_of_the_person(
    code: str, kind: type[Exception]
) -> None:
    async with messenger_of(refuses(code)) as (messenger, _):
        with pytest.raises(kind, match=code):
            await messenger.open_conversation(CLAIMED)


# Looking up


async def test_a_question_is_looked_for_from_before_its_first_claim() -> None:
    again = asking_rules.claim(CLAIMED, ADA, NOON + timedelta(hours=5)).question
    clock = SteppedClock(now=NOON + timedelta(hours=5))
    async with messenger_of(OPENED, page(message()), clock=clock) as (messenger, slack):
        assert await messenger.look_up(again) == MessageRef(channel="D0ADA", ts="5.000005")

    opened, history = slack.received
    assert (opened.method, opened.values) == ("conversations.open", {"users": "U0ADA"})
    since = (NOON - timedelta(minutes=30)).timestamp()
    assert history.values == {
        "channel": "D0ADA",
        "oldest": f"{since:.6f}",
        "inclusive": "1",
        "include_all_metadata": "1",
        "limit": "200",
    }


async def test_a_claim_that_a_wrong_clock_dated_ahead_is_looked_for_from_before_now() -> None:
    ahead = asking_rules.claim(ACCEPTED, ADA, NOON + timedelta(hours=2)).question
    async with messenger_of(OPENED, page(message())) as (messenger, slack):
        await messenger.look_up(ahead)

    assert float(slack.received[-1].values["oldest"]) == (NOON - timedelta(minutes=30)).timestamp()


async def test_a_page_that_is_not_the_last_says_where_to_go_on() -> None:
    pages = page(message("another.ref"), cursor="two"), page({"text": "no metadata"}, cursor="three")
    async with messenger_of(OPENED, *pages, page(message())) as (messenger, slack):
        second = await messenger.look_up(CLAIMED)
        assert second == Bookmark(channel="D0ADA", cursor="two")
        third = await messenger.look_up(CLAIMED, after=second)
        assert isinstance(third, Bookmark)
        assert await messenger.look_up(CLAIMED, after=third) == MessageRef(channel="D0ADA", ts="5.000005")

    assert slack.methods == ["conversations.open", *["conversations.history"] * 3]
    assert [call.values.get("cursor") for call in slack.received[1:]] == [None, "two", "three"]


async def test_a_question_that_is_nowhere_is_missing() -> None:
    strangers: list[Any] = [
        message("another.ref"),
        message(event_type="triage_reminder"),
        {"text": "hello"},
        {"metadata": ["triage_question"], "blocks": "none"},
        {"metadata": {"event_type": "triage_question", "event_payload": "key.secret"}},
        {"blocks": [None, {"elements": 7}, {"elements": [{"action_id": "take-it", "value": "key.secret"}]}]},
    ]
    async with messenger_of(OPENED, page(*strangers)) as (messenger, _):
        assert await messenger.look_up(CLAIMED) is None


async def test_a_question_without_metadata_is_known_by_its_buttons() -> None:
    sent = question_message(CLAIMED, WORDING, POLICY)
    bare = {"ts": "5.000005", "text": sent["text"], "blocks": sent["blocks"]}
    async with messenger_of(OPENED, page(message("another.ref"), bare)) as (messenger, _):
        assert await messenger.look_up(CLAIMED) == MessageRef(channel="D0ADA", ts="5.000005")


@pytest.mark.parametrize(
    "answer",
    [
        writes("", status=502),
        says({"ok": True}),
        refuses("ratelimited", status=429),
        page(has_more=True),
        says({"ok": True, "messages": [], "has_more": True, "response_metadata": ["three"]}),
        says({"ok": True, "messages": [{**message(), "ts": None}]}),
    ],
)
async def test_a_page_that_was_not_read_makes_the_look_fail(answer: Answer) -> None:
    async with messenger_of(answer) as (messenger, _):
        with pytest.raises(TransientError):
            await messenger.look_up(CLAIMED, after=Bookmark(channel="D0ADA", cursor="two"))


@pytest.mark.parametrize(("scopes", "can"), [({"im:history", "chat:write"}, True), ({"chat:write"}, False)])
async def test_looking_needs_the_history_scope(scopes: set[str], *, can: bool) -> None:
    async with scripted_slack(FOUND) as slack, api_of(slack) as api:
        identity = Identity(team_id="T0HOME", scopes=frozenset(scopes))

        assert SlackMessenger(api, identity, WORDING, POLICY).can_look_up is can


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


# Reading after a restore


async def test_a_message_is_read_alone() -> None:
    sent = question_message(CLAIMED, WORDING, POLICY)
    place = MessageRef(channel="D0ADA", ts="5.000005")
    async with messenger_of(page({**sent, "ts": place.ts}), page()) as (messenger, slack):
        found = await messenger.read_message(place)
        assert found is not None
        assert (found.ref, found.message_ref, found.shown) == (CLAIMED.ref, place, Shown(reports=0))
        assert await messenger.read_message(place) is None

    assert slack.received[0].values == {
        "channel": "D0ADA",
        "oldest": place.ts,
        "latest": place.ts,
        "inclusive": "1",
        "include_all_metadata": "1",
        "limit": "1",
    }


async def test_a_conversation_is_read_page_by_page() -> None:
    line = message("person.secret", "triage_line")
    pages = page(message(), {"text": "hello"}, cursor="two"), page(message("another.ref"), line)
    async with messenger_of(OPENED, *pages) as (messenger, slack):
        first = await messenger.read_conversation("U0ADA", NOON)
        last = await messenger.read_conversation("U0ADA", NOON, after=first.next)

    assert [[each.ref for each in read.questions] for read in (first, last)] == [
        ["key.secret"],
        ["another.ref", "line-person.secret"],
    ]
    assert last.next is None
    assert slack.methods == ["conversations.open", *["conversations.history"] * 2]
    assert slack.received[1].values["oldest"] == f"{NOON.timestamp():.6f}"
    assert slack.received[2].values["cursor"] == "two"


@pytest.mark.parametrize(
    ("author", "counts"),
    [
        ({"user": "U0BOT", "bot_id": "B0BOT"}, True),
        ({"user": "U0BOT"}, True),
        ({"bot_id": "B0BOT"}, True),
        ({"user": "U0BOT", "bot_id": "B0NEW"}, True),  # reinstalled
        ({"user": "U0ADA"}, False),
        ({"user": "U0ADA", "bot_id": "B0OTHER"}, False),
    ],
)
async def test_a_person_cannot_forge_a_question_in_their_conversation(
    author: dict[str, str], *, counts: bool
) -> None:
    async with messenger_of(OPENED, page({**message(), **author})) as (messenger, _):
        read = await messenger.read_conversation("U0ADA", NOON)

    assert len(read.questions) == counts
