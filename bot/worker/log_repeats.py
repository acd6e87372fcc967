"""Counts repeated lines of the log instead of writing them, so that no single cause can flood it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

#: Lines of one kind that are written in one interval; the rest are counted.
BURST = 20

#: In seconds.
INTERVAL = 60.0

#: The most kinds that are remembered. The one that began first makes room, and is summed up if need be.
KINDS_MAX = 1000

#: Fields that tell records of one event apart: a line about another alert is not a repetition.
_IDENTIFYING = frozenset({"identifier", "sequence", "message_id", "slack_id", "scope", "reason", "code"})

#: Characters of a message that are compared, before its values are filled in: only the beginning, because
#: some libraries fill in values themselves.
_TEMPLATE_LENGTH = 40

#: Characters of a field that are compared: an identifier has at most 255.
_VALUE_LENGTH = 255

_Kind = tuple[object, ...]


@dataclass(slots=True)
class _Count:
    began_at: float
    written: int = 0
    repeated: int = 0
    sample: logging.LogRecord | None = None  #: the first that was not written


class Repeats:
    """Decides which records to write, and counts the others. Not thread-safe."""

    def __init__(self, clock: Callable[[], float], *, interval: float = INTERVAL) -> None:
        self._clock = clock
        self._interval = interval
        self._counts: dict[_Kind, _Count] = {}  #: the one that began first comes first

    def admit(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record; critical ones always are. Call it after `sum_up`."""
        if record.levelno >= logging.CRITICAL:
            return True
        kind = _kind_of(record)
        count = self._counts.get(kind) or self._counts.setdefault(kind, _Count(self._clock()))
        if count.written < BURST:
            count.written += 1
            return True
        count.repeated += 1
        count.sample = count.sample or _without_trace(record)
        return False

    def sum_up(self, *, everything: bool = False) -> Iterator[logging.LogRecord]:
        """Forget the kinds whose interval is over; yield a record for each that was repeated."""
        over = self._clock() - self._interval
        while self._counts:
            kind, count = next(iter(self._counts.items()))
            if not everything and count.began_at > over and len(self._counts) < KINDS_MAX:
                return
            del self._counts[kind]
            if count.sample is not None:
                yield _summary(count.sample, count.repeated)


class CountingHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream, each kind up to 20 times a minute.

    When the minute is over, and when the program ends, one line says how often each was repeated, even if
    nothing else is logged.
    """

    def __init__(
        self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic, interval: float = INTERVAL
    ) -> None:
        super().__init__(stream)
        self._repeats = Repeats(clock, interval=interval)
        self._interval = interval
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        try:
            self._write(self._repeats.sum_up())
            is_new = self._repeats.admit(record)
        except Exception:  # noqa: BLE001 - as for every handler: logging must not stop the program
            self.handleError(record)
            return
        if is_new:
            super().emit(record)
        elif self._timer is None:
            self._set_timer()

    def close(self) -> None:
        """Write what was counted. The stream stays open."""
        if self._timer is not None:
            self._timer.cancel()
        self._sum_up_everything()
        super().close()

    def _write(self, records: Iterator[logging.LogRecord]) -> None:
        for record in records:
            super().emit(record)

    def _set_timer(self) -> None:
        self._timer = threading.Timer(self._interval, self._sum_up_everything)
        self._timer.daemon = True
        try:
            self._timer.start()
        except RuntimeError:  # no more threads: the next record, or the end, brings the sum
            self._timer = None

    def _sum_up_everything(self) -> None:
        self.acquire()
        try:
            self._timer = None
            self._write(self._repeats.sum_up(everything=True))
        finally:
            self.release()


def _kind_of(record: logging.LogRecord) -> _Kind:
    fields: Mapping[str, object] = getattr(record, "fields", {})
    return (
        record.levelno,
        getattr(record, "event", record.name),
        str(record.msg)[:_TEMPLATE_LENGTH],
        record.exc_info[0] if record.exc_info else None,
        *[(name, str(value)[:_VALUE_LENGTH]) for name, value in fields.items() if name in _IDENTIFYING],
    )


def _without_trace(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy with its message filled in and without its traceback, whose frames would be kept
    alive.
    """
    copy = logging.makeLogRecord(record.__dict__)
    copy.msg, copy.args = record.getMessage(), None
    copy.exc_info = copy.exc_text = copy.stack_info = None
    return copy


def _summary(sample: logging.LogRecord, repeated: int) -> logging.LogRecord:
    fields: Mapping[str, object] = getattr(sample, "fields", {})
    kept = {name: value for name, value in fields.items() if name in _IDENTIFYING}
    now = {"created": time.time(), "fields": {**kept, "repeated": repeated}}
    message = f"repeated {repeated} more times: {sample.msg}"
    return logging.makeLogRecord({**sample.__dict__, **now, "msg": message})
