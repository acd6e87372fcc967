"""What comes out of a store is what went in: every field, and what version 3 has added to a question."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from any_store import IDENTIFIER, Opening, a_question, a_report, add, every_store, expiry, kept_report, play
from effort import effort
from fakes import NOON, SteppedClock, a_request
from hypothesis import given, settings
from hypothesis import strategies as st
from local_dynamodb import KEEP, connection, create_table, dynamodb, store_in, two_workers
from memory_store import AnyStore
from migrated_alerts import DAY, HOUR, migrate, the_file
from request_units import Meter

from bot.store.dynamodb.leases import LEASE
from bot.store.dynamodb.store import DynamoStore
from bot.store.migration.migrate import MigrationRefused
from bot.store.records.rows import report_facts, report_of
from bot.triage.asking_rules import new_ref, row_key
from bot.triage.assignments import Assignment
from bot.triage.factor import Proof
from bot.triage.inquiry import InquiryNote
from bot.triage.model import Change, Choice, Fact, Question, Report, State, TriageRequest, Work
from bot.triage.outcomes import Outcome, Reason

pytest_plugins = ["store_fixtures"]

FACTS: dict[str, Any] = {
    "occurred_at": NOON - HOUR,
    "facts": (Fact(name="Host", value="db1 🐙"), Fact(name="From address", value="192.0.2.7")),
    "left_out": ("facts must be an array",),
    "is_cut": True,
}
Metered = tuple[DynamoStore, Meter, str]
ADDED: dict[str, Any] = {
    "note_keys": ("0123456789abcdef", "f" * 16),
    "found_by": "domains",
    "other_slack_id": "W0ADA",
}
ENDED: dict[str, Any] = {
    "state": State.CLOSED,
    "standing": Outcome.UNDELIVERABLE,
    "due_at": None,
    "settled_at": NOON,
}


@pytest.fixture
async def metered() -> AsyncIterator[tuple[DynamoStore, Meter, str]]:
    """A store in a table, what it takes of it, and the table's name."""
    table = create_table()
    meter = Meter(connection(table))
    store = store_in(table, caller=meter)
    yield store, meter, table
    await store.close()


def told(identifier: str = IDENTIFIER, **changes: Any) -> Question:
    """Return a question to which everything is added."""
    return replace(a_question(identifier, **ADDED, **changes), request=told_request(identifier))


def told_request(identifier: str = IDENTIFIER) -> TriageRequest:
    return replace(a_request(identifier), **FACTS)


async def test_whichever_way_a_question_is_read_it_comes_with_what_was_added(store: AnyStore) -> None:
    asked = {"state": State.ASKED, "slack_id": "U0ADA", "channel": "D0ADA", "ts": "1.1", "asked_at": NOON}
    accepted, late = told("accepted"), told("late", **asked, due_at=None, deadline=NOON)
    answered = told("answered", **asked, due_at=None, answered_at=NOON, standing=Outcome.YES)
    plain = a_question("plain", due_at=None, accepted_at=NOON - HOUR)
    await add(store, accepted, late, answered, plain)

    read = [
        *await store.list_questions(limit=10),
        *await store.due(Work.ASK, NOON, limit=10),
        *await store.overdue(NOON, limit=10),
        *await store.open_for("U0ADA", limit=10),
        *await store.answered_by("U0ADA", NOON, limit=10),
    ]

    assert [each.identifier for each in read[3:]] == ["plain", "accepted", "late", "late", "answered"]
    known = {each.identifier: each for each in (accepted, late, answered, plain)}
    assert read == [known[each.identifier] for each in read]


async def test_a_save_changes_what_was_added_and_takes_it_away(store: AnyStore) -> None:
    bare = a_question()
    await add(store, bare)

    for after, before in [(told(version=1), bare), (a_question(version=2), told(version=1))]:
        assert await store.save(Change(question=after, before=before))
        assert await store.find(IDENTIFIER) == after


async def test_a_question_that_another_worker_takes_over_comes_with_what_was_added() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        await add(ours, told())
        clock.now = NOON + LEASE

        assert list(await theirs.due(Work.ASK, clock(), limit=1)) == [told()]


def items(table: str) -> dict[str, dict[str, Any]]:
    return {item["sk"]["S"]: item for item in dynamodb().scan(TableName=table)["Items"]}


async def test_a_table_takes_nothing_more_for_a_question_to_which_nothing_is_added(metered: Metered) -> None:
    store, meter, table = metered
    await add(store, a_question())
    await store.find(IDENTIFIER)

    assert items(table).keys() == {"question"}
    assert meter.read == 1


async def test_what_was_added_is_written_once_and_not_with_every_save(metered: Metered) -> None:
    store, meter, _ = metered
    await add(store, told())
    first, written = told(), meter.written

    second = replace(first, version=1, attempts=1)
    assert await store.save(Change(question=second, before=first))
    assert meter.written - written <= 2  # a save, and the index of what is due
    third = replace(second, version=2, note_keys=("0" * 16,))
    assert await store.save(Change(question=third, before=second))

    assert await store.find(IDENTIFIER) == third


