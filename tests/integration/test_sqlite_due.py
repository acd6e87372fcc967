"""Finding what is due costs the same however many questions are open: counted in SQLite's own steps."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, a_request

from bot.store import open_store
from bot.store.sqlite.connection import Database
from bot.store.sqlite.opening import open_file
from bot.store.sqlite.store import SqliteStore
from bot.triage.asking_rules import new_ref
from bot.triage.listing import Filter
from bot.triage.model import Change, Choice, Question, State, Work
from bot.triage.outcomes import Outcome

FEW = 100
HOUR = timedelta(hours=1)

#: What the sweeper asks of the store each time it wakes. At noon there is one question due of each kind.
LOOKS: dict[str, Callable[[SqliteStore], Awaitable[object]]] = {
    **{f"due to {work}": partial(SqliteStore.due, work=work, now=NOON, limit=10) for work in Work},
    "overdue": lambda store: store.overdue(NOON, limit=10),
    "next due": lambda store: store.next_due(NOON),
}


def open_question(identifier: str, **changes: Any) -> Question:
    """Return a question that waits for its answer until tomorrow."""
    known: dict[str, Any] = {
        "state": State.ASKED,
        "slack_id": "U0ADA",
        "offered": tuple(Choice),
        "channel": "D0ADA",
        "ts": "1.1",
        "asked_at": NOON,
        "due_at": NOON + 4 * HOUR,
        "deadline": NOON + 24 * HOUR,
    }
    return Question(
        request=a_request(identifier),
        ref=new_ref(identifier, "0" * 32),
        accepted_at=NOON,
        **(known | changes),
    )


DUE = (
    open_question("reminder", due_at=NOON),
    open_question("overdue", deadline=NOON),
    open_question("unasked", state=State.ACCEPTED, ts="", due_at=NOON),
    open_question("stale", standing=Outcome.NO, reports=1, due_at=NOON, deadline=None),
    open_question("card", standing=Outcome.NO, due_at=None, deadline=None, card_due_at=NOON),
)


async def fill(path: Path, count: int) -> None:
    """Write a store with what is due, and this many open questions that are not."""
    store = await open_store(f"sqlite:///{path}", create=True)
    await store.add([Change(question=each) for each in (*DUE, open_question("copied"))])
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(question)")]
        changed = {
            "key": "printf('%032x', number)",
            "identifier": "printf('copy-%d', number)",
            "due_at": "due_at + number * 1000",
            "deadline": "deadline + number * 1000",
        }
        copied = ", ".join(changed.get(name, name) for name in names)
        connection.execute(
            "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers"
            f" WHERE number < ?) INSERT INTO question SELECT {copied} FROM question, numbers"
            " WHERE identifier = 'copied'",
            (count,),
        )
        connection.commit()


@asynccontextmanager
async def watched(path: Path) -> AsyncIterator[tuple[SqliteStore, sqlite3.Connection]]:
    """Open a store, and show its connection."""
    connection = open_file(path, create=False).connection
    connection.row_factory = sqlite3.Row
    store = SqliteStore(Database(connection), path=path)
    try:
        yield store, connection
    finally:
        connection.set_progress_handler(None, 0)
        connection.set_trace_callback(None)
        await store.close()


async def costs(path: Path) -> dict[str, tuple[int, object]]:
    """Return how many of SQLite's steps each look takes, and what it finds."""
    found: dict[str, tuple[int, object]] = {}
    steps: list[None] = []
    async with watched(path) as (store, connection):
        connection.set_progress_handler(lambda: steps.append(None), 1)
        for name, look in LOOKS.items():
            steps.clear()
            seen = await look(store)
            found[name] = (len(steps), seen)
    return found


async def queries(path: Path) -> dict[str, list[str]]:
    """Return what each look asks of SQLite, as SQL with its values filled in."""
    asked: dict[str, list[str]] = {}
    async with watched(path) as (store, connection):
        for name, look in LOOKS.items():
            connection.set_trace_callback(asked.setdefault(name, []).append)
            await look(store)
    return asked


