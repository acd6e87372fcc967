from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from drawn import (
    LONG_ADDRESS,
    POLICY,
    THANKS,
    a_question,
    answer_of,
    answered,
    assert_slack_takes,
    block,
    buttons,
    objects_in,
    text_in,
    without_colours,
)
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st
from wording import WORDING

from bot.sandbox.fake_slack.limits import length_of_text, problem_of_metadata
from bot.slack.render.blocks import CONFIRM_TEXT_MAX
from bot.slack.render.question import notice_message, question_message
from bot.sqs.wire import decode_request
from bot.triage.answer_rules import Notice, Refusal, Unfinished
from bot.triage.asking_rules import accept
from bot.triage.model import Choice, Confidence, Question, TriageRequest
from bot.triage.outcomes import Outcome


@pytest.mark.parametrize("confidence", ["moderate", "low", "lowest"])
def test_wrong_person_is_offered_where_mozdef_may_be_wrong(confidence: str) -> None:
    message = question_message(a_question(Confidence(confidence)), WORDING, POLICY)

    assert list(buttons(message)) == ["answer-yes", "answer-no", "answer-notSure", "answer-wrongUser"]


@pytest.mark.parametrize("confidence", ["highest", "high"])
def test_wrong_person_is_not_offered_where_mozdef_is_sure(confidence: str) -> None:
    message = question_message(a_question(Confidence(confidence)), WORDING, POLICY)

    assert list(buttons(message)) == ["answer-yes", "answer-no", "answer-notSure"]


def test_every_button_carries_the_ref_and_yes_and_no_their_colours() -> None:
    question = a_question()

    shown = buttons(question_message(question, WORDING, POLICY))

    assert {each["value"] for each in shown.values()} == {question.ref}
    styles = {action_id: each.get("style") for action_id, each in shown.items()}
    assert styles == {
        "answer-yes": "primary",
        "answer-no": "danger",
        "answer-notSure": None,
        "answer-wrongUser": None,
    }


def test_no_and_wrong_person_ask_back_and_the_others_do_not() -> None:
    shown = buttons(question_message(a_question(), WORDING, POLICY))

    asking_back = {action_id for action_id, each in shown.items() if "confirm" in each}
    assert asking_back == {"answer-no", "answer-wrongUser"}
    for action_id in asking_back:
        assert set(shown[action_id]["confirm"]) == {"title", "text", "confirm", "deny"}
    assert "security team" in shown["answer-no"]["confirm"]["text"]["text"]
    assert "ada@example.com" in shown["answer-wrongUser"]["confirm"]["text"]["text"]


def test_the_question_names_the_address_and_shows_the_summary() -> None:
    message = question_message(a_question(summary="Codes were made on <host>."), WORDING, POLICY)

    [quote] = block(message, "summary")["elements"]
    assert quote == {
        "type": "rich_text_quote",
        "elements": [{"type": "text", "text": "Codes were made on <host>."}],
    }
    assert {"type": "text", "text": "ada@example.com"} in objects_in(block(message, "question"))


def test_the_notification_is_one_full_line() -> None:
    message = question_message(a_question(summary="Codes\nwere   made."), WORDING, POLICY)

    assert "Codes were made." in message["text"]
    assert "ada@example.com" in message["text"]
    assert "\n" not in message["text"]


def test_yes_is_answered_in_the_words_of_the_specification() -> None:
    question = answered(Choice.YES)

    assert answer_of(question) == THANKS
    assert question_message(question, WORDING, POLICY)["text"] == THANKS


@pytest.mark.parametrize("choice", list(Choice))
def test_each_answer_is_shown_in_its_own_words(choice: Choice) -> None:
    assert answer_of(answered(choice)) == WORDING["answer"][choice]


def test_a_changed_answer_says_that_the_change_was_noticed() -> None:
    text = answer_of(answered(Choice.NO, answers=2))

    assert WORDING["answer"]["no"] in text
    assert text != WORDING["answer"]["no"]


