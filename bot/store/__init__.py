"""Where questions and reports are stored: one port (`triage.ports`), one folder per implementation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from bot.clock import Clock
from bot.store.address import is_shared, parse_address, store_path
from bot.triage.ports import Archive, Backlog, Outbox, Store

if TYPE_CHECKING:
    from bot.aws.access import Access


class OpenStore(Store, Outbox, Archive, Backlog, Protocol):
    """An open store. Its methods raise `StoreError` if the store cannot read or write."""

    async def close(self) -> None:
        """Finish the operations in progress, then release the file or the connections."""

    async def reset_after_restore(self, now: datetime, *, longest: timedelta | None = None) -> None:
        """Adjust a restored backup, which cannot know what happened after it was made.

        Open deadlines and reminders restart with their original length. `longest` caps a deadline, so that
        repeated restores cannot extend it. Every question not yet asked is in doubt: it may have been asked
        since. `StoreError` if the store takes no writes, or if another worker changes a row meanwhile.
        """


async def open_store(  # noqa: PLR0913 - each says something else about the store
    url: str,
    *,
    create: bool = False,
    region: str | None = None,
    keep: timedelta | None = None,
    access: Access | None = None,
    clock: Clock | None = None,
    on_found: Callable[[], None] = lambda: None,
) -> OpenStore:
    """Open the store at `url`: a file, locked for this process, or a table shared with other workers.

    `create` makes a missing file. The others concern a table: `region` applies if the URL names none, `keep`
    is how long ended questions are kept, `access` is the session to AWS (None: by boto3's own chain), `clock`
    is that of the worker, and `on_found` is called when other workers have left work.
    `ConfigError` for an invalid URL, or if a table has no region.
    `StoreUnusable` if the file is missing, not permitted or corrupt.
    `StartRefused` if another process holds it (after 5 s), the disk is full, or the table is missing.
    """
    if is_shared(url):
        from bot.store.dynamodb.opening import open_table

        store = await open_table(parse_address(url, region=region), keep=keep, access=access, clock=clock)
        store.on_found = on_found
        return store
    from bot.store.sqlite.store import SqliteStore

    return await SqliteStore.open(store_path(url), create=create)
