"""Payloads are read with suspicion: what is not understood is nothing, and never an error."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.identity import Identity
from bot.slack.payloads import (
    Clicker,
    describe_payload,
    is_in_home,
    read_answer,
    read_clicker,
    read_note,
    read_ref,
    read_take,
)
from bot.triage.model import Answer, Choice, MessageRef, Note, Take

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
    **{key: value for key, value in ON_MESSAGE.items() if key not in ("container", "response_url")},
    "container": {"type": "view", "view_id": "V0HOME"},
}
ON_CARD: dict[str, Any] = {
    **ON_MESSAGE,
    "user": {"id": "U0RADIA", "username": "radia"},
    "container": {"type": "message", "channel_id": "C0SECURITY", "message_ts": "1764000001.000200"},
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

garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def without(payload: dict[str, Any], *path: Any) -> dict[str, Any]:
    """Return the payload without what is at the path."""
    changed: Any = copy.deepcopy(payload)
    place = changed
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return dict(changed)


def test_a_click_on_a_message_is_an_answer() -> None:
    assert read_answer(ON_MESSAGE, IDENTITY, NOON) == Answer(
        ref="key.secret",
        choice=Choice.NO,
        slack_id="U0ADA",
        same_workspace=True,
        message_ref=MessageRef(channel="D0ADA", ts="1764000001.000100"),
        at=NOON,
    )


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


def test_a_click_in_the_home_is_an_answer_without_a_message() -> None:
    answer = read_answer(IN_HOME, IDENTITY, NOON)

    assert answer is not None
    assert (answer.message_ref, answer.slack_id, answer.choice) == (None, "U0ADA", Choice.NO)
    assert (is_in_home(IN_HOME), is_in_home(ON_MESSAGE)) == (True, False)


def test_a_click_of_another_workspace_is_known_as_such() -> None:
    for read in (read_answer, read_take):
        click = read({**ON_CARD, "team": {"id": "T0OTHER"}, "actions": ON_MESSAGE["actions"]}, IDENTITY, NOON)
        assert click is not None
        assert click.same_workspace is False
    note = read_note({**SUBMITTED, "team": {"id": "T0OTHER"}}, IDENTITY, NOON)
    assert note is not None
    assert note.same_workspace is False


def test_take_it_names_who_and_where() -> None:
    expected = Take(
        ref="key.secret",
        slack_id="U0RADIA",
        slack_name="radia",
        same_workspace=True,
        message_ref=MessageRef(channel="C0SECURITY", ts="1764000001.000200"),
        at=NOON,
    )
    assert read_take(ON_CARD, IDENTITY, NOON) == expected
    unnamed = {**ON_CARD, "user": {"id": "U0RADIA"}}
    assert read_take(unnamed, IDENTITY, NOON) == replace(expected, slack_name="")


def test_a_sent_window_is_a_note() -> None:
    assert read_note(SUBMITTED, IDENTITY, NOON) == Note(
        ref="key.secret", text="On a train.", slack_id="U0ADA", same_workspace=True, at=NOON
    )


def test_the_ref_of_a_button_is_read_whatever_the_button_is() -> None:
    assert read_ref(ON_MESSAGE) == "key.secret"
    assert read_ref({"actions": []}) == ""


def test_the_ref_of_a_window_is_that_of_its_question() -> None:
    assert read_ref(SUBMITTED) == "key.secret"
    assert read_ref({**IN_HOME, "view": {"private_metadata": "another"}}) == "key.secret"


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
        ("actions",),
        ("actions", 0),
        ("actions", 0, "value"),
        ("actions", 0, "action_id"),
        ("user",),
        ("user", "id"),
        ("container",),
        ("container", "channel_id"),
        ("container", "message_ts"),
    ],
)
def test_a_click_that_lacks_something_is_no_answer(path: tuple[Any, ...]) -> None:
    assert read_answer(without(ON_MESSAGE, *path), IDENTITY, NOON) is None


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
    assert read_take({**ON_CARD, "container": container}, IDENTITY, NOON) is None


@pytest.mark.parametrize(
    "path",
    [
        ("view",),
        ("view", "private_metadata"),
        ("view", "state"),
        ("view", "state", "values"),
        ("view", "state", "values", "note"),
        ("view", "state", "values", "note", "text"),
        ("user", "id"),
    ],
)
def test_a_window_that_lacks_something_is_no_note(path: tuple[Any, ...]) -> None:
    assert read_note(without(SUBMITTED, *path), IDENTITY, NOON) is None


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

    for read in (read_answer, read_take, read_note):
        read(body, IDENTITY, NOON)
    read_ref(body)
    read_clicker(body)
    is_in_home(body)
    describe_payload(body)


def test_the_log_learns_what_a_payload_is_and_nothing_of_what_is_in_it() -> None:
    told = describe_payload({**ON_MESSAGE, **SUBMITTED})

    assert told == {"type": "view_submission", "action_id": "answer-no"}
    assert "train" not in str(told)


@pytest.mark.parametrize(
    ("value", "word"),
    [(None, "NoneType"), ({"text": "train"}, "dict"), (["train"], "list"), ("x" * 999, "x" * 100)],
)
def test_what_is_no_word_is_logged_by_its_kind(value: object, word: str) -> None:
    told = describe_payload({"type": value, "actions": [{"action_id": value}]})

    assert told == {"type": word, "action_id": word}
