"""How a request is read and a report written, and what is said of a request that is wrong."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import pytest
from fakes import NOON
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.sandbox.mozdef import TRIGGER_WORDS, Effect, judge
from bot.slack.render.text import to_line
from bot.sqs.wire import decode_request, read_report, write_report
from bot.triage.model import Choice, Confidence, InvalidBody, Report, TriageRequest
from bot.triage.outcomes import Outcome
from bot.triage.padding import pad, unpad

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

    wrong = tuple(decoded.reason.split("; "))
    assert [each.partition(" ")[0] for each in wrong] == ["user", "identityConfidence"]
    assert decoded.salvaged == replace(REQUEST, user="", confidence=Confidence.LOWEST, left_out=wrong)
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
    reason = reasons.pop()
    assert reason.startswith(f"{name} must be ")
    salvaged = refused(body_with(**{name: values[0]})).salvaged
    assert salvaged is None if name == "identifier" else salvaged and salvaged.left_out == (reason,)


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


def report_with(**changes: Any) -> Report:
    return replace(REPORT, **changes)


def written(report: Report) -> dict[str, Any]:
    body = json.loads(write_report(report, NOON).body)
    assert isinstance(body, dict)
    return body


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
        f'"eventId":"{event_id}","hash":"{row.hash}","outcome":"yes","sequence":0}},'
        '"user":{"email":"ada@example.com","slack":"U1","slackName":"ada "}},'
        '"processname":"triage-bot","source":"triage-bot","timestamp":"2026-11-24T12:00:00+00:00"}'
    )


def test_a_note_leaves_out_what_would_change_the_alert() -> None:
    body = written(report_with(note=True, sequence=3, said=Choice.YES, retracted=True, outcome=Outcome.NO))

    assert body["category"] == "triagebotnote"
    facts = body["details"].pop("triagebot")
    assert body["details"] == {"identifier": REPORT.identifier, "email": "ada@example.com", "slack": "U1"}
    assert (facts["retracted"], facts["said"]) == (True, "yes")


def test_a_note_has_a_summary_of_ours_and_no_text_of_a_person() -> None:
    note = report_with(note=True, comment="session opened for user root", alert="x", slack_name="root")

    assert written(note)["summary"] == "Triage bot note: yes for ada@example.com"
    assert "summary" not in written(REPORT)


@pytest.mark.parametrize("word", [*sorted(TRIGGER_WORDS), "LDAP", "networ\u212a"])
@pytest.mark.parametrize("field", ["alert", "comment", "slack_name", "reason"])
@pytest.mark.parametrize("note", [False, True])
def test_rule_11_no_free_value_wakes_a_plugin_of_mozdef_s(word: str, field: str, note: bool) -> None:  # noqa: FBT001
    report = report_with(note=note, **{field: word})

    row = write_report(report, NOON)

    assert judge(row.body).kept
    if field != "slack_name" or not note:  # a note leaves the name out
        assert getattr(read_report(replace(row, report=None)), field) == word


def test_words_of_ours_and_what_has_a_space_in_it_go_out_as_they_are_and_nothing_empty_does() -> None:
    free = {"reason": "not_asked_in_time", "comment": "I was on a train. "}

    facts = written(report_with(**free))["details"]["triagebot"]

    assert facts.items() >= {"alert": "duo_bypass_codes_generated", **free}.items()
    bare = written(report_with(alert=""))["details"]["triagebot"]
    assert set(bare) == {"outcome", "eventId", "sequence", "hash"}


@pytest.mark.parametrize("previous", ["", "5" * 64, "unknown"])
def test_a_report_carries_its_hash_and_that_of_the_one_before(previous: str) -> None:
    row = write_report(report_with(), NOON, previous)

    told = json.loads(row.body)["details"]["triagebot"]
    assert told.pop("hash") == row.hash
    assert told.get("previous", "") == previous
    covered = {"identifier": row.identifier, "triagebot": told}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    assert row.hash == sha256(text.encode()).hexdigest()


@given(st.text())
def test_what_is_padded_is_read_back_to_the_letter(value: str) -> None:
    assert unpad(pad(value)) == value
    assert pad(value).lower() not in TRIGGER_WORDS


def test_the_bot_s_own_outcomes_name_nobody_but_whom_was_asked() -> None:
    nobody = report_with(outcome=Outcome.UNDELIVERABLE, response="wrongUser", slack_id="", slack_name="")

    details = written(replace(nobody, asked_slack_id="U1", reason="not_asked_in_time"))["details"]

    assert details["user"] == {"email": "ada@example.com", "slack": "", "slackName": ""}
    assert details["triagebot"]["askedSlack"] == "U1"
    assert details["triagebot"]["reason"] == "not_asked_in_time"


def test_times_are_written_in_utc_and_one_without_a_zone_is_refused() -> None:
    in_tokyo = NOON.astimezone(timezone(timedelta(hours=9)))

    body = written(report_with(at=in_tokyo, asked_at=in_tokyo))

    assert body["timestamp"] == body["details"]["triagebot"]["askedAt"] == "2026-11-24T12:00:00+00:00"
    with pytest.raises(ValueError, match="aware, not naive"):
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
    alert=st.just("") | LABELS | st.sampled_from(sorted(TRIGGER_WORDS)),
    reason=st.sampled_from(["", "users_not_found", "restricted_action"]),
    asked_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    said=st.none() | st.sampled_from(Choice),
    retracted=st.booleans(),
)


@given(REPORTS)
def test_every_report_is_canonical_ascii_that_a_stock_mozdef_keeps(report: Report) -> None:
    body = write_report(report, NOON).body

    assert body.isascii()
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    assume(report.identifier.lower() not in TRIGGER_WORDS)  # the sender chooses it
    assert judge(body).effect is (Effect.INDEXED if report.note else Effect.CHANGES_ALERT)


def test_what_was_written_can_be_read_again() -> None:
    report = report_with(
        reason="x", asked_at=NOON, answered_at=NOON, asked_slack_id="U1", said=Choice.YES, retracted=True
    )

    for each in (report, REPORT):
        row = write_report(each, NOON)
        assert read_report(row) == read_report(replace(row, report=None)) == each


def test_a_note_of_which_no_facts_were_kept_is_read_without_what_it_leaves_out() -> None:
    note = report_with(note=True, sequence=3, comment="I was on a \u2028 train \U0001f682.", at=NOON)

    row = write_report(note, NOON)

    assert read_report(row) == note
    assert read_report(replace(row, report=None)) == replace(note, response="", slack_name="")
