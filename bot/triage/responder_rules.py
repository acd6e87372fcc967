"""The decisions about the security team's clicks: who may act on an alert, and what each action changes.

Pure. The same rules apply to the click that opens a window and to what is submitted in that window.
"""

from __future__ import annotations

import hmac
from datetime import datetime

from bot.triage.answer_rules import Refusal
from bot.triage.assignments import Assignment, AssignmentKind, CardClick
from bot.triage.model import Person, Question, RefusedClick, Step, change_question
from bot.triage.policy import Policy

#: How often an alert can be taken, handed over or released: its row keeps all of these.
ASSIGNMENTS_MAX = 40


def why_not_act(question: Question, click: CardClick, policy: Policy) -> Refusal | None:
    """Return why this person may not act on this alert with this click; None if they may.

    The card's secret and the channel decide, not the card's `ts`: a card may be posted twice, or clicked
    before its `ts` is stored.
    """
    refusal = why_not_click(click, policy, is_asked=question.is_for(click.slack_id))
    return refusal or (None if _knows_secret(question, click) else Refusal.OLD_CARD)


def why_not_click(click: CardClick, policy: Policy, *, is_asked: bool) -> Refusal | None:
    """Return why this person may not use any card with this click; None if they may.

    `is_asked`: whether the card is about them.
    """
    if not click.same_workspace:
        return Refusal.OTHER_WORKSPACE
    if not is_in_channel(click, policy):
        return Refusal.OTHER_CHANNEL
    if is_asked:
        return Refusal.PERSON_ASKED
    if not _is_responder(click.slack_id, policy):
        return Refusal.NO_RESPONDER
    return None


def why_not_receive(question: Question, person: Person, policy: Policy) -> Refusal | None:
    """Return why this alert may not be handed over to this person; None if it may."""
    is_stranger = person.is_external and not person.is_colleague  # as for a click: see `Identity`
    if person.deactivated or person.is_bot or person.is_guest or is_stranger:
        return Refusal.RECEIVER_UNFIT
    if question.is_for(person.slack_id) or question.is_for(person.other_slack_id):
        return Refusal.RECEIVER_ASKED
    if not (_is_responder(person.slack_id, policy) or _is_responder(person.other_slack_id, policy)):
        return Refusal.RECEIVER_NO_RESPONDER
    return None


def is_in_channel(click: CardClick, policy: Policy) -> bool:
    """Whether a click comes from the security team's channel."""
    return bool(policy.security_channel) and click.channel == policy.security_channel


def take_alert(question: Question, click: CardClick) -> Step | Refusal | None:
    """Record who took the alert; None if somebody already has it."""
    if question.taken_by:
        return None
    return _assign(question, click, AssignmentKind.TAKEN, to=(click.slack_id, click.slack_name))


def hand_over(question: Question, click: CardClick, receiver: Person) -> Step | Refusal | None:
    """Record that the receiver has the alert from now on; None if they already have it."""
    if question.taken_by in (receiver.slack_id, receiver.other_slack_id or receiver.slack_id):
        return None
    return _assign(question, click, AssignmentKind.HANDED_OVER, to=(receiver.slack_id, receiver.slack_name))


def release_alert(question: Question, click: CardClick) -> Step | Refusal | None:
    """Record that nobody has the alert any more; None if nobody has it."""
    return _assign(question, click, AssignmentKind.RELEASED, to=("", "")) if question.taken_by else None


def release_own(question: Question, person: Person, now: datetime) -> Step | None:
    """Release an alert that turns out to be about the person who has it; None if it is about somebody else.

    They got it before the bot knew whom the alert is about.
    """
    if not question.taken_by or question.taken_by not in (person.slack_id, person.other_slack_id):
        return None
    at = question.after_assignments(now)
    released = Assignment(kind=AssignmentKind.RELEASED, by="", by_name="", at=at)
    return Step(
        question=change_question(
            question,
            card_due_at=max(now, question.card_due_at or now),
            taken_by="",
            taken_name="",
            taken_at=None,
            assignments=(*question.handled, released),
        )
    )


def refuse_click(question: Question, click: CardClick, refusal: Refusal, policy: Policy) -> Step:
    """Count a refused click; if the card has an outdated secret, let it be redrawn in place.

    The previous release posted such a card, or the store has lost its secret since. Its `ts` is used only if
    the clicked message is that card, so that a forged click cannot draw one card over another.
    """
    refused = RefusedClick(slack_id=click.slack_id, reason=refusal.value)
    counted = change_question(question, refusals=question.refusals + 1)
    is_its_card = bool(click.ts) and click.ts in (click.own_ts, question.card_ts)
    if not is_in_channel(click, policy) or _knows_secret(question, click) or not is_its_card:
        return Step(question=counted, refused=refused)
    due_at = max(click.at, question.card_due_at or click.at)
    return Step(question=change_question(counted, card_ts=click.ts, card_due_at=due_at), refused=refused)


def _is_responder(slack_id: str, policy: Policy) -> bool:
    return not policy.responders or slack_id in policy.responders


def _knows_secret(question: Question, click: CardClick) -> bool:
    is_same = hmac.compare_digest(click.card.encode(), question.card.encode())
    return bool(question.card_secret) and is_same


def _assign(
    question: Question, click: CardClick, kind: AssignmentKind, *, to: tuple[str, str]
) -> Step | Refusal | None:
    handled = question.handled
    if click.key and click.key in (each.key for each in handled):
        return None
    if len(handled) >= ASSIGNMENTS_MAX:
        return Refusal.TOO_MANY_ASSIGNMENTS
    slack_id, slack_name = to
    at = question.after_assignments(max(click.at, question.settled_at or click.at))
    assignment = Assignment(
        kind=kind,
        by=click.slack_id,
        by_name=click.slack_name,
        to=slack_id,
        to_name=slack_name,
        at=at,
        key=click.key,
    )
    return Step(
        question=change_question(
            question,
            card_ts=question.card_ts or click.own_ts,
            card_due_at=max(click.at, question.card_due_at or click.at),
            taken_by=slack_id,
            taken_name=slack_name,
            taken_at=at if slack_id else None,
            assignments=(*handled, assignment),
        )
    )
