"""The faults before the table, seen through the worker's own way to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

import pytest
from local_dynamodb import REGION, create_table, endpoint, session

from bot.aws.access import Access
from bot.store.address import Address
from bot.store.dynamodb.leases import query_index
from bot.store.dynamodb.schema import DUE, MOMENT, PARTITION, SORT, WORK
from bot.store.dynamodb.table import NEW, Connection, Table

from .dynamodb_faults import DynamoProxy
from .fast_clock import FastClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.store.dynamodb.table import Item


@asynccontextmanager
async def spoiled(*faults: str) -> AsyncIterator[tuple[Table, DynamoProxy]]:
    """A table of its own behind the proxy."""
    name, proxy = create_table(), DynamoProxy(endpoint(), Random(1), FastClock.start())
    await proxy.start()
    connection = Connection(
        Address(table=name, region=REGION), access=Access(session), endpoint_url=proxy.address
    )
    table = Table(name, connection, random=Random(0))
    proxy.planned = list(faults)
    try:
        yield table, proxy
    finally:
        table.close()
        await proxy.stop()


@pytest.mark.parametrize(
    "fault",
    [
        "throttled",
        "server error",
        "error after",
        "reset before",
        "lost reply",
        "slow",
        "conflict",
        "page before",
        "page after",
    ],
)
async def test_a_write_comes_through_once_whatever_goes_wrong_on_its_way(fault: str) -> None:
    item: Item = {PARTITION: "an alert", SORT: "question", "v": 1}

    async with spoiled(fault) as (table, proxy):
        is_written = await table.put_all(item, NEW, [{PARTITION: "an alert", SORT: "report#000000"}])

        assert is_written
        assert proxy.counts == {f"table {fault}": 1}
        assert await table.get({PARTITION: "an alert", SORT: "question"}) == item


async def test_an_index_may_show_what_it_showed_before() -> None:
    item: Item = {PARTITION: "an alert", SORT: "question", WORK: "ask#0", MOMENT: 1}
    everything = query_index(DUE, "ask#0")

    async with spoiled() as (table, proxy):
        before = await table.first(5, **everything)
        await table.put(item, NEW)
        proxy.planned = ["index lagged"]
        lagging, after = [await table.first(5, **everything) for _ in range(2)]

        assert (before, lagging) == ([], [])
        assert [found[PARTITION] for found in after] == ["an alert"]
        assert proxy.counts == {"table index lagged": 1}
