from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.mozdef import Fate, judge
from bot.sqs.wire import decode_request, write_report
from bot.triage.model import Choice, Confidence, InvalidBody, Outcome, Report, TriageRequest

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIELDS: dict[str, Any] = {
    "identifier": "9Zo02m4B7gIfixq3c4Xh",
    "alert": "duo_bypass_codes_generated",
    "identityConfidence": "moderate",
    "summary": "Codes were made for your account.",
    "user": "ada@example.com",
}
REQUEST = TriageRequest(
    identifier="9Zo02m4B7gIfixq3c4Xh",
    alert="duo_bypass_codes_generated",
    summary="Codes were made for your account.",
    user="ada@example.com",
    confidence=Confidence.MODERATE,
)
REPORT = Report(
    identifier="9Zo02m4B7gIfixq3c4Xh",
    sequence=0,
    outcome=Outcome.YES,
    response="yes",
    note=False,
    at=NOON,
    email="ada@example.com",
    slack_id="U1",
    slack_name="ada",
    confidence=Confidence.LOWEST,
    alert="duo_bypass_codes_generated",
)


def body_with(**changes: Any) -> str:
    return json.dumps(FIELDS | changes)


def body_without(name: str) -> str:
    return json.dumps({key: value for key, value in FIELDS.items() if key != name})


def report_with(**changes: Any) -> Report:
    known = {name: getattr(REPORT, name) for name in Report.__dataclass_fields__}
    return Report(**(known | changes))


def refused(body: str) -> InvalidBody:
    decoded = decode_request(body)
    assert isinstance(decoded, InvalidBody)
    return decoded


def written(report: Report) -> dict[str, Any]:
    body = json.loads(write_report(report, NOON).body)
    assert isinstance(body, dict)
    return body


# Requests


def test_the_five_fields_make_a_request() -> None:
    assert decode_request(json.dumps(FIELDS)) == REQUEST


def test_base64_of_the_five_fields_makes_the_same_request() -> None:
    body = base64.b64encode(json.dumps(FIELDS).encode()).decode()

    assert decode_request(body) == REQUEST
    assert decode_request(body[:50] + "\n" + body[50:] + "\n") == REQUEST


def test_an_absent_confidence_is_the_lowest() -> None:
    decoded = decode_request(body_without("identityConfidence"))

    assert isinstance(decoded, TriageRequest)
    assert decoded.confidence is Confidence.LOWEST


def test_an_unknown_alert_and_unknown_keys_are_accepted() -> None:
    decoded = decode_request(body_with(alert="a_new_class", severity=3))

    assert isinstance(decoded, TriageRequest)
    assert decoded.alert == "a_new_class"


def test_lone_surrogates_of_a_summary_are_replaced() -> None:
    decoded = decode_request(body_with(summary="a\ud800b \U0001f600"))

    assert isinstance(decoded, TriageRequest)
    assert decoded.summary == "a\ufffdb \U0001f600"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5_000,
        "ew==",
        "////",
        "\ufeff{}",
        "é",
        "\ud800",
    ],
)
def test_what_is_not_json_is_refused(body: str) -> None:
    assert refused(body) == InvalidBody(reason="the body is not JSON", salvaged=None)


def test_hostile_json_within_base64_is_refused_too() -> None:
    for text in (b"[" * 100_000, b"9" * 5_000, b"\xff\xfe"):
        assert refused(base64.b64encode(text).decode()).reason == "the body is not JSON"


@pytest.mark.parametrize("body", ["[]", "1", "null", '"text"', "NaN"])
def test_json_that_is_no_object_is_refused(body: str) -> None:
    assert refused(body) == InvalidBody(reason="the body is not a JSON object", salvaged=None)


