"""Waiting in a sandbox's trial, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from world import PATIENCE_SECONDS

from bot.sandbox.trial import Trial


async def until(trial: Trial, holds: Callable[[], bool], *, what: str) -> None:
    """Wait until this holds. AssertionError with the worker's log if it never does."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await trial.until(holds)
    except TimeoutError:
        raise AssertionError(f"this never happened: {what}\n{trial.worker_log()}") from None
