"""Marks a table that another store is being copied into, so that no worker starts on half of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bot.errors import StartRefused, StoreError
from bot.store.dynamodb import schema
from bot.store.dynamodb.values import to_wire

if TYPE_CHECKING:
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item

_KEY: Item = {schema.PARTITION: "migration", schema.SORT: "migration"}
_SOURCE = "from"


async def mark_unfinished(table: Table, source: str) -> None:
    """Record that a copy of `source` has begun. `StoreError` if DynamoDB fails."""
    named = source.encode(errors="backslashreplace").decode()  # a path need not be valid text
    await table.call("put_item", Item=to_wire({**_KEY, _SOURCE: named}))


async def mark_finished(table: Table) -> None:
    """Record that the copy is complete. `StoreError` if DynamoDB fails."""
    await table.call("delete_item", Key=to_wire(_KEY))


async def find_unfinished_copy(table: Table) -> str | None:
    """Return the source of a copy that is incomplete; None if there is none. `StoreError`."""
    item = await table.get(_KEY)
    return str(item[_SOURCE]) if item else None


async def require_finished(table: Table) -> None:
    """Raise `StartRefused` if the table holds an incomplete copy. Passes if DynamoDB cannot be reached."""
    source = None
    with contextlib.suppress(StoreError):
        source = await find_unfinished_copy(table)
    if source is not None:
        raise StartRefused(
            f"the table {table.shown} is an unfinished copy of {source}: run `triage-bot migrate` again until"
            " it says that all is equal, or name another table in STORE_URL"
        )
