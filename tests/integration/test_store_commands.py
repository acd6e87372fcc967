"""Two commands at a time that need the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, a_request
from memory_store import MemoryStore

from bot.clock import Clock
from bot.triage.asking_rules import accept
from bot.triage.model import Change
from bot.triage.policy import Policy
from bot.worker.control import Handler
from bot.worker.handlers import LIST_SUMMARY, BackupRunning, store_handlers


class PausingStore(MemoryStore):
    """Its copy is done when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def copy_to(self, path: Path) -> None:
        self.begun.set()
        await self.go_on.wait()
        await asyncio.to_thread(path.write_bytes, b"a copy")


async def taken(backup: Handler) -> list[Mapping[str, Any]]:
    return [piece async for piece in backup({})]


async def test_a_list_costs_no_more_than_the_beginning_of_each_text() -> None:
    store = MemoryStore()
    question = accept(a_request(summary="é" * 50_000), "0.1", NOON, Policy()).question
    await store.add([Change(question=question)])

    listed = [view async for view in store_handlers(store, None, clock=Clock())["list"]({})]

    assert [len(view["summary"]) for view in listed] == [LIST_SUMMARY]
    assert len(json.dumps(listed)) < 10_000


async def test_a_second_backup_is_refused_in_words_while_the_first_is_being_made(tmp_path: Path) -> None:
    store = PausingStore()
    backup = store_handlers(store, tmp_path / "store.db", clock=Clock())["backup"]
    first = asyncio.create_task(taken(backup))
    await store.begun.wait()

    with pytest.raises(BackupRunning, match="another backup is in progress"):
        await taken(backup)

    store.go_on.set()
    assert [piece for piece in await first if piece] == await taken(backup)
