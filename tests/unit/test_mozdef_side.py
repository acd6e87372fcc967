"""What MozDef's alert action sends is what the bot reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from triage_request import LONGEST_SUMMARY, request_body

from bot.sqs.queues import BATCH_BYTES
from bot.sqs.wire import decode_request
from bot.triage.model import Confidence, InvalidBody, TriageRequest

ALERT = {
    "identifier": "9Zo02m4B7gIfixq3c4Xh",
    "alert": "duo_bypass_codes_generated",
    "identityConfidence": "low",
    "summary": "Ten Duo bypass codes were created.",
    "user": "ada@example.com",
}


def test_the_five_fields_arrive_as_the_bot_reads_them() -> None:
    request = decode_request(request_body(ALERT))

    assert request == TriageRequest(
        identifier="9Zo02m4B7gIfixq3c4Xh",
        alert="duo_bypass_codes_generated",
        confidence=Confidence.LOW,
        summary="Ten Duo bypass codes were created.",
        user="ada@example.com",
    )


def test_what_else_an_alert_carries_is_not_sent() -> None:
    body = request_body({**ALERT, "events": [{"password": "hunter2"}], "severity": "NOTICE"})

    assert "hunter2" not in body
    assert body == request_body(ALERT)


@given(
    summary=st.text(min_size=1),
    alert=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=255),
)
def test_any_text_survives_the_way_in_ascii(summary: str, alert: str) -> None:
    body = request_body({**ALERT, "summary": summary, "alert": alert})

    request = decode_request(body)
    assert body.isascii()
    assert isinstance(request, TriageRequest)
    assert (request.summary, request.alert) == (summary, alert)


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f511"])
def test_a_summary_without_end_is_cut_to_what_a_queue_takes(letter: str) -> None:
    body = request_body({**ALERT, "summary": letter * 3_000_000})

    request = decode_request(body)
    assert len(body) < BATCH_BYTES
    assert isinstance(request, TriageRequest)
    assert request.summary == letter * LONGEST_SUMMARY


@pytest.mark.parametrize("broken", [{"user": "N/A"}, {"user": None}, {"summary": None}, {"alert": ""}])
def test_a_field_that_mozdef_could_not_fill_is_left_for_the_bot_to_answer(broken: dict[str, object]) -> None:
    answer = decode_request(request_body({**ALERT, **broken}))

    assert isinstance(answer, InvalidBody)
    assert answer.salvaged is not None
    assert answer.salvaged.identifier == ALERT["identifier"]


def test_a_field_that_is_missing_stays_missing() -> None:
    without_user = {name: value for name, value in ALERT.items() if name != "user"}

    answer = decode_request(request_body(without_user))

    assert isinstance(answer, InvalidBody)
    assert answer.reason == "user is missing"


def test_an_object_in_place_of_a_word_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        request_body({**ALERT, "identityConfidence": object()})
