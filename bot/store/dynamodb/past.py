"""The item that identifies a table: a recovered copy has another ARN or another time of creation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.errors import StoreUnusable
from bot.store.dynamodb.leases import read_moment
from bot.store.dynamodb.schema import PARTITION, SORT
from bot.store.dynamodb.table import NEW, Item, Table, to_wire
from bot.store.records.rows import microseconds

_KEY: Item = {PARTITION: "past", SORT: "past"}
_ARN, _CREATED, _RESTORED_AT, _BACKUP = "arn", "created", "restored_at", "backup"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableIdentity:
    """What identifies a table: its ARN, and its time of creation as ISO 8601 in UTC."""

    arn: str
    created: str

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> TableIdentity:
        """Return the identity of a table from the response to DescribeTable."""
        created: datetime = described["CreationDateTime"]
        return cls(arn=str(described["TableArn"]), created=created.astimezone(UTC).isoformat())

    def item(self) -> Item:
        """Return the attributes that store it."""
        return {_ARN: self.arn, _CREATED: self.created}


class TablePast:
    """Whether a table is the one that its rows were written to. `StoreError` if DynamoDB fails."""

    def __init__(self, table: Table, identity: TableIdentity) -> None:
        self._table = table
        self._identity = identity

    async def find_mismatch(self) -> str:
        """Say why the table is not what it was; "" if it is, or if no worker of this release has used it."""
        return self._judge(await self._table.get(_KEY))

    async def require_same(self) -> None:
        """Raise `StoreUnusable` if the table is not what it was. A new one is given its identity."""
        item = await self._table.get(_KEY)
        if mismatch := self._judge(item):
            raise StoreUnusable(
                f"the table {self._table.shown} is not what it was: {mismatch}. If it was recovered from a"
                " backup or copied, stop all other workers and start one with `triage-bot run --restored`: it"
                " then looks in Slack before it asks"
            )
        if item is None:
            await self._table.put({**_KEY, **self._identity.item()}, NEW)

    async def restore(self, now: datetime) -> None:
        """Store the table's own identity and the time of the restore."""
        item = {**_KEY, **self._identity.item(), _RESTORED_AT: microseconds(now)}
        await self._table.call("put_item", Item=to_wire(item))

    def _judge(self, item: Item | None) -> str:
        if item is None:
            return ""
        if item.get(_BACKUP):
            return "it was copied from a backup, which does not know what happened after it was made"
        there = (item.get(_ARN), item.get(_CREATED))
        if there == (self._identity.arn, self._identity.created):
            return ""
        return f"its rows were written to another table ({item.get(_ARN)} of {item.get(_CREATED)})"


async def restored_at(table: Table) -> datetime | None:
    """Return when `run --restored` was last used on the table; None: never. Raises `StoreError`."""
    item = await table.get(_KEY)
    return read_moment(item, _RESTORED_AT) if item and _RESTORED_AT in item else None


async def mark_as_backup(table: Table) -> None:
    """Record that the table's rows were copied from a backup. Raises `StoreError`."""
    await table.call("put_item", Item=to_wire({**_KEY, _BACKUP: 1}))
