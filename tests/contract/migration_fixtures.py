"""A SQLite file with alerts in every state, and an empty table."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from local_dynamodb import create_table
from migrated_alerts import fill, the_file

from bot.store.sqlite.head import head_path


@pytest.fixture(scope="session")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
