"""What the tests of the stores share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from any_store import STORES
from memory_store import AnyStore


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[AnyStore]:
    """Each kind of store, empty."""
    async with request.param() as store:
        yield store
