"""How a command reaches the store: through the running worker, or directly.

Directly if no worker is running, or if the store is a table, which workers share.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from bot.errors import StoreUnusable
from bot.settings.settings import Settings
from bot.worker.control import NoWorker, call
from bot.worker.views import View

#: The commands that write into the store; of the others, none changes a row.
CHANGING = frozenset({"replay"})


def ask_store(
    command: str, settings: Settings, *, restored: bool = False, **arguments: Any
) -> Iterator[View]:
    """Yield the views that the handler of `command` answers with; see `bot.worker.handlers`.

    Without a worker, a command that changes the store is refused where that is not what it was, unless
    `restored`; one that only reads says so and continues.
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
    if settings.store_path and not settings.store_path.exists():
        raise StoreUnusable(
            f"there is no store at {settings.store_path} (settings come from {settings.source}); run this"
            " command with the worker's settings, with sudo if only root can read their file; if the worker"
            " has never run, start it once"
        )
    yield from _ask_directly(settings, command, arguments, restored=restored)


def _ask_directly(
    settings: Settings, command: str, arguments: dict[str, Any], *, restored: bool
) -> Iterator[View]:
    """Open the store, and yield the views as they come: an export may be larger than the memory."""
    with asyncio.Runner() as runner:
        answers = _answer(settings, command, arguments, restored=restored)
        try:
            while (view := runner.run(_next_of(answers))) is not None:
                yield view
        finally:
            runner.run(answers.aclose())


async def _answer(
    settings: Settings, command: str, arguments: dict[str, Any], *, restored: bool
) -> AsyncGenerator[View, None]:
    from bot.clock import Clock
    from bot.store import open_store
    from bot.worker.handlers import store_handlers

    clock = Clock()  # a table tells it the time; with a file alone, it is the machine's
    store = await open_store(
        settings.store_url,
        clock=clock,
        region=settings.aws_region,
        restored=restored,
        read_only=command not in CHANGING,
    )
    try:
        handlers = store_handlers(store, settings.store_path, clock=clock)
        async with aclosing(handlers[command](arguments)) as views:
            async for view in views:
                yield dict(view)
    finally:
        await store.close()


async def _next_of(answers: AsyncGenerator[View, None]) -> View | None:
    return await anext(answers, None)
