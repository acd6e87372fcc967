"""What a person is shown: the question, its outcome, a reminder, a notice, and their Home."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from drawn import (
    LONG_ADDRESS,
    POLICY,
    THANKS,
    a_question,
    answer_of,
    answered,
    assert_harmless,
    assert_slack_takes,
    block,
    buttons,
    objects_in,
    text_in,
    without_colours,
)
from fakes import NOON, a_request
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.views import View
from wording import WORDING, as_read

from bot.sandbox.fake_slack.limits import length_of_text, problem_of_metadata, problems_of_view
from bot.sandbox.fake_slack.objects import text_of_block
from bot.sandbox.fake_slack.views import VIEW_LIMIT
from bot.slack.render.blocks import CONFIRM_TEXT_MAX
from bot.slack.render.card import CardLinks
from bot.slack.render.home import ANSWERED_MAX, OPEN_MAX, home_view, notices_view
from bot.slack.render.question import (
    answer_buttons,
    notice_message,
    notice_text,
    question_message,
    reminder_message,
    title_of,
)
from bot.sqs.wire import decode_request
from bot.triage.answer_rules import Notice, Refusal, Unfinished
from bot.triage.asking_rules import accept
from bot.triage.listing import Listed
from bot.triage.model import Choice, Confidence, Question, TriageRequest
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy
from bot.triage.service import LISTED_MAX

CUT = WORDING["text"]["cut"]


def drawn(question: Question) -> dict[str, Any]:
    return question_message(question, WORDING, POLICY)


@pytest.mark.parametrize("confidence", Confidence)
def test_wrong_person_is_offered_where_mozdef_may_be_wrong(confidence: Confidence) -> None:
    sure = confidence in (Confidence.HIGHEST, Confidence.HIGH)
    offered = ["answer-yes", "answer-no", "answer-notSure", *([] if sure else ["answer-wrongUser"])]

    assert list(buttons(drawn(a_question(confidence)))) == offered


def test_every_button_carries_the_ref_and_yes_and_no_their_colours_and_two_ask_back() -> None:
    question = a_question()

    shown = buttons(drawn(question))

    assert {each["value"] for each in shown.values()} == {question.ref}
    assert [each.get("style") for each in shown.values()] == ["primary", "danger", None, None]
    asking_back = {name: each["confirm"] for name, each in shown.items() if "confirm" in each}
    assert list(asking_back) == ["answer-no", "answer-wrongUser"]
    assert all(set(each) == {"title", "text", "confirm", "deny"} for each in asking_back.values())
    assert "security team" in asking_back["answer-no"]["text"]["text"]
    assert "ada@example.com" in asking_back["answer-wrongUser"]["text"]["text"]


def test_the_question_names_the_address_and_shows_the_summary_and_so_does_its_notification() -> None:
    message = drawn(a_question(summary="Codes\nwere   made on <host>."))

    [quote] = block(message, "summary")["elements"]
    text = {"type": "text", "text": "Codes\nwere   made on <host>."}
    assert quote == {"type": "rich_text_quote", "elements": [text]}
    assert {"type": "text", "text": "ada@example.com"} in objects_in(block(message, "question"))
    assert "Codes were made on &lt;host&gt;." in message["text"]
    assert "ada@example.com" in message["text"]
    assert "\n" not in message["text"]


@pytest.mark.parametrize("choice", Choice)
def test_each_answer_is_shown_in_its_own_words(choice: Choice) -> None:
    question = answered(choice)

    assert answer_of(question) == drawn(question)["text"] == WORDING["answer"][choice]


def test_a_changed_answer_says_that_the_change_was_noticed_or_that_the_security_team_still_comes() -> None:
    changed = answer_of(answered(Choice.NO, answers=2))
    taken_back = answer_of(answered(Choice.YES, standing=Outcome.NO, answers=2))

    assert WORDING["answer"]["no"] in changed
    assert WORDING["answer"]["no"] != changed
    assert taken_back == WORDING["answer"]["retracted"]
    assert THANKS not in taken_back


SAID = replace(a_question(), said=Choice.YES, answered_at=NOON, answers=1, proofs=1)
FACTOR = WORDING["factor"]
YES_BUTTON = WORDING["button"]["yes"]


@pytest.mark.parametrize(
    ("question", "told", "proof"),
    [
        (replace(SAID, proof_code="CODE23"), "", "confirm it on your own device"),
        (replace(SAID, standing=Outcome.TIMED_OUT, proof_code="CODE23"), "timedOut", "the code CODE23"),
        (replace(SAID, standing=Outcome.UNPROVEN), "unproven", f"Press “{YES_BUTTON}” again, and"),
        (replace(SAID, standing=Outcome.UNPROVEN, retry_at=NOON), "unproven", "again from "),
        (replace(SAID, standing=Outcome.UNPROVEN, proofs=5), "unproven", "cannot be confirmed any more"),
        (replace(SAID, retry_at=NOON), "", "again from "),
        (replace(SAID, standing=Outcome.NO, reason="factor_fraud"), "no", ""),
        (replace(SAID, said=Choice.NOT_SURE, standing=Outcome.NO, reason="factor_fraud"), "retracted", ""),
        (replace(SAID, standing=Outcome.NO, proof_code="CODE23"), "retracted", "login.example.com asks you"),
        (replace(SAID, standing=Outcome.YES), "yes", ""),
    ],
)
def test_a_yes_that_is_not_proved_is_never_thanked_for_and_says_what_to_do(
    question: Question, told: str, proof: str
) -> None:
    message = question_message(question, WORDING, replace(POLICY, provider="login.example.com"))

    shown = {block["block_id"] for block in message["blocks"]}
    assert_slack_takes(message)
    assert (text_in(message, "answer") if "answer" in shown else "") == WORDING["answer"].get(told, "")
    assert proof in (text_in(message, "proof") if "proof" in shown else "")
    assert ("proof" in shown) is bool(proof)
    assert set(buttons(message)) == set(buttons(drawn(a_question())))
    assert (THANKS in json.dumps(message)) is (told == "yes")


@pytest.mark.parametrize(
    "question",
    [
        answered(Choice.YES),
        answered(Choice.NO, answers=2),
        answered(Choice.YES, standing=Outcome.NO, answers=3),
        replace(a_question(), standing=Outcome.TIMED_OUT),
        replace(a_question(), standing=Outcome.UNDELIVERABLE, reason="not_asked_in_time"),
    ],
)
def test_all_buttons_stay_whatever_was_answered(question: Question) -> None:
    before, after = drawn(a_question()), drawn(question)

    assert buttons(after) == without_colours(buttons(before))
    kept = [each for each in before["blocks"] if _stays(each["block_id"])]
    assert [each for each in after["blocks"] if each in kept] == kept


def _stays(block_id: str) -> bool:
    return block_id not in ("answers", "deadline") and not block_id.startswith("shows:")


def test_a_choice_that_was_not_offered_is_never_drawn() -> None:
    assert list(buttons(drawn(replace(a_question(), offered=(Choice.NO,))))) == ["answer-no"]


def test_the_longest_address_fits_into_every_place() -> None:
    assert len(LONG_ADDRESS) == 254

    message = drawn(a_question(user=LONG_ADDRESS, summary="x" * 5000))

    assert_slack_takes(message)
    text = buttons(message)["answer-wrongUser"]["confirm"]["text"]["text"]
    assert len(text) <= CONFIRM_TEXT_MAX
    assert LONG_ADDRESS[:200] in text


LINES = [f"line {number}" for number in range(5000)]


@pytest.mark.parametrize(
    ("summary", "is_cut", "shown"),
    [
        ("<" * 5000, False, "<" * (3000 - len(CUT))),
        ("\n".join(LINES), False, "\n".join(LINES[:15])),
        ("short", True, "short"),  # its end was not kept
    ],
    ids=["characters", "lines", "before"],
)
def test_a_long_summary_is_cut_with_a_mark(summary: str, *, is_cut: bool, shown: str) -> None:
    question = a_question(summary=summary)

    message = drawn(replace(question, request=replace(question.request, is_cut=is_cut)))

    assert text_in(message, "summary") == shown + CUT


def test_5000_lines_and_8_facts_of_300_characters_make_a_message_that_slack_takes() -> None:
    facts = [{"name": f"{number}" * 40, "value": "<" * 300} for number in range(8)]
    request = decode_request(
        json.dumps(
            {
                "identifier": "1",
                "alert": "duo",
                "summary": "\n".join(f"{line} <&>" for line in LINES),
                "user": "ada@example.com",
                "occurredAt": "2026-11-24T03:00:00Z",
                "facts": facts,
            }
        )
    )
    assert isinstance(request, TriageRequest)
    accepted = accept(request, "key.secret", NOON, POLICY).question

    message = drawn(replace(accepted, offered=tuple(Choice)))

    assert_slack_takes(message)
    assert text_in(message, "summary").endswith(f"line 14 <&>{CUT}")
    assert text_in(message, "facts") == "\n".join(f"{fact['name']}: {fact['value']}" for fact in facts)


@given(
    summary=st.text(st.characters(), max_size=200) | st.text(max_size=20).map(lambda text: text * 400),
    user=st.from_regex(r"[a-z.{}*_~`'%-]{1,60}@[a-z]{1,60}(\.[a-z]{1,40}){1,3}", fullmatch=True),
    confidence=st.sampled_from(Confidence),
    said=st.none() | st.sampled_from(Choice),
    answers=st.integers(min_value=1, max_value=3),
)
def test_slack_takes_every_question(
    summary: str, user: str, confidence: Confidence, said: Choice | None, answers: int
) -> None:
    question = a_question(confidence, user=user, summary=summary)
    standing = Outcome(said.value) if said else None

    message = drawn(replace(question, said=said, standing=standing, answers=answers))

    assert_slack_takes(message)
    assert length_of_text(message["blocks"]) <= 13_200


def test_the_metadata_names_the_question() -> None:
    question = a_question()

    metadata = drawn(question)["metadata"]

    assert metadata == {
        "event_type": "triage_question",
        "event_payload": {
            "ref": question.ref,
            "identifier": question.identifier,
            "user": question.request.user,
            "alert": question.request.alert,
            "confidence": question.request.confidence,
        },
    }
    assert problem_of_metadata(metadata) is None


@pytest.mark.parametrize("notice", [*Refusal, *Unfinished])
def test_every_notice_has_words_for_the_clicker_alone(notice: Notice) -> None:
    message = notice_message(notice, WORDING)

    assert message["text"]
    assert (message["response_type"], message["replace_original"]) == ("ephemeral", False)


LINK = "https://sandbox.slack.com/archives/D0ADA/p1764000001000100"
REMINDER = WORDING["reminder"]
REMINDED = replace(
    a_question(),
    channel="D0ADA",
    ts="1764000001.000100",
    deadline=NOON + timedelta(hours=24),
    reminders=1,
    time_zone="America/New_York",
)


def test_a_reminder_says_what_is_asked_and_by_when_in_the_persons_own_time_with_a_link() -> None:
    message = reminder_message(REMINDED, WORDING, POLICY, link=LINK)

    expected = as_read(
        REMINDER["text"], user="ada@example.com", deadline="Wed 25 Nov 2026, 07:00 (America/New_York)"
    )
    assert message["text"] == expected
    assert text_in(message, "reminder") == f"{expected} {REMINDER['link']}"
    assert [each["url"] for each in objects_in(message) if each["type"] == "link"] == [LINK]
    assert [each["type"] for each in message["blocks"]] == ["rich_text"]  # and no button


def test_a_reminder_without_a_link_points_to_the_home_and_without_a_deadline_names_none() -> None:
    unlinked = reminder_message(REMINDED, WORDING, POLICY, link="")
    undated = reminder_message(replace(REMINDED, deadline=None), WORDING, POLICY, link=LINK)

    assert unlinked["text"].endswith(as_read(REMINDER["home"]))
    assert text_in(unlinked, "reminder") == unlinked["text"]
    assert undated["text"] == as_read(REMINDER["text_open"], user="ada@example.com")


@pytest.mark.parametrize("number", [1, 2, 7])
def test_each_reminder_can_be_known_again_and_is_no_question(number: int) -> None:
    message = reminder_message(replace(REMINDED, reminders=number), WORDING, POLICY, link="")

    assert message["metadata"] == {
        "event_type": "triage_reminder",
        "event_payload": {"ref": REMINDED.ref, "n": number},
    }
    assert problem_of_metadata(message["metadata"]) is None


WORDS = WORDING["home"]
OPEN = replace(a_question(), asked_at=NOON, time_zone="Europe/Berlin")
ANSWERED = replace(
    OPEN, said=Choice.NO, standing=Outcome.NO, answers=1, reports=1, answered_at=NOON + timedelta(minutes=5)
)


def home(
    *unanswered: Question,
    answered: tuple[Question, ...] = (),
    taken: tuple[Question, ...] = (),
    policy: Policy = POLICY,
    notice: Notice | None = None,
) -> Any:
    listed = Listed(unanswered=unanswered, answered=answered, taken=taken)
    view = home_view(listed, WORDING, policy, notice=notice, links=CardLinks(workspace=""))
    assert problems_of_view(view) == []
    View(**view).validate_json()
    assert len(view["blocks"]) <= 100
    assert len(json.dumps(view).encode()) <= VIEW_LIMIT
    return view


def words_of(view: Any) -> list[str]:
    return [text_of_block(each) for each in view["blocks"]]


@pytest.mark.parametrize("notice", [*Refusal, *Unfinished])
def test_a_notice_stands_on_top_of_the_fullest_home(notice: Notice) -> None:
    view = home(*[OPEN] * LISTED_MAX, answered=(ANSWERED,) * LISTED_MAX, notice=notice)

    assert words_of(view)[0] == as_read(notice_text(notice, WORDING))
    assert view["blocks"][1:] == home(*[OPEN] * LISTED_MAX, answered=(ANSWERED,) * LISTED_MAX)["blocks"]


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
    view = home(answered=answered)

    assert view["type"] == "home"
    assert WORDS["none"] in words_of(view)
    assert "actions" not in [each["type"] for each in view["blocks"]]
    assert (WORDS["answered"] in words_of(view)) is bool(answered)


def test_everybody_is_told_whether_this_is_real() -> None:
    for view in (home(), home(OPEN, answered=(ANSWERED,))):
        assert WORDS["real"] in words_of(view)
        assert as_read(WORDS["explanation"]) in words_of(view)
    assert all(promise in WORDS["explanation"] for promise in ("password", "security team"))


def test_an_open_question_can_be_answered_there_and_dates_are_the_persons_own() -> None:
    view = home(OPEN, answered=(ANSWERED,))

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

    view = home(OPEN, other, policy=policy)

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

    view = home(
        *[replace(OPEN, request=request)] * unanswered,
        answered=(replace(ANSWERED, request=request),) * answered,
    )

    assert_harmless(view)
    rows = [each for each in view["blocks"] if each["type"] == "actions"]
    assert len(rows) == min(unanswered, OPEN_MAX)
    assert max(OPEN_MAX, ANSWERED_MAX) <= LISTED_MAX  # as many are looked up as are shown
