"""What the watch says of the time, and whom it wakes."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from machine import FakeMachine

from bot.clock import Service
from bot.worker.clock_watch import TELL_INTERVAL, ClockWatch


class Watched:
    def __init__(self) -> None:
        self.machine = FakeMachine(ahead=90)
        self.jumps = 0
        self.watch = ClockWatch(self.machine.clock, on_jump=self._count)

    def _count(self) -> None:
        self.jumps += 1

    def look(self, *, after: timedelta = timedelta(seconds=1)) -> int:
        """Advance the clock, and look; return how often somebody was woken."""
        self.machine.passed += after.total_seconds()
        self.jumps = 0
        self.watch.look()
        return self.jumps


def test_whoever_sleeps_is_woken_when_the_time_jumps_or_becomes_known() -> None:
    watched = Watched()
    assert watched.look() == 0

    watched.machine.hear(Service.SLACK)
    assert (watched.look(), watched.look()) == (1, 0)
    watched.machine.ahead = 0
    assert watched.look() == 0
    watched.machine.suspended += 60
    assert (watched.look(), watched.look()) == (1, 0)


def test_the_log_tells_the_offset_once_an_hour_and_a_trouble_once(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    watched.machine.hear(Service.SLACK)
    with caplog.at_level(logging.INFO):
        watched.look()
        watched.look()
        watched.look(after=TELL_INTERVAL)
        watched.machine.hear(Service.SLACK)
        watched.machine.hear(Service.AWS, off=300)
        watched.look()
        watched.look()
        for _ in range(3):
            watched.machine.hear(Service.AWS)
        watched.look()

    events = [vars(record)["event"] for record in caplog.records]
    assert events == ["clock.compared", "clock.compared", "clock.wrong", "clock.recovered"]
    assert 90 <= vars(caplog.records[0])["fields"]["ahead_seconds"] <= 91
    assert "Slack and AWS are 300 s apart" in caplog.text
