"""Where questions and reports are stored: one port (`triage.ports`), one folder per implementation."""

from __future__ import annotations

import asyncio
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

    @property
    def written_at(self) -> datetime | None:
        """When the store had last been written when it was opened; None if that is not known."""

    async def confirm(self) -> bool:
        """Whether it is known that the store is what it was; if not, ask again, and do nothing until then.

        `StoreUnusable` if it is not; `StartRefused` if the worker may not read that from the table.
        """

    async def watch(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set whether the store is still the one that was opened.

        `StoreUnusable` if it is not, once all of it is in `NAME.rescue`; until then every other method raises
        `StoreReplaced`, so that nobody is told anything.
        """

    async def reset_after_restore(
        self, now: datetime, *, longest: timedelta | None = None, since: datetime | None = None
    ) -> None:
        """Adjust a restored backup, which cannot know what happened after it was made, and remember that.

        `since` is when the backup was last written to; None: that is not known. Open deadlines restart with
        their original length. `longest` caps a deadline, so that repeated restores cannot extend it. Every
        question not yet asked is in doubt: it may have been asked since. Every open one that was asked is due
        once Slack's history has settled: it may have been answered since. The store gets a new
        identity in the same step. `StoreError` if it takes no writes, or if another worker changes a row
        meanwhile.
        """


async def open_store(  # noqa: PLR0913 - each says something else about the store
    url: str,
    *,
    create: bool = False,
    restored: bool = False,
    read_only: bool = False,
    region: str | None = None,
    keep: timedelta | None = None,
    access: Access | None = None,
    clock: Clock | None = None,
    on_found: Callable[[], None] = lambda: None,
) -> OpenStore:
    """Open the store at `url`: a file, locked for this process, or a table shared with other workers.

    `create` makes a missing file. With `restored` the store need not be what it was: `reset_after_restore`
    is to follow. With `read_only` no row is changed, and a store that is not what it was is read all the
    same, with a line in the log. `clock` is that of the worker. The others concern a table: `region` applies
    if the URL names none, `keep` is how long ended questions are kept, `access` is the session to AWS (None:
    by boto3's own chain), and `on_found` is called when other workers have left work.
    `ConfigError` for an invalid URL, or if a table has no region.
    `StoreUnusable` if the file is missing, not permitted or corrupt, or if the store is not what it was.
    `StartRefused` if another process holds it (after 5 s), the disk is full, or the table is missing.
    """
    if is_shared(url):
        from bot.store.dynamodb.opening import open_table

        address = parse_address(url, region=region)
        store = await open_table(
            address, keep=keep, access=access, clock=clock, restored=restored, read_only=read_only
        )
        store.on_found = on_found
        return store
    from bot.store.sqlite.store import SqliteStore

    if read_only:
        return await SqliteStore.open_to_read(store_path(url))
    return await SqliteStore.open(store_path(url), create=create, restored=restored, clock=clock)
