"""Where questions and reports are kept: one port (`triage.ports`), one module or folder an implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bot.store.address import is_shared, parse_address, store_path
from bot.triage.ports import Archive, Backlog, Outbox, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from bot.aws.access import Access


class OpenStore(Store, Outbox, Archive, Backlog, Protocol):
    """All that a store is to whoever has opened it."""

    async def close(self) -> None:
        """Finish what was begun, and let go of it."""

    async def treat_as_restored(self, now: datetime, *, longest: timedelta | None = None) -> None:
        """Make up for what a restored backup cannot know.

        Open deadlines and reminders start anew, each as long as it was (a deadline at most `longest`, lest
        it grow with every restoring), and whatever was not asked is in doubt: it may have been asked since.
        """


async def open_store(  # noqa: PLR0913 - each says something else about the store
    url: str,
    *,
    create: bool = False,
    region: str | None = None,
    keep: timedelta | None = None,
    access: Access | None = None,
    on_found: Callable[[], None] = lambda: None,
) -> OpenStore:
    """Open the store at `url`: a file, which this process then holds alone, or a table that it shares.

    `create`: make the file where there is none. The others are for a table: `region` counts where the URL
    names none, `keep` is how long what has ended is kept, `access` is as whom AWS is asked (None: as boto3's
    own chain says), and `on_found` is called when other workers have left work there.
    `StoreUnusable` if the file is missing, not permitted or corrupt;
    `StartRefused` if another process holds it (after 5 s), the disk is full, or the table is missing.
    """
    if is_shared(url):
        from bot.store.dynamodb.opening import open_table

        store = await open_table(parse_address(url, region=region), keep=keep, access=access)
        store.on_found = on_found
        return store
    from bot.store.sqlite.store import SqliteStore

    return await SqliteStore.open(store_path(url), create=create)
