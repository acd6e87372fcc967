"""The decisions about asking: pure functions of the stored row and of what happened. No I/O, no clock.

A decision returns the `Step` to store, or None if nothing changes. If another writer was faster, it is called
again with the row as it is then: so each decision handles every state of the row. Times are aware, in UTC.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from bot.triage.model import (
    Choice,
    Confidence,
    Conflict,
    MessageRef,
    Person,
    Question,
    State,
    Step,
    TriageRequest,
    Work,
    change_question,
    make_question,
)
from bot.triage.outcomes import Outcome, Reason, SlackCode
from bot.triage.policy import Policy
from bot.triage.reporting import report_on, with_card
from bot.triage.untrusted_text import clean

#: Confidence levels at which the address may be somebody else's.
UNSURE = frozenset({Confidence.MODERATE, Confidence.LOW, Confidence.LOWEST})

#: The most characters of a cleaned summary that are kept: more than a message can show.
SUMMARY_KEPT_MAX = 4000

#: How far ahead of our clock the time of an alert may be.
AHEAD_MAX = timedelta(days=1)

#: How long a question waits in line before it is due again, at least and at most: as long as it has
#: waited already. The least is longer than a store keeps due rows for the worker that wrote them.
LINE_WAIT_MIN = timedelta(seconds=150)
LINE_WAIT_MAX = timedelta(minutes=30)

#: What `left_out` says of a request that was recreated from its message after a restore.
AS_SHOWN = "the message was read after a restore: what it did not show is lost"

#: How long a claim holds before the sweeper looks up whether the question was posted.
CLAIM_LEASE = timedelta(seconds=60)


@lru_cache(maxsize=256)  # every row about an alert contains it: it is needed a dozen times in a row
def row_key(identifier: str) -> str:
    """Return the first part of every ref of this identifier: 32 hex digits."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:32]


def new_ref(identifier: str, secret: str) -> str:
    """Return the ref that identifies a question in its buttons; `secret` keeps it from being guessed."""
    return f"{row_key(identifier)}.{secret}"


def accept(
    request: TriageRequest, ref: str, now: datetime, policy: Policy, *, lag: timedelta = timedelta(0)
) -> Step:
    """Accept a request: it is due at once. Of its cleaned summary, 4,000 characters are kept.

    `lag` is `Clock.lag`: by the services' clocks, too, the deadline must not be early.
    """
    question = make_question(request=_keep(request, now), ref=ref, accepted_at=now, due_at=now)
    deadline = policy.deadline(question, now + lag)
    return Step(
        question=change_question(question, deadline=deadline, needs_factor=policy.needs_factor(question))
    )


def _keep(request: TriageRequest, now: datetime) -> TriageRequest:
    """Return a request as it is stored: what cannot be shown is left out, and listed in `left_out`."""
    summary, is_whole = clean(request.summary, SUMMARY_KEPT_MAX)
    kept = replace(request, summary=summary, is_cut=not is_whole)
    if request.occurred_at is not None and request.occurred_at > now + AHEAD_MAX:
        too_late = "occurredAt must not be more than a day from now"
        kept = replace(kept, occurred_at=None, left_out=(too_late, *request.left_out))
    return kept


def reject(salvaged: TriageRequest, ref: str, now: datetime, policy: Policy) -> Step:
    """Accept what could be salvaged of an invalid request, and close it at once."""
    return _close(accept(salvaged, ref, now, policy).question, Reason.INVALID_REQUEST, now, policy)


def receive_again(
    question: Question,
    request: TriageRequest,
    now: datetime,
    policy: Policy,
    *,
    lag: timedelta = timedelta(0),
) -> Step | Conflict | None:
    """Decide about a valid request whose identifier is known; None if it is the same as the first one.

    It replaces an invalid request, and nothing else. The ref and the report that was sent stay: the next
    report is a change.
    """
    if question.state is State.CLOSED and question.reason == Reason.INVALID_REQUEST:
        fresh = accept(request, question.ref, now, policy, lag=lag).question
        return Step(question=_reopen(question, fresh))
    first = question.request
    differs = {
        "alert": request.alert != first.alert,
        "user": request.user != first.user,
        "identityConfidence": request.confidence is not first.confidence,
        "summary": AS_SHOWN not in first.left_out and not _are_same_text(request.summary, first.summary),
    }
    fields = tuple(name for name, is_other in differs.items() if is_other)
    return Conflict(fields=fields) if fields else None


def _are_same_text(text: str, stored: str) -> bool:
    """Whether a summary is the stored one, which the previous release kept unchanged."""
    kept = clean(text, SUMMARY_KEPT_MAX).text
    return kept in (stored, clean(stored, SUMMARY_KEPT_MAX).text)


