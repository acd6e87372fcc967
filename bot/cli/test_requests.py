"""What `triage-bot send` enqueues, as MozDef's own alert action would."""

from __future__ import annotations

import json
import secrets
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from bot.errors import ConfigError
from bot.sandbox.samples import SAMPLES
from bot.sqs.clients import Connector
from bot.sqs.queues import Outgoing

if TYPE_CHECKING:
    from argparse import Namespace

    from bot.settings.settings import Settings

#: The sample that is sent unless a label is named.
DEFAULT_ALERT = "sensitive_host_session"


def sample_body(options: Namespace) -> str:
    """Return a request about `options.user`; what the options leave open comes from the label's sample.

    `ConfigError` if the label has no sample and no summary is given.
    """
    alert = options.alert or DEFAULT_ALERT
    sample = SAMPLES.get(alert)
    if sample is None and not options.summary:
        known = ", ".join(SAMPLES)
        raise ConfigError([f"--alert {alert!r} has no sample text; give --summary, or one of {known}"])
    request = {
        # As long as the identifiers of Elasticsearch, and as unlikely to be met again.
        "identifier": options.identifier or secrets.token_urlsafe(15),
        "alert": alert,
        "summary": options.summary or (sample.summary if sample else ""),
        "user": options.user,
        "identityConfidence": options.confidence or (sample.confidence if sample else "lowest"),
    }
    return json.dumps(request)


def read_body(path: str) -> str:
    """Return what a file (or standard input, for `-`) holds, as it is. `ConfigError` if it cannot be read."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            [f"--file {path} cannot be read ({error}); expected a request's body in UTF-8"]
        ) from error


def identifier_in(body: str) -> str:
    """Return the identifier that a body names, or "" where it names none."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(fields.get("identifier", "")) if isinstance(fields, dict) else ""


async def send_request(settings: Settings, body: str) -> str:
    """Put a body into the request queue; return the id that SQS gave it. `StartRefused`, `TransientError`."""
    connector = Connector(region=settings.aws_region)
    try:
        queue = connector.open(settings.request_queue_url)
        digest = sha256(body.encode()).hexdigest()
        return await queue.send(Outgoing(body=body, group="send", deduplication=digest))
    finally:
        connector.close()
