"""Opens a table and describes it once, so that a worker with a missing or wrong table does not start."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from bot.errors import StartRefused, StoreError
from bot.store.dynamodb.connection import Connection
from bot.store.dynamodb.copy_marker import require_finished
from bot.store.dynamodb.errors import is_refusal, start_refused
from bot.store.dynamodb.schema import find_faults
from bot.store.dynamodb.store import DynamoStore, TableOptions
from bot.store.dynamodb.table import Table
from bot.triage.model import utc_now

if TYPE_CHECKING:
    from datetime import timedelta

    from bot.aws.access import Access
    from bot.store.address import Address
    from bot.triage.ports import Clock


async def open_table(
    address: Address,
    *,
    keep: timedelta | None = None,
    clock: Clock = utc_now,
    access: Access | None = None,
) -> DynamoStore:
    """Open the store in a table; `keep` is how long ended questions stay (None: as other workers say).

    `StartRefused` if the table is missing, has the wrong schema or holds an unfinished copy, or if access is
    denied. `ConfigError` if there is no region. An unreachable DynamoDB raises nothing: it may return later.
    """
    connection = Connection(address, access=access)
    table = Table(address.table, connection, random=random.Random(), shown=address.shown)
    try:
        await require_usable(table)
        await require_finished(table)
    except BaseException:
        table.close()
        raise
    return DynamoStore(table, upkeep=TableOptions(keep=keep), clock=clock)


async def require_usable(table: Table) -> None:
    """Describe the table once and check its schema. `StartRefused` as in `open_table`."""
    try:
        answer = await table.call("describe_table")
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, (ClientError, BotoCoreError)) and is_refusal(cause):
            raise start_refused(cause, table.shown) from error
        return  # the first read or write reports it, and retries
    faults = find_faults(answer["Table"])
    if faults:
        raise StartRefused(
            f"the table {table.shown} does not have the schema that the bot needs: {'; '.join(faults)};"
            " run `triage-bot check` for details"
        )
