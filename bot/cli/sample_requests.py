"""The request that `triage-bot send` enqueues: what MozDef's own alert action would send."""

from __future__ import annotations

import json
import secrets
import sys
from argparse import Namespace
from hashlib import sha256
from pathlib import Path

from bot.cli.files import UnreadableFile
from bot.errors import WrongUsage
from bot.sandbox.samples import SAMPLES
from bot.settings.settings import Settings
from bot.sqs.clients import Connector
from bot.sqs.queues import Outgoing

#: The default label, and so the default sample.
DEFAULT_ALERT = "sensitive_host_session"

#: The options whose name differs from the contract's field.
_OPTIONS = {"identityConfidence": "confidence", "occurredAt": "occurred-at", "facts": "fact"}


def sample_body(options: Namespace) -> str:
    """Return a request about `options.user` as JSON; what the options omit comes from the label's sample.

    Raises `WrongUsage` if the label has no sample and no summary is given.
    """
    alert = options.alert or DEFAULT_ALERT
    sample = SAMPLES.get(alert)
    if sample is None and not options.summary:
        known = ", ".join(SAMPLES)
        raise WrongUsage(f"--alert {alert!r} has no sample text; add --summary, or use one of {known}")
    request = {
        # As long as an identifier of Elasticsearch, and as unlikely to repeat.
        "identifier": options.identifier or secrets.token_urlsafe(15),
        "alert": alert,
        "summary": options.summary or (sample.summary if sample else ""),
        "user": options.user,
        "identityConfidence": options.confidence or (sample.confidence if sample else "lowest"),
    }
    optional = {"occurredAt": options.occurred_at, "facts": options.facts}
    return json.dumps(request | {name: value for name, value in optional.items() if value})


def read_body(path: str) -> str:
    """Return the content of a file, or of standard input for `-`, unchanged.

    Raises `UnreadableFile` if it cannot be read or is not UTF-8.
    """
    try:
        # As text, the standard input may hold what is not UTF-8, depending on the locale.
        return (sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UnreadableFile(
            f"--file {path} cannot be read ({why}); expected the body of a request in UTF-8"
        ) from error


def name_options(reason: str) -> str:
    """Return why a request is invalid, with the options of `send` in place of the contract's fields."""
    complaints = (complaint.partition(" ") for complaint in reason.split("; "))
    return "; ".join(f"--{_OPTIONS.get(field, field)} {rule}" for field, _, rule in complaints)


async def send_request(settings: Settings, body: str) -> str:
    """Put a body into the request queue; return the id that SQS gave it.

    Raises `StartRefused` if SQS refuses, `TransientError` if it cannot be reached, and `ConfigError` if the
    queue's region is unknown.
    """
    connector = Connector(region=settings.aws_region)
    try:
        queue = connector.open(settings.request_queue_url)
        digest = sha256(body.encode()).hexdigest()
        return await queue.send(Outgoing(body=body, group="send", deduplication=digest))
    finally:
        connector.close()
