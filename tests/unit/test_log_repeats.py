"""A line that is repeated is counted, whatever repeats it, and nothing that happened once is lost."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from itertools import product
from threading import Event

import pytest

from bot.worker.log import LineFormatter
from bot.worker.log_repeats import BURST, INTERVAL, KINDS_MAX, CountingHandler

FLOOD = 5000


class Log:
    """A log of its own, with its own clock."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        self.handler = CountingHandler(self.stream, clock=lambda: self.now)
        self.handler.setFormatter(LineFormatter(timed=False))

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def write(self, message: str, *values: object, **fields: object) -> None:
        self.handle(logging.WARNING, message, *values, event="link.refused", fields=fields)

    def handle(self, level: int, message: str, *values: object, **extra: object) -> None:
        words = {"levelno": level, "levelname": logging.getLevelName(level), "msg": message, "args": values}
        self.handler.handle(logging.makeLogRecord({**words, **extra}))

    def counted(self) -> int:
        """How many records its lines stand for."""
        return sum(
            int(found[1]) if (found := re.search(r"repeated=(\d+)", line)) else 1 for line in self.lines
        )


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.handler.close()


@pytest.mark.parametrize("fields", [{}, {"identifier": "a"}, {"wait_seconds": 1.5}])
def test_a_flood_of_one_kind_is_counted(log: Log, fields: dict[str, object]) -> None:
    for number in range(FLOOD):
        log.write("not opened: %s", number, **fields)
    log.now += INTERVAL
    log.write("not opened: %s", "again", **fields)

    assert len(log.lines) == BURST + 2
    assert f"repeated {FLOOD - BURST} more times: not opened: {BURST}" in log.lines[-2]
    assert log.counted() == FLOOD + 1


def test_floods_of_the_libraries_are_counted_too(log: Log) -> None:
    for number in range(FLOOD):
        try:
            os.fstat(-1)
        except OSError:
            message = f"socket.accept() out of system resource\nsocket: <fd={number}>"
            log.handle(logging.ERROR, message, name="asyncio", exc_info=sys.exc_info())

    assert sum(not line.startswith(" ") for line in log.lines) == BURST


@pytest.mark.parametrize(
    ("level", "varying", "lines"),
    [
        *product([logging.INFO, logging.WARNING], ["identifier", "sequence", "message_id"], [FLOOD]),
        (logging.WARNING, "wait_seconds", BURST),  # a value that changes makes no line new
        (logging.WARNING, "error", BURST),
        (logging.CRITICAL, "error", FLOOD),
    ],
)
def test_lines_about_different_things_are_all_written_and_so_is_what_is_critical(
    log: Log, level: int, varying: str, lines: int
) -> None:
    for number in range(FLOOD):
        log.handle(level, "report sent", event="report.sent", fields={varying: number, "outcome": "yes"})

    assert len(log.lines) == lines


def test_the_sum_is_written_when_something_else_is_logged_later_and_when_the_program_ends(log: Log) -> None:
    for _ in range(BURST + 3):
        log.write("one")
    log.now += INTERVAL
    log.write("another")
    for _ in range(BURST + 4):
        log.write("third")
    log.handler.close()

    assert log.lines[BURST : BURST + 2] == [
        "WARNING link.refused repeated 3 more times: one repeated=3",
        "WARNING link.refused another",
    ]
    assert log.lines[-1] == "WARNING link.refused repeated 4 more times: third repeated=4"


def test_the_sum_is_written_though_nothing_else_is_logged() -> None:
    told = Event()

    class Telling(io.StringIO):
        def write(self, text: str) -> int:
            if "more times" in text:
                told.set()
            return super().write(text)

    handler = CountingHandler(Telling(), interval=0.05)
    for _ in range(BURST + 1):
        handler.handle(logging.makeLogRecord({"msg": "once more", "levelno": logging.ERROR}))

    assert told.wait(20)
    handler.close()


def test_memory_is_bounded_and_a_kind_that_makes_room_is_summed_up(log: Log) -> None:
    for _ in range(BURST + 1):
        log.write("first", identifier="first")
    for number in range(KINDS_MAX * 2):
        log.write("other", identifier=number)

    assert any("repeated 1 more times: first identifier=first" in line for line in log.lines)
    assert sys.getsizeof(log.handler._repeats._counts) < 200_000
