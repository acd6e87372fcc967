"""`python -m tests.bench.narrow_app COUNT`: the worker, with at most COUNT messages under way at a time.

So that several of them are limited by what Slack takes them, and not by the machine that they share.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.people import load_people_rules
from bot.settings.settings import Purpose, load_settings, prepare_environment
from bot.triage.rate_limits import ConcurrencyLimiter
from bot.worker.app import App
from bot.worker.assembly import Dependencies, make_policy
from bot.worker.lifecycle import run_worker
from bot.worker.log import configure_logging


def main() -> None:
    settings = load_settings(Purpose.RUN)
    prepare_environment(settings)
    configure_logging(settings.log_level, sys.stderr, journal_stream="", secrets=[])
    folder = settings.config_dir
    policy = make_policy(settings, load_alert_policies(folder), load_people_rules(folder))
    dependencies = Dependencies(limiter=partial(ConcurrencyLimiter, concurrency=int(sys.argv[1])))
    asyncio.run(run_worker(App(settings, load_messages(folder), policy, dependencies=dependencies)))


if __name__ == "__main__":
    main()
