"""The log: one line per event, on one stream, as text for people or as JSON for log shippers.

Records of ours come from `bot.triage.log_events.log_event`: `extra` always has `event` and `fields`, the
message is a constant, and whatever varies is a field.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

from bot.printable import make_printable
from bot.redaction import REDACTED, Secret, find_parts, redact
from bot.worker.log_repeats import CountingHandler

#: The root of this program's loggers; only their debug lines are shown.
OURS = "bot"

#: Libraries that log more than an engineer wants to read.
LIBRARIES = ("aiohttp", "asyncio", "boto3", "botocore", "slack_bolt", "slack_sdk", "urllib3")

#: Words that add nothing to an event.
_FILLERS = frozenset({"a", "an", "are", "is", "the", "was", "were"})

#: The most characters of a message, of a field's value and of a traceback: others may have sent them.
MESSAGE_MAX = 4000
VALUE_MAX = 1000
TRACE_MAX = 20_000

#: A field's value that needs no quotes.
_BARE = re.compile(r"[\w.:/@+,-]+", re.ASCII)


def configure_logging(
    level: str,
    stream: TextIO,
    *,
    as_json: bool = False,
    journal_stream: str = "",
    secrets: Sequence[str] = (),
) -> None:
    """Send every record of `level` and above to `stream`; libraries' from WARNING on, or INFO at DEBUG.

    Only our loggers ever go below INFO: botocore's debug lines hold the secrets of an assumed role, and those
    of other libraries whatever they send.

    `journal_stream` is the value of systemd's JOURNAL_STREAM: if `stream` is that journal, text lines carry
    no time. `secrets` are values to redact, in addition to everything that looks like a token. May be called
    again: the last call counts.
    """
    handler = CountingHandler(stream)
    timed = not _is_journal(stream, journal_stream)
    handler.setFormatter(
        JsonFormatter(secrets=secrets) if as_json else LineFormatter(timed=timed, secrets=secrets)
    )
    close_log()
    handler.addFilter(_may_be_shown)
    root = logging.getLogger()
    root.addHandler(handler)
    ours = logging.getLogger(OURS)
    ours.setLevel(level)
    root.setLevel(max(ours.level, logging.INFO))
    _skip_unused_record_fields()
    libraries = logging.INFO if level == "DEBUG" else max(root.level, logging.WARNING)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(libraries)


def close_log() -> None:
    """Undo `configure_logging`: write the counts that are open, then stop logging to its stream."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each.formatter, RedactingFormatter)]:
        root.removeHandler(handler)
        handler.close()


