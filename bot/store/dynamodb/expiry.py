"""How long rows are kept. DynamoDB removes expired items free of charge, but only within days.

The write that ends the work on a question sets its item's expiry, and marking a report as sent sets that of
the report. The expiry is removed where a question must stay: its report is parked, replayed, or has waited
for a day. If the table does not expire items, or is late, the worker removes them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.clock import Clock
from bot.errors import DamagedRow
from bot.store.dynamodb import items, schema
from bot.store.dynamodb.leases import query_index, query_until, read_moments
from bot.store.dynamodb.table import TRANSACTION_MAX, Condition, Item, Table, to_wire
from bot.store.dynamodb.trails import read_trail
from bot.store.records.damage import log_damaged
from bot.triage.asking_rules import row_key
from bot.triage.model import OutboxRow, Question, TrailEvent

#: A report that waits longer than this keeps its question from expiring. Questions outlive reports by this.
WAITS_LONG = timedelta(days=1)

#: What is added to a question expires this long, and as long as ended questions are kept, after the question
#: was accepted; an event, after it was stored or after the question's deadline.
ADDITION_KEPT = timedelta(days=15)

#: How long DynamoDB may take to remove an expired item before the worker does.
LATENESS = timedelta(days=7)

#: The most rows of one shard examined in one step.
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


def ended_at(question: Question) -> datetime | None:
    """Return when a question ended; None while it still needs work."""
    has_work = question.work is not None or question.card_due_at is not None
    return None if has_work or question.deadline is not None else question.settled_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetime:
    """When items expire: `keep` after their end. None: this process sets no expiry.

    Before the time is known, none is set: items written then stay until the worker removes them.
    """

    keep: timedelta | None
    clock: Clock

    def of_question(self, question: Question) -> Item:
        """Return a question's expiry attribute, in seconds since 1970; empty before it is at rest."""
        end = ended_at(question)
        return self.since(end + WAITS_LONG) if end else {}

    def of_addition(self, question: Question) -> Item:
        """Return the expiry attribute of what is added to a question, in seconds since 1970."""
        return self.since(question.accepted_at + ADDITION_KEPT)

    def of_taking(self, question: Question) -> Item:
        """Return the expiry attribute of who has a question's alert, in seconds since 1970."""
        return self.since(
            max(question.accepted_at, question.taken_at or question.accepted_at) + ADDITION_KEPT
        )

    def of_event(self, event: TrailEvent, deadline: datetime | None) -> Item:
        """Return the expiry attribute of an event of a question with this deadline, in seconds since 1970."""
        return self.since(max(event.at, deadline or event.at) + ADDITION_KEPT)

    def since(self, end: datetime) -> Item:
        """Return the expiry attribute of an item that ended then, in seconds since 1970."""
        if self.keep is None or not self.clock.is_known:
            return {}
        return {schema.EXPIRES: int((end + self.keep).timestamp())}


class Expiry:
    """Keeps items from expiring too soon or staying forever. `StoreError` if DynamoDB fails."""

    def __init__(self, table: Table, lifetime: Lifetime, *, lateness: timedelta = LATENESS) -> None:
        self._table = table
        self._lifetime = lifetime
        self._lateness = lateness

    async def hold(self, key: str) -> None:
        """Keep the question under this key from expiring, because one of its reports is not finished."""
        await self._table.update(items.question_key(key), f"REMOVE {schema.EXPIRES}", _EXPIRES_SET)

    async def release(self, row: OutboxRow, sent_at: datetime) -> None:
        """Let a question expire again if it was held for a report that has now been sent."""
        if row.replays == 0 and sent_at - row.due_at < WAITS_LONG:
            return  # it was never held
        expires = self._lifetime.since(sent_at + WAITS_LONG)
        if expires:
            change = f"SET {schema.EXPIRES} = :expires"
            condition = Condition(expression=_AT_REST.expression, values={"expires": expires[schema.EXPIRES]})
            await self._table.update(items.question_key(row_key(row.identifier)), change, condition)

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """Remove what ended before this moment and should have expired; return how many questions."""
        await self._hold_waiting(before + (self._lifetime.keep or timedelta(0)))
        ended = await self._find_ended(before - self._lateness)
        removed = 0
        for question in sorted(ended, key=lambda row: row.settled_at or before):
            try:
                removed += await self._remove(question, before - self._lateness)
            except DamagedRow as error:
                log_damaged(error)
            if removed == limit:
                break
        return removed

    async def _hold_waiting(self, now: datetime) -> None:
        for shard in schema.shards(items.UNSENT):
            async for item in self._table.query(**query_index(schema.DUE, shard)):
                # The question of a damaged report stays, too.
                if not (due := read_moments([item], schema.DUE_AT)) or now - due[0] > WAITS_LONG:
                    await self.hold(str(item[schema.PARTITION]))

    async def _find_ended(self, before: datetime) -> list[Question]:
        queries = [query_until(schema.LIST, shard, before) for shard in schema.shards(items.ENDED)]
        pages = await asyncio.gather(*(self._table.first(_JUDGED_MAX, **query) for query in queries))
        keys = [str(item[schema.PARTITION]) for page in pages for item in page]
        return [
            row
            for row in await items.questions_of(self._table, keys)
            if (end := ended_at(row)) and end < before
        ]

    async def _remove(self, question: Question, before: datetime) -> bool:
        trail = await read_trail(self._table, items.key_of(question))
        rows = trail.reports if trail else ()
        if not all(row.sent_at is not None and row.sent_at < before for row in rows):
            return False
        stands = Condition(expression=f"{items.VERSION} = :version", values={"version": question.version})
        gone = [self._make_deletion(items.report_key(items.key_of(question), row.sequence)) for row in rows]
        if items.has_addition(question):
            gone.append(self._make_deletion(items.addition_key(items.key_of(question))))
        if question.handled:
            gone.append(self._make_deletion(items.taking_key(items.key_of(question))))
        first = self._make_deletion(items.question_key(items.key_of(question)), stands)
        key, _, secret = question.ref.partition(".")
        gone += [
            self._make_deletion(items.event_key(key, secret, event.version))
            for event in (trail.events if trail else ())
        ]
        gone += [
            self._make_deletion(items.inquiry_key(key, inquiry.number))
            for inquiry in (trail.inquiries if trail else ())
        ]
        if not await self._table.try_transact([first, *gone[: TRANSACTION_MAX - 1]]):
            return False
        for start in range(TRANSACTION_MAX - 1, len(gone), TRANSACTION_MAX):
            await self._table.transact(gone[start : start + TRANSACTION_MAX])
        return True

    def _make_deletion(self, key: Item, condition: Condition | None = None) -> dict[str, Any]:
        arguments = condition.arguments() if condition else {}
        return {"Delete": {"TableName": self._table.name, "Key": to_wire(key), **arguments}}
