"""Opens a table: a worker does not start on one that is missing, wrong, or an unfinished copy."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.access import Access
from bot.clock import Clock
from bot.errors import StartRefused, StoreError
from bot.store.address import Address
from bot.store.dynamodb.errors import is_refusal
from bot.store.dynamodb.past import TableIdentity, TablePast
from bot.store.dynamodb.schema import PARTITION, SORT, find_faults
from bot.store.dynamodb.store import DynamoStore, TableOptions
from bot.store.dynamodb.table import Connection, Item, Table, to_wire
from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

#: The item that marks a table into which another store is being copied, and its attribute for the source.
_KEY: Item = {PARTITION: "migration", SORT: "migration"}
_SOURCE = "from"


async def open_table(  # noqa: PLR0913 - as `bot.store.open_store`
    address: Address,
    *,
    keep: timedelta | None = None,
    access: Access | None = None,
    clock: Clock | None = None,
    restored: bool = False,
    read_only: bool = False,
) -> DynamoStore:
    """Open the store in a table; `keep` is how long ended questions stay (None: as other workers say).

    `StoreUnusable` if the table is another one than its rows were written to and neither `restored` nor
    `read_only`: then the log says so. `StartRefused` if it is missing, has the wrong schema or holds an
    unfinished copy, or if access is denied. `ConfigError` if there is no region. An unreachable DynamoDB
    raises nothing: it may return later.
    """
    access = access or Access(clock=clock)
    connection = Connection(address, access=access)
    table = Table(address.table, connection, random=random.Random(), shown=address.shown)
    try:
        described = await require_usable(table)
        await require_finished(table)
        store = DynamoStore(
            table,
            clock=access.clock,
            upkeep=TableOptions(keep=keep),
            verify_identity=partial(verify_identity, table),
        )
        if read_only:
            await _log_mismatch(table, described)
        elif restored or described:
            # Where DynamoDB does not answer, it is asked again before anything is polled.
            store.is_known = restored or await verify_identity(table, described)
    except BaseException:
        table.close()
        raise
    return store


async def verify_identity(table: Table, described: Mapping[str, Any] | None = None) -> bool:
    """Whether it is known that the table is what it was; false if DynamoDB does not answer.

    `StoreUnusable` if it is another one; `StartRefused` as in `require_usable`, which is called unless the
    table is `described`.
    """
    with contextlib.suppress(StoreError):
        if found := described or await require_usable(table):
            await TablePast(table, TableIdentity.of(found)).require_same()
            return True
    return False


async def _log_mismatch(table: Table, described: Mapping[str, Any] | None) -> None:
    with contextlib.suppress(StoreError):
        if described and (mismatch := await TablePast(table, TableIdentity.of(described)).find_mismatch()):
            log_event(
                log.warning, "store.mismatched", "the table %s is not what it was: %s", table.shown, mismatch
            )


async def require_usable(table: Table) -> Mapping[str, Any] | None:
    """Describe the table once and check its schema; return the description, None if DynamoDB does not answer.

    `StartRefused` as in `open_table`.
    """
    try:
        answer = await table.call("describe_table")
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, (ClientError, BotoCoreError)) and is_refusal(cause):
            raise StartRefused(str(error)) from error
        return None  # the first read or write reports it, and retries
    described: Mapping[str, Any] = answer["Table"]
    faults = find_faults(described)
    if faults:
        raise StartRefused(
            f"the table {table.shown} does not have the schema that the bot needs: {'; '.join(faults)};"
            " run `triage-bot check` for details"
        )
    return described


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
            " it says that everything matches, or name another table in STORE_URL"
        )
