"""`python -m tests.bench.narrow_app COUNT`: the worker, with at most so many messages under way at a time.

So that several of them are limited by what Slack takes them, and not by the machine that they share.
"""

from __future__ import annotations

import asyncio
import sys
from functools import cached_property
from typing import TYPE_CHECKING

from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.settings import Purpose, load_settings, settle_environment
from bot.triage.rate_limits import Gate, Pace, Pacing
from bot.worker.app import App
from bot.worker.lifecycle import run_worker
from bot.worker.log import configure_logging

if TYPE_CHECKING:
    from bot.settings.settings import Settings


class NarrowApp(App):
    """The worker as it is, but for the width of its gate."""

    def __init__(self, settings: Settings, *, abreast: int) -> None:
        super().__init__(
            settings, load_messages(settings.config_dir), load_alert_policies(settings.config_dir)
        )
        self._abreast = abreast

    @cached_property
    def pacing(self) -> Pacing:
        """See `Parts`."""
        gate = Gate(spread=self.random.random, abreast=self._abreast)
        return Pacing(gate=gate, pace=Pace(), spread=self.random.random)


def main() -> None:
    """Work until a signal comes."""
    settings = load_settings(Purpose.RUN)
    settle_environment(settings)
    configure_logging(settings.log_level, sys.stderr, journal_stream="", secrets=[])
    asyncio.run(run_worker(NarrowApp(settings, abreast=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
