"""Which texts of `messages.toml` Slack would refuse, and that they are refused before Slack does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawn import LONG_ADDRESS, WORDING, a_question, assert_slack_takes, wording_with

from bot.errors import ConfigError
from bot.slack.messages import check_wording, question_message
from bot.triage.model import Choice


def test_the_wording_that_ships_is_within_the_limits() -> None:
    check_wording(WORDING)


TOO_LONG = [
    ("button", "yes", 75),
    ("confirm_no", "title", 100),
    ("confirm_no", "text", 300),
    ("confirm_no", "deny", 30),
    ("confirm_wrong_user", "confirm", 30),
    ("confirm_wrong_user", "text", 250),
    ("text", "cut", 100),
    ("question", "about", 2000),
    ("question", "ask", 3000),
    ("answer", "no", 2000),
    ("refusal", "closed", 2000),
]


@pytest.mark.parametrize(("table", "key", "limit"), TOO_LONG)
def test_a_text_beyond_slacks_limit_is_refused_by_its_name(table: str, key: str, limit: int) -> None:
    with pytest.raises(ConfigError) as caught:
        check_wording(wording_with(table, key, "x" * (limit + 1)))

    [problem] = [each for each in caught.value.problems if "changed" not in each]
    assert f"[{table}] {key}" in problem
    assert str(limit) in problem


@pytest.mark.parametrize(("table", "key", "limit"), TOO_LONG)
def test_a_text_at_slacks_limit_is_taken_and_slack_takes_it_too(table: str, key: str, limit: int) -> None:
    wording = wording_with(table, key, "x" * limit)

    check_wording(wording)

    long_one = a_question(user=LONG_ADDRESS, summary="x" * 5000)
    said = [None, Choice.YES, Choice.NO]
    for each in [replace(long_one, said=choice, answers=2) for choice in said]:
        assert_slack_takes(question_message(each, wording))


@pytest.mark.parametrize(
    ("table", "key", "text"),
    [
        ("question", "ask", "{user}" * 12),
        ("answer", "changed", "x" * 2990 + "{answer}"),
        ("answer", "changed", "{answer}" * 40),
        ("question", "notification", "{summary}" * 4),
    ],
)
def test_placeholders_count_as_what_they_may_become(table: str, key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[{table}\] {key}"):
        check_wording(wording_with(table, key, text))


def test_a_confirm_dialog_that_names_the_address_twice_still_fits() -> None:
    wording = wording_with("confirm_wrong_user", "text", "{user}? Are you sure about {user}?" + "x" * 200)
    check_wording(wording)

    assert_slack_takes(question_message(a_question(user=LONG_ADDRESS), wording))


def test_all_texts_that_are_too_long_are_named_together() -> None:
    confirm = dict.fromkeys(WORDING["confirm_no"], "y" * 999)
    wording = {**wording_with("button", "yes", "x" * 76), "confirm_no": confirm}

    with pytest.raises(ConfigError) as caught:
        check_wording(wording)

    assert len(caught.value.problems) == 5
