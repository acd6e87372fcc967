"""The stores that must all pass, and what is put into them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, a_request
from local_dynamodb import MOTO, dynamodb, dynamodb_store
from memory_store import AnyStore, MemoryStore

from bot.store import open_store
from bot.triage.asking_rules import new_ref, row_key
from bot.triage.model import Change, Confidence, OutboxRow, Question, Report, Work
from bot.triage.outcomes import Outcome

Opening = Callable[[], AbstractAsyncContextManager[AnyStore]]

IDENTIFIER = "9Zo02m4B7gIfixq3c4Xh"
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def memory_store() -> AsyncIterator[AnyStore]:
    yield MemoryStore()


@asynccontextmanager
async def sqlite_store() -> AsyncIterator[AnyStore]:
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(f"sqlite:///{Path(folder) / 'store.db'}", create=True)
        try:
            yield store
        finally:
            await store.close()


STORES = [
    pytest.param(memory_store, id="memory"),
    pytest.param(sqlite_store, id="sqlite"),
    pytest.param(dynamodb_store, id="dynamodb"),
    # Others wrote this one; it takes many times as long.
    pytest.param(partial(dynamodb_store, MOTO), id="moto", marks=pytest.mark.slow),
]
every_store = pytest.mark.parametrize("opening", STORES)


def a_question(identifier: str = IDENTIFIER, **changes: Any) -> Question:
    known: dict[str, Any] = {"accepted_at": NOON, "due_at": NOON}
    ref = new_ref(identifier, "0123456789abcdef" * 2)
    return Question(request=a_request(identifier), ref=ref, **(known | changes))


def a_report(sequence: int = 0, *, identifier: str = IDENTIFIER, due_at: datetime = NOON) -> OutboxRow:
    return OutboxRow(
        identifier=identifier,
        sequence=sequence,
        event_id=f"event-{identifier}-{sequence}",
        body=f'{{"sequence":{sequence}}}',
        due_at=due_at,
        report=kept_report(sequence, identifier=identifier),
    )


def kept_report(sequence: int = 0, *, identifier: str = IDENTIFIER) -> Report:
    """Return what such a row was written from."""
    return Report(
        identifier=identifier,
        sequence=sequence,
        outcome=Outcome.NO,
        response="no",
        note=sequence > 0,
        at=NOON,
        email="ada@example.com",
        slack_id="U0ADA",
        slack_name="ada",
        confidence=Confidence.LOWEST,
        alert="duo",
        comment="I was on a train." if sequence else "",
    )


def names(questions: Iterable[Question]) -> list[str]:
    return [each.request.identifier for each in questions]


async def due(store: AnyStore, now: datetime = NOON, work: Work = Work.ASK, *, limit: int = 10) -> list[str]:
    return names(await store.due(work, now, limit=limit))


async def overdue(store: AnyStore, now: datetime, *, limit: int = 10) -> list[str]:
    return names(await store.overdue(now, limit=limit))


async def add(store: AnyStore, *questions: Question, report: OutboxRow | None = None) -> None:
    added = await store.add([Change(question=each, report=report) for each in questions])
    assert list(added) == [True] * len(questions)


async def report_times(
    store: AnyStore, identifier: str, *due: datetime, accepted_at: datetime = NOON
) -> list[OutboxRow]:
    """Add a question with a report due at each of these moments; return the reports."""
    reports = [a_report(number, identifier=identifier, due_at=each) for number, each in enumerate(due)]
    question = a_question(identifier, reports=1, accepted_at=accepted_at)
    await add(store, question, report=reports[0])
    for version, report in enumerate(reports[1:], start=1):
        assert await store.save(Change(question=replace(question, version=version), report=report))
    return reports


async def sendable(store: AnyStore, now: datetime) -> list[str]:
    return [row.event_id for row in await store.sendable(now, limit=1000)]


def expiry(table: str, identifier: str, sort: str = "question") -> timedelta | None:
    """Return how long after noon an item of a table expires; None: it does not."""
    key = {"pk": {"S": row_key(identifier)}, "sk": {"S": sort}}
    item = dynamodb().get_item(TableName=table, Key=key)["Item"]
    return timedelta(seconds=int(item["x"]["N"]) - NOON.timestamp()) if "x" in item else None


def play(opening: Opening, scenario: Callable[[AnyStore], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opening() as store:
            await scenario(store)

    asyncio.run(run())
