"""How a request is read, and what is said of one that is wrong."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.render.text import to_line
from bot.sqs.wire import decode_request
from bot.triage.model import Confidence, InvalidBody, TriageRequest

FIELDS: dict[str, Any] = {
    "identifier": "9Zo02m4B7gIfixq3c4Xh",
    "alert": "duo_bypass_codes_generated",
    "identityConfidence": "moderate",
    "summary": "Codes were made for your account.",
    "user": "ada@example.com",
}
OURS = {name: value for name, value in FIELDS.items() if name != "identityConfidence"}
REQUEST = TriageRequest(**OURS, confidence=Confidence.MODERATE)


def body_with(**changes: Any) -> str:
    return json.dumps(FIELDS | changes)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def body_without(name: str) -> str:
    return json.dumps({key: value for key, value in FIELDS.items() if key != name})


def refused(body: str) -> InvalidBody:
    decoded = decode_request(body)
    assert isinstance(decoded, InvalidBody)
    return decoded


def test_the_five_fields_make_a_request_and_so_does_base64_of_them() -> None:
    body = in_base64(body_with())

    assert decode_request(body_with()) == REQUEST
    assert decode_request(body) == REQUEST
    assert decode_request(body[:50] + "\n" + body[50:] + "\n") == REQUEST


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (body_without("identityConfidence"), {"confidence": Confidence.LOWEST}),
        (body_with(alert="a_new_class", severity=3), {"alert": "a_new_class"}),
        (body_with(summary="a\ud800b \U0001f600"), {"summary": "a\ufffdb \U0001f600"}),
        *(
            (body_with(user=address), {"user": address})
            for address in (
                *("a@b.cd", "LOGIN@mozilla.com", "a" * 249 + "@b.cd"),
                "a.b+c!#$%'*/=?^_{|}~-@x-1.y.z",
            )
        ),
    ],
)
def test_what_is_unusual_is_accepted(body: str, changes: dict[str, Any]) -> None:
    assert decode_request(body) == replace(REQUEST, **changes)


def evidence_of(**fields: object) -> tuple[datetime | None, list[tuple[str, str]], list[str]]:
    """Return when it happened, the facts, and by which first word what was left out is told."""
    decoded = decode_request(body_with(**fields))
    assert isinstance(decoded, TriageRequest)
    facts = [(fact.name, fact.value) for fact in decoded.facts]
    return decoded.occurred_at, facts, [clause.partition(" must")[0] for clause in decoded.left_out]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T03:00:00+00:00", datetime(2026, 11, 24, 3, tzinfo=UTC)),
        ("2026-11-24t03:00:00.123456789z", datetime(2026, 11, 24, 3, microsecond=123456, tzinfo=UTC)),
        ("2026-11-24 03:00:00-05:30", datetime(2026, 11, 24, 8, 30, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_when_it_happened_is_read_in_utc(text: str, moment: datetime) -> None:
    assert evidence_of(occurredAt=text) == (moment, [], [])


WRONG_TIMES = (
    *(None, 1764000000, "", "yesterday", "2026-11-24", ["2026-11-24T03:00:00Z"]),
    *("2026-11-24T03:00:00", "2026-11-24T03:00:60Z", "2026-13-24T03:00:00Z", "20261124T030000Z"),
    *("2026-11-24T03:00:00+24:00", "2026-11-24T03:00:00Z\n", "\uff12026-11-24T03:00:00Z"),
    *("1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "0001-01-01T00:00:00+23:59"),
    *("9999-12-31T23:59:59-23:59", "2026-11-24T03:00:00." + "0" * 1_000_000 + "Z"),
)
NO_ARRAYS = (None, "Host", {"name": "Host", "value": "db1"}, 8)


@pytest.mark.parametrize(
    ("field", "value"),
    [*(("occurredAt", each) for each in WRONG_TIMES), *(("facts", each) for each in NO_ARRAYS)],
)
def test_a_wrong_time_or_no_array_is_left_out_and_the_question_asked(field: str, value: object) -> None:
    assert evidence_of(**{"facts": [], field: value}) == (None, [], [field])


def a_fact(name: object = "Host", value: object = "db1") -> dict[str, object]:
    return {"name": name, "value": value}


def test_facts_are_read_cleaned_on_one_line_and_in_order() -> None:
    facts = [a_fact("From\u202e address", " 192.0.2.7\n\n*Said:* yes "), a_fact("n" * 40, "v" * 300)]

    _, read, left_out = evidence_of(facts=[{**each, "severity": 3} for each in facts])

    assert read == [("From address", "192.0.2.7 *Said:* yes"), ("n" * 40, "v" * 300)]
    assert left_out == []


@pytest.mark.parametrize(
    "member",
    [
        *(None, "Host: db1", [["name", "Host"], ["value", "db1"]], {}, {"name": "Host"}),
        *(a_fact(name=name) for name in ("", 7, "n" * 41, "\u3164\u200b")),
        *(a_fact(value=value) for value in (None, " \n", ["db1"], "v" * 301, "\ud800")),
        a_fact(value="\u0958" * 300),  # twice as long in NFC
    ],
)
def test_a_wrong_member_of_facts_is_left_out_and_counted(member: object) -> None:
    assert evidence_of(facts=[a_fact(), member, a_fact("Device", "phone")]) == (
        None,
        [("Host", "db1"), ("Device", "phone")],
        ["facts 2: each"],
    )


def test_of_more_than_eight_facts_the_first_eight_are_read() -> None:
    facts = [a_fact(f"n{number}") for number in range(100_000)]

    _, read, left_out = evidence_of(facts=facts)

    assert [name for name, _ in read] == [f"n{number}" for number in range(8)]
    assert left_out == ["facts after the first 8"]


def test_what_is_left_out_is_told_in_one_line_of_a_card_without_what_it_held() -> None:
    decoded = decode_request(body_with(occurredAt="<!channel>", facts=[a_fact(name="<!here>" * 9)] * 9))

    assert isinstance(decoded, TriageRequest)
    told = "; ".join(decoded.left_out)
    assert told == to_line(told)
    assert "<" not in told


def test_all_broken_fields_are_named_together() -> None:
    decoded = refused(body_with(user="N/A", identityConfidence="sure", alert=1))

    assert [part.split()[0] for part in decoded.reason.split("; ")] == ["alert", "user", "identityConfidence"]


def test_what_meets_its_rule_is_salvaged_beside_a_usable_identifier() -> None:
    decoded = refused(body_with(user="N/A", identityConfidence="sure", facts=[a_fact()], occurredAt=5))

    assert decoded.salvaged == replace(REQUEST, user="", confidence=Confidence.LOWEST)
    assert refused(body_with(identifier="x" * 256)).salvaged is None


@pytest.mark.parametrize(
    ("body", "kind", "fault"),
    [
        *(
            (body, "JSON", "not_json")
            for body in (
                *("", "hello", "{", "[" * 100_000, '{"a":' * 100_000, "9" * 5_000, "ew==", "////"),
                *("\ufeff{}", "é", "\ud800", in_base64(body_with())[:8] + "!" + in_base64(body_with())[8:]),
                *(base64.b64encode(text).decode() for text in (b"[" * 100_000, b"9" * 5_000, b"\xff\xfe")),
            )
        ),
        *((body, "a JSON object", "not_an_object") for body in ("[]", "1", "null", '"text"', "NaN")),
    ],
)
def test_what_is_not_a_json_object_is_refused(body: str, kind: str, fault: str) -> None:
    assert refused(body) == InvalidBody(reason=f"the body is not {kind}", salvaged=None, fault=fault)


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


@given(st.text(st.characters()))
def test_no_text_raises(body: str) -> None:
    assert isinstance(decode_request(body), InvalidBody)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "occurredAt", "facts"]), JSON))
def test_no_object_raises_and_no_reason_quotes_it(changes: dict[str, Any]) -> None:
    decoded = decode_request(json.dumps(FIELDS | changes))

    if isinstance(decoded, InvalidBody):
        assert decoded.reason.isascii()
        assert len(decoded.reason) < 400
        assert (decoded.salvaged is None) == ("identifier must be" in decoded.reason)
    else:
        assert all(clause.isascii() and len(clause) < 120 for clause in decoded.left_out)


LABELS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255)
REQUESTS = st.builds(
    TriageRequest,
    identifier=LABELS,
    alert=LABELS,
    summary=st.text(min_size=1),
    user=st.from_regex(r"[a-z.+'!#-]{1,60}@[a-z0-9-]{1,20}(\.[a-z-]{1,20}){1,3}", fullmatch=True),
    confidence=st.sampled_from(Confidence),
)


@given(request=REQUESTS, ascii_only=st.booleans(), encoded=st.booleans())
def test_any_request_is_read_as_written(*, request: TriageRequest, ascii_only: bool, encoded: bool) -> None:
    fields = {name: getattr(request, name) for name in OURS} | {"identityConfidence": request.confidence}

    body = json.dumps(fields, ensure_ascii=ascii_only)

    assert decode_request(in_base64(body) if encoded else body) == request