@pytest.mark.parametrize("name", ["identifier", "alert", "summary", "user"])
def test_a_missing_field_is_named(name: str) -> None:
    assert refused(body_without(name)).reason == f"{name} is missing"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("identifier", [None, 7, "", "x" * 256, "a\0b", "a\ud800", ["x"], {}]),
        ("alert", [None, True, "", "x" * 256, "a\0b", "a\udfff"]),
        ("summary", [None, 0, "", []]),
        ("user", [None, "", "N/A", "a@b", "a@b.", "@b.c", "a b@c.d", "é@b.cd", "a@b.cd\n"]),
        ("user", ["a" * 250 + "@b.cd", "a`b@c.de", "<a@b.cd>"]),
        ("identityConfidence", [None, "", "sure", "HIGH", 1, ["low"], {"low": 1}]),
    ],
)
def test_a_field_against_its_rule_is_named_without_its_value(name: str, values: list[object]) -> None:
    reasons = {refused(body_with(**{name: value})).reason for value in values}

    assert len(reasons) == 1
    assert reasons.pop().startswith(f"{name} must be ")


@pytest.mark.parametrize(
    "address", ["a@b.cd", "LOGIN@mozilla.com", "a" * 249 + "@b.cd", "a.b+c!#$%'*/=?^_{|}~-@x-1.y.z"]
)
def test_unusual_addresses_are_accepted(address: str) -> None:
    assert isinstance(decode_request(body_with(user=address)), TriageRequest)


def test_all_broken_fields_are_named_together() -> None:
    decoded = refused(body_with(user="N/A", identityConfidence="sure", alert=1))

    assert [part.split()[0] for part in decoded.reason.split("; ")] == ["alert", "user", "identityConfidence"]


def test_what_meets_its_rule_is_salvaged_beside_a_usable_identifier() -> None:
    decoded = refused(body_with(user="N/A", identityConfidence="sure"))

    assert decoded.salvaged == TriageRequest(
        identifier=REQUEST.identifier,
        alert=REQUEST.alert,
        summary=REQUEST.summary,
        user="",
        confidence=Confidence.LOWEST,
    )


def test_nothing_is_salvaged_without_a_usable_identifier() -> None:
    assert refused(body_with(identifier="x" * 256)).salvaged is None


@given(st.text(st.characters()))
def test_no_text_raises(body: str) -> None:
    assert isinstance(decode_request(body), InvalidBody)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(list(FIELDS)), JSON))
def test_no_object_raises_and_no_reason_quotes_it(changes: dict[str, Any]) -> None:
    decoded = decode_request(json.dumps(FIELDS | changes))

    if isinstance(decoded, InvalidBody):
        assert decoded.reason.isascii()
        assert len(decoded.reason) < 400
        assert (decoded.salvaged is None) == ("identifier must be" in decoded.reason)


LABELS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255)
REQUESTS = st.builds(
    TriageRequest,
    identifier=LABELS,
    alert=LABELS,
    summary=st.text(min_size=1),
    user=st.from_regex(r"[a-z.+'!#-]{1,60}@[a-z0-9-]{1,20}(\.[a-z-]{1,20}){1,3}", fullmatch=True),
    confidence=st.sampled_from(Confidence),
)


@given(request=REQUESTS, ascii_only=st.booleans(), in_base64=st.booleans())
def test_any_valid_request_is_read_as_it_was_written(
    *, request: TriageRequest, ascii_only: bool, in_base64: bool
) -> None:
    fields = {
        "identifier": request.identifier,
        "alert": request.alert,
        "summary": request.summary,
        "user": request.user,
        "identityConfidence": request.confidence.value,
    }

    body = json.dumps(fields, ensure_ascii=ascii_only)
    if in_base64:
        body = base64.b64encode(body.encode()).decode()

    assert decode_request(body) == request


# Reports


