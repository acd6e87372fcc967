"""The report to MozDef about a step: pure functions, like those of `asking_rules`."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.triage.factor import Proof
from bot.triage.model import Question, Report, change_question
from bot.triage.outcomes import OUTCOMES, RESPONSES, Outcome, Reason, is_human
from bot.triage.policy import Policy

#: The method of a proof: OpenID Client-Initiated Backchannel Authentication.
PROOF_METHOD = "ciba"

#: Two reports of one identifier are at least this far apart: standard queues do not keep order.
REPORTS_APART = timedelta(seconds=5)


def report_due_at(
    question: Question, now: datetime, policy: Policy, *, lag: timedelta = timedelta(0)
) -> datetime:
    """Return when to send a report: not before MozDef's cron job has copied the alert.

    `lag` is that of the clock by which the question was accepted.
    """
    return max(now, question.accepted_at + policy.hold + lag) if policy.hold else now


def with_card(question: Question, now: datetime, policy: Policy) -> Question:
    """Return the question with its card due, if the security team has a card of it or should get one.

    A card that is due later is left unchanged: it waits for its turn, or a worker is about to show it.
    """
    wanted = question.standing is not None and policy.wants_card(question, question.standing)
    if question.waited_since is not None and not _was_called(question):
        wanted = False  # the burst has a card
    kept = bool(question.card_ts) and policy.has_channel
    due_at = max(now, question.card_due_at or now)
    return change_question(question, card_due_at=due_at) if wanted or kept else question


def _was_called(question: Question) -> bool:
    """Whether a question that waited had its turn before it ended: its burst's card no longer names it."""
    is_unknown = question.reason == Reason.DELIVERY_UNKNOWN and question.in_doubt_since is not None
    return question.asked_at is not None or is_unknown or question.reason == Reason.NOT_ASKED_IN_TIME


def report_on(  # noqa: PLR0913 - each says something else about the report
    before: Question,
    after: Question,
    *,
    at: datetime,
    policy: Policy,
    comment: str = "",
    reason: Reason | None = None,
) -> Report:
    """Return the report about a change of a question.

    It is a note if MozDef would drop it as a repeat, or if MozDef may have been told something harsher, or if
    it gives a `reason` that is not that of the outcome which stands.

    Raises `ValueError` if the question has no outcome.
    """
    if after.standing is None:
        raise ValueError("a report needs an outcome")
    human = is_human(after.standing, after.reason)
    note = bool(comment) or reason is not None or after.is_unsure or _is_repeat(before, after, policy)
    proved_at = after.proved_at if after.standing is Outcome.YES else None
    # A report of fraud is not an answer in Slack, but a milder answer after it does not replace it either.
    is_answer = after.answers > before.answers
    is_outranked = is_answer and OUTCOMES[after.standing].chosen and str(after.said) != after.standing
    return Report(
        identifier=after.request.identifier,
        sequence=after.reports - 1,
        outcome=after.standing,
        response=RESPONSES[policy.profile][after.standing],
        note=note,
        at=at,
        email=after.request.user,
        slack_id=after.slack_id if human else "",
        slack_name=after.slack_name if human else "",
        confidence=after.request.confidence,
        alert=after.request.alert,
        reason=reason or after.reason,
        asked_at=after.asked_at,
        answered_at=after.answered_at,
        asked_slack_id=after.slack_id,
        said=after.said if note or not human else None,
        retracted=after.retracted or is_outranked,
        comment=comment,
        proof=Proof(method=PROOF_METHOD, provider=policy.provider, at=proved_at) if proved_at else None,
    )


def _is_repeat(before: Question, after: Question, policy: Policy) -> bool:
    """Whether MozDef has the same response by the same person already, and would drop the repeat."""
    words, was, now = RESPONSES[policy.profile], _find_last_reported(before, after), after.standing
    if was is None or now is None:
        return False
    return words[was] == words[now] and OUTCOMES[was].chosen == OUTCOMES[now].chosen


def _find_last_reported(before: Question, after: Question) -> Outcome | None:
    """Return the outcome in the last report to MozDef; None if there was no report.

    A question without an outcome whose next report is not its first was reopened by a valid request.
    """
    return before.standing or (Outcome.UNDELIVERABLE if after.reports > 1 else None)
