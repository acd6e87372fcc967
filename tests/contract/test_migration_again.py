"""A migration that broke off, or met a table that somebody else has used: nothing twice, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from any_store import a_question, a_report, add
from dynamodb_replies import LOST, Unreliable, refusal
from fakes import NOON
from local_dynamodb import REGION, connection, create_table, dynamodb, store_in
from migrated_alerts import ANSWERED, migrate, questions, the_file

from bot.cli.checks.dynamodb import COPY, check_table
from bot.cli.checks.findings import CheckStatus
from bot.errors import StartRefused, StoreError
from bot.store.address import Address
from bot.store.dynamodb.opening import require_finished
from bot.store.dynamodb.table import Caller, Table
from bot.store.migration.migrate import MigrationRefused
from bot.store.sqlite.head import head_path
from bot.triage.asking_rules import row_key
from bot.triage.model import Change, Question

pytest_plugins = ["store_fixtures"]

#: Questions and reports that `fill` makes.
ROWS = 35

#: What tells rows of the file from what else a migration writes.
KEYS = {row_key(question.request.identifier) for question in questions()}

ENDED = "AccessDeniedException"  #: what no patience helps against
THROTTLED = "ProvisionedThroughputExceededException"


def unreliable(table: str, **plan: list[str]) -> Unreliable:
    caller = Unreliable(connection(table))
    caller.plan = plan
    return caller


def named(identifier: str) -> Question:
    return next(each for each in questions() if each.request.identifier == identifier)


async def is_refused_to_workers(table: str) -> bool:
    target = Table(table, connection(table), random=Random(0))
    try:
        await require_finished(target)
    except StartRefused:
        return True
    finally:
        target.close()
    return False


def contents(table: str) -> list[Any]:
    return sorted(dynamodb().scan(TableName=table)["Items"], key=repr)


async def change(table: str, question: Question, **changes: Any) -> None:
    """Save a question as a worker on the table does."""
    worker = store_in(table)
    assert await worker.save(Change(question=replace(question, version=question.version + 1, **changes)))
    await worker.close()


@pytest.mark.parametrize("writes", [1, 2, 9, ROWS])
async def test_one_that_broke_off_goes_on_where_it_was(path: Path, table: str, writes: int) -> None:
    broken = unreliable(table, put_item=[*[""] * writes, *[ENDED] * 99], transact_write_items=[ENDED] * 99)
    with pytest.raises(StoreError, match="denied"):
        await migrate(path, table, caller=broken)
    assert await is_refused_to_workers(table)
    there = len(contents(table)) - 1

    again = unreliable(table)
    verdict, told = await migrate(path, table, caller=again)

    assert verdict.differs is None
    assert again.calls["put_item"] + again.calls["transact_write_items"] == 1 + ROWS - there
    assert ("of an earlier run" in told[0]) is (there > 0)
    assert not await is_refused_to_workers(table)
    whole = contents(table)
    assert len(whole) == ROWS + 1  # who has an alert is an item of its own

    once_more = unreliable(table)
    verdict, _ = await migrate(path, table, caller=once_more)
    assert verdict.differs is None
    assert once_more.calls["put_item"] == 1
    assert contents(table) == whole


#: The calls that write a row.
WRITES = ("put_item", "transact_write_items")


class Forging:
    """Passes calls on, but for writes of rows, with which a test does as it wants."""

    def __init__(self, caller: Caller, write: Callable[[dict[str, Any]], Awaitable[bool]]) -> None:
        """`write` returns whether to write the item as it has left it."""
        self._caller = caller
        self._write = write

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        put = arguments["TransactItems"][0]["Put"] if operation == "transact_write_items" else arguments
        is_row = operation in WRITES and put["Item"]["pk"]["S"] in KEYS
        if is_row and not await self._write(put["Item"]):
            return {}
        return await self._caller.call(operation, arguments)

    def close(self) -> None:
        self._caller.close()


async def test_one_breaks_off_when_no_write_is_under_way_any_more(path: Path, table: str) -> None:
    refused, go_on, rows = asyncio.Event(), asyncio.Event(), count(1)

    async def write(_: dict[str, Any]) -> bool:
        """Refuse every row but the first, which is under way until it is released."""
        if next(rows) > 1:
            refused.set()
            raise refusal(ENDED, "put_item")
        await go_on.wait()
        return True

    migrating = asyncio.create_task(migrate(path, table, caller=Forging(connection(table), write)))
    await refused.wait()

    done, _ = await asyncio.wait([migrating], timeout=0.1)

    assert not done
    go_on.set()
    with pytest.raises(StoreError, match="denied"):
        await migrating
    assert len(contents(table)) == 1 + 1


async def test_lost_replies_and_throttling_are_lived_with(path: Path, table: str) -> None:
    trouble = [LOST, THROTTLED, "", "InternalServerError"] * 5
    caller = unreliable(
        table, put_item=["", *trouble], scan=[THROTTLED] * 7, delete_item=[LOST], get_item=[THROTTLED]
    )

    verdict, told = await migrate(path, table, caller=caller)

    assert verdict.differs is None
    assert len([each for each in told if "is throttling" in each]) == 1
    assert len(contents(table)) == ROWS + 1


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (a_question("another"), r"not from .*'another'.*empty table"),
        (replace(a_question("asked"), ref=f"{row_key('asked')}.{'f' * 32}"), "'asked'"),
    ],
    ids=["another alert", "the same alert, another question"],
)
async def test_a_table_with_alerts_of_another_store_is_refused_and_left_alone(
    path: Path, table: str, question: Question, told: str
) -> None:
    other = store_in(table)
    await add(other, question)
    await other.close()
    before = contents(table)

    with pytest.raises(MigrationRefused, match=told):
        await migrate(path, table)

    assert contents(table) == before


async def test_what_a_worker_has_moved_on_since_is_not_written_over(path: Path, table: str) -> None:
    await migrate(path, table)
    await change(table, named("asked"), **ANSWERED)
    before = contents(table)

    with pytest.raises(MigrationRefused, match="'asked' has changed there"):
        await migrate(path, table)

    assert contents(table) == before


async def test_a_report_that_a_worker_has_sent_since_is_not_sent_again(path: Path, table: str) -> None:
    await migrate(path, table)
    worker = store_in(table)
    [ready, *_] = await worker.sendable(NOON, limit=1)
    await worker.mark_sent([ready], NOON)
    await worker.close()

    with pytest.raises(MigrationRefused, match=f"'{ready.identifier}' has changed there"):
        await migrate(path, table)


async def test_what_a_worker_writes_during_a_run_is_not_written_over(path: Path, table: str) -> None:
    await migrate(path, table)
    async with the_file(path) as store:
        await change_in_file(store)

    class Meddling(Unreliable):
        """A worker saves the question before the second batch of reads is used."""

        async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
            answer = await super().call(operation, arguments)
            if operation == "batch_get_item" and self.calls[operation] == 1:
                await change(table, named("asked"), note="of the table's worker")
            return answer

    with pytest.raises(MigrationRefused, match="'asked' has changed there"):
        await migrate(path, table, caller=Meddling(connection(table)))

    worker = store_in(table)
    stands = await worker.find("asked")
    await worker.close()
    assert stands is not None
    assert stands.note == "of the table's worker"
    assert await is_refused_to_workers(table)


async def change_in_file(store: Any) -> None:
    """Answer a question, send a report, and take in another alert, as the worker of the file does."""
    asked = await store.find("asked")
    answered = replace(asked, version=asked.version + 1, **{**ANSWERED, "reports": 1})
    assert await store.save(Change(question=answered, report=a_report(identifier="asked")))
    await store.mark_sent((await store.reports_of("outdated"))[:1], NOON)
    await add(store, a_question("new"))


async def test_what_the_file_s_worker_did_after_a_broken_run_is_copied_too(path: Path, table: str) -> None:
    broken = unreliable(table, delete_item=[ENDED])
    with pytest.raises(StoreError):
        await migrate(path, table, caller=broken)
    async with the_file(path) as store:
        await change_in_file(store)
        names = ("asked", "outdated", "new")
        expected = [(await store.find(name), await store.reports_of(name)) for name in names]

    verdict, _ = await migrate(path, table)

    assert verdict.differs is None
    worker = store_in(table)
    assert [(await worker.find(name), await worker.reports_of(name)) for name in names] == expected
    await worker.close()


async def test_a_file_that_is_older_than_its_copy_is_refused(path: Path, table: str) -> None:
    files = (path, head_path(path))
    backup = [each.read_bytes() for each in files]
    async with the_file(path) as store:
        await change_in_file(store)
    await migrate(path, table)
    for each, content in zip(files, backup, strict=True):
        each.write_bytes(content)

    with pytest.raises(MigrationRefused, match=r"'(asked|outdated|new)'"):
        await migrate(path, table)


@pytest.mark.parametrize(("identifier", "without"), [("answered", "no"), ("parked", ""), ("in-doubt", "dt")])
async def test_a_copy_that_is_not_equal_is_found_out_by_its_identifier(
    path: Path, table: str, identifier: str, without: str
) -> None:
    async def write(item: dict[str, Any]) -> bool:
        is_forged = item["pk"]["S"] == row_key(identifier)
        if is_forged:
            item.pop(without, None)
        return bool(without) or not is_forged

    verdict, _ = await migrate(path, table, caller=Forging(connection(table), write))

    assert verdict.differs == identifier
    assert not all(each.is_equal for each in verdict.comparisons)
    assert await is_refused_to_workers(table)


async def test_an_alert_that_somebody_else_put_there_meanwhile_is_found_out(path: Path, table: str) -> None:

    class Busy(Unreliable):
        """A worker that nobody stopped accepts a request at the last moment."""

        async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
            if operation == "scan" and self.calls["put_item"] and not self.calls["busy"]:
                self.calls["busy"] += 1
                worker = store_in(table)
                await add(worker, a_question("accepted-meanwhile"))
                await worker.close()
            return await super().call(operation, arguments)

    verdict, _ = await migrate(path, table, caller=Busy(connection(table)))

    assert verdict.differs == "accepted-meanwhile"


async def test_a_worker_is_told_of_half_a_copy_and_so_is_check(path: Path, table: str) -> None:
    with pytest.raises(StoreError):
        await migrate(path, table, caller=unreliable(table, delete_item=[ENDED]))
    target = Table(table, connection(table), random=Random(0), shown=table)

    with pytest.raises(
        StartRefused, match=f"{table} is an unfinished copy of {path}: run `triage-bot migrate`"
    ):
        await require_finished(target)
    findings = await check_table(Address(table=table, region=REGION), caller=connection(table))

    target.close()
    [finding] = [each for each in findings if each.subject == COPY]
    assert finding.status is CheckStatus.FAILED
    assert finding.remedy == "run `triage-bot migrate` again until it says that everything matches"


async def test_a_table_out_of_reach_is_no_half_of_a_copy() -> None:
    table = create_table()
    caller = unreliable(table, get_item=["InternalServerError"] * 6)

    await require_finished(Table(table, caller, random=Random(0)))

    assert caller.calls["get_item"] == 6
    caller.close()