def hide_in_log(*secrets: Secret) -> None:
    """Redact these from now on, too: they were fetched after `configure_logging`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, RedactingFormatter):
            handler.formatter.hide(part for secret in secrets for part in find_parts(secret))


def writes_json() -> bool:
    """Whether `configure_logging` has set up a log of JSON objects."""
    return any(isinstance(each.formatter, JsonFormatter) for each in logging.getLogger().handlers)


class RedactingFormatter(logging.Formatter):
    """The base of both formats: redacts everything that looks like a secret, wherever in a record it is."""

    def __init__(self, *, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def hide(self, secrets: Iterable[str]) -> None:
        """Redact these values as well, wherever they stand."""
        self._secrets = tuple(dict.fromkeys((*self._secrets, *secrets)))

    def trace_of(self, record: logging.LogRecord) -> str:
        """Return the traceback and the stack of a record; "" if it has neither."""
        if not (record.exc_info or record.exc_text or record.stack_info):
            return ""
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        stack = self.formatStack(record.stack_info) if record.stack_info else ""
        return self.cut("\n".join(part for part in (record.exc_text, stack) if part), TRACE_MAX)

    def message_of(self, record: logging.LogRecord) -> str:
        """Return the message of a record, cut."""
        return self.cut(record.getMessage(), MESSAGE_MAX)

    def cut(self, text: str, limit: int) -> str:
        """Return a text, cut if it is too long. Secrets are redacted first: half of one is not recognised."""
        return text if len(text) <= limit else f"{self.hide_secrets(text)[:limit]}…"

    def cut_value(self, name: str, value: object) -> str:
        """Return a field's value as text, cut if it is too long."""
        text = str(value)
        # Some secrets are recognised only by the name in front of them.
        return (
            text if len(text) <= VALUE_MAX else self.cut(f"{name}={text}", VALUE_MAX).removeprefix(f"{name}=")
        )

    def hide_secrets(self, text: str) -> str:
        """Return `text` with the known secrets, and everything that looks like one, redacted."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return redact(text)


class LineFormatter(RedactingFormatter):
    """Writes a record as `2026-11-24T03:00:00Z INFO request.accepted identifier=…`, with the time in UTC.

    The message comes between event and fields, without what only repeats the event. No record can forge
    another: control characters are escaped, and the lines of a traceback are indented.
    """

    def __init__(self, *, timed: bool = True, secrets: Sequence[str] = ()) -> None:
        super().__init__(secrets=secrets)
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, followed by the indented lines of its traceback, if any."""
        lines = [self._format_line(record)]
        if trace := self.trace_of(record):
            lines += [f"  {line}" for line in trace.splitlines()]
        return "\n".join([make_printable(self.hide_secrets(line)) for line in lines])

    def _format_line(self, record: logging.LogRecord) -> str:
        time = _format_second(int(record.created)) if self._timed else ""
        facts = "".join(
            [f" {name}={self._format_value(name, value)}" for name, value in _fields_of(record).items()]
        )
        event = _event_of(record)
        words = _beyond(event, self.message_of(record))
        return f"{time}{record.levelname} {event}{words and f' {words}'}{facts}"

    def _format_value(self, name: str, value: object) -> str:
        """Write a field's value as one word, or in quotes if it is not one."""
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        text = self.cut_value(name, value)
        if _BARE.fullmatch(text):
            return text
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


class JsonFormatter(RedactingFormatter):
    """Writes a record as one JSON object in ASCII: `time`, `level`, `event`, `message`, `fields`.

    A traceback is in `trace`. `time` is ISO 8601 in UTC, with milliseconds. Fields are nested, so that none
    can be mistaken for another key; numbers, booleans and null keep their type, all others become text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": _event_of(record),
            "message": self.hide_secrets(self.message_of(record)),
            "fields": {name: self._to_json(name, value) for name, value in _fields_of(record).items()},
        }
        if trace := self.trace_of(record):
            entry["trace"] = self.hide_secrets(trace)
        return json.dumps(entry, allow_nan=False)

    def _to_json(self, name: str, value: object) -> object:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return self.hide_secrets(f"{name}={self.cut_value(name, value)}").removeprefix(f"{name}=")


def _may_be_shown(record: logging.LogRecord) -> bool:
    """Drop debug lines of libraries, even of loggers with a level of their own."""
    return record.levelno >= logging.INFO or record.name.partition(".")[0] == OURS


def _skip_unused_record_fields() -> None:
    """Do not look up thread, process and source line for each record: our formats do not show them."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - recommended by the logging HOWTO, under "Optimization"


@lru_cache(maxsize=1)  # under load, many lines share one second
def _format_second(since_epoch: int) -> str:
    return f"{datetime.fromtimestamp(since_epoch, UTC):%Y-%m-%dT%H:%M:%SZ} "


def _event_of(record: logging.LogRecord) -> str:
    return str(getattr(record, "event", record.name))


@lru_cache(maxsize=64)  # most messages only repeat their event
def _beyond(event: str, message: str) -> str:
    """Return what a message says beyond its event: `why` of `report refused: why` for `report.refused`."""
    head, _, rest = message.partition(": ")
    return rest if _FILLERS.issuperset(set(head.split()).difference(event.split("."))) else message


def _fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    return getattr(record, "fields", {})


def _is_journal(stream: TextIO, journal_stream: str) -> bool:
    # A service's child processes inherit the variable, so on its own it does not say where the stream goes.
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"
