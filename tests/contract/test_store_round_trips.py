"""What comes out of a store is what went in."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from any_store import IDENTIFIER, Opening, a_question, a_report, add, every_store, kept_report, play
from effort import effort
from fakes import NOON
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import AnyStore

from bot.store.records.rows import report_facts, report_of
from bot.triage.asking_rules import new_ref
from bot.triage.model import Change, Choice, Confidence, Fact, Question, Report, State, TriageRequest
from bot.triage.outcomes import Outcome

moments = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
maybe = st.none() | moments
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
tokens = st.text("ABCDEFGHIJ0123456789.", max_size=20)
counts = st.integers(min_value=0, max_value=2**40)
questions = st.builds(
    Question,
    request=st.builds(
        TriageRequest,
        identifier=words.filter(bool),
        alert=words,
        summary=words,
        user=words,
        confidence=st.sampled_from(Confidence),
        occurred_at=maybe,
        facts=st.lists(st.builds(Fact, name=words, value=words), max_size=8).map(tuple),
        left_out=st.lists(tokens.filter(bool), max_size=3).map(tuple),
        is_cut=st.booleans(),
    ),
    ref=st.just("not yet known"),
    state=st.sampled_from(State),
    version=st.just(0),
    accepted_at=moments,
    due_at=maybe,
    deadline=maybe,
    paced=st.booleans(),
    attempts=counts,
    slack_id=tokens,
    slack_name=words,
    time_zone=words,
    offered=st.lists(st.sampled_from(Choice), unique=True).map(tuple),
    claimed_at=maybe,
    in_doubt_since=maybe,
    channel=tokens,
    ts=tokens,
    asked_at=maybe,
    reminders=counts,
    standing=st.none() | st.sampled_from(Outcome),
    reason=words,
    said=st.none() | st.sampled_from(Choice),
    answered_at=maybe,
    clicked_at=maybe,
    settled_at=maybe,
    answers=counts,
    idle_changes=counts,
    reports=counts,
    shown=counts,
    note=words,
    notes=counts,
    note_keys=st.lists(tokens.filter(bool), max_size=20).map(tuple),
    found_by=words,
    other_slack_id=words,
    card_due_at=maybe,
    card_ts=tokens,
    card_shown=counts,
    taken_by=tokens,
    taken_name=words,
    taken_at=maybe,
).map(lambda each: replace(each, ref=new_ref(each.request.identifier, "0" * 32)))


reports = st.builds(
    Report,
    identifier=st.just(IDENTIFIER),
    sequence=st.just(0),
    outcome=st.sampled_from(Outcome),
    response=words,
    note=st.booleans(),
    at=moments,
    email=words,
    slack_id=tokens,
    slack_name=words,
    confidence=st.sampled_from(Confidence),
    alert=words,
    reason=words,
    asked_at=maybe,
    answered_at=maybe,
    asked_slack_id=tokens,
    said=st.none() | st.sampled_from(Choice),
    retracted=st.booleans(),
    comment=words,
)


@every_store
@settings(max_examples=effort(8, 50))
@given(question=questions, later=questions)
def test_every_field_comes_back_as_it_was(opening: Opening, question: Question, later: Question) -> None:
    async def scenario(store: AnyStore) -> None:
        await add(store, question)
        assert await store.load(question.ref) == question
        fixed = replace(later, request=question.request, ref=question.ref)
        saved = replace(fixed, accepted_at=question.accepted_at, version=1)

        assert await store.save(Change(question=saved))

        assert await store.load(question.ref) == saved

    play(opening, scenario)


@every_store
@settings(max_examples=effort(6, 25))
@given(body=words, event_id=words, due_at=moments, kept=st.none() | reports)
def test_every_report_comes_back_as_it_was_with_all_that_was_kept_of_it(
    opening: Opening, body: str, event_id: str, due_at: datetime, kept: Report | None
) -> None:
    report = replace(a_report(), body=body, event_id=event_id, due_at=due_at, report=kept)

    async def scenario(store: AnyStore) -> None:
        await add(store, a_question(reports=1), report=report)

        assert list(await store.reports_of(IDENTIFIER)) == [report]

    play(opening, scenario)


def test_no_fact_of_a_report_is_left_out_of_what_is_kept() -> None:
    everything = replace(
        kept_report(1),
        reason="invalid_request",
        asked_at=NOON,
        answered_at=NOON,
        asked_slack_id="U0ADA",
        said=Choice.YES,
        retracted=True,
    )

    assert {"identifier", "sequence", *json.loads(report_facts(everything))} == {
        each.name for each in fields(Report)
    }


#: A row of a report, but for its facts.
ROW = {
    "identifier": IDENTIFIER,
    "sequence": 0,
    "event_id": "e",
    "body": "{}",
    "due_at": 0,
    "sent_at": None,
    "parked_at": None,
    "replays": 0,
}


@pytest.mark.parametrize(
    "facts", ["", "{", "5", "[]", "{}", '{"outcome":"unheardOf","at":0,"confidence":"low"}']
)
def test_facts_that_cannot_be_read_keep_no_report_from_being_sent(facts: str) -> None:
    row = report_of({**ROW, "facts": facts})

    assert (row.report, row.body) == (None, "{}")


def test_a_fact_that_a_later_release_adds_is_left_out() -> None:
    row = report_of({**ROW, "facts": '{"outcome":"no","at":0,"confidence":"low","factor":{"method":"ciba"}}'})

    assert row.report is not None
    assert row.report.outcome is Outcome.NO