def plan(path: Path, query: str) -> list[str]:
    """Return how SQLite goes through the questions to answer a query."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    return [str(row[3]) for row in rows if "question" in str(row[3])]


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_finding_what_is_due_costs_the_same_with_100_and_with_many_open_questions(
    tmp_path: Path, count: int
) -> None:
    await fill(tmp_path / "few.db", FEW)
    await fill(tmp_path / "many.db", count)

    few, many = await costs(tmp_path / "few.db"), await costs(tmp_path / "many.db")

    assert many == few
    assert all(steps > 0 for steps, _ in many.values())
    assert {
        name: [each.request.identifier for each in seen]
        for name, (_, seen) in many.items()
        if isinstance(seen, list)
    } == {
        "due to redraw": ["stale"],
        "due to ask": ["unasked"],
        "due to remind": ["reminder"],
        "due to card": ["card"],
        "overdue": ["overdue"],
    }


async def test_every_look_for_what_is_due_goes_straight_to_it_by_an_index(tmp_path: Path) -> None:
    await fill(tmp_path / "few.db", FEW)

    asked = await queries(tmp_path / "few.db")

    plans = {name: [plan(tmp_path / "few.db", query) for query in sent] for name, sent in asked.items()}
    assert all(steps for sent in plans.values() for steps in sent)
    slow = [
        f"{name}: {step}"
        for name, sent in plans.items()
        for steps in sent
        for step in steps
        if not step.startswith("SEARCH question USING ")
    ]
    assert slow == []
    # Each kind of work has an index of its own, and so have deadlines.
    assert len(plans["next due"][0]) == len(Work) + 1


#: What the publisher, a command or the metrics ask while people click.
ASKED: dict[str, Callable[[SqliteStore], Awaitable[object]]] = {
    "reports to send": lambda store: store.sendable(NOON, limit=10),
    "when to send": lambda store: store.next_sendable(NOON),
    "what to replay": lambda store: store.identifiers_unsent(),
    "what to replay of a time": lambda store: store.identifiers_sent_since(NOON),
    "gauges": SqliteStore.count,
    "list": lambda store: store.list_questions(limit=10),
    "list of open ones": lambda store: store.list_questions(limit=10, only=Filter(is_open=True, alert="x")),
    "list of a person": lambda store: store.list_questions(limit=10, only=Filter(user="x@y.z", since=NOON)),
    "list of what somebody took": lambda store: store.list_questions(
        limit=10, only=Filter(taken_by="U0RADIA", since=NOON)
    ),
    "what somebody took": lambda store: store.taken_by("U0RADIA", limit=10),
    "question of a card": lambda store: store.load_by_key("0" * 32),
    "statistics": lambda store: store.statistics(NOON),
}

#: Indexes of outstanding work alone, and slices: scanning one of them is harmless.
SMALL = re.compile(
    r"USING( COVERING)? INDEX (question_open|question_invalid|report_unsent|report_parked)|CONSTANT"
)


@pytest.mark.parametrize("name", ASKED)
async def test_nothing_that_is_asked_while_people_click_goes_through_all_rows_at_once(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "few.db"
    await fill(path, FEW)
    asked: list[str] = []

    async with watched(path) as (store, connection):
        connection.set_trace_callback(asked.append)
        await ASKED[name](store)

    with closing(sqlite3.connect(path)) as reader:
        looks = [query for query in asked if query.startswith("SELECT")]
        steps = [str(row[3]) for query in looks for row in reader.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert looks
    assert [step for step in steps if step.startswith("SCAN") and not SMALL.search(step)] == []


async def test_a_look_without_an_index_would_be_seen(tmp_path: Path) -> None:
    await fill(tmp_path / "few.db", FEW)

    assert plan(tmp_path / "few.db", "SELECT * FROM question WHERE attempts > 1") == ["SCAN question"]
