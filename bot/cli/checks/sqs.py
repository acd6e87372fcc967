"""Checks one SQS queue: access, encryption and redrive policy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.errors import DENIED, action_of, code_of, is_of_kms, kms_remedy
from bot.cli.checks.findings import RETRY_LATER, Finding
from bot.cli.checks.machine import check_clock
from bot.clock import utc_now
from bot.errors import ConfigError, StartRefused, TransientError
from bot.sqs.clients import Connector
from bot.sqs.errors import rights_with_key
from bot.sqs.permissions import denied_actions
from bot.sqs.queues import Queue, QueueFacts

#: A name and password within a URL.
_USER_INFO = re.compile(r"(?<=://)[^\s/@]+@")

_READS = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
_WRITES = ("SendMessage", "GetQueueAttributes")

#: AWS's own key for queues. By its policy, everybody in the account who may use the queue may use the key.
_AWS_KEY = "alias/aws/sqs"

#: A valid request may be received again: after a crash, a lost answer, or while the store is full.
RECEIVES_MIN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRole:
    """What the worker uses a queue for."""

    subject: str
    variable: str  #: the setting that holds its URL
    actions: Sequence[str]  #: IAM actions, without `sqs:`


REQUEST_QUEUE = QueueRole(subject="request queue", variable="REQUEST_QUEUE_URL", actions=_READS)
RESPONSE_QUEUE = QueueRole(subject="response queue", variable="RESPONSE_QUEUE_URL", actions=_WRITES)
DEAD_LETTER_QUEUE = QueueRole(subject="dead-letter queue", variable="DEAD_LETTER_QUEUE_URL", actions=_WRITES)


async def check_queue(role: QueueRole, url: str, *, region: str | None = None) -> Sequence[Finding]:
    """Describe the queue at `url` and try each action that the worker needs. Raises nothing.

    `region` as for `Connector`. Each call has its own threads, so that queues do not wait for each other.
    """
    try:
        connector = Connector(region=region)
        try:
            return await _inspect(role, connector.open(url))
        finally:
            connector.close()
    except ConfigError as error:
        remedy = (
            "correct AWS_REGION, AWS_PROFILE or AWS_ENDPOINT_URL_SQS, in the environment or the settings file"
        )
        return [_failed_finding(role, url, str(error), remedy)]
    except (StartRefused, TransientError) as error:
        return [_explain_failure(role, url, error), *_check_clock(role, _date_of(error))]


async def _inspect(role: QueueRole, queue: Queue) -> Sequence[Finding]:
    facts, url = await queue.describe(), _hide_credentials(queue.url)
    return [
        _describe(role, url, facts),
        await _check_permissions(role, queue),
        check_encryption(role, url, facts),
        *([check_redrive(role.subject, url, facts)] if role is REQUEST_QUEUE else []),
        *_check_clock(role, facts.date),
    ]


def no_dead_letter_queue_finding() -> Finding:
    """Return the finding that no dead-letter queue is configured."""
    return Finding.warning(
        DEAD_LETTER_QUEUE.subject,
        "none: an invalid request is counted and logged, but its body is lost",
        f"create a queue and put its URL into {DEAD_LETTER_QUEUE.variable}",
    )


def check_encryption(role: QueueRole, url: str, facts: QueueFacts) -> Finding:
    """Judge the queue's encryption at rest.

    Only a real message would prove that the worker may use a customer's key: SQS refuses an empty batch
    before it asks KMS.
    """
    name = f"{role.subject} encryption"
    if not facts.encryption:
        detail = "none: addresses and alert texts are not encrypted at rest"
        remedy = f"aws sqs set-queue-attributes --queue-url {url} --attributes SqsManagedSseEnabled=true"
        return Finding.warning(name, detail, remedy)
    if facts.encryption == "sqs":
        return Finding.ok(name, "SSE-SQS")
    if facts.encryption.endswith(_AWS_KEY):
        return Finding.ok(name, f"SSE-KMS, AWS's own key {facts.encryption}")
    rights = f"{_rights_with_key(role)} on it, in its own policy and in the key's"
    return Finding.warning(
        name,
        f"SSE-KMS, key {facts.encryption}: only a real message can prove that the worker may use it",
        f"make sure that the worker's role has {rights}",
    )


def _rights_with_key(role: QueueRole) -> str:
    return rights_with_key(to_send="SendMessage" in role.actions)


def check_redrive(subject: str, url: str, facts: QueueFacts) -> Finding:
    """Judge the redrive policy: a dead-letter queue, after 10 receives or more."""
    name = f"{subject} redrive"
    count, target = facts.max_receive_count, facts.dead_letter_arn.rpartition(":")[2]
    if not target or count is None:
        detail = "no policy: a request that can never be processed is received again until the queue drops it"
        return Finding.warning(name, detail, _policy_command(url, "QUEUE_ARN"))
    if count < RECEIVES_MIN:
        detail = f"to {target} after {count} receives: an outage of the bot can move valid requests there"
        return Finding.warning(name, detail, _policy_command(url, facts.dead_letter_arn))
    return Finding.ok(name, f"to {target} after {count} receives")


async def _check_permissions(role: QueueRole, queue: Queue) -> Finding:
    subject = f"{role.subject} permissions"
    try:
        denied = await denied_actions(queue, role.actions)
    except BotoCoreError as error:
        detail = f"cannot be tested: SQS did not answer ({type(error).__name__})"
        return Finding.warning(subject, detail, "try again")
    needed = _list_actions(role.actions)
    if denied:
        return Finding.failed(
            subject, f"denied: {_list_actions(denied)}", f"grant the worker's role {needed}"
        )
    return Finding.ok(subject, f"{needed}: tried, none is denied")


def _list_actions(actions: Sequence[str]) -> str:
    return ", ".join(f"sqs:{action}" for action in actions)


def _check_clock(role: QueueRole, date: str) -> list[Finding]:
    """Judge the clock by the answer of the request queue; the others would say the same."""
    return check_clock("AWS", date, utc_now()) if role is REQUEST_QUEUE else []


def _date_of(error: Exception) -> str:
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return ""
    headers = cause.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("date", ""))


def _describe(role: QueueRole, url: str, facts: QueueFacts) -> Finding:
    counts = f"{facts.visible} visible, {facts.in_flight} in flight, {facts.delayed} delayed"
    finding = Finding.ok(role.subject, f"in {facts.arn.split(':')[3]}; {counts}")
    return replace(finding, facts={"URL": url, "ARN": facts.arn})


def _failed_finding(role: QueueRole, url: str, detail: str, remedy: str) -> Finding:
    finding = Finding.failed(role.subject, _hide_credentials(detail), remedy)
    return replace(finding, facts={"URL": _hide_credentials(url)})


def _explain_failure(role: QueueRole, url: str, error: StartRefused | TransientError) -> Finding:
    detail, _, remedy = str(error).partition(": ")
    cause = error.__cause__
    if isinstance(cause, ClientError) and code_of(cause) in DENIED:
        action = action_of(cause, "sqs")
        needed = f"{_list_actions(role.actions)} on it" if action.startswith("sqs:") else action
        detail, remedy = f"{action} is denied ({code_of(cause)})", f"grant the worker's role {needed}"
    elif isinstance(cause, ClientError) and is_of_kms(code_of(cause)):
        remedy = kms_remedy(code_of(cause), _rights_with_key(role))
    return _failed_finding(role, url, detail, remedy or RETRY_LATER)


def _hide_credentials(text: str) -> str:
    """Return a text without the user name and password of any URL in it."""
    return _USER_INFO.sub("", text)


def _policy_command(url: str, arn: str) -> str:
    policy = f'{{\\"deadLetterTargetArn\\":\\"{arn}\\",\\"maxReceiveCount\\":{RECEIVES_MIN}}}'
    return f'aws sqs set-queue-attributes --queue-url {url} --attributes \'{{"RedrivePolicy":"{policy}"}}\''