async def test_what_was_added_expires_on_its_own_and_goes_with_its_question(metered: Metered) -> None:
    store, _, table = metered
    await add(store, told(**ENDED))

    assert expiry(table, IDENTIFIER, "addition") == KEEP + 15 * DAY
    assert await store.remove_ended(NOON + DAY, limit=1) == 1
    assert items(table) == {}


async def test_the_release_before_erases_nothing_and_brings_nothing_back(metered: Metered) -> None:
    store, _, table = metered
    key = {"pk": {"S": row_key(IDENTIFIER)}, "sk": {"S": "question"}}

    def write_as_the_release_before() -> None:
        item = {name: value for name, value in items(table)["question"].items() if name != "ad"}
        dynamodb().put_item(TableName=table, Item=item)

    await add(store, told())
    write_as_the_release_before()
    assert await store.find(IDENTIFIER) == told()

    bare = a_question(version=1)
    assert await store.save(Change(question=bare, before=told()))
    write_as_the_release_before()
    assert await store.find(IDENTIFIER) == bare

    assert await store.save(Change(question=told(version=2), before=bare))
    dynamodb().delete_item(TableName=table, Key=key)  # it removes a question and leaves what was added
    await add(store, replace(a_question(), ref=f"{row_key(IDENTIFIER)}.another"))
    write_as_the_release_before()
    again = await store.find(IDENTIFIER)
    assert again is not None
    assert again.request == a_request()


async def test_what_was_added_is_moved_to_a_table_and_compared(tmp_path: Path) -> None:
    path, table = tmp_path / "store.db", create_table()
    long_ended = told("long-ended", **ENDED, accepted_at=NOON - 100 * DAY)
    async with the_file(path) as store:
        await add(store, told(), a_question("plain"), long_ended)

    verdict, _ = await migrate(path, table)
    again, _ = await migrate(path, table)

    assert verdict.differs is again.differs is None
    target = store_in(table)
    assert await target.find(IDENTIFIER) == told()
    assert await target.find("long-ended") == long_ended
    await target.close()

    item = next(each for each in dynamodb().scan(TableName=table)["Items"] if "oa" in each)
    dynamodb().put_item(TableName=table, Item=item | {"oa": {"N": "5"}})
    with pytest.raises(MigrationRefused, match="has used the table"):
        await migrate(path, table)


moments = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
tokens = st.text("ABCDEFGHIJ0123456789.", max_size=20)

#: What is drawn for a field of a type, where it is not just any of that type.
BY_TYPE: dict[object, st.SearchStrategy[Any]] = {
    str: words,
    int: st.integers(min_value=0, max_value=2**40),
    datetime: moments,
    datetime | None: st.none() | moments,
    tuple[str, ...]: st.lists(tokens.filter(bool), max_size=20).map(tuple),
    tuple[Fact, ...]: st.lists(st.builds(Fact, name=words, value=words), max_size=8).map(tuple),
}
#: Fields that hold what Slack makes up.
SLACKS = dict.fromkeys(("slack_id", "channel", "ts", "card_ts", "taken_by", "asked_slack_id"), tokens)


def drawn(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw every field of a dataclass, those that are added tomorrow included."""
    hints = get_type_hints(kind)
    by_type = {name: BY_TYPE.get(hint, st.from_type(hint)) for name, hint in hints.items()}
    return st.builds(kind, **{name: (SLACKS | given).get(name, of) for name, of in by_type.items()})


BY_TYPE[tuple[Assignment, ...]] = st.lists(drawn(Assignment), max_size=3).map(tuple)


def with_its_reason(drawn: Any, outcome: Outcome | None) -> Any:
    """Return what was drawn; of `unproven` with a reason that nothing else has, by which a table knows it."""
    return replace(drawn, reason=Reason.FACTOR_REFUSED) if outcome is Outcome.UNPROVEN else drawn


questions = (
    drawn(Question, request=drawn(TriageRequest, identifier=words.filter(bool)), version=st.just(0))
    .map(lambda each: replace(each, ref=new_ref(each.request.identifier, "0" * 32)))
    .map(lambda each: with_its_reason(each, each.standing))
)
reports = drawn(
    Report, identifier=st.just(IDENTIFIER), sequence=st.just(0), proof=st.none() | drawn(Proof)
).map(lambda each: with_its_reason(each, each.outcome))


@every_store
@settings(max_examples=effort(8, 30))
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
        proof=Proof(method="ciba", provider="login.example.com", at=NOON),
        inquiry=InquiryNote(text="Which laptop?", slack_id="U0GRACE", slack_name="grace"),
        in_reply_to=1,
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
