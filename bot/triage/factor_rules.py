"""The decisions about proofs: when a *yes* needs one, when a push may be sent, what its result
means. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bot.triage.factor import Attempt, Push, Verdict
from bot.triage.model import Answer, Choice, Question, Report, State, Step, change_question
from bot.triage.outcomes import Outcome, Reason, is_human
from bot.triage.policy import Policy
from bot.triage.reporting import report_on, with_card

#: The most attempts per alert, and the most pushes per person within `PUSHES_WITHIN`.
ATTEMPTS_MAX: Final = 5
PUSHES_MAX: Final = 6
PUSHES_WITHIN: Final = timedelta(hours=1)

#: How long to wait before the next push: after the last one has expired, and after the person refused one.
PUSH_GAP: Final = timedelta(seconds=30)
REFUSED_GAP: Final = timedelta(minutes=15)

#: How long to retry a push that the provider does not accept.
RETRY_FOR: Final = timedelta(seconds=60)

#: The longest lifetime of a push that counts.
PUSH_LIFETIME_MAX: Final = timedelta(seconds=300)

#: When a push whose id is lost must have expired. It is the last of three calls, each of which may wait 5 s
#: for a slot and take 40 s.
LOST_AFTER: Final = PUSH_LIFETIME_MAX + timedelta(seconds=135)

#: How long to continue polling after a push has expired.
POLL_GRACE: Final = timedelta(seconds=30)

#: How long a worker holds an attempt, beyond the interval between two polls; after that another may take it
#: over. Without the interval it would poll too soon.
LEASE: Final = timedelta(seconds=45)

#: How long after a click the sweeper redraws its message, if the redraw right after the click failed.
REDRAW_GRACE: Final = timedelta(seconds=20)

#: The reasons why a *yes* is not proved; `FACTOR_UNAVAILABLE` for any other verdict.
_REASONS: Final = {
    Verdict.REFUSED: Reason.FACTOR_REFUSED,
    Verdict.TIMED_OUT: Reason.FACTOR_TIMED_OUT,
    Verdict.NO_DEVICE: Reason.FACTOR_NO_DEVICE,
}

#: The verdicts after which nobody can approve the push any more.
_FINAL_VERDICTS: Final = frozenset(
    {Verdict.APPROVED, Verdict.OTHER_PERSON, Verdict.REFUSED, Verdict.FRAUD, Verdict.TIMED_OUT}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProofContext:
    """What is needed besides question and answer to start an attempt."""

    subject: str  #: see `PeopleRules.subject`
    code: str
    last: Attempt | None  #: the last one of that subject, as stored
    lag: timedelta = timedelta(0)  #: `Clock.lag` at the click
    earliest_push: datetime | None = None  #: after a restore, nobody gets a push before this


def could_stand(question: Question, policy: Policy) -> bool:
    """Whether a *yes* would stand: nothing does yet, the bot decided what does, or the policy allows it."""
    if question.standing is Outcome.YES:
        return False
    return policy.allow_deescalation or not (question.standing is Outcome.NO or _is_human(question))


def is_unproved(question: Question) -> bool:
    """Whether the last choice was a *yes* that does not count, or not yet."""
    return question.said is Choice.YES and not _is_human(question)


def is_under_way(question: Question, last: Attempt | None) -> bool:
    """Whether an attempt runs whose proof would count for this question."""
    return _counts(question, last) and last is not None and last.due_at is not None


def is_exhausted(question: Question) -> bool:
    """Whether no more pushes are sent about this alert.

    A question that could not be read after a restore may have used up all of them, and only a *no* to it
    counts.
    """
    return question.proofs >= ATTEMPTS_MAX or question.is_unsure


def find_wait(last: Attempt | None, now: datetime, earliest_push: datetime | None = None) -> datetime | None:
    """Return when this person may get the next push, `earliest_push` or later; None: now."""
    until = max([*_list_waits(last, now), earliest_push or now], default=now)
    return until if until > now else None


def _list_waits(last: Attempt | None, now: datetime) -> list[datetime]:
    moments: list[datetime] = []
    if last is None:
        return moments
    if last.due_at is not None:  # it waits to be sent, is out, or its result is not known yet
        moments += [(last.dead_at or last.started_at + 2 * RETRY_FOR) + PUSH_GAP, now + PUSH_GAP]
    elif last.dead_at is not None:
        moments.append(last.dead_at + PUSH_GAP)
    if last.refused_at is not None:
        moments.append(last.refused_at + REFUSED_GAP)
    if len(last.pushes) >= PUSHES_MAX:
        moments.append(last.pushes[-PUSHES_MAX] + PUSHES_WITHIN)
    return moments


def start_attempt(question: Question, answer: Answer, ticket: ProofContext, policy: Policy) -> Step | None:
    """Record a *yes* as said, and start an attempt to prove it if one is allowed; None: nothing changes."""
    last, now = ticket.last, answer.at
    if is_under_way(question, last):
        return None
    wait, over = find_wait(last, now, ticket.earliest_push), is_exhausted(question)
    if wait or over:
        retry_at = None if over else wait
        if question.said == answer.choice and question.retry_at == retry_at and not question.proof_code:
            return None
        return Step(question=_record_yes(question, answer, ticket, policy, proof_code="", retry_at=retry_at))
    recent = [each for each in (last.pushes if last else ()) if each > now - PUSHES_WITHIN]
    attempt = Attempt(
        subject=ticket.subject,
        version=(last.version if last else 0) + 1,
        ref=question.ref,
        code=ticket.code,
        started_at=now,
        due_at=now + LEASE,
        pushes=(*recent, now),
        refused_at=last.refused_at if last else None,
    )
    changes = {"proof_code": ticket.code, "proofs": question.proofs + 1, "retry_at": None}
    return Step(question=_record_yes(question, answer, ticket, policy, **changes), attempt=attempt)


def claim(attempt: Attempt, now: datetime) -> Attempt:
    """Claim an attempt before its push is sent: from now on the push may be out.

    Until its id is known no other worker can continue, so none does before the push must have expired.
    """
    dead_at = now + LOST_AFTER
    return replace(attempt, version=attempt.version + 1, sent_at=now, dead_at=dead_at, due_at=dead_at)


def record_not_sent(attempt: Attempt, now: datetime) -> Attempt:
    """Record that the push was definitely not sent."""
    return replace(attempt, version=attempt.version + 1, sent_at=None, dead_at=None, due_at=now + LEASE)


def record_push(attempt: Attempt, push: Push, now: datetime) -> Attempt:
    """Record the push that the provider has accepted."""
    return replace(
        attempt,
        version=attempt.version + 1,
        push_id=push.id,
        interval=push.interval,
        dead_at=now + push.lifetime,
        due_at=now + LEASE + push.interval,
    )


def lose(attempt: Attempt, now: datetime) -> Attempt:
    """Record that the push is lost; the attempt is over once that push must have expired.

    If its id was never known, the provider may have accepted it only just now.
    """
    dead_at = attempt.dead_at if attempt.push_id and attempt.dead_at else now + PUSH_LIFETIME_MAX
    return replace(
        attempt, version=attempt.version + 1, push_id="", dead_at=dead_at, due_at=max(dead_at, now)
    )


def renew(attempt: Attempt, now: datetime) -> Attempt:
    """Renew this worker's lease on an attempt."""
    return postpone(attempt, now + LEASE + attempt.interval)


