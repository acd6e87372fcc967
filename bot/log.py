"""The log: one line an event, for people, on one stream.

A record of ours is `log.info("request accepted", extra={"event": "request.accepted", "fields": {…}})`:
`extra` always has exactly these two; the message is a constant, and whatever varies is a field.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from bot.printable import printable
from bot.redaction import REDACTED, redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Libraries that tell more than an engineer wants to know, and at DEBUG all that they send.
LIBRARIES = ("aiohttp", "asyncio", "boto3", "botocore", "slack_bolt", "slack_sdk", "urllib3")

#: A field's value that needs no quotes.
_BARE = re.compile(r"[\w.:/@+,-]+", re.ASCII)


def configure_logging(
    level: str, stream: TextIO, *, journal_stream: str = "", secrets: Sequence[str] = ()
) -> None:
    """Send every record of `level` and above to `stream`; libraries' only from WARNING on, unless at DEBUG.

    `journal_stream` is what systemd says in JOURNAL_STREAM: if `stream` is that journal, lines carry no time
    of their own. `secrets` are values that must never appear, beside all that look like tokens. May be
    called again; the last call counts.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(timed=not _is_journal(stream, journal_stream), secrets=secrets))
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each.formatter, LineFormatter)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(level)
    libraries = level if level == "DEBUG" else max(root.level, logging.WARNING)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(libraries)


class LineFormatter(logging.Formatter):
    """Writes a record as `2026-11-24T03:00:00Z INFO request.accepted request accepted identifier=…`.

    No record can forge another: control characters are escaped, and the lines of a traceback are indented.
    Nothing that looks like a secret is shown, wherever in the record it stands.
    """

    def __init__(self, *, timed: bool = True, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._timed = timed
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, and below it the indented lines of its traceback, if it has one."""
        lines = [self._line(record), *_indented(self._trace(record))]
        return "\n".join(printable(self._redacted(line)) for line in lines)

    def _line(self, record: logging.LogRecord) -> str:
        time = f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ} " if self._timed else ""
        event = getattr(record, "event", record.name)
        fields: Mapping[str, object] = getattr(record, "fields", {})
        facts = "".join(f" {name}={_value(value)}" for name, value in fields.items())
        return f"{time}{record.levelname} {event} {record.getMessage()}{facts}"

    def _trace(self, record: logging.LogRecord) -> str:
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        stack = self.formatStack(record.stack_info) if record.stack_info else ""
        return "\n".join(part for part in (record.exc_text, stack) if part)

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return redact(text)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _value(value: object) -> str:
    """Write a field's value in one word, or in quotes where it is more than that."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    if _BARE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_journal(stream: TextIO, journal_stream: str) -> bool:
    # The variable is inherited by all that a service starts, so it alone does not say where the stream goes.
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"
