"""A sandbox's trial in the process of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

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