def postpone(attempt: Attempt, due_at: datetime) -> Attempt:
    """Return an attempt that no worker advances before `due_at`."""
    return replace(attempt, version=attempt.version + 1, due_at=due_at)


def end(attempt: Attempt, verdict: Verdict, now: datetime) -> Attempt:
    """End an attempt: by a verdict after which nobody can approve the push, or because it has expired.

    A push that was not sent counts towards no limit.
    """
    was_sent = attempt.sent_at is not None
    dead_at = attempt.dead_at
    if verdict in _FINAL_VERDICTS and dead_at is not None:
        dead_at = min(dead_at, now)
    return replace(
        attempt,
        version=attempt.version + 1,
        due_at=None,
        push_id="",
        dead_at=dead_at if was_sent else None,
        pushes=attempt.pushes if was_sent else attempt.pushes[:-1],
        refused_at=now if verdict in (Verdict.REFUSED, Verdict.FRAUD) else attempt.refused_at,
    )


def judge(  # noqa: PLR0913, PLR0917 - everything that the decision depends on
    question: Question,
    attempt: Attempt,
    verdict: Verdict,
    now: datetime,
    policy: Policy,
    earliest_push: datetime | None = None,
) -> Step | None:
    """Decide what a verdict on an attempt means for its question; None: nothing changes.

    `attempt` is as it will be stored. Nobody gets a push before `earliest_push`. A proof counts only while
    the *yes* that it was asked for is still the person's last choice; a report of fraud counts whenever it
    comes.
    """
    if verdict is Verdict.FRAUD:
        return _escalate(question, attempt, now, policy)
    if not _counts(question, attempt):
        return Step(question=question, ignored=verdict) if verdict in _APPROVALS else None
    if verdict is Verdict.APPROVED:
        return _prove(question, now, policy)
    reason = _REASONS.get(verdict, Reason.FACTOR_UNAVAILABLE)
    return _fail(question, attempt, reason, now, policy, retry_at=find_wait(attempt, now, earliest_push))


