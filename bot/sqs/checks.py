"""What `check` asks SQS of one queue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from bot.errors import ConfigError, StartRefused, TransientError
from bot.findings import Finding, Verdict
from bot.sqs.clients import Connector, region_in
from bot.sqs.refusals import code_of, is_mendable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.sqs.queues import QueueFacts

_NO_SUCH_QUEUE = re.compile("NonExistentQueue|QueueDoesNotExist|InvalidAddress")

#: A name and password within a URL.
_USER_INFO = re.compile(r"(?<=://)[^\s/@]+@")

_READS = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
_WRITES = ("SendMessage", "GetQueueAttributes")

_CREDENTIALS = "an instance profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in .env"


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRole:
    """What a queue is to the worker."""

    subject: str
    variable: str  #: the setting that holds its URL
    actions: Sequence[str]  #: of IAM, without their `sqs:`


REQUEST_QUEUE = QueueRole(subject="request queue", variable="REQUEST_QUEUE_URL", actions=_READS)
RESPONSE_QUEUE = QueueRole(subject="response queue", variable="RESPONSE_QUEUE_URL", actions=_WRITES)
DEAD_LETTER_QUEUE = QueueRole(subject="dead-letter queue", variable="DEAD_LETTER_QUEUE_URL", actions=_WRITES)


async def check_queue(role: QueueRole, url: str, *, region: str | None = None) -> Sequence[Finding]:
    """Describe the queue at `url`, or say why that cannot be done. Raises nothing.

    `region` as for `Connector`. Each call has threads of its own, so that queues do not wait for each other.
    """
    try:
        connector = Connector(region=region)
        try:
            facts = await connector.open(url).describe()
        finally:
            connector.close()
    except ConfigError as error:
        remedy = "correct AWS_REGION, AWS_PROFILE or AWS_ENDPOINT_URL_SQS, in the environment or in .env"
        return [_failed(role, url, str(error), remedy)]
    except (StartRefused, TransientError) as error:
        return [_failure(role, url, error)]
    return [_described(role, url, facts)]


def no_dead_letter_queue() -> Finding:
    """Return the finding that there is none configured."""
    return Finding(
        subject=DEAD_LETTER_QUEUE.subject,
        verdict=Verdict.WARNING,
        detail="none: a request that breaks the contract is counted and logged, and its body is lost",
        remedy=f"create a queue and put its URL into {DEAD_LETTER_QUEUE.variable}",
    )


def _described(role: QueueRole, url: str, facts: QueueFacts) -> Finding:
    return Finding(
        subject=role.subject,
        verdict=Verdict.OK,
        detail=f"{facts.visible} visible, {facts.in_flight} in flight, {facts.delayed} delayed",
        facts={"URL": _shown(url), "ARN": facts.arn},
    )


def _failed(role: QueueRole, url: str, detail: str, remedy: str) -> Finding:
    return Finding(
        subject=role.subject,
        verdict=Verdict.FAILED,
        detail=_shown(detail),
        remedy=remedy,
        facts={"URL": _shown(url)},
    )


def _failure(role: QueueRole, url: str, error: StartRefused | TransientError) -> Finding:
    permanent = isinstance(error, StartRefused)
    match error.__cause__:
        case ClientError() as cause:
            return _failed(role, url, *_refused(role, url, cause, permanent=permanent))
        case BotoCoreError() as cause if permanent:
            return _failed(role, url, f"there are no usable AWS credentials: {cause}", f"give {_CREDENTIALS}")
        case BotoCoreError() as cause:
            return _failed(role, url, *_unreached(cause))
    return _failed(role, url, str(error), "try again")


def _refused(role: QueueRole, url: str, error: ClientError, *, permanent: bool) -> tuple[str, str]:
    """Return what SQS's refusal means, and what to do."""
    code = code_of(error)
    if _NO_SUCH_QUEUE.search(code):
        return f"there is no such queue ({code})", _create_or_correct(role, url)
    if permanent and is_mendable(code):
        allowed = ", ".join(f"sqs:{action}" for action in role.actions)
        return f"sqs:{error.operation_name} is denied ({code})", f"allow the worker's role {allowed} on it"
    if permanent:
        return f"AWS does not accept the credentials ({code})", f"renew them: {_CREDENTIALS}"
    return (
        f"SQS did not describe it ({code})",
        "try again in a minute; https://health.aws.amazon.com/health/status",
    )


def _create_or_correct(role: QueueRole, url: str) -> str:
    region = region_in(url)
    where = f" --region {region}" if region else ""
    return f"create it, or correct {role.variable}; `aws sqs list-queues{where}` shows which there are"


def _unreached(error: BotoCoreError) -> tuple[str, str]:
    address = str(error.kwargs.get("endpoint_url") or "")
    where = f" at {address}" if address else ""
    remedy = (
        "check the region, and DNS, firewall and proxy on the way there (HTTPS_PROXY, NO_PROXY;"
        " AWS_ENDPOINT_URL_SQS where SQS is elsewhere; AWS_CA_BUNDLE where a proxy reads TLS)"
    )
    return f"SQS cannot be reached{where} ({type(error).__name__})", remedy


def _shown(text: str) -> str:
    """Return a text without the name and password that a URL in it may hold."""
    return _USER_INFO.sub("", text)
