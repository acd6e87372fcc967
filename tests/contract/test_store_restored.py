"""What every store remembers of a restore, and that a question may take over a message under another ref."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from any_store import IDENTIFIER, a_question, a_report, add
from fakes import NOON, a_message, a_request
from local_dynamodb import store_in
from memory_store import AnyStore
from migrated_alerts import migrate, the_file

from bot.triage import restore_rules
from bot.triage.asking_rules import new_ref, row_key, stop_reminding
from bot.triage.model import Change, Choice, Person, Restore, Shown, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

pytest_plugins = ["store_fixtures"]

HOUR = timedelta(hours=1)
RESTORED = NOON + 3 * HOUR
ADA = Person(slack_id="U0ADA", slack_name="ada")
SHOWN = Shown(
    reports=3,
    standing=Outcome.NO,
    said=Choice.YES,
    answered_at=NOON + timedelta(microseconds=1),
    is_unsure=True,
    card_ts="1764000001.000200",
    proofs=2,
    reason="factor_fraud",
)


async def test_a_restore_is_remembered_with_the_window_of_the_one_before(store: AnyStore) -> None:
    assert await store.restored() is None

    await store.reset_after_restore(RESTORED, since=NOON)
    await store.reset_after_restore(RESTORED + HOUR, since=RESTORED)

    assert await store.restored() == Restore(since=NOON - HOUR / 2, until=RESTORED + HOUR)


async def test_a_question_dated_after_the_restore_came_before_it(store: AnyStore) -> None:
    await add(store, a_question(accepted_at=RESTORED + HOUR, deadline=RESTORED + 2 * HOUR))

    await store.reset_after_restore(RESTORED, since=NOON)

    question = await store.find(IDENTIFIER)
    assert question is not None
    assert (question.accepted_at, question.deadline) == (RESTORED, RESTORED + HOUR)
    assert restore_rules.is_unread(question, await store.restored())


async def test_a_conversation_and_what_was_found_there_are_kept_as_they_were(store: AnyStore) -> None:
    question = replace(a_question("one"), ts="1.000001")
    found = replace(a_message(question, shown=SHOWN), slack_id="U0ADA")
    plain = replace(a_message(replace(a_question("two"), ts="1.000002")), request=None)
    assert await store.conversation_read_at("U0ADA") is None

    await store.keep_conversation("U0ADA", [a_message(question), found, plain], RESTORED)
    await store.keep_conversation("U0EVE", [], RESTORED + HOUR)

    assert await store.conversation_read_at("U0ADA") == RESTORED
    assert await store.conversation_read_at("U0EVE") == RESTORED + HOUR
    assert await store.found_question(row_key("one")) == found
    assert await store.found_question(row_key("two")) == plain
    assert await store.found_question(row_key("three")) is None


async def test_a_question_takes_over_a_message_under_its_ref_once(store: AnyStore) -> None:
    ours = replace(a_question(), request=replace(a_request(), left_out=("facts must be an array",)))
    await add(store, ours, a_question("another"))
    found = a_message(replace(ours, ref=new_ref(IDENTIFIER, "f" * 32), ts="1.1"), shown=SHOWN)
    step = restore_rules.adopt(ours, found, ADA, RESTORED, Policy())
    assert step is not None
    adopted = replace(step.question, version=1)
    change = Change(question=adopted, report=a_report(3), before=ours)

    assert await store.save(change)
    assert not await store.save(change)

    assert await store.load(ours.ref) is None
    assert await store.load(found.ref) == adopted == await store.find(IDENTIFIER)
    assert [row.sequence for row in await store.reports_of(IDENTIFIER)] == [3]
    assert adopted in await store.due(Work.REDRAW, RESTORED, limit=10)
    again = replace(adopted, version=2, read_at=None, is_unsure=False)
    assert await store.save(Change(question=again, before=adopted))
    assert await store.load(found.ref) == again


async def test_only_open_questions_with_a_message_are_to_be_read(store: AnyStore) -> None:
    asked = a_question(
        "asked", state=State.ASKED, ts="1.1", channel="D0ADA", due_at=None, deadline=NOON + HOUR
    )
    outdated = replace(
        asked, request=a_request("outdated"), ref=new_ref("outdated", "0" * 32), reports=1, due_at=NOON
    )
    await add(store, asked, outdated)

    await store.reset_after_restore(RESTORED, since=NOON, longest=HOUR / 2)

    [read] = await store.due(Work.REMIND, RESTORED + HOUR, limit=10)
    assert (read.identifier, read.due_at) == ("asked", RESTORED + timedelta(seconds=30))
    assert read.deadline == RESTORED + HOUR / 2
    assert [each.due_at for each in await store.due(Work.REDRAW, RESTORED, limit=10)] == [NOON]


async def test_a_yes_without_its_proof_is_to_be_read_and_then_due_no_more(store: AnyStore) -> None:
    said = a_question(state=State.ASKED, ts="1.1", channel="D0ADA", due_at=None, said=Choice.YES)
    await add(store, said)
    await store.reset_after_restore(RESTORED, since=NOON)

    [read] = await store.due(Work.REMIND, RESTORED + HOUR, limit=10)
    step = stop_reminding(read)
    assert step is not None
    assert await store.save(Change(question=replace(step.question, version=read.version + 1), before=read))

    assert await store.due(Work.REMIND, RESTORED + HOUR, limit=10) == []


async def test_a_migration_carries_what_is_remembered_of_a_restore(path: Path, table: str) -> None:
    found = a_message(replace(a_question("lost"), ts="1.000001"), shown=SHOWN)
    async with the_file(path) as file:
        await file.reset_after_restore(RESTORED, since=NOON)
        await file.keep_conversation("U0ADA", [found], RESTORED)

    result, _ = await migrate(path, table)

    assert result.differs is None
    store = store_in(table)
    assert await store.restored() == Restore(since=NOON - HOUR / 2, until=RESTORED)
    assert await store.conversation_read_at("U0ADA") == RESTORED
    assert await store.found_question(row_key("lost")) == found
