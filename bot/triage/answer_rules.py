"""The decisions about answers: who may give one, and what becomes of a changed mind. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from bot.triage.model import State, Step, changed
from bot.triage.outcomes import OUTCOMES, Outcome
from bot.triage.reporting import report_on, with_card

if TYPE_CHECKING:
    from datetime import datetime

    from bot.triage.model import Answer, Note, Posted, Question, Take
    from bot.triage.policy import Policy

#: Changes of mind that do not raise the standing, an identifier; more are answered with words only.
IDLE_CHANGES_MAX = 20

#: Notes of one identifier, and characters of one: what MozDef's index can hold, and a person can read.
NOTES_MAX = 20
NOTE_LENGTH_MAX = 3000

#: When the sweeper redraws a message, if the redraw right after the click came to nothing.
REDRAW_GRACE = timedelta(seconds=20)


class Refusal(StrEnum):
    """Why a click changes nothing; the clicker is told."""

    CLOSED = "closed"
    OTHER_WORKSPACE = "other_workspace"
    OTHER_PERSON = "other_person"
    OTHER_CONVERSATION = "other_conversation"
    NOT_OFFERED = "not_offered"
    NOT_ANSWERED = "not_answered"
    TOO_MANY_NOTES = "too_many_notes"
    TOO_MANY_CHANGES = "too_many_changes"


class Unfinished(StrEnum):
    """What failed after a click that was taken; the clicker is told."""

    MESSAGE = "message"
    WINDOW = "window"
    HOME = "home"


#: What a clicker may be told, in words of `messages.toml`.
Notice = Refusal | Unfinished


def why_not_answer(question: Question, answer: Answer) -> Refusal | None:
    """Return why this click cannot be taken as an answer to this question, or None."""
    if not answer.ours:
        return Refusal.OTHER_WORKSPACE
    if not question.slack_id or answer.slack_id != question.slack_id:
        return Refusal.OTHER_PERSON
    if not _same_conversation(question, answer.posted):
        return Refusal.OTHER_CONVERSATION
    if answer.choice not in question.offered:
        return Refusal.NOT_OFFERED
    return None


def answer_question(question: Question, answer: Answer, policy: Policy) -> Step | Refusal | None:
    """Take a click as an answer; None if it says what was said before, or a later click has overtaken it.

    A changed answer is a ratchet: the last choice is kept in `said`, and replaces `standing` unless it
    ranks below a standing that a person set (or de-escalation is allowed).
    """
    refusal = why_not_answer(question, answer)
    if refusal or answer.choice is question.said:
        return refusal
    risen = _risen(question, Outcome(answer.choice.value))
    if risen <= 0 and _was_overtaken(question, answer):
        return None
    if risen <= 0 and question.idle_changes >= IDLE_CHANGES_MAX:
        return Refusal.TOO_MANY_CHANGES
    after = _answered(question, answer, risen, policy)
    at = after.answered_at or answer.at
    return Step(
        question=with_card(after, at, policy),
        report=report_on(question, after, at=at, policy=policy),
    )


def add_note(question: Question, note: Note, policy: Policy) -> Step | Refusal:
    """Take what the person writes about their answer: MozDef and the security team get to read it."""
    if not note.ours:
        return Refusal.OTHER_WORKSPACE
    if not question.slack_id or note.slack_id != question.slack_id:
        return Refusal.OTHER_PERSON
    if question.said is None:
        return Refusal.NOT_ANSWERED
    if question.notes >= NOTES_MAX:
        return Refusal.TOO_MANY_NOTES
    at = _after_take(question, note.at)
    after = changed(
        question,
        note=note.text[:NOTE_LENGTH_MAX],
        notes=question.notes + 1,
        reports=question.reports + 1,
        settled_at=at,
        due_at=at + REDRAW_GRACE,
    )
    return Step(
        question=with_card(after, at, policy),
        report=report_on(question, after, at=at, policy=policy, comment=after.note),
    )


def take_alert(question: Question, click: Take) -> Step | Refusal | None:
    """Record who of the security team took the alert; None if somebody did before.

    A card may stand twice, or be clicked before it is known where it stands: each of them will do.
    """
    if not click.ours:
        return Refusal.OTHER_WORKSPACE
    has_card = question.card_ts or question.card_due_at is not None
    if click.posted is None or click.posted.channel.startswith("D") or not has_card:
        return Refusal.OTHER_CONVERSATION
    if question.taken_by:
        return None
    return Step(
        question=changed(
            question,
            card_ts=question.card_ts or click.posted.ts,
            taken_by=click.slack_id,
            taken_name=click.slack_name,
            taken_at=max(click.at, question.settled_at or click.at),
            card_due_at=max(click.at, question.card_due_at or click.at),
        )
    )


def _after_take(question: Question, at: datetime) -> datetime:
    """Return `at`, or the moment after somebody took the alert: two clicks may be stored in the other order.

    By their moments alone is it known in which order things happened (`cards.in_order`).
    """
    return max(at, question.taken_at + timedelta(microseconds=1)) if question.taken_at else at


def _was_overtaken(question: Question, answer: Answer) -> bool:
    """Whether what was said last was clicked later: the other click was held up on its way to the store.

    Slack called that click failed, and the person has clicked again since. It must not take back what they
    said then; only what raises the standing is taken however late it is.
    """
    last, this = question.clicked_at, answer.clicked_at
    return last is not None and this is not None and this < last


def _risen(question: Question, chosen: Outcome) -> int:
    """How far the choice ranks above the standing: whatever replaces a decision of the bot's rises."""
    if question.standing is None or not OUTCOMES[question.standing].chosen:
        return 1
    return OUTCOMES[chosen].rank - OUTCOMES[question.standing].rank


def _answered(question: Question, answer: Answer, risen: int, policy: Policy) -> Question:
    """Return the question with this answer; the click proves that it was asked, and where."""
    at = _after_take(question, answer.at)
    outranked = risen < 0 and not policy.allow_deescalation
    place = question.posted or answer.posted
    return changed(
        question,
        state=State.ASKED,
        channel=place.channel if place else "",
        ts=place.ts if place else "",
        asked_at=question.asked_at or answer.at,
        in_doubt_since=None,
        deadline=None,
        attempts=0,
        standing=question.standing if outranked else Outcome(answer.choice.value),
        reason=question.reason if outranked else "",
        said=answer.choice,
        answered_at=at,
        clicked_at=answer.clicked_at or question.clicked_at,
        first_answered_at=question.first_answered_at or at,
        answers=question.answers + 1,
        idle_changes=question.idle_changes + (risen <= 0),
        reports=question.reports + 1,
        settled_at=at,
        due_at=at + REDRAW_GRACE,
    )


def _same_conversation(question: Question, posted: Posted | None) -> bool:
    if posted is None:  # the person's own Home, which nobody else can see
        return True
    return posted.channel == question.channel if question.channel else posted.channel.startswith("D")
