"""What MozDef's alert action sends is what the bot reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from triage_request import FACT_KEYS, LONGEST_SUMMARY, alert_evidence, request_body

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


def test_the_five_fields_arrive_as_the_bot_reads_them_and_what_else_an_alert_carries_is_not_sent() -> None:
    body = request_body(ALERT)

    assert decode_request(body) == TriageRequest(
        identifier="9Zo02m4B7gIfixq3c4Xh",
        alert="duo_bypass_codes_generated",
        confidence=Confidence.LOW,
        summary="Ten Duo bypass codes were created.",
        user="ada@example.com",
    )
    assert request_body({**ALERT, "events": [{"password": "hunter2"}], "severity": "NOTICE"}) == body
    # Nor are facts that no queue would take.
    assert request_body({**ALERT, "facts": [{"name": "Host", "value": "x" * 2_000_000}]}) == body


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


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        *(({"user": user}, "user must be") for user in ("N/A", None)),
        ({"summary": None}, "summary must be"),
        ({"alert": ""}, "alert must be"),
        ("user", "user is missing"),
        ({"user": "a" * 3_000_000}, "user is missing"),
        ({"alert": ["duo"] * 1_000_000}, "alert is missing"),
        ({"summary": {"text": "x" * 3_000_000}}, "summary is missing"),
    ],
)
def test_a_field_that_mozdef_could_not_fill_is_left_for_the_bot_to_answer(
    broken: dict[str, object] | str, reason: str
) -> None:
    alert = {name: value for name, value in ALERT.items() if name != broken}

    body = request_body({**alert, **(broken if isinstance(broken, dict) else {})})

    answer = decode_request(body)
    assert len(body) < BATCH_BYTES
    assert isinstance(answer, InvalidBody)
    assert answer.reason.startswith(reason)
    assert answer.salvaged is not None
    assert answer.salvaged.identifier == ALERT["identifier"]


EVENT = {
    "utctimestamp": "2019-11-04T23:03:17.740981+00:00",
    "hostname": "db1.example.com",
    "details": {
        "sourceipaddress": "192.0.2.7",
        "eventsourceipaddress": "198.51.100.1",
        "user_agent": "curl/7.64",
        "location": {"city": "Oslo", "state": None, "country": "Norway"},
        "username": "ada",
    },
}


def an_alert(event: object) -> dict[str, object]:
    return {"_id": "1", "_source": {"events": [{"documentsource": event}, {"documentsource": EVENT}]}}


def evidence_read(event: object) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """Return the time, the facts and the complaints with which the bot reads what an alert's event tells."""
    request = decode_request(request_body({**ALERT, **alert_evidence(an_alert(event))}))
    assert isinstance(request, TriageRequest)
    time = request.occurred_at.isoformat() if request.occurred_at else ""
    return time, {fact.name: fact.value for fact in request.facts}, request.left_out


def test_what_the_first_event_tells_is_read_by_the_bot() -> None:
    assert evidence_read(EVENT) == (
        "2019-11-04T23:03:17.740981+00:00",
        {
            "Host": "db1.example.com",
            "From address": "192.0.2.7",
            "Location": "Oslo, Norway",
            "User agent": "curl/7.64",
            "Reported by": "198.51.100.1",
        },
        (),
    )


@pytest.mark.parametrize(
    ("details", "facts"),
    [
        ({"hostname": "releng1"}, {"Host": "releng1"}),
        ({"ip": "192.0.2.8", "location": "Oslo"}, {"From address": "192.0.2.8", "Location": "Oslo"}),
        ({"sourceipaddress": None, "ip": "192.0.2.8"}, {"From address": "192.0.2.8"}),
        ({"sourceipaddress": ["192.0.2.7"], "hostname": 7, "location": {"city": {"city": "Oslo"}}}, {}),
        ({"useragent": "x" * 5_000_000}, {"User agent": "x" * 299 + "…"}),
        ({"user_agent": "  "}, {}),
        (None, {}),
        (["sourceipaddress"], {}),
    ],
)
def test_only_the_facts_that_are_there_are_told(details: object, facts: dict[str, str]) -> None:
    assert evidence_read({"details": details}) == ("", facts, ())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["_source", "events", "documentsource", "details", "utctimestamp", "hostname"]
                )
                | st.sampled_from([key for _, keys in FACT_KEYS for key in keys]),
                inner,
            )
        ),
    )
)
def test_no_alert_keeps_the_bot_from_asking(odd: object) -> None:
    for alert in (odd, {"_source": odd}, {"_source": {"events": odd}}, an_alert(odd)):
        body = request_body({**ALERT, **alert_evidence(alert)})

        assert isinstance(decode_request(body), TriageRequest)
        assert len(body) < BATCH_BYTES


def test_an_object_in_place_of_a_word_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        request_body({**ALERT, "identityConfidence": object()})
