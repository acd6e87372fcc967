"""A SQLite store becomes a table: nothing is lost, and what was due is due."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from any_store import a_question, a_report, add, expiry, kept_report, sendable
from fakes import NOON
from local_dynamodb import KEEP, create_table, dynamodb, store_in
from migrated_alerts import ATTEMPT, CLOSED, DAY, HOUR, INQUIRY, SECOND, fill, migrate, questions, the_file

from bot.errors import StoreUnusable
from bot.store import OpenStore
from bot.store.migration.inventory import KINDS, Inventory, digest_of
from bot.store.migration.source import PAGE, SqliteSource
from bot.store.records.rows import FIXED, MUTABLE, event_row, inquiry_row
from bot.store.sqlite.opening import open_to_read
from bot.triage.event_kinds import EventKind
from bot.triage.model import Question, Work
from bot.triage.trail import make_event

pytest_plugins = ["store_fixtures"]

IDENTIFIERS = [question.request.identifier for question in questions()]


async def all_rows(store: OpenStore) -> Mapping[str, Any]:
    return {name: (await store.find(name), await store.trail_of(name)) for name in IDENTIFIERS}


async def all_that_is_due(store: OpenStore) -> Mapping[str, Any]:
    """Return what a worker would find to do, at noon and a day later."""
    found: dict[str, Any] = {}
    for now in (NOON, NOON + DAY):
        for work in Work:
            found[f"{work} {now}"] = await store.due(work, now, limit=100)
        found[f"attempts {now}"] = await store.due_attempts(now, limit=100)
        found[f"inquiries {now}"] = await store.due_inquiries(now, limit=100)
        found[f"overdue {now}"] = await store.overdue(now, limit=100)
    found["sendable"] = await sendable(store, NOON)
    found["open"] = await store.open_for("U0ADA", limit=100)
    found["taken"] = await store.taken_by("U0GRACE", limit=100)
    found["answered"] = await store.answered_by("U0ADA", NOON - DAY, limit=100)
    found["unsent"] = await store.identifiers_unsent()
    found["oldest"] = await store.oldest_open(), await store.oldest_unsent()
    found["statistics"] = await store.statistics(NOON - DAY)
    return {name: _comparable(value) for name, value in found.items()}


def _comparable(value: Any) -> Any:
    """Return rows in any order. A row of a file records that the worker which claimed it is dead."""
    if not isinstance(value, list):
        return value
    is_claimed = [isinstance(each, Question) and each.request.identifier == "claimed" for each in value]
    rows = [replace(row, due_at=NOON) if of_it else row for row, of_it in zip(value, is_claimed, strict=True)]
    return sorted(rows, key=repr)


async def test_all_is_moved_with_every_column_and_body_and_due_as_it_was(path: Path, table: str) -> None:
    async with the_file(path) as store:
        assert await store.save_attempt(ATTEMPT)
        before, was_due = await all_rows(store), await all_that_is_due(store)

    verdict, _ = await migrate(path, table)

    target = store_in(table)
    assert await all_rows(target) == before
    assert await all_that_is_due(target) == was_due
    await target.close()
    assert verdict.differs is None
    assert {each.kind: each.source.rows for each in verdict.comparisons} == {
        "questions accepted": 2,
        "questions posting": 3,
        "questions asked": 7,
        "questions closed": 2,
        "reports unsent": 7,
        "reports parked": 1,
        "reports sent": 4,
        "events": 8,
        "inquiries": 1,
    }
    assert all(each.is_equal for each in verdict.comparisons)


async def test_every_column_of_the_schema_is_compared() -> None:
    schema = resources.files("bot.store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema)
        columns = {row[1] for row in connection.execute("PRAGMA table_info(question)")}
        of_reports = [row[1] for row in connection.execute("PRAGMA table_info(report)")]
        of_events = [row[1] for row in connection.execute("PRAGMA table_info(event)")]
        of_inquiries = {row[1] for row in connection.execute("PRAGMA table_info(inquiry)")}

    assert columns == {*FIXED, *MUTABLE}
    event = make_event("alert", 1, "", kind=EventKind.SENT, facts={"sequence": 0}, at=NOON)
    assert of_events == list(event_row(event))
    assert of_inquiries == set(inquiry_row(INQUIRY))
    moments = {"due_at": NOON + SECOND, "sent_at": NOON, "parked_at": NOON}
    changed: dict[str, Any] = {
        "sequence": 1,
        "event_id": "other",
        "body": "{}",
        **moments,
        "replays": 1,
        "report": kept_report(1),
    }
    assert of_reports == ["key", *("facts" if name == "report" else name for name in changed)]
    digests = {digest_of(replace(a_report(), **{name: value})) for name, value in changed.items()}
    assert len(digests - {digest_of(a_report())}) == len(changed)


async def test_the_file_is_only_read_and_stays_as_it_was_to_the_last_byte(path: Path) -> None:
    before = path.read_bytes()

    await migrate(path, create_table())

    assert path.read_bytes() == before
    assert not path.with_name("store.db-wal").exists()
    reading = closing(open_to_read(path))
    with reading as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM report")


async def test_what_a_crash_left_in_the_log_is_moved_too(tmp_path: Path, table: str) -> None:
    path, crashed = tmp_path / "store.db", tmp_path / "crashed.db"
    async with the_file(path) as store:
        await fill(store)
        for suffix in ("", "-wal", ".head"):
            shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")

    verdict, _ = await migrate(crashed, table)

    assert verdict.differs is None
    assert sum(each.target.rows for each in verdict.comparisons) == 35


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look like one" * 20])
async def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)

    with pytest.raises(StoreUnusable):
        await SqliteSource.open(path)

    assert path.read_bytes() == content


async def test_an_empty_store_becomes_an_empty_table(tmp_path: Path, table: str) -> None:
    path = tmp_path / "store.db"
    async with the_file(path):
        pass

    verdict, _ = await migrate(path, table)

    assert [each.kind for each in verdict.comparisons] == list(KINDS)
    assert verdict.differs is None
    assert dynamodb().scan(TableName=table)["Items"] == []


async def test_alerts_are_read_some_at_a_time_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    names = [f"alert-{number}" for number in range(2 * PAGE + 7)]
    async with the_file(path) as store:
        await add(store, *[a_question(name) for name in names])
    source = await SqliteSource.open(path)

    pages = [page async for page in source.pages()]

    source.close()
    assert [len(page) for page in pages] == [PAGE, PAGE, 7]
    assert sorted(each.question.request.identifier for page in pages for each in page) == sorted(names)


def test_a_checksum_tells_any_change_and_no_order() -> None:
    inventories = Inventory(), Inventory(), Inventory()
    for row in questions():
        inventories[0].add(row)
    for row in reversed(questions()):
        inventories[1].add(row)
        inventories[2].add(replace(row, note="another") if row.request.identifier == "paced" else row)

    counts = [{kind: each.count(kind) for kind in KINDS} for each in inventories]

    assert counts[0] == counts[1]
    assert [kind for kind in KINDS if counts[0][kind] != counts[2][kind]] == ["questions accepted"]


async def test_what_has_ended_expires_as_if_a_worker_had_ended_it(path: Path, table: str) -> None:
    long_ended = {**CLOSED, "settled_at": NOON - 40 * DAY}
    async with the_file(path) as store:
        await add(store, a_question("waits", **CLOSED), report=a_report(identifier="waits", due_at=NOON))
        await add(store, a_question("long-ended", **long_ended), report=a_report(identifier="long-ended"))
        await store.mark_sent(await store.reports_of("long-ended"), NOON - 39 * DAY)

    await migrate(path, table)

    assert expiry(table, "at-rest") == KEEP + DAY - HOUR + 2 * SECOND
    assert expiry(table, "at-rest", "report#000001") == KEEP - HOUR + 2 * SECOND
    assert expiry(table, "waits") == KEEP + DAY - HOUR
    assert expiry(table, "waits", "report#000000") is None
    for name in ("parked", "sent-again"):  # its report is not done with
        assert expiry(table, name) is expiry(table, name, "report#000000") is None
    for name in ("asked", "overdue", "outdated", "answered"):
        assert expiry(table, name) is None
    # What would have expired by now stays for a day, to be compared.
    assert expiry(table, "long-ended") == expiry(table, "long-ended", "report#000000") == DAY

    target = store_in(table)
    await target.mark_sent(await target.reports_of("sent-again"), NOON + HOUR)
    await target.close()
    assert expiry(table, "sent-again") == KEEP + DAY + HOUR
