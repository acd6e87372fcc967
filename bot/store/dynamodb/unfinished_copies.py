"""The mark on a table that another store is being copied into: no worker begins on half of the questions."""

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


async def mark(table: Table, source: str) -> None:
    """Say that a copy of `source` has begun."""
    named = source.encode(errors="backslashreplace").decode()  # a path may be no text
    await table.call("put_item", Item=to_wire({**_KEY, _SOURCE: named}))


async def unmark(table: Table) -> None:
    """Say that the copy is whole."""
    await table.call("delete_item", Key=to_wire(_KEY))


async def unfinished_copy(table: Table) -> str | None:
    """Return of what a copy has begun that is not whole; None: there is no such thing."""
    item = await table.get(_KEY)
    return str(item[_SOURCE]) if item else None


async def require_whole(table: Table) -> None:
    """Raise `StartRefused` if the table is half of a copy. One that cannot be reached is no refusal."""
    source = None
    with contextlib.suppress(StoreError):
        source = await unfinished_copy(table)
    if source is not None:
        raise StartRefused(
            f"the table {table.shown} is an unfinished copy of {source}: run `triage-bot migrate` again until"
            " it says that all is equal, or name another table in STORE_URL"
        )