def test_an_answer_is_written_as_the_consumer_reads_it() -> None:
    row = write_report(report_with(asked_at=NOON, answered_at=NOON, asked_slack_id="U1"), NOON)

    event_id = str(uuid5(UUID("f6e7a97f-60e2-5313-8a45-c7470b125906"), '["9Zo02m4B7gIfixq3c4Xh",0,"yes"]'))
    assert (row.identifier, row.sequence, row.event_id) == ("9Zo02m4B7gIfixq3c4Xh", 0, event_id)
    assert row.due_at == NOON
    assert row.sent_at is row.parked_at is None
    assert row.body == (
        '{"category":"triagebot","details":{"identifier":"9Zo02m4B7gIfixq3c4Xh","identityConfidence":"lowest",'
        '"response":"yes","triagebot":{"alert":"duo_bypass_codes_generated",'
        '"answeredAt":"2026-11-24T12:00:00+00:00","askedAt":"2026-11-24T12:00:00+00:00","askedSlack":"U1",'
        f'"eventId":"{event_id}","outcome":"yes","sequence":0}},'
        '"user":{"email":"ada@example.com","slack":"U1","slackName":"ada"}},'
        '"processname":"triage-bot","source":"triage-bot","timestamp":"2026-11-24T12:00:00+00:00"}'
    )


def test_a_note_leaves_out_what_would_change_the_alert() -> None:
    body = written(report_with(note=True, sequence=3, said=Choice.YES, retracted=True, outcome=Outcome.NO))

    assert body["category"] == "triagebotnote"
    assert set(body["details"]) == {"identifier", "email", "slack", "triagebot"}
    assert body["details"]["email"] == "ada@example.com"
    assert body["details"]["slack"] == "U1"
    assert body["details"]["triagebot"]["retracted"] is True
    assert body["details"]["triagebot"]["said"] == "yes"


def test_facts_without_a_value_are_left_out() -> None:
    facts = written(report_with(alert=""))["details"]["triagebot"]

    assert set(facts) == {"outcome", "eventId", "sequence"}


def test_the_bot_s_own_outcomes_name_nobody_but_whom_was_asked() -> None:
    report = report_with(
        outcome=Outcome.UNDELIVERABLE,
        response="wrongUser",
        slack_id="",
        slack_name="",
        asked_slack_id="U1",
        reason="not_asked_in_time",
    )

    details = written(report)["details"]

    assert details["user"] == {"email": "ada@example.com", "slack": "", "slackName": ""}
    assert details["triagebot"]["askedSlack"] == "U1"
    assert details["triagebot"]["reason"] == "not_asked_in_time"


def test_times_are_written_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))

    body = written(report_with(at=NOON.astimezone(tokyo), asked_at=NOON.astimezone(tokyo)))

    assert body["timestamp"] == "2026-11-24T12:00:00+00:00"
    assert body["details"]["triagebot"]["askedAt"] == "2026-11-24T12:00:00+00:00"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        write_report(report_with(at=NOON.replace(tzinfo=None)), NOON)


def test_an_event_id_differs_by_identifier_sequence_and_outcome_alone() -> None:
    ids = {
        write_report(report_with(**change), NOON).event_id
        for change in (
            {},
            {"identifier": "other"},
            {"sequence": 1},
            {"outcome": Outcome.NO},
            {"at": NOON + timedelta(days=1)},
            {"email": "other@example.com"},
        )
    }

    assert len(ids) == 4


REPORTS = st.builds(
    Report,
    identifier=LABELS,
    sequence=st.integers(0, 2**31),
    outcome=st.sampled_from(Outcome),
    response=st.sampled_from(["yes", "no", "wrongUser"]),
    note=st.booleans(),
    at=st.datetimes(timezones=st.just(UTC)),
    email=st.text(max_size=254),
    slack_id=st.sampled_from(["", "U1"]),
    slack_name=st.text(max_size=80),
    confidence=st.sampled_from(Confidence),
    alert=st.just("") | LABELS,
    reason=st.sampled_from(["", "users_not_found"]),
    asked_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    said=st.none() | st.sampled_from(Choice),
    retracted=st.booleans(),
)


@given(REPORTS)
def test_every_report_is_canonical_ascii_that_a_stock_mozdef_keeps(report: Report) -> None:
    body = write_report(report, NOON).body

    assert body.isascii()
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    assert judge(body).fate is (Fate.INDEXED if report.note else Fate.CHANGES_ALERT)
