"""Payloads from Slack are not trusted: one that cannot be read is None, never an error."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientError, ConnectionTimeoutError, InvalidURL, NonHttpUrlRedirectClientError
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.errors import classify_error
from bot.slack.identity import Identity
from bot.slack.input_cleaning import clean_json, make_storable, parse_json, read_text
from bot.slack.payloads import (
    Clicker,
    describe_payload,
    is_in_home,
    read_answer,
    read_card_click,
    read_clicker,
    read_note,
    read_ref,
)
from bot.triage.assignments import CardClick
from bot.triage.model import Answer, Choice, MessageRef, Note

IDENTITY = Identity(team_id="T0HOME")
ON_MESSAGE: dict[str, Any] = {
    "type": "block_actions",
    "team": {"id": "T0HOME"},
    "user": {"id": "U0ADA", "username": "ada", "name": "ada"},
    "trigger_id": "1.2.3",
    "container": {"type": "message", "channel_id": "D0ADA", "message_ts": "1764000001.000100"},
    "response_url": "https://hooks.example/1",
    "actions": [{"action_id": "answer-no", "value": "key.secret"}],
}
IN_HOME: dict[str, Any] = {
    **ON_MESSAGE,
    "container": {"type": "view", "view_id": "V0HOME"},
    "response_url": "",
}
ON_CARD: dict[str, Any] = {
    **ON_MESSAGE,
    "user": {"id": "U0RADIA", "username": "radia"},
    "container": {"type": "message", "channel_id": "C0SECURITY", "message_ts": "1764000001.000200"},
    "message": {"blocks": [{"type": "divider"}, {"type": "actions", "elements": [{"value": "key.secret"}]}]},
    "actions": [{"action_id": "take-it", "value": "key.secret"}],
}
SUBMITTED: dict[str, Any] = {
    "type": "view_submission",
    "team": {"id": "T0HOME"},
    "user": {"id": "U0ADA"},
    "view": {
        "callback_id": "note",
        "private_metadata": "key.secret",
        "state": {"values": {"note": {"text": {"type": "plain_text_input", "value": "On a train."}}}},
    },
}


def json_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    )


garbage = json_of(st.text(max_size=5))


def without(payload: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the payload without what is at the path."""
    changed: Any = copy.deepcopy(payload)
    place = changed
    *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in keys:
        place = place[key]
    del place[last]
    return dict(changed)


def test_a_click_is_an_answer_and_in_the_home_one_without_a_message() -> None:
    expected = Answer(
        ref="key.secret",
        choice=Choice.NO,
        slack_id="U0ADA",
        same_workspace=True,
        message_ref=MessageRef(channel="D0ADA", ts="1764000001.000100"),
        at=NOON,
    )
    assert read_answer(ON_MESSAGE, IDENTITY, NOON) == expected
    assert read_answer(IN_HOME, IDENTITY, NOON) == replace(expected, message_ref=None)
    assert (is_in_home(IN_HOME), is_in_home(ON_MESSAGE)) == (True, False)


@pytest.mark.parametrize(
    ("stamp", "clicked_at"),
    [
        ("1764000005.250000", datetime(2025, 11, 24, 16, 0, 5, 250_000, tzinfo=UTC)),
        ("soon", None),
        ("nan", None),
        ("1e300", None),
        (None, None),
    ],
)
def test_slack_says_when_a_button_was_clicked(stamp: object, clicked_at: datetime | None) -> None:
    payload = copy.deepcopy(ON_MESSAGE)
    payload["actions"][0]["action_ts"] = stamp

    answer = read_answer(payload, IDENTITY, NOON)

    assert answer is not None
    assert answer.clicked_at == clicked_at


def test_a_click_of_another_workspace_is_known_as_such() -> None:
    elsewhere = {"team": {"id": "T0OTHER"}}

    read = (
        read_answer({**ON_MESSAGE, **elsewhere}, IDENTITY, NOON),
        read_card_click({**ON_CARD, **elsewhere}, IDENTITY, NOON),
        read_note({**SUBMITTED, **elsewhere}, IDENTITY, NOON),
    )

    assert [each and each.same_workspace for each in read] == [False] * 3


def test_take_it_names_who_and_where() -> None:
    expected = CardClick(
        card="key.secret",
        slack_id="U0RADIA",
        slack_name="radia",
        same_workspace=True,
        channel="C0SECURITY",
        ts="1764000001.000200",
        at=NOON,
        is_carried=True,
    )
    assert read_card_click(ON_CARD, IDENTITY, NOON) == expected
    unnamed = {**ON_CARD, "user": {"id": "U0RADIA"}}
    assert read_card_click(unnamed, IDENTITY, NOON) == replace(expected, slack_name="")


def test_a_sent_window_is_a_note() -> None:
    assert read_note(SUBMITTED, IDENTITY, NOON) == Note(
        ref="key.secret", text="On a train.", slack_id="U0ADA", same_workspace=True, at=NOON
    )


@pytest.mark.parametrize(
    ("body", "ref"),
    [
        (ON_MESSAGE, "key.secret"),
        ({"actions": []}, ""),
        (SUBMITTED, "key.secret"),
        ({**IN_HOME, "view": {"private_metadata": "another"}}, "key.secret"),
    ],
    ids=["a button", "none", "a window", "a button of the Home"],
)
def test_the_ref_is_that_of_the_button_or_of_the_window(body: dict[str, Any], ref: str) -> None:
    assert read_ref(body) == ref