_APPROVALS: Final = frozenset({Verdict.APPROVED, Verdict.OTHER_PERSON})


def _prove(question: Question, now: datetime, policy: Policy) -> Step:
    at = question.after_assignments(now)
    if not could_stand(
        question, policy
    ):  # the settings have changed since the click: treat it as a retraction
        kept = _settle(question, at, idle_changes=question.idle_changes + 1)
        return _report_step(question, with_card(kept, at, policy), at, policy)
    proved = _settle(question, at, standing=Outcome.YES, reason="", proved_at=at)
    return _report_step(question, with_card(proved, at, policy), at, policy)


def _fail(  # noqa: PLR0913 - as `judge`
    question: Question,
    attempt: Attempt,
    reason: Reason,
    now: datetime,
    policy: Policy,
    *,
    retry_at: datetime | None,
) -> Step:
    """Record that a *yes* was not proved. This replaces what the bot decided, but no answer of a person."""
    at = question.after_assignments(now)
    # An attempt that the provider never accepted counts towards no limit.
    was_tried = attempt.sent_at is not None or reason is Reason.FACTOR_NO_DEVICE
    counted = change_question(question, proofs=question.proofs - (not was_tried))
    again = {
        "proofs": counted.proofs,
        "retry_at": None if is_exhausted(counted) else retry_at,
        "idle_changes": question.idle_changes + (question.standing is not None),
    }
    if question.standing is Outcome.NO or _is_human(question):
        after = _settle(question, at, **again)
        return _report_step(question, with_card(after, at, policy), at, policy, reason=reason)
    after = _settle(question, at, standing=Outcome.UNPROVEN, reason=reason, **again)
    return _report_step(question, with_card(after, at, policy), at, policy)


def _escalate(question: Question, attempt: Attempt, now: datetime, policy: Policy) -> Step:
    """Escalate, because the person reported a fraud on their device."""
    at = question.after_assignments(now)
    code = "" if _counts(question, attempt) else question.proof_code
    if question.standing is Outcome.NO:
        after = _settle(question, at, proof_code=code)
        return _report_step(question, with_card(after, at, policy), at, policy, reason=Reason.FACTOR_FRAUD)
    after = _settle(
        question,
        at,
        standing=Outcome.NO,
        reason=Reason.FACTOR_FRAUD,
        is_unsure=False,
        proved_at=None,
        proof_code=code,
    )
    return _report_step(question, with_card(after, at, policy), at, policy)


def _settle(question: Question, at: datetime, **changes: object) -> Question:
    settled = {
        "deadline": None,
        "proof_code": "",
        "reports": question.reports + 1,
        "settled_at": at,
        "due_at": at,
        "attempts": 0,
        "paced": False,
    }
    return change_question(question, **(settled | changes))


def _report_step(
    before: Question, after: Question, at: datetime, policy: Policy, *, reason: Reason | None = None
) -> Step:
    report: Report = report_on(before, after, at=at, policy=policy, reason=reason)
    return Step(question=after, report=report)


def _record_yes(
    question: Question, answer: Answer, ticket: ProofContext, policy: Policy, **changes: object
) -> Question:
    """Record a *yes* that does not count yet. The click proves that the message was posted."""
    at = question.after_assignments(answer.at)
    place = question.message_ref or answer.message_ref
    is_first_proof = not question.ts and question.standing is None
    said = {
        "state": State.ASKED,
        "channel": place.channel if place else "",
        "ts": place.ts if place else "",
        "asked_at": question.asked_at or answer.at,
        "in_doubt_since": None,
        "attempts": 0,
        "paced": False,
        "deadline": policy.deadline(question, answer.at + ticket.lag)
        if is_first_proof
        else question.deadline,
        "said": answer.choice,
        "answered_at": at,
        "clicked_at": answer.clicked_at or question.clicked_at,
        "first_answered_at": question.first_answered_at or at,
        "answers": question.answers + (question.said != answer.choice),
        "unreported": question.unreported + 1,
        "due_at": at + REDRAW_GRACE,
    }
    return change_question(question, **(said | changes))


def _counts(question: Question, attempt: Attempt | None) -> bool:
    """Whether the question's last *yes* waits for the result of this attempt."""
    if attempt is None or not question.proof_code:
        return False
    return (question.ref, question.proof_code) == (attempt.ref, attempt.code)


def _is_human(question: Question) -> bool:
    return is_human(question.standing, question.reason)
