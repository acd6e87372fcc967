"""The decisions about follow-up questions: pure functions, like those of `asking_rules`.

What the security team asks and each reply are notes to MozDef. Neither changes the person's answer, the
standing or the deadline.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bot.triage.answer_rules import NOTE_LENGTH_MAX, Refusal, can_be_seen
from bot.triage.assignments import CardClick
from bot.triage.inquiry import Delivery, Inquiry, InquiryNote, Reply, window_key
from bot.triage.model import MessageRef, Question, Report, Step, change_question
from bot.triage.policy import Policy
from bot.triage.reporting import report_on, with_card

#: The most inquiries and the most replies per alert.
INQUIRIES_MAX = 10
REPLIES_MAX = 20

#: The most characters of an inquiry.
INQUIRY_LENGTH_MAX = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class InquiryDraft:
    """The text of a new inquiry, and the secret part of its ref."""

    text: str
    secret: str


#: How long a claim holds before another worker looks up whether the inquiry was posted.
CLAIM_LEASE = timedelta(seconds=60)


def why_not_ask(question: Question, inquiries: Sequence[Inquiry]) -> Refusal | None:
    """Return why no follow-up question about this alert is possible now; None if one is."""
    if question.message_ref is None or question.standing is None:
        return Refusal.NOT_ASKED_YET
    return Refusal.TOO_MANY_INQUIRIES if len(inquiries) >= INQUIRIES_MAX else None


def ask_back(
    question: Question, inquiries: Sequence[Inquiry], click: CardClick, wanted: InquiryDraft, policy: Policy
) -> Step | Refusal | None:
    """Accept a follow-up question of the security team; None if Slack has delivered it before.

    The caller has checked that they may act on the alert: see `responder_rules.why_not_act`.
    """
    window = window_key(click.key, wanted.text)
    if window in (each.window for each in inquiries):
        return None
    if refusal := _why_not_say(wanted.text) or why_not_ask(question, inquiries):
        return refusal
    after = _count_report(question, click.at, policy)
    at = after.settled_at or click.at
    inquired = InquiryNote(text=wanted.text, slack_id=click.slack_id, slack_name=click.slack_name)
    inquiry = Inquiry(
        identifier=question.identifier,
        number=len(inquiries) + 1,
        ref=f"{question.ref.partition('.')[0]}.{wanted.secret}",
        text=wanted.text,
        slack_id=click.slack_id,
        slack_name=click.slack_name,
        window=window,
        sequence=question.reports,
        accepted_at=at,
        due_at=at,
        channel=question.channel,
    )
    return Step(
        question=after,
        report=_make_note(question, after, policy, inquiry=inquired),
        inquiry=inquiry,
    )


def find_inquiry(inquiries: Sequence[Inquiry], ref: str) -> Inquiry | None:
    """Return the inquiry with this ref, which holds a secret; None if there is none."""
    wanted = ref.encode()
    return next((each for each in inquiries if hmac.compare_digest(each.ref.encode(), wanted)), None)


def why_not_reply(question: Question, reply: Reply) -> Refusal | None:
    """Return why this person may not reply about this alert; None if they may."""
    if not reply.same_workspace:
        return Refusal.OTHER_WORKSPACE
    return None if question.is_for(reply.slack_id) else Refusal.OTHER_PERSON


def take_reply(
    question: Question, inquiries: Sequence[Inquiry], reply: Reply, policy: Policy
) -> Step | Refusal | None:
    """Accept a reply, cut to 3,000 characters; None if Slack has delivered it before."""
    if refusal := why_not_reply(question, reply):
        return refusal
    inquiry = find_inquiry(inquiries, reply.ref)
    if inquiry is None:
        return Refusal.LOST_INQUIRY
    key = window_key(reply.view_id, reply.text)
    if key in inquiry.replies:
        return None
    if not can_be_seen(reply.text):
        return Refusal.NO_TEXT
    if sum(len(each.replies) for each in inquiries) >= REPLIES_MAX:
        return Refusal.TOO_MANY_REPLIES
    after = _count_report(question, reply.at, policy)
    told = {"comment": reply.text[:NOTE_LENGTH_MAX], "slack_id": question.slack_id}
    report = _make_note(question, after, policy, in_reply_to=inquiry.sequence, **told)
    # The click proves that the inquiry was posted.
    replied = replace(
        inquiry,
        delivery=Delivery.ASKED,
        asked_at=inquiry.asked_at or reply.at,
        reason="",
        in_doubt_since=None,
        due_at=None,
        replies=(*inquiry.replies, key),
    )
    return Step(question=after, report=report, inquiry=_save(replied))


def fail(
    question: Question, inquiries: Sequence[Inquiry], failed: Inquiry, now: datetime, policy: Policy
) -> Step | None:
    """Close an inquiry that cannot be asked, for its `reason`; None if it has changed meanwhile."""
    inquiry = find_inquiry(inquiries, failed.ref)
    if inquiry is None or inquiry.version != failed.version:
        return None
    after = _count_report(question, now, policy)
    report = _make_note(question, after, policy, in_reply_to=inquiry.sequence, reason=failed.reason)
    ended = replace(failed, delivery=Delivery.FAILED, in_doubt_since=None, due_at=None)
    return Step(question=after, report=report, inquiry=_save(ended))


def claim(inquiry: Inquiry, now: datetime) -> Inquiry:
    """Claim an inquiry for posting. It is in doubt until the result of the post is known."""
    return _save(
        replace(
            inquiry,
            delivery=Delivery.CLAIMED,
            claimed_at=inquiry.claimed_at or now,
            in_doubt_since=now,
            due_at=now + CLAIM_LEASE,
        )
    )


def record_asked(inquiry: Inquiry, message_ref: MessageRef, now: datetime) -> Inquiry:
    """Record where an inquiry was posted, or found."""
    return _save(
        replace(
            inquiry,
            delivery=Delivery.ASKED,
            channel=message_ref.channel,
            ts=message_ref.ts,
            asked_at=now,
            in_doubt_since=None,
            due_at=None,
            attempts=0,
        )
    )


def record_not_posted(inquiry: Inquiry, due_at: datetime) -> Inquiry:
    """Record that an inquiry was definitely not posted: it may be claimed again."""
    return _save(
        replace(
            inquiry,
            delivery=Delivery.WAITING,
            in_doubt_since=None,
            due_at=due_at,
            attempts=inquiry.attempts + 1,
        )
    )


def defer(inquiry: Inquiry, due_at: datetime) -> Inquiry:
    """Postpone the next step of an inquiry; this counts as a failed attempt."""
    return _save(replace(inquiry, due_at=due_at, attempts=inquiry.attempts + 1))


def _save(inquiry: Inquiry) -> Inquiry:
    return replace(inquiry, version=inquiry.version + 1)


def _count_report(question: Question, at: datetime, policy: Policy) -> Question:
    """Count one more report of a question; its message and its card become due."""
    ordered = question.after_assignments(at)
    after = change_question(question, reports=question.reports + 1, settled_at=ordered, due_at=ordered)
    return with_card(after, ordered, policy)


def _make_note(before: Question, after: Question, policy: Policy, **told: Any) -> Report:
    """Return a note to MozDef, which changes no status there. `told`: its fields besides the standing."""
    report = report_on(before, after, at=after.settled_at or after.accepted_at, policy=policy)
    return replace(report, note=True, said=after.said, **told)


def _why_not_say(text: str) -> Refusal | None:
    if not can_be_seen(text):
        return Refusal.NO_TEXT
    return Refusal.TOO_LONG if len(text) > INQUIRY_LENGTH_MAX else None