def test_a_clicker_is_known_by_how_they_can_be_told_something() -> None:
    expected = Clicker(
        slack_id="U0ADA", response_url="https://hooks.example/1", trigger_id="1.2.3", ref="key.secret"
    )
    place = MessageRef(channel="D0ADA", ts="1764000001.000100")
    assert read_clicker(ON_MESSAGE) == replace(expected, message_ref=place)
    assert read_clicker(IN_HOME) == replace(expected, response_url="", in_home=True)
    assert read_clicker(SUBMITTED) == Clicker(slack_id="U0ADA", ref="key.secret")


@pytest.mark.parametrize(
    "path",
    [
        *("actions", "actions.0", "actions.0.value", "actions.0.action_id", "user", "user.id"),
        *("container", "container.channel_id", "container.message_ts"),
    ],
)
def test_a_click_that_lacks_something_is_no_answer(path: str) -> None:
    assert read_answer(without(ON_MESSAGE, path), IDENTITY, NOON) is None


@pytest.mark.parametrize(
    "path",
    [
        *("view", "view.private_metadata", "view.state", "view.state.values", "view.state.values.note"),
        *("view.state.values.note.text", "user.id"),
    ],
)
def test_a_window_that_lacks_something_is_no_note(path: str) -> None:
    assert read_note(without(SUBMITTED, path), IDENTITY, NOON) is None


@pytest.mark.parametrize("action_id", ["answer-maybe", "answer-", "answer", "", "no-answer"])
def test_a_button_that_we_do_not_have_is_no_answer(action_id: str) -> None:
    click = {**ON_MESSAGE, "actions": [{"action_id": action_id, "value": "key.secret"}]}

    assert read_answer(click, IDENTITY, NOON) is None


@pytest.mark.parametrize(
    "container",
    [
        None,
        "view",
        ["view"],
        {"type": "message"},
        {"type": "message", "channel_id": "", "message_ts": "1.1"},
        {"type": "message_attachment", "channel_id": "D0ADA", "message_ts": None},
    ],
)
def test_a_click_from_nowhere_is_not_taken_for_one_in_the_home(container: object) -> None:
    assert read_answer({**ON_MESSAGE, "container": container}, IDENTITY, NOON) is None
    assert read_card_click({**ON_CARD, "container": container}, IDENTITY, NOON) is None


@given(
    kind=st.sampled_from([ON_MESSAGE, IN_HOME, ON_CARD, SUBMITTED]),
    changes=st.dictionaries(
        st.sampled_from(["type", "team", "user", "container", "actions", "view", "enterprise", "trigger_id"]),
        garbage,
        max_size=4,
    ),
)
def test_no_payload_is_an_error(kind: dict[str, Any], changes: dict[str, Any]) -> None:
    body = {**kind, **changes}

    for read in (read_answer, read_card_click, read_note):
        read(body, IDENTITY, NOON)
    read_ref(body)
    read_clicker(body)
    is_in_home(body)
    describe_payload(body)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("answer-no", "answer-no"),
        *((None, "NoneType"), ({"text": "train"}, "dict"), (["train"], "list"), ("x" * 999, "x" * 100)),
    ],
)
def test_the_log_learns_what_a_payload_is_and_nothing_of_what_is_in_it(value: object, word: str) -> None:
    told = describe_payload({**SUBMITTED, "type": value, "actions": [{"action_id": value, "value": "key"}]})

    assert told == {"type": word, "action_id": word}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        *(("a\ud800b", "a\ufffdb"), ("\udfff", "\ufffd")),
        *(("\U0001f600 é\n", "\U0001f600 é\n"), ("ada", "ada")),
        ("\ud83d\ude00", "\U0001f600"),  # halves that were sent together
        *((value, "") for value in (None, 7, ["ada"], {"name": "ada"})),  # what is no text
    ],
)
def test_half_a_character_is_replaced_and_all_else_stays(sent: object, kept: str) -> None:
    assert read_text(sent) == kept
    assert make_storable(sent) == (kept or sent)
    text = json.dumps(sent)
    for written in (text, text.replace("\\ud", "\\uD")):  # JSON knows both
        assert parse_json(written) == json.loads(clean_json(written)) == (kept or sent)


#: With lone surrogates, as they come out of JSON's escapes.
@given(json_of(st.text(st.characters(codec=None, exclude_categories=[]), max_size=8)))
def test_whatever_comes_in_can_be_written_in_utf_8(answer: Any) -> None:
    text = json.dumps(answer)
    for read in (parse_json(text), json.loads(clean_json(text))):
        json.dumps(read, ensure_ascii=False).encode()


@given(json_of(st.text()), st.booleans())
def test_what_can_be_stored_stays_as_it_is(answer: Any, in_ascii: bool) -> None:  # noqa: FBT001 - it is drawn
    text = json.dumps(answer, ensure_ascii=in_ascii)
    assert parse_json(text) == json.loads(clean_json(text)) == answer


@pytest.mark.parametrize("error", [ConnectionTimeoutError, InvalidURL, NonHttpUrlRedirectClientError])
def test_a_failure_does_not_tell_whom_the_call_was_about(error: type[ClientError]) -> None:
    told = str(classify_error(error("https://slack.com/api/users.lookupByEmail?email=ada@example.com")))

    assert "ada@example.com" not in told
    assert error.__name__ in told
