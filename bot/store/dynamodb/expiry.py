"""How long rows are kept. DynamoDB itself removes what has expired, for nothing; within days, not at once.

A question's item expires from when it is at rest, without a further write, and a report's from when it was
sent. What must not vanish is taken back: a question whose report is parked, replayed, or waits for a day.
Where the table does not expire items, or is late, the worker removes what is left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.store.dynamodb import schema
from bot.store.dynamodb.items import (
    ENDED,
    UNSENT,
    VERSION,
    key_of,
    question_key,
    questions_of,
    report_key,
    reports_of,
)
from bot.store.dynamodb.lookout import moment_in, until, whole
from bot.store.dynamodb.table import Condition
from bot.store.dynamodb.values import to_wire
from bot.triage.asking_rules import row_key

if TYPE_CHECKING:
    from datetime import datetime

    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item
    from bot.triage.model import OutboxRow, Question

#: A report that waits longer than this keeps its question from expiring. A question is kept as much longer.
WAITS_LONG = timedelta(days=1)

#: How long DynamoDB may take to remove what has expired, before the worker does.
LATENESS = timedelta(days=7)

#: Rows of one shard that are judged in one step.
_JUDGED_MAX = 250

_EXPIRES_SET = Condition(expression=f"attribute_exists({schema.EXPIRES})")
_AT_REST = Condition(
    expression=" AND ".join(
        [
            f"attribute_exists({schema.PARTITION})",
            f"attribute_not_exists({schema.WORK})",
            f"attribute_not_exists({schema.DEADLINE})",
        ]
    )
)


def is_at_rest(question: Question) -> bool:
    """Whether it has ended and nothing is to be done for it."""
    has_work = question.work is not None or question.card_due_at is not None
    return question.settled_at is not None and not has_work and question.deadline is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetime:
    """When items expire. `keep`: how long after their end; None: never, as far as this process writes."""

    keep: timedelta | None

    def of_question(self, question: Question) -> Item:
        """Return the attribute by which a question that is written now expires; none before it is at rest."""
        if not is_at_rest(question) or question.settled_at is None:
            return {}
        return self.since(question.settled_at + WAITS_LONG)

    def since(self, end: datetime) -> Item:
        """Return the attribute by which an item expires that ended then."""
        if self.keep is None:
            return {}
        return {schema.EXPIRES: int((end + self.keep).timestamp())}


class Keeper:
    """Takes care that nothing expires too soon, and that nothing stays for ever."""

    def __init__(self, table: Table, lifetime: Lifetime, *, lateness: timedelta = LATENESS) -> None:
        self._table = table
        self._lifetime = lifetime
        self._lateness = lateness

    async def hold(self, identifier: str) -> None:
        """Keep a question from expiring, for one of its reports is not done with."""
        await self._hold(row_key(identifier))

    async def let_go(self, row: OutboxRow, sent_at: datetime) -> None:
        """Let the question of a report that was sent now expire again, where it was held for that report."""
        if row.replays == 0 and sent_at - row.due_at < WAITS_LONG:
            return  # it was never held
        expires = self._lifetime.since(sent_at + WAITS_LONG)
        if expires:
            change = f"SET {schema.EXPIRES} = :expires"
            condition = Condition(expression=_AT_REST.expression, values={"expires": expires[schema.EXPIRES]})
            await self._table.update(question_key(row_key(row.identifier)), change, condition)

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """Remove what ended before this moment and should have expired; say how many questions."""
        await self._hold_what_waits(before + (self._lifetime.keep or timedelta(0)))
        ended = await self._ended(before - self._lateness)
        removed = 0
        for question in sorted(ended, key=lambda row: row.settled_at or before):
            removed += await self._remove(question, before - self._lateness)
            if removed == limit:
                break
        return removed

    async def _hold_what_waits(self, now: datetime) -> None:
        for shard in schema.shards(UNSENT):
            async for item in self._table.query(**whole(schema.DUE, shard)):
                if now - moment_in(item, schema.DUE_AT) > WAITS_LONG:
                    await self._hold(str(item[schema.PARTITION]))

    async def _hold(self, key: str) -> None:
        await self._table.update(question_key(key), f"REMOVE {schema.EXPIRES}", _EXPIRES_SET)

    async def _ended(self, before: datetime) -> list[Question]:
        queries = [until(schema.LIST, shard, before) for shard in schema.shards(ENDED)]
        pages = await asyncio.gather(*(self._table.first(_JUDGED_MAX, **query) for query in queries))
        keys = [str(item[schema.PARTITION]) for page in pages for item in page]
        return [row for row in await questions_of(self._table, keys) if _has_ended(row, before)]

    async def _remove(self, question: Question, before: datetime) -> bool:
        rows = await reports_of(self._table, key_of(question))
        if not all(row.sent_at is not None and row.sent_at < before for row in rows):
            return False
        stands = Condition(expression=f"{VERSION} = :version", values={"version": question.version})
        gone = [self._deletion(report_key(key_of(question), row.sequence)) for row in rows]
        return await self._table.try_transact([self._deletion(question_key(key_of(question)), stands), *gone])

    def _deletion(self, key: Item, condition: Condition | None = None) -> dict[str, Any]:
        arguments = condition.arguments() if condition else {}
        return {"Delete": {"TableName": self._table.name, "Key": to_wire(key), **arguments}}


def _has_ended(question: Question, before: datetime) -> bool:
    return is_at_rest(question) and question.settled_at is not None and question.settled_at < before
