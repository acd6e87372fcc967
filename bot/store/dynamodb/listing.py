"""What concerns all questions of a table: the newest of a kind, and how many of each there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from bot.clock import Clock
from bot.store.dynamodb import items, schema
from bot.store.dynamodb.leases import query_index, read_moments
from bot.store.dynamodb.table import Item, Table
from bot.store.records.rows import microseconds
from bot.triage.listing import EVERYTHING, Counts, Filter
from bot.triage.model import Question

#: Questions that are read at a time.
PAGE = 100

#: How long counts are kept. Counting takes 16 calls, each of half a read unit or more.
COUNT_INTERVAL = timedelta(seconds=60)


async def list_newest(table: Table, only: Filter, limit: int) -> list[Question]:
    """Return the questions accepted last that `only` wants, the newest first. `StoreError` as `Table`.

    Questions are read if the index `listed` cannot decide: for an outcome, an address or a label.
    """
    if only.taken_by:
        return await _list_taken(table, only, limit)
    size = min(limit, PAGE) if only == EVERYTHING else PAGE
    found: list[Question] = []
    async for keys in _pages_of_keys(table, only, size):
        wanted = filter(only.matches, await items.questions_of(table, keys))
        found += sorted(wanted, key=lambda row: row.accepted_at, reverse=True)
        if len(found) >= limit:
            break
    return found[:limit]


async def _list_taken(table: Table, only: Filter, limit: int) -> list[Question]:
    """Return the newest that somebody has taken: the index `person` leads to these."""
    since = microseconds(only.since) if only.since else 0
    between = {"first": items.taken_sort_key(since), "last": "taken$"}
    query = query_index(schema.PERSON, only.taken_by, "#s BETWEEN :first AND :last", **between)
    keys = [str(item[schema.PARTITION]) async for item in table.query(**query)]
    found = [row for row in await items.questions_of(table, keys) if only.matches(row)]
    return sorted(found, key=lambda row: row.accepted_at, reverse=True)[:limit]


async def _pages_of_keys(table: Table, only: Filter, size: int) -> AsyncIterator[list[str]]:
    """Yield the keys of questions, `size` at a time and each once, the newest first."""
    seen: set[str] = set()
    page: list[str] = []
    async for key in _newest_keys(table, only, size):
        if key not in seen:  # it may have ended between two reads of the index
            seen.add(key)
            page.append(key)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


async def _newest_keys(table: Table, only: Filter, size: int) -> AsyncIterator[str]:
    """Merge the partitions of the index, each of which is in order."""
    words = [*([items.OPEN] * (only.outcome is None)), *([items.ENDED] * (not only.is_open))]
    walks = [
        table.query(**_query(shard, only.since), ScanIndexForward=False, Limit=size)
        for word in words
        for shard in schema.shards(word)
    ]
    heads = dict(zip(walks, await asyncio.gather(*map(_next_of, walks)), strict=True))
    while ahead := {walk: head for walk, head in heads.items() if head is not None}:
        walk = max(ahead, key=lambda each: ahead[each][0])
        yield ahead[walk][1]
        heads[walk] = await _next_of(walk)


async def _next_of(walk: AsyncIterator[Item]) -> tuple[datetime, str] | None:
    """Return when the next question was accepted, and its key; None if there is none that can be read."""
    async for item in walk:
        for accepted_at in read_moments([item], schema.ACCEPTED_AT):
            return accepted_at, str(item[schema.PARTITION])
    return None


def _query(shard: str, since: datetime | None) -> dict[str, Any]:
    if since is None:
        return query_index(schema.LIST, shard)
    return query_index(schema.LIST, shard, "#s >= :since", since=microseconds(since))


class Counting:
    """Counts what is in the table, once a minute at most. `StoreError` if DynamoDB fails."""

    def __init__(self, table: Table, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._counts: Counts | None = None
        self._counted_at = timedelta(0)

    async def count(self) -> Counts:
        """Return the counts, at most a minute old, each up to about 20,000."""
        now = self._clock.monotonic()
        if self._counts is None or now - self._counted_at >= COUNT_INTERVAL:
            self._counts, self._counted_at = await self._count(), now
        return self._counts

    async def _count(self) -> Counts:
        kinds = (
            (schema.LIST, items.OPEN),
            *((schema.DUE, word) for word in (items.UNSENT, items.PARKED, items.INVALID)),
        )
        open_, unsent, parked, invalid = await asyncio.gather(*(self._count_word(*kind) for kind in kinds))
        return Counts(
            open_questions=open_, unsent_reports=unsent, parked_reports=parked, invalid_requests=invalid
        )

    async def _count_word(self, index: schema.Index, word: str) -> int:
        """Count the items of these partitions as far as one page of each goes: a megabyte."""
        queries = (query_index(index, shard) for shard in schema.shards(word))
        pages = await asyncio.gather(
            *(self._table.call("query", **query, Select="COUNT") for query in queries)
        )
        return sum(int(page["Count"]) for page in pages)
