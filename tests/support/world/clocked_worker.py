"""`triage-bot run` by a clock that is wrong: the first argument says by how many seconds it is ahead."""

from __future__ import annotations

import asyncio
import sys
import time

from bot.clock import Clock, Machine
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.people import load_people_rules
from bot.settings.settings import Purpose, load_settings, prepare_environment
from bot.worker.app import App
from bot.worker.assembly import Dependencies, make_policy
from bot.worker.lifecycle import run_worker
from bot.worker.log import configure_logging

AHEAD = int(sys.argv[1])

if __name__ == "__main__":
    settings = load_settings(Purpose.RUN)
    prepare_environment(settings)
    configure_logging(settings.log_level, sys.stderr)
    folder = settings.config_dir
    policy = make_policy(settings, load_alert_policies(folder), load_people_rules(folder))
    dependencies = Dependencies(clock=Clock(Machine(wall=lambda: time.time() + AHEAD)))
    asyncio.run(run_worker(App(settings, load_messages(folder), policy, dependencies=dependencies)))
