"""Items besides the questions of a table on which a worker has to continue: proofs and inquiries.

Each item has its own version. The worker that wrote one needs no index to continue with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from bot.store.dynamodb import items, schema
from bot.store.dynamodb.expiry import ADDITION_KEPT, WAITS_LONG, Lifetime
from bot.store.dynamodb.leases import query_until
from bot.store.dynamodb.table import NEW, Condition, Item, Table
from bot.store.records.damage import skip_damaged
from bot.triage.factor import Attempt
from bot.triage.inquiry import Inquiry
from bot.triage.model import Change


class _Dated(Protocol):
    @property
    def due_at(self) -> datetime | None: ...


T = TypeVar("T", bound=_Dated)


class SideItems:
    """Implements the ports `AttemptRecord` and `InquiryRecord`. `StoreError` if DynamoDB fails."""

    def __init__(self, table: Table, lifetime: Lifetime) -> None:
        self._table = table
        self._lifetime = lifetime

    async def find_attempt(self, subject: str) -> Attempt | None:
        item = await self._table.get(items.attempt_item_key(subject))
        return items.attempt_from(item) if item else None

    async def save_attempt(self, attempt: Attempt) -> bool:
        return await self._table.put(*self._guard_attempt(attempt))

    async def due_attempts(self, now: datetime, *, limit: int) -> Sequence[Attempt]:
        """See the port. The index may lag a moment."""
        found = await self._find_due(items.PROVE, now, limit)
        return select_due(skip_damaged(items.attempt_from, found), now)[:limit]

    async def inquiries_of(self, ref: str) -> Sequence[Inquiry]:
        return await items.inquiries_of(self._table, ref.partition(".")[0])

    async def save_inquiry(self, inquiry: Inquiry) -> bool:
        return await self._table.put(*self._guard_inquiry(inquiry))

    async def due_inquiries(self, now: datetime, *, limit: int) -> Sequence[Inquiry]:
        """See the port. The index may lag a moment."""
        found = await self._find_due(items.ASK_BACK, now, limit)
        return select_due(skip_damaged(items.inquiry_from, found), now)[:limit]

    def guarded_by(self, change: Change) -> list[tuple[Item, Condition]]:
        """Return what a change writes besides its question, each with its condition."""
        attempts = [self._guard_attempt(change.attempt)] if change.attempt else []
        return [*attempts, *([self._guard_inquiry(change.inquiry)] if change.inquiry else [])]

    async def _find_due(self, word: str, now: datetime, limit: int) -> list[Item]:
        """Return the items, as they are now, that the index lists as due under a word."""
        queries = [query_until(schema.DUE, shard, now) for shard in schema.shards(word)]
        pages = await asyncio.gather(*(self._table.first(limit, **query) for query in queries))
        names = (schema.PARTITION, schema.SORT)
        return await self._table.get_many(
            [{name: item[name] for name in names} for page in pages for item in page]
        )

    def _guard_attempt(self, attempt: Attempt) -> tuple[Item, Condition]:
        expires = self._lifetime.since(attempt.started_at + WAITS_LONG) if attempt.due_at is None else {}
        return items.attempt_item(attempt) | expires, only_after(attempt.version - 1)

    def _guard_inquiry(self, inquiry: Inquiry) -> tuple[Item, Condition]:
        expires = self._lifetime.since(inquiry.accepted_at + ADDITION_KEPT)
        return items.inquiry_item(inquiry) | expires, only_after(inquiry.version - 1)


def select_due(found: Iterable[T], now: datetime) -> list[T]:
    """Return what is due, the longest due first: the index that listed it may lag."""
    due = [(each.due_at, each) for each in found if each.due_at is not None and each.due_at <= now]
    return [each for _, each in sorted(due, key=lambda pair: pair[0])]


def only_after(version: int) -> Condition:
    """Return the condition that this version is stored; 0: none."""
    if not version:
        return NEW
    return Condition(expression=f"{items.VERSION} = :before", values={"before": version})
