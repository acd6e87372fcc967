"""What the commands and the health of the worker ask of the table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bot.errors import StoreError
from bot.store.dynamodb import layout
from bot.store.dynamodb.items import ENDED, OPEN, PARKED, QUESTION, SENT_AT, UNSENT, question_from
from bot.store.dynamodb.lookout import moment_in, whole
from bot.store.dynamodb.reading import questions_of
from bot.store.dynamodb.values import value_to_wire
from bot.store.records.rows import microseconds
from bot.triage.statistics import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from bot.store.dynamodb.table import Table
    from bot.triage.model import Question
    from bot.triage.statistics import AlertStatistics

#: Reports of one shard among which the one that has waited the longest is looked for.
_OLDEST_AMONG = 100


class DynamoArchive:
    """The part of `DynamoStore` that the commands and the metrics read."""

    _table: Table

    async def list_questions(self, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Archive`."""
        newest = {"ScanIndexForward": False}
        found = await self._from_list(limit, layout.shards(OPEN) + layout.shards(ENDED), **newest)
        latest = sorted(found, key=lambda item: int(item[layout.ACCEPTED_AT]), reverse=True)
        keys = list(dict.fromkeys(str(item[layout.PARTITION]) for item in latest))[:limit]
        rows = await questions_of(self._table, keys)
        return sorted(rows, key=lambda row: row.accepted_at, reverse=True)

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        """See `triage.ports.Archive`. Reads the whole table: nobody looks for this but a person, seldom."""
        sent = self._table.scan(
            FilterExpression="#sent >= :since",
            ExpressionAttributeNames={"#sent": SENT_AT},
            ExpressionAttributeValues={":since": value_to_wire(microseconds(since) or 0)},
            ConsistentRead=True,
        )
        return await self._identifiers([str(item[layout.PARTITION]) async for item in sent])

    async def identifiers_unsent(self) -> Sequence[str]:
        """See `triage.ports.Archive`."""
        shards = layout.shards(UNSENT) + layout.shards(PARKED)
        queries = [self._table.query(**whole(layout.DUE, shard)) for shard in shards]
        return await self._identifiers(
            [str(item[layout.PARTITION]) for query in queries async for item in query]
        )

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        """See `triage.ports.Archive`. Reads the whole table."""
        tally = Tally()
        async for row in self.all_questions():
            if row.asked_at is not None and row.asked_at >= since:
                taken = row.first_answered_at - row.asked_at if row.first_answered_at else None
                tally.add(row.request.alert, standing=row.standing, taken=taken)
        return tally.result()

    async def oldest_open(self) -> datetime | None:
        """See `triage.ports.Backlog`."""
        found = await self._from_list(1, layout.shards(OPEN))
        return min((moment_in(item, layout.ACCEPTED_AT) for item in found), default=None)

    async def oldest_unsent(self) -> datetime | None:
        """See `triage.ports.Backlog`."""
        queries = [whole(layout.DUE, shard) for shard in layout.shards(UNSENT)]
        pages = await asyncio.gather(*(self._table.first(_OLDEST_AMONG, **query) for query in queries))
        return min((moment_in(item, layout.DUE_AT) for page in pages for item in page), default=None)

    async def copy_to(self, path: Path) -> None:
        """Refuse: a table has backups of its own."""
        raise StoreError(
            f"the table {self._table.shown} cannot be copied to {path}: use its point-in-time recovery or"
            " `aws dynamodb create-backup`"
        )

    async def all_questions(self) -> AsyncIterator[Question]:
        """Yield all questions there are, in no order."""
        questions = self._table.scan(
            FilterExpression=f"{layout.SORT} = :question",
            ExpressionAttributeValues={":question": value_to_wire(QUESTION)},
            ConsistentRead=True,
        )
        async for item in questions:
            yield question_from(item)

    async def _from_list(self, count: int, shards: Iterable[str], **arguments: Any) -> list[Any]:
        """Return the first so many items of each partition of the list."""
        queries = [whole(layout.LIST, shard) | arguments for shard in shards]
        pages = await asyncio.gather(*(self._table.first(count, **query) for query in queries))
        return [item for page in pages for item in page]

    async def _identifiers(self, keys: Iterable[str]) -> Sequence[str]:
        rows = await questions_of(self._table, keys)
        return [row.request.identifier for row in sorted(rows, key=lambda row: row.accepted_at)]
