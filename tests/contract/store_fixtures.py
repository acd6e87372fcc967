"""What the tests of the stores share: each kind of store, an empty table, and a filled file to be copied."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from any_store import STORES
from local_dynamodb import create_table
from memory_store import AnyStore
from migrated_alerts import fill, the_file

from bot.store.sqlite.head import head_path


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[AnyStore]:
    """Each kind of store, empty."""
    async with request.param() as store:
        yield store


@pytest.fixture(scope="session")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with alerts in every state."""
    path = tmp_path_factory.mktemp("filled") / "store.db"

    async def fill_it() -> None:
        async with the_file(path) as store:
            await fill(store)

    asyncio.run(fill_it())
    return path


@pytest.fixture
def path(filled_file: Path, tmp_path: Path) -> Path:
    shutil.copy2(head_path(filled_file), tmp_path)
    return Path(shutil.copy2(filled_file, tmp_path))


@pytest.fixture
def table() -> str:
    return create_table()