def offered_choices(confidence: Confidence) -> tuple[Choice, ...]:
    """Return the buttons of a question, in order: *wrong person* only where MozDef may be wrong."""
    wrong_user = (Choice.WRONG_USER,) if confidence in UNSURE else ()
    return (Choice.YES, Choice.NO, Choice.NOT_SURE, *wrong_user)


def why_not_ask(person: Person, policy: Policy) -> Reason | None:
    """Return the reason why this person may not be asked; None if they may."""
    reasons = {
        Reason.USER_DEACTIVATED: person.deactivated,
        Reason.USER_IS_BOT: person.is_bot,
        Reason.USER_EXTERNAL: person.is_external,
        Reason.USER_UNCONFIRMED: person.unconfirmed and not policy.ask_unconfirmed,
        Reason.USER_IS_GUEST: person.is_guest and not policy.ask_guests,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def needs_person(question: Question) -> bool:
    """Whether the next step towards asking is to find out whom to ask."""
    if question.waits_for and question.in_doubt_since is None:
        return False  # it waits for a place of a person who is known
    return question.state is State.ACCEPTED or (
        question.state is State.POSTING and question.in_doubt_since is None
    )


def wait_in_line(question: Question, now: datetime, *, jitter: float) -> Step | None:
    """Wait until the person's look-up has its turn; None if nothing waits for that any more.

    The worker calls it in its turn. In case that is lost, the question is due again later; `jitter`, in 0..1,
    spreads questions that came together.
    """
    if not needs_person(question):
        return None
    wait = min(max(now - question.accepted_at, LINE_WAIT_MIN), LINE_WAIT_MAX)
    due_at = now + wait * (1 + jitter)
    return Step(question=change_question(question, due_at=due_at, attempts=0, paced=False))


def claim(question: Question, person: Person, now: datetime) -> Step:
    """Claim the question for posting. It is in doubt until the result of the post is known."""
    claimed = change_question(
        question,
        state=State.POSTING,
        slack_id=person.slack_id,
        other_slack_id=person.other_slack_id,
        slack_name=person.slack_name,
        time_zone=person.time_zone,
        found_by=person.found_by,
        offered=offered_choices(question.request.confidence),
        claimed_at=question.claimed_at or now,
        in_doubt_since=now,
        due_at=now + CLAIM_LEASE,
        waits_for="",
    )
    return Step(question=claimed)


def claim_restored(question: Question, person: Person, now: datetime) -> Step | None:
    """Treat a restored row as claimed when it was accepted, so that it is looked up before it is posted."""
    if question.state is not State.ACCEPTED or question.in_doubt_since is None:
        return None
    claimed = claim(question, person, question.accepted_at).question
    return Step(question=change_question(claimed, in_doubt_since=question.in_doubt_since, due_at=now))


def postpone(question: Question, due_at: datetime) -> Step | None:
    """Wait for the moment that the person's rate limit allows; None if nothing waits for it any more."""
    unasked = question.state in (State.ACCEPTED, State.POSTING) and question.in_doubt_since is None
    if not unasked and question.work is not Work.REMIND:
        return None
    return Step(question=change_question(question, due_at=due_at, paced=True))


def wait_for_hours(question: Question, person: Person, ask_at: datetime, policy: Policy) -> Step | None:
    """Wait until the person works. The time limit for asking starts then."""
    if question.state not in (State.ACCEPTED, State.POSTING) or question.in_doubt_since is not None:
        return None
    known = change_question(question, time_zone=person.time_zone, due_at=ask_at, paced=False)
    # Only once: a question that was claimed before keeps its deadline, or it could be postponed every night.
    first = question.deadline is not None and question.claimed_at is None
    return Step(
        question=change_question(known, deadline=policy.deadline(known, ask_at) if first else known.deadline)
    )


def record_asked(
    question: Question,
    message_ref: MessageRef,
    now: datetime,
    policy: Policy,
    *,
    lag: timedelta = timedelta(0),
) -> Step | None:
    """Record where the question was posted; None if a click has already shown that.

    Its reminder and deadline count from `now`, and the clock's `lag`, unless it has already ended because it
    was asked too late.
    """
    if question.ts:
        return None
    state = State.ASKED if question.state is State.POSTING else question.state
    placed = change_question(
        question,
        state=state,
        channel=message_ref.channel,
        ts=message_ref.ts,
        asked_at=now,
        in_doubt_since=None,
        attempts=0,
        paced=False,
        due_at=None,
        deadline=None if question.standing else policy.deadline(question, now + lag),
        shown=question.changes,
    )
    remind_at = None if question.standing else policy.remind_at(placed, now + lag)
    return Step(question=change_question(placed, due_at=remind_at) if remind_at else placed)


def remind(question: Question, now: datetime, policy: Policy) -> Step | None:
    """Count a reminder before it is sent, so that one that may have been sent is never repeated."""
    if question.work is not Work.REMIND or question.due_at is None or question.due_at > now:
        return None
    if question.said is not None:
        return None  # see `stop_reminding`
    counted = change_question(question, reminders=question.reminders + 1, paced=False)
    return Step(question=change_question(counted, due_at=policy.remind_at(counted, now)))


def stop_reminding(question: Question) -> Step | None:
    """Stop the reminders of a question whose person has said something; None if there is nothing to stop.

    A restore makes each open question due, as a reminder is, so that it is read in Slack.
    """
    if question.work is not Work.REMIND or question.said is None:
        return None
    return Step(question=change_question(question, due_at=None, paced=False))


def take_back_reminder(question: Question, due_at: datetime, *, number: int) -> Step | None:
    """Undo the count of the reminder with this number, which was definitely not sent.

    None if it is no longer needed, or if another worker has counted one since: that one may have been sent.
    """
    if question.state is not State.ASKED or question.standing is not None or question.reminders != number:
        return None
    counted = change_question(question, reminders=question.reminders - 1, attempts=question.attempts + 1)
    return Step(question=change_question(counted, due_at=due_at))


def record_not_posted(question: Question, due_at: datetime) -> Step | None:
    """Record that the question was definitely not posted: it may be claimed again."""
    if question.state is not State.POSTING:
        return None
    return Step(question=change_question(_retry(question, due_at), in_doubt_since=None))


def defer(question: Question, due_at: datetime) -> Step:
    """Work on the question again later, and change nothing else."""
    return Step(question=_retry(question, due_at))


def close(question: Question, reason: Reason | SlackCode, now: datetime, policy: Policy) -> Step | None:
    """Give up asking, for this reason; None if it was asked after all."""
    if question.state not in (State.ACCEPTED, State.POSTING):
        return None
    return _close(question, reason, now, policy)


def expire(question: Question, now: datetime, policy: Policy) -> Step | None:
    """End a question whose deadline has passed; None if it has ended, or the deadline has moved.

    One that has not been asked yet is still asked once that is possible, and a late answer is still accepted.
    """
    if question.deadline is None or question.deadline > now or question.standing is not None:
        return None
    if question.state is State.ASKED:
        ended = change_question(_end(question, Outcome.TIMED_OUT, now, policy), due_at=now)
    elif question.waits_for and question.in_doubt_since is None:
        told = _end(question, Outcome.UNDELIVERABLE, now, policy, reason=Reason.TOO_MANY_OPEN)
        ended = change_question(told, due_at=policy.give_up_at(question, question.waited_since or now))
    else:
        ended = _end(question, Outcome.UNDELIVERABLE, now, policy, reason=Reason.NOT_ASKED_IN_TIME)
    return Step(question=ended, report=report_on(question, ended, at=now, policy=policy))


def record_shown(question: Question, changes: int, *, again_at: datetime | None = None) -> Step:
    """Record that the message shows this many changes. If there are more by now, the next redraw is due.

    With `again_at`, the last change is drawn once more at that time: until then, an older redraw may hide it.
    """
    due_at = again_at if changes >= question.changes else question.due_at or question.settled_at
    seen = changes if again_at is None else changes - 1
    return Step(question=change_question(question, shown=seen, attempts=0, due_at=due_at))


def _reopen(closed: Question, fresh: Question) -> Question:
    """Return the newly accepted question, with what MozDef and the security team were told about the row."""
    return change_question(
        fresh,
        version=closed.version,
        reports=closed.reports,
        shown=closed.reports,
        card_ts=closed.card_ts,
        card_shown=closed.card_shown,
        card_secret=closed.card_secret,
        taken_by=closed.taken_by,
        taken_name=closed.taken_name,
        taken_at=closed.taken_at,
        assignments=closed.assignments,
        refusals=closed.refusals,
        trail_hash=closed.trail_hash,
        report_hash=closed.report_hash,
    )


def _retry(question: Question, due_at: datetime) -> Question:
    return change_question(question, attempts=question.attempts + 1, due_at=due_at, paced=False)


def _close(question: Question, reason: Reason | SlackCode, now: datetime, policy: Policy) -> Step:
    ended = _end(question, Outcome.UNDELIVERABLE, now, policy, reason=reason)
    closed = change_question(
        ended, state=State.CLOSED, in_doubt_since=None, due_at=None, waits_for="", shown=ended.changes
    )
    return Step(question=closed, report=report_on(question, closed, at=now, policy=policy))


def _end(
    question: Question,
    outcome: Outcome,
    now: datetime,
    policy: Policy,
    *,
    reason: Reason | SlackCode | None = None,
) -> Question:
    ended = change_question(
        question,
        standing=outcome,
        reason=reason or "",
        deadline=None,
        settled_at=now,
        reports=question.reports + 1,
    )
    return with_card(ended, now, policy)
