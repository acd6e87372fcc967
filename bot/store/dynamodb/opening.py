"""Opening a table: asked for once, so that a worker whose table is missing or wrong does not begin."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from bot.errors import StartRefused, StoreError
from bot.store.dynamodb.connection import Connection
from bot.store.dynamodb.errors import is_refusal, start_refused
from bot.store.dynamodb.schema import faults_of
from bot.store.dynamodb.store import DynamoStore, Upkeep
from bot.store.dynamodb.table import Table
from bot.store.dynamodb.unfinished_copies import require_whole
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
    """Open the store in a table; `keep` is how long what has ended is kept, None: as long as others say.

    `StartRefused` if there is no such table, it is not ours or only half of a copy, or access is denied;
    `ConfigError` if there is no region. A DynamoDB that cannot be reached is no refusal: it may be later.
    """
    connection = Connection(address, access=access)
    table = Table(address.table, connection, random=random.Random(), shown=address.shown)
    try:
        await meet(table)
        await require_whole(table)
    except BaseException:
        table.close()
        raise
    return DynamoStore(table, upkeep=Upkeep(keep=keep), clock=clock)


async def meet(table: Table) -> None:
    """Ask for the table once. Errors as `open_table` says."""
    try:
        answer = await table.call("describe_table")
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, (ClientError, BotoCoreError)) and is_refusal(cause):
            raise start_refused(cause, table.shown) from error
        return  # whoever reads or writes first tells of it, and tries again
    faults = faults_of(answer["Table"])
    if faults:
        raise StartRefused(
            f"the table {table.shown} is not as the bot needs it: {'; '.join(faults)};"
            " `triage-bot check` says more"
        )
