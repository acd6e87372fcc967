"""The decisions about answers: who may give one, and what a changed answer does. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

from bot.triage.model import (
    Answer,
    MessageRef,
    Note,
    Question,
    RefusedClick,
    State,
    Step,
    Take,
    change_question,
)
from bot.triage.outcomes import OUTCOMES, Outcome
from bot.triage.policy import Policy
from bot.triage.reporting import report_on, with_card

#: Changed answers per identifier that do not raise the standing; further ones are refused with a message.
IDLE_CHANGES_MAX = 20

#: Notes per identifier, and characters per note: as much as MozDef's index can hold and a person can read.
NOTES_MAX = 20
NOTE_LENGTH_MAX = 3000

#: How long after a click the sweeper redraws its message, if the redraw right after the click failed.
REDRAW_GRACE = timedelta(seconds=20)


class Refusal(StrEnum):
    """Why a click changes nothing. The person who clicked is told."""

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
    """Return why this click cannot be accepted as an answer to this question; None if it can."""
    if not answer.same_workspace:
        return Refusal.OTHER_WORKSPACE
    if not question.is_for(answer.slack_id):
        return Refusal.OTHER_PERSON
    if not _is_same_conversation(question, answer.message_ref):
        return Refusal.OTHER_CONVERSATION
    if answer.choice not in question.offered:
        return Refusal.NOT_OFFERED
    return None


def answer_question(question: Question, answer: Answer, policy: Policy) -> Step | Refusal | None:
    """Accept a click as an answer; None if it repeats the last choice, or if a later click was stored first.

    Answers work like a ratchet: the last choice is kept in `said`, and replaces `standing` unless it ranks
    below a standing that a person chose (and de-escalation is not allowed).
    """
    refusal = why_not_answer(question, answer)
    if refusal or answer.choice is question.said:
        return refusal
    rank_change = _compare_ranks(question, Outcome(answer.choice.value))
    if rank_change <= 0 and _was_overtaken(question, answer):
        return None
    if rank_change <= 0 and question.idle_changes >= IDLE_CHANGES_MAX:
        return Refusal.TOO_MANY_CHANGES
    after = _apply_answer(question, answer, rank_change, policy)
    at = after.answered_at or answer.at
    return Step(
        question=with_card(after, at, policy),
        report=report_on(question, after, at=at, policy=policy),
    )


def note_key(note: Note) -> str:
    """Return by what a note is known if Slack delivers it again: a digest of its window and its text."""
    return hashlib.sha256(f"{note.view_id}\n{note.text}".encode()).hexdigest()[:16] if note.view_id else ""


def add_note(question: Question, note: Note, policy: Policy) -> Step | Refusal | None:
    """Accept a note about an answer, cut to 3,000 characters, for MozDef and the security team to read.

    None if it is known: Slack has delivered it twice.
    """
    if not note.same_workspace:
        return Refusal.OTHER_WORKSPACE
    if not question.is_for(note.slack_id):
        return Refusal.OTHER_PERSON
    if question.said is None:
        return Refusal.NOT_ANSWERED
    key = note_key(note)
    if key in question.note_keys:
        return None
    if question.notes >= NOTES_MAX:
        return Refusal.TOO_MANY_NOTES
    at = _order_after_take(question, note.at)
    after = change_question(
        question,
        note=note.text[:NOTE_LENGTH_MAX],
        notes=question.notes + 1,
        note_keys=(*question.note_keys, key) if key else question.note_keys,
        reports=question.reports + 1,
        settled_at=at,
        due_at=at + REDRAW_GRACE,
    )
    return Step(
        question=with_card(after, at, policy),
        report=report_on(question, after, at=at, policy=policy, comment=after.note),
    )


def take_alert(question: Question, click: Take) -> Step | Refusal | None:
    """Record who on the security team took the alert; None if it is taken already.

    A card may have been posted twice, or be clicked before its place is recorded: any of them is accepted.
    """
    if not click.same_workspace:
        return Refusal.OTHER_WORKSPACE
    # After a restore, the store may not know of a card that is there.
    has_card = (
        question.card_ts
        or question.card_due_at is not None
        or (question.read_at is not None and question.standing is not None)
    )
    if click.message_ref is None or click.message_ref.channel.startswith("D") or not has_card:
        return Refusal.OTHER_CONVERSATION
    if question.taken_by:
        return None
    return Step(
        question=change_question(
            question,
            card_ts=question.card_ts or click.message_ref.ts,
            taken_by=click.slack_id,
            taken_name=click.slack_name,
            taken_at=max(click.at, question.settled_at or click.at),
            card_due_at=max(click.at, question.card_due_at or click.at),
        )
    )


def count_refusal(question: Question, refused: RefusedClick) -> Step:
    """Count a click that was refused; nothing else changes."""
    return Step(question=change_question(question, refusals=question.refusals + 1), refused=refused)


def _order_after_take(question: Question, at: datetime) -> datetime:
    """Return `at`, but not before the alert was taken: two clicks may be stored in the opposite order.

    The order of events is derived from these times alone (see `cards.order_events`).
    """
    return max(at, question.taken_at + timedelta(microseconds=1)) if question.taken_at else at


def _was_overtaken(question: Question, answer: Answer) -> bool:
    """Whether the last recorded choice was clicked after this one, which was delayed on its way to the store.

    Slack reported the delayed click as failed, and the person has clicked again since. It must not undo that
    later click; it is accepted late only if it raises the standing.
    """
    last, this = question.clicked_at, answer.clicked_at
    return last is not None and this is not None and this < last


def _compare_ranks(question: Question, chosen: Outcome) -> int:
    """How far the choice ranks above the standing; above a decision of the bot, every choice ranks by 1."""
    if question.standing is None or not OUTCOMES[question.standing].chosen:
        return 1
    return OUTCOMES[chosen].rank - OUTCOMES[question.standing].rank


def _apply_answer(question: Question, answer: Answer, rank_change: int, policy: Policy) -> Question:
    """Return the question with this answer. The click proves that the question was asked, and where."""
    at = _order_after_take(question, answer.at)
    outranked = rank_change < 0 and not policy.allow_deescalation
    place = question.message_ref or answer.message_ref
    standing = question.standing if outranked else Outcome(answer.choice.value)
    return change_question(
        question,
        state=State.ASKED,
        channel=place.channel if place else "",
        ts=place.ts if place else "",
        asked_at=question.asked_at or answer.at,
        in_doubt_since=None,
        deadline=None,
        attempts=0,
        standing=standing,
        is_unsure=question.is_unsure and standing is not Outcome.NO,
        reason=question.reason if outranked else "",
        said=answer.choice,
        answered_at=at,
        clicked_at=answer.clicked_at or question.clicked_at,
        first_answered_at=question.first_answered_at or at,
        answers=question.answers + 1,
        idle_changes=question.idle_changes + (rank_change <= 0),
        reports=question.reports + 1,
        settled_at=at,
        due_at=at + REDRAW_GRACE,
    )


def _is_same_conversation(question: Question, message_ref: MessageRef | None) -> bool:
    if message_ref is None:  # clicked in the person's Home, which nobody else can see
        return True
    return (
        message_ref.channel == question.channel if question.channel else message_ref.channel.startswith("D")
    )
