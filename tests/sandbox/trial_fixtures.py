"""A sandbox's trial in the process of the test, and waiting in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from world import PATIENCE_SECONDS

from bot.sandbox.trial import Trial


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    """A trial that has started."""
    trial = Trial()
    try:
        await trial.start()
        yield trial
    finally:
        await trial.stop()


async def until(trial: Trial, holds: Callable[[], bool], *, what: str) -> None:
    """Wait until this holds. AssertionError with the worker's log if it never does."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await trial.until(holds)
    except TimeoutError:
        raise AssertionError(f"this never happened: {what}\n{trial.worker_log()}") from None
