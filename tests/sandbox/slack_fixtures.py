"""A fresh stand-in Slack for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from running_slack import RunningSlack, running


@pytest.fixture
async def world() -> AsyncIterator[RunningSlack]:
    async with running() as world:
        yield world
