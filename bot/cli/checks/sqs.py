"""Checks one SQS queue: access, encryption and redrive policy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.answers import NotAnAnswer
from bot.aws.errors import action_of, code_of, is_of_kms, kms_remedy
from bot.aws.region import region_in
from bot.cli.checks.clock import check_clock
from bot.cli.checks.findings import Finding, Verdict
from bot.errors import ConfigError, StartRefused, TransientError
from bot.sqs.clients import Connector
from bot.sqs.errors import is_denied, rights_with_key
from bot.sqs.permissions import denied_actions
from bot.triage.model import utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.sqs.queues import Queue, QueueFacts

_NO_SUCH_QUEUE = re.compile("NonExistentQueue|QueueDoesNotExist|InvalidAddress")

#: A name and password within a URL.
_USER_INFO = re.compile(r"(?<=://)[^\s/@]+@")

_READS = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
_WRITES = ("SendMessage", "GetQueueAttributes")

_CREDENTIALS = "an instance profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in .env"

_WAY = (
    "check the region, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; AWS_ENDPOINT_URL_SQS if SQS has"
    " another endpoint; AWS_CA_BUNDLE if a proxy intercepts TLS)"
)

#: AWS's own key for queues. By its policy, everybody in the account who may use the queue may use the key.
_AWS_KEY = "alias/aws/sqs"

#: A request may come again for no fault of its own: after a crash, a lost answer, a store that is full.
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
        remedy = "correct AWS_REGION, AWS_PROFILE or AWS_ENDPOINT_URL_SQS, in the environment or in .env"
        return [_failed_finding(role, url, str(error), remedy)]
    except (StartRefused, TransientError) as error:
        return [_explain_failure(role, url, error), *_check_clock(role, _date_of(error))]


async def _inspect(role: QueueRole, queue: Queue) -> Sequence[Finding]:
    facts = await queue.describe()
    return [
        _describe(role, queue.url, facts),
        await _check_permissions(role, queue),
        check_encryption(role, _hide_credentials(queue.url), facts),
        *(
            [check_redrive(role.subject, _hide_credentials(queue.url), facts)]
            if role is REQUEST_QUEUE
            else []
        ),
        *_check_clock(role, facts.date),
    ]


def no_dead_letter_queue_finding() -> Finding:
    """Return the finding that no dead-letter queue is configured."""
    return Finding(
        subject=DEAD_LETTER_QUEUE.subject,
        verdict=Verdict.WARNING,
        detail="none: an invalid request is counted and logged, but its body is lost",
        remedy=f"create a queue and put its URL into {DEAD_LETTER_QUEUE.variable}",
    )


def check_encryption(role: QueueRole, url: str, facts: QueueFacts) -> Finding:
    """Judge the queue's encryption at rest.

    Only a real message would prove that the worker may use a customer's key: SQS refuses an empty batch
    before it asks KMS.
    """
    name = f"{role.subject} encryption"
    if not facts.encryption:
        return Finding(
            subject=name,
            verdict=Verdict.WARNING,
            detail="none: addresses and alert texts are not encrypted at rest",
            remedy=f"aws sqs set-queue-attributes --queue-url {url} --attributes SqsManagedSseEnabled=true",
        )
    if facts.encryption == "sqs":
        return Finding(subject=name, verdict=Verdict.OK, detail="SSE-SQS")
    if facts.encryption.endswith(_AWS_KEY):
        return Finding(subject=name, verdict=Verdict.OK, detail=f"SSE-KMS, AWS's own key {facts.encryption}")
    return Finding(
        subject=name,
        verdict=Verdict.WARNING,
        detail=f"SSE-KMS, key {facts.encryption}: only a real message can prove that the worker may use it",
        remedy=f"make sure that the worker's role has {_rights_with_key(role)} on it, in its own policy"
        " and in the key's",
    )


def _rights_with_key(role: QueueRole) -> str:
    return rights_with_key(to_send="SendMessage" in role.actions)


def check_redrive(subject: str, url: str, facts: QueueFacts) -> Finding:
    """Judge the redrive policy: a dead-letter queue, after 10 receives or more."""
    name = f"{subject} redrive"
    count, target = facts.max_receive_count, facts.dead_letter_arn.rpartition(":")[2]
    if not target or count is None:
        detail = "no policy: a request that can never be processed is received again until the queue drops it"
        return Finding(
            subject=name, verdict=Verdict.WARNING, detail=detail, remedy=_policy_command(url, "QUEUE_ARN")
        )
    if count < RECEIVES_MIN:
        detail = f"to {target} after {count} receives: an outage of the bot can move valid requests there"
        remedy = _policy_command(url, facts.dead_letter_arn)
        return Finding(subject=name, verdict=Verdict.WARNING, detail=detail, remedy=remedy)
    return Finding(subject=name, verdict=Verdict.OK, detail=f"to {target} after {count} receives")


async def _check_permissions(role: QueueRole, queue: Queue) -> Finding:
    subject = f"{role.subject} permissions"
    try:
        denied = await denied_actions(queue, role.actions)
    except BotoCoreError as error:
        detail = f"cannot be tested: SQS did not answer ({type(error).__name__})"
        return Finding(subject=subject, verdict=Verdict.WARNING, detail=detail, remedy="try again")
    if denied:
        detail = f"denied: {', '.join(f'sqs:{action}' for action in denied)}"
        return Finding(
            subject=subject,
            verdict=Verdict.FAILED,
            detail=detail,
            remedy=f"grant the worker's role {_list_actions(role)}",
        )
    return Finding(
        subject=subject, verdict=Verdict.OK, detail=f"{_list_actions(role)}: tried, none is denied"
    )


def _list_actions(role: QueueRole) -> str:
    return ", ".join(f"sqs:{action}" for action in role.actions)


def _check_clock(role: QueueRole, date: str) -> list[Finding]:
    """Judge the clock by the answer of the request queue; the others would say the same."""
    finding = check_clock("AWS", date, utc_now()) if role is REQUEST_QUEUE else None
    return [finding] if finding else []


def _date_of(error: Exception) -> str:
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return ""
    headers = cause.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("date", ""))


def _describe(role: QueueRole, url: str, facts: QueueFacts) -> Finding:
    region = facts.arn.split(":")[3]
    return Finding(
        subject=role.subject,
        verdict=Verdict.OK,
        detail=f"in {region}; {facts.visible} visible, {facts.in_flight} in flight, {facts.delayed} delayed",
        facts={"URL": _hide_credentials(url), "ARN": facts.arn},
    )


def _failed_finding(role: QueueRole, url: str, detail: str, remedy: str) -> Finding:
    return Finding(
        subject=role.subject,
        verdict=Verdict.FAILED,
        detail=_hide_credentials(detail),
        remedy=remedy,
        facts={"URL": _hide_credentials(url)},
    )


def _explain_failure(role: QueueRole, url: str, error: StartRefused | TransientError) -> Finding:
    permanent = isinstance(error, StartRefused)
    match error.__cause__:
        case ClientError() as cause:
            return _failed_finding(role, url, *_explain_refusal(role, url, cause, permanent=permanent))
        case BotoCoreError() as cause if permanent:
            return _failed_finding(
                role, url, f"there are no usable AWS credentials: {cause}", f"provide {_CREDENTIALS}"
            )
        case BotoCoreError() as cause:
            return _failed_finding(role, url, *_explain_unreachable(cause))
    return _failed_finding(role, url, str(error), "try again")


def _explain_refusal(role: QueueRole, url: str, error: ClientError, *, permanent: bool) -> tuple[str, str]:
    """Return what an error of SQS means, and the remedy."""
    code = code_of(error)
    if _NO_SUCH_QUEUE.search(code):
        return f"there is no such queue ({code})", _create_or_correct(role, url)
    if is_of_kms(code):
        return f"KMS refuses its key ({code})", kms_remedy(code, _rights_with_key(role))
    if permanent and is_denied(code):
        action = action_of(error, "sqs")
        allowed = f"{_list_actions(role)} on it" if action.startswith("sqs:") else action
        return f"{action} is denied ({code})", f"grant the worker's role {allowed}"
    if permanent:
        return f"AWS rejects the credentials ({code})", f"renew them: {_CREDENTIALS}"
    return (
        f"SQS could not describe the queue ({code})",
        "try again in a minute; for outages see https://health.aws.amazon.com/health/status",
    )


def _create_or_correct(role: QueueRole, url: str) -> str:
    region = region_in(url)
    where = f" --region {region}" if region else ""
    return f"create it, or correct {role.variable}; `aws sqs list-queues{where}` lists those that exist"


def _explain_unreachable(error: BotoCoreError) -> tuple[str, str]:
    if isinstance(error, NotAnAnswer):
        return f"SQS is not reached: {error}", _WAY
    address = str(error.kwargs.get("endpoint_url") or "")
    where = f" at {address}" if address else ""
    return f"SQS cannot be reached{where} ({type(error).__name__})", _WAY


def _hide_credentials(text: str) -> str:
    """Return a text without the user name and password of any URL in it."""
    return _USER_INFO.sub("", text)


def _policy_command(url: str, arn: str) -> str:
    policy = f'{{\\"deadLetterTargetArn\\":\\"{arn}\\",\\"maxReceiveCount\\":{RECEIVES_MIN}}}'
    return f'aws sqs set-queue-attributes --queue-url {url} --attributes \'{{"RedrivePolicy":"{policy}"}}\''