def test_an_answer_taken_back_says_that_the_security_team_still_comes() -> None:
    text = answer_of(answered(Choice.YES, standing=Outcome.NO, answers=2))

    assert text == WORDING["answer"]["retracted"]
    assert THANKS not in text


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
    before, after = (
        question_message(a_question(), WORDING, POLICY),
        question_message(question, WORDING, POLICY),
    )

    assert buttons(after) == without_colours(buttons(before))
    kept = [each for each in before["blocks"] if _stays(each["block_id"])]
    assert [each for each in after["blocks"] if each in kept] == kept


def _stays(block_id: str) -> bool:
    return block_id not in ("answers", "deadline") and not block_id.startswith("shows:")


def test_a_choice_that_was_not_offered_is_never_drawn() -> None:
    question = replace(a_question(), offered=(Choice.NO,))

    assert list(buttons(question_message(question, WORDING, POLICY))) == ["answer-no"]


def test_the_longest_address_fits_into_every_place() -> None:
    assert len(LONG_ADDRESS) == 254

    message = question_message(a_question(user=LONG_ADDRESS, summary="x" * 5000), WORDING, POLICY)

    assert_slack_takes(message)
    text = buttons(message)["answer-wrongUser"]["confirm"]["text"]["text"]
    assert len(text) <= CONFIRM_TEXT_MAX
    assert LONG_ADDRESS[:200] in text


def test_a_long_summary_is_cut_with_a_mark() -> None:
    message = question_message(a_question(summary="<" * 5000), WORDING, POLICY)

    text = text_in(message, "summary")
    assert text.removesuffix(WORDING["text"]["cut"]) == "<" * (3000 - len(WORDING["text"]["cut"]))


def test_no_more_than_fifteen_lines_of_a_summary_are_shown() -> None:
    lines = [f"line {number}" for number in range(5000)]

    message = question_message(a_question(summary="\n".join(lines)), WORDING, POLICY)

    assert text_in(message, "summary") == "\n".join(lines[:15]) + WORDING["text"]["cut"]


def test_5000_lines_and_8_facts_of_300_characters_make_a_message_that_slack_takes() -> None:
    fields: dict[str, Any] = {
        "identifier": "1",
        "alert": "duo",
        "summary": "\n".join(f"line {number} <&>" for number in range(5000)),
        "user": "ada@example.com",
        "occurredAt": "2026-11-24T03:00:00Z",
        "facts": [{"name": f"{number}" * 40, "value": "<" * 300} for number in range(8)],
    }
    request = decode_request(json.dumps(fields))
    assert isinstance(request, TriageRequest)
    accepted = accept(request, "key.secret", NOON, POLICY).question

    message = question_message(replace(accepted, offered=tuple(Choice)), WORDING, POLICY)

    assert_slack_takes(message)
    assert text_in(message, "summary").endswith(f"line 14 <&>{WORDING['text']['cut']}")
    lines = [f"{fact['name']}: {fact['value']}" for fact in fields["facts"]]
    assert text_in(message, "facts") == "\n".join(lines)


def test_a_summary_whose_end_was_not_kept_says_so_however_little_is_left() -> None:
    question = a_question(summary="short")

    message = question_message(
        replace(question, request=replace(question.request, is_cut=True)), WORDING, POLICY
    )

    assert text_in(message, "summary") == f"short{WORDING['text']['cut']}"


@given(
    summary=st.text(st.characters(), max_size=200) | st.text(max_size=20).map(lambda text: text * 400),
    user=st.from_regex(r"[a-z.{}*_~`'%-]{1,60}@[a-z]{1,60}(\.[a-z]{1,40}){1,3}", fullmatch=True),
    confidence=st.sampled_from(Confidence),
    said=st.none() | st.sampled_from(Choice),
    answers=st.integers(min_value=1, max_value=3),
)
def test_slack_takes_every_question(
    summary: str,
    user: str,
    confidence: Confidence,
    said: Choice | None,
    answers: int,
) -> None:
    question = a_question(confidence, user=user, summary=summary)
    standing = Outcome(said.value) if said else None

    message = question_message(
        replace(question, said=said, standing=standing, answers=answers), WORDING, POLICY
    )

    assert_slack_takes(message)
    assert length_of_text(message["blocks"]) <= 13_200


def test_the_metadata_names_the_question() -> None:
    question = a_question()

    metadata = question_message(question, WORDING, POLICY)["metadata"]

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
    assert message["response_type"] == "ephemeral"
    assert message["replace_original"] is False
