"""How a command reaches the store: through the running worker, or directly.

Directly if no worker is running, or if the store is a table, which workers share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from bot.settings.settings import Settings
from bot.worker.control import NoWorker, call
from bot.worker.views import View


def ask_store(command: str, settings: Settings, **arguments: Any) -> Iterator[View]:
    """Yield the views that the handler of `command` answers with; see `bot.worker.handlers`.

    Raises `CallFailed` if the worker refuses or does not answer, `StoreUnusable` or `StartRefused` if the
    store cannot be opened, and `StoreError`, `UnknownAlert` or `BackupRunning` if the command fails.
    """
    control_path = settings.control_path
    try:
        if control_path is not None:
            yield from call(control_path, command, **arguments)
            return
    except NoWorker:
        pass
    yield from asyncio.run(_ask_directly(settings, command, arguments))


async def _ask_directly(settings: Settings, command: str, arguments: dict[str, Any]) -> list[View]:
    from bot.clock import Clock
    from bot.store import open_store
    from bot.worker.handlers import store_handlers

    clock = Clock()  # a table tells it the time; with a file alone, it is the machine's
    store = await open_store(settings.store_url, region=settings.aws_region, clock=clock)
    try:
        handlers = store_handlers(store, settings.store_path, clock=clock)
        async with aclosing(handlers[command](arguments)) as views:
            return [dict(view) async for view in views]
    finally:
        await store.close()
