"""A complete set of variables, and what the program makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.settings.settings import Purpose, Settings, load_settings

QUEUES = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
COMPLETE = {
    "SLACK_BOT_TOKEN": "xoxb-1-secret",
    "SLACK_APP_TOKEN": "xapp-1-secret",
    "REQUEST_QUEUE_URL": f"{QUEUES}requests",
    "RESPONSE_QUEUE_URL": f"{QUEUES}responses.fifo",
}


def load(folder: Path, purpose: Purpose = Purpose.RUN, /, **changes: str) -> Settings:
    return load_settings(purpose, environ={**COMPLETE, **changes}, directory=folder)


def problems(folder: Path, purpose: Purpose = Purpose.RUN, /, **changes: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, purpose, **changes)
    return caught.value.problems
