"""`triage-bot run` by a clock that is wrong: the first argument says by how many seconds it is ahead."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta

from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.settings import Purpose, load_settings, settle_environment
from bot.triage.model import utc_now
from bot.worker.app import App
from bot.worker.assembly import Dependencies
from bot.worker.lifecycle import run_worker
from bot.worker.log import configure_logging

AHEAD = timedelta(seconds=int(sys.argv[1]))


def wrong_clock() -> datetime:
    return utc_now() + AHEAD


if __name__ == "__main__":
    settings = load_settings(Purpose.RUN)
    settle_environment(settings)
    configure_logging(settings.log_level, sys.stderr)
    words = load_messages(settings.config_dir), load_alert_policies(settings.config_dir)
    asyncio.run(run_worker(App(settings, *words, dependencies=Dependencies(clock=wrong_clock))))
