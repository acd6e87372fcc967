"""Where questions and reports are kept: one port (`triage.ports`), one module an implementation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bot.errors import ConfigError

if TYPE_CHECKING:
    from bot.store.sqlite import SqliteStore

_SQLITE = "sqlite:///"


def store_path(url: str) -> Path:
    """Return the file that a store's URL names: `sqlite:///relative` or `sqlite:////absolute`.

    `ConfigError` for any other URL.
    """
    path = url.removeprefix(_SQLITE)
    if path == url or not path:
        raise ConfigError([f"STORE_URL is {url!r}; expected sqlite:///PATH"])
    return Path(path)


async def open_store(url: str, *, create: bool = False) -> SqliteStore:
    """Open the store at `url` and lock it for this process; with `create`, make it where there is none.

    `StoreUnusable` if it is missing, not permitted or corrupt; `StartRefused` if another process holds it
    (after 5 s) or the disk is full.
    """
    from bot.store.sqlite import SqliteStore

    return await SqliteStore.open(store_path(url), create=create)
