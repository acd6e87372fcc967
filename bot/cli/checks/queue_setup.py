"""How a queue should be set up, as `check` sees it: whatever else is wrong with it, the worker can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.cli.checks.findings import Finding, Verdict

if TYPE_CHECKING:
    from bot.sqs.facts import QueueFacts

#: A request may come again for no fault of its own: after a crash, a lost answer, a store that is full.
RECEIVES_MIN = 10


def encryption(subject: str, url: str, facts: QueueFacts) -> Finding:
    """Judge how the queue keeps what is in it."""
    name = f"{subject} encryption"
    if facts.encryption:
        how = "SSE-SQS" if facts.encryption == "sqs" else f"SSE-KMS, key {facts.encryption}"
        return Finding(subject=name, verdict=Verdict.OK, detail=how)
    return Finding(
        subject=name,
        verdict=Verdict.WARNING,
        detail="none: addresses and alert texts lie there as they are",
        remedy=f"aws sqs set-queue-attributes --queue-url {url} --attributes SqsManagedSseEnabled=true",
    )


def redrive(subject: str, url: str, facts: QueueFacts) -> Finding:
    """Judge what becomes of a message that is received again and again."""
    name = f"{subject} redrive"
    count, target = facts.max_receive_count, facts.dead_letter_arn.rpartition(":")[2]
    if not target or count is None:
        detail = "no policy: a request that can never be taken comes again for as long as the queue keeps it"
        return Finding(
            subject=name, verdict=Verdict.WARNING, detail=detail, remedy=_set_policy(url, "QUEUE_ARN")
        )
    if count < RECEIVES_MIN:
        detail = f"to {target} after {count} receives: an outage of the bot can carry good requests there"
        remedy = _set_policy(url, facts.dead_letter_arn)
        return Finding(subject=name, verdict=Verdict.WARNING, detail=detail, remedy=remedy)
    return Finding(subject=name, verdict=Verdict.OK, detail=f"to {target} after {count} receives")


def _set_policy(url: str, arn: str) -> str:
    policy = f'{{\\"deadLetterTargetArn\\":\\"{arn}\\",\\"maxReceiveCount\\":{RECEIVES_MIN}}}'
    return f'aws sqs set-queue-attributes --queue-url {url} --attributes \'{{"RedrivePolicy":"{policy}"}}\''
