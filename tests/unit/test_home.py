"""A person's Home: what they may answer there, what they answered, and why they may trust it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from drawn import LONG_ADDRESS, POLICY, a_question, assert_harmless, block
from fakes import NOON, a_request
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.views import View
from wording import WORDING, as_read

from bot.sandbox.fake_slack.limits import problems_of_view
from bot.sandbox.fake_slack.objects import text_of_block
from bot.sandbox.fake_slack.views import VIEW_LIMIT
from bot.slack.render.home import ANSWERED_MAX, OPEN_MAX, home_view, notices_view
from bot.slack.render.question import answer_buttons, notice_text, title_of
from bot.triage.answer_rules import Notice, Refusal, Unfinished
from bot.triage.model import Choice, Confidence, Question
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy
from bot.triage.service import LISTED_MAX

WORDS = WORDING["home"]
OPEN = replace(a_question(), asked_at=NOON, time_zone="Europe/Berlin")
ANSWERED = replace(
    OPEN,
    said=Choice.NO,
    standing=Outcome.NO,
    answers=1,
    reports=1,
    answered_at=NOON + timedelta(minutes=5),
)


def drawn(
    *unanswered: Question,
    answered: tuple[Question, ...] = (),
    policy: Policy = POLICY,
    notice: Notice | None = None,
) -> Any:
    view = home_view(unanswered, answered, WORDING, policy, notice=notice)
    assert problems_of_view(view) == []
    View(**view).validate_json()
    assert len(view["blocks"]) <= 100
    assert len(json.dumps(view).encode()) <= VIEW_LIMIT
    return view


def words_of(view: Any) -> list[str]:
    return [text_of_block(each) for each in view["blocks"]]


@pytest.mark.parametrize("notice", [*Refusal, *Unfinished])
def test_a_notice_stands_on_top_of_the_fullest_home(notice: Notice) -> None:
    view = drawn(*[OPEN] * LISTED_MAX, answered=(ANSWERED,) * LISTED_MAX, notice=notice)

    assert words_of(view)[0] == as_read(notice_text(notice, WORDING))
    assert view["blocks"][1:] == drawn(*[OPEN] * LISTED_MAX, answered=(ANSWERED,) * LISTED_MAX)["blocks"]


def test_a_home_of_notices_shows_no_question_and_says_why_it_may_be_trusted() -> None:
    view = notices_view((Refusal.OTHER_PERSON, Unfinished.HOME), WORDING)

    assert problems_of_view(view) == []
    assert words_of(view) == [
        as_read(WORDING["refusal"]["other_person"]),
        as_read(WORDING["unfinished"]["home"]),
        WORDS["real"],
        as_read(WORDS["explanation"]),
    ]


@pytest.mark.parametrize("answered", [(), (ANSWERED,)])
def test_a_home_with_nothing_to_answer_says_so_and_has_no_buttons(answered: tuple[Question, ...]) -> None:
    view = drawn(answered=answered)

    assert view["type"] == "home"
    assert WORDS["none"] in words_of(view)
    assert "actions" not in [each["type"] for each in view["blocks"]]
    assert (WORDS["answered"] in words_of(view)) is bool(answered)


def test_everybody_is_told_whether_this_is_real() -> None:
    for view in (drawn(), drawn(OPEN, answered=(ANSWERED,))):
        assert WORDS["real"] in words_of(view)
        assert as_read(WORDS["explanation"]) in words_of(view)
    assert all(promise in WORDS["explanation"] for promise in ("password", "security team"))


def test_an_open_question_can_be_answered_there_and_dates_are_the_persons_own() -> None:
    view = drawn(OPEN, answered=(ANSWERED,))

    assert block(view, "answers-0")["elements"] == answer_buttons(OPEN, WORDING)
    asked, said = (f"Tue 24 Nov 2026, 13:{minute} (Europe/Berlin)" for minute in ("00", "05"))
    choice = WORDING["button"]["no"]
    words = words_of(view)
    assert "Codes were made." in words
    assert as_read(WORDING["question"]["ask"], user="ada@example.com") in words
    assert WORDS["none"] not in words
    assert as_read(WORDS["asked"], title="Security alert", date=asked) in words
    assert as_read(WORDS["said"], title="Security alert", choice=choice, date=said) in words


def test_each_question_keeps_its_own_ref_and_words() -> None:
    mine = AlertPolicy(title="Codes created", wording={"button_yes": "Yes, I made them"})
    policy = Policy(alerts=AlertPolicies(by_label={a_request().alert: mine}))
    other = replace(OPEN, ref="other.ref", request=replace(OPEN.request, alert="unheard-of"))

    view = drawn(OPEN, other, policy=policy)

    first, second = (block(view, f"answers-{number}") for number in (0, 1))
    assert [each["elements"][0]["value"] for each in (first, second)] == [OPEN.ref, "other.ref"]
    labels = [each["elements"][0]["text"]["text"] for each in (first, second)]
    assert labels == ["Yes, I made them", WORDING["button"]["yes"]]


def test_an_alert_without_a_title_is_called_by_its_label() -> None:
    alerts = AlertPolicies(default=AlertPolicy(title=""))
    question = replace(OPEN, request=replace(OPEN.request, alert="<odd>"))

    assert title_of(question, Policy(alerts=alerts)) == "<odd>"


@given(
    summary=st.text(st.characters(), max_size=50) | st.text(max_size=20).map(lambda text: text * 400),
    unanswered=st.integers(min_value=0, max_value=40),
    answered=st.integers(min_value=0, max_value=40),
)
def test_slack_takes_every_home(summary: str, unanswered: int, answered: int) -> None:
    request = replace(a_request(user=LONG_ADDRESS, summary=summary), confidence=Confidence.LOWEST)

    view = drawn(
        *[replace(OPEN, request=request)] * unanswered,
        answered=(replace(ANSWERED, request=request),) * answered,
    )

    assert_harmless(view)
    rows = [each for each in view["blocks"] if each["type"] == "actions"]
    assert len(rows) == min(unanswered, OPEN_MAX)
    assert max(OPEN_MAX, ANSWERED_MAX) <= LISTED_MAX  # as many are looked up as are shown
