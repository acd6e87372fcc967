"""Any journey of a few requests, over the store that workers share: when one dies, another continues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
from journeys import Journeys
from local_dynamodb import create_table, dynamodb, store_in
from memory_store import AnyStore
from mortal_store import Home

from bot.clock import Clock
from bot.store.dynamodb.store import DynamoStore

pytestmark = pytest.mark.slow

#: Nobody looks on their own: the journey's clock says when somebody does.
NEVER = timedelta(days=999)


class TableHome:
    """A table, and one worker's store in it after another. A worker that dies leaves its leases behind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._name = create_table()
        self._store: DynamoStore | None = None
        self._backup: list[Any] = []

    async def open(self) -> AnyStore:
        await self._close_store()
        self._store = store_in(self._name, clock=self._clock, look_interval=NEVER)
        return self._store

    async def back_up(self) -> None:
        self._backup = dynamodb().scan(TableName=self._name, ConsistentRead=True)["Items"]

    async def restore(self) -> AnyStore:
        """Open a new table with what the old one held, as a recovery of DynamoDB makes one."""
        self._remove()
        self._name = create_table()
        for item in self._backup:
            dynamodb().put_item(TableName=self._name, Item=item)
        return await self.open()

    async def close(self) -> None:
        await self._close_store()
        self._remove()

    def _remove(self) -> None:
        dynamodb().delete_table(TableName=self._name)

    async def _close_store(self) -> None:
        if self._store is not None:
            await self._store.close()
            self._store = None


class JourneysInTable(Journeys):
    def new_home(self) -> Home:
        return TableHome(self.clock)


TestJourneysInTable = JourneysInTable.TestCase
# Few, since each step makes dozens of calls; and without shrinking, which would take an hour.
TestJourneysInTable.settings = settings(
    max_examples=8, stateful_step_count=25, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
