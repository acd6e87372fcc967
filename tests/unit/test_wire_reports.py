from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.sandbox.mozdef import TRIGGER_WORDS, Fate, judge
from bot.sqs.wire import read_report, write_report
from bot.triage.free_values import pad, unpad
from bot.triage.model import Choice, Confidence, Report
from bot.triage.outcomes import Outcome

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
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


LABELS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255)


def report_with(**changes: Any) -> Report:
    known = {name: getattr(REPORT, name) for name in Report.__dataclass_fields__}
    return Report(**(known | changes))


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
    assert set(body["details"]) == {"identifier", "email", "slack", "triagebot"}
    assert body["details"]["email"] == "ada@example.com"
    assert body["details"]["slack"] == "U1"
    assert body["details"]["triagebot"]["retracted"] is True
    assert body["details"]["triagebot"]["said"] == "yes"


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


def test_words_of_ours_and_what_has_a_space_in_it_go_out_as_they_are() -> None:
    facts = written(report_with(reason="not_asked_in_time", comment="I was on a train. "))["details"][
        "triagebot"
    ]

    assert facts["alert"] == "duo_bypass_codes_generated"
    assert facts["reason"] == "not_asked_in_time"
    assert facts["comment"] == "I was on a train. "


@given(st.text())
def test_what_is_padded_is_read_back_to_the_letter(value: str) -> None:
    assert unpad(pad(value)) == value
    assert pad(value).lower() not in TRIGGER_WORDS


def test_facts_without_a_value_are_left_out() -> None:
    facts = written(report_with(alert=""))["details"]["triagebot"]

    assert set(facts) == {"outcome", "eventId", "sequence", "hash"}


@pytest.mark.parametrize("previous", ["", "5" * 64, "unknown"])
def test_a_report_carries_its_hash_and_that_of_the_one_before(previous: str) -> None:
    row = write_report(report_with(), NOON, previous)

    told = json.loads(row.body)["details"]["triagebot"]
    assert told.pop("hash") == row.hash
    assert told.get("previous", "") == previous
    covered = {"identifier": row.identifier, "triagebot": told}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    assert row.hash == sha256(text.encode()).hexdigest()


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
    assume(report.identifier.lower() not in TRIGGER_WORDS)  # whoever may send requests chooses it
    assert judge(body).fate is (Fate.INDEXED if report.note else Fate.CHANGES_ALERT)


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
