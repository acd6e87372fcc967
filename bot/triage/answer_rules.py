"""The decisions about answers: who may give one, and what a changed answer does. Pure."""

from __future__ import annotations

from enum import StrEnum

from bot.triage.factor_rules import REDRAW_GRACE, ProofContext, could_stand, is_unproved, start_attempt
from bot.triage.inquiry import window_key
from bot.triage.model import (
    Answer,
    Choice,
    MessageRef,
    Note,
    Question,
    RefusedClick,
    State,
    Step,
    change_question,
)
from bot.triage.outcomes import OUTCOMES, Outcome
from bot.triage.policy import Policy
from bot.triage.reporting import report_on, with_card
from bot.triage.untrusted_text import clean

#: Changed answers per identifier that do not raise the standing; further ones are refused with a message.
IDLE_CHANGES_MAX = 20

#: Notes per identifier, and characters per note: as much as MozDef's index can hold and a person can read.
NOTES_MAX = 20
NOTE_LENGTH_MAX = 3000


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
    NO_TEXT = "no_text"
    TOO_LONG = "too_long"
    NOT_ASKED_YET = "not_asked_yet"
    TOO_MANY_INQUIRIES = "too_many_inquiries"
    LOST_INQUIRY = "lost_inquiry"
    TOO_MANY_REPLIES = "too_many_replies"
    # On a card:
    OTHER_CHANNEL = "other_channel"
    PERSON_ASKED = "person_asked"
    NO_RESPONDER = "no_responder"
    OLD_CARD = "old_card"
    TAKEN_ALREADY = "taken_already"
    BURST_TAKEN = "burst_taken"
    TOO_MANY_ASSIGNMENTS = "too_many_assignments"
    RECEIVER_UNKNOWN = "receiver_unknown"
    RECEIVER_UNFIT = "receiver_unfit"
    RECEIVER_ASKED = "receiver_asked"
    RECEIVER_NO_RESPONDER = "receiver_no_responder"


class Unfinished(StrEnum):
    """What failed after a click that was stored. The person who clicked is told."""

    MESSAGE = "message"
    WINDOW = "window"
    HOME = "home"
    CARD_WINDOW = "card_window"
    REPLY_WINDOW = "reply_window"


#: What a person who clicked may be told; the words are in `messages.toml`.
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


def answer_question(
    question: Question, answer: Answer, policy: Policy, ticket: ProofContext | None = None
) -> Step | Refusal | None:
    """Accept a click as an answer; None if it repeats the last choice, or if a later click was stored first.

    Answers work like a ratchet: the last choice is kept in `said`, and replaces `standing` unless it ranks
    below a standing that a person chose (and de-escalation is not allowed). A *yes* that must be proved first
    is only kept as said; `ticket` is given wherever one may have to be.
    """
    refusal = why_not_answer(question, answer)
    if refusal:
        return refusal
    if ticket is not None and answer.choice is Choice.YES and could_stand(question, policy):
        return _start_proof(question, answer, ticket, policy)
    return _take_answer(question, answer, policy)


def _start_proof(
    question: Question, answer: Answer, ticket: ProofContext, policy: Policy
) -> Step | Refusal | None:
    if _was_overtaken(question, answer) or _is_known(question, answer):
        return None
    if question.idle_changes >= IDLE_CHANGES_MAX:
        return Refusal.TOO_MANY_CHANGES
    return start_attempt(question, answer, ticket, policy)


def _take_answer(question: Question, answer: Answer, policy: Policy) -> Step | Refusal | None:
    # A *yes* that was not proved counts at once where none has to be any more.
    if answer.choice is question.said and not (is_unproved(question) and could_stand(question, policy)):
        return None
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
    """Return a note's key, by which a redelivery is recognised: a digest of its window and its text."""
    return window_key(note.view_id, note.text) if note.view_id else ""


def can_be_seen(text: str) -> bool:
    """Whether anything can be seen of what is kept of a note or a reply."""
    return bool(clean(text[:NOTE_LENGTH_MAX], NOTE_LENGTH_MAX).text)


def add_note(question: Question, note: Note, policy: Policy) -> Step | Refusal | None:
    """Accept a note about an answer, cut to 3,000 characters, for MozDef and the security team to read.

    None if it is known: Slack has delivered it twice.
    """
    if refusal := _why_not_note(question, note):
        return refusal
    key = note_key(note)
    if key in question.note_keys:
        return None
    if question.notes >= NOTES_MAX:
        return Refusal.TOO_MANY_NOTES
    at = question.after_assignments(note.at)
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


def _why_not_note(question: Question, note: Note) -> Refusal | None:
    if not note.same_workspace:
        return Refusal.OTHER_WORKSPACE
    if not question.is_for(note.slack_id):
        return Refusal.OTHER_PERSON
    if question.said is None or question.standing is None:  # a *yes* that is not proved is not an answer yet
        return Refusal.NOT_ANSWERED
    return None if can_be_seen(note.text) else Refusal.NO_TEXT


def count_refusal(question: Question, refused: RefusedClick) -> Step:
    """Count a click that was refused; nothing else changes."""
    return Step(question=change_question(question, refusals=question.refusals + 1), refused=refused)


def _was_overtaken(question: Question, answer: Answer) -> bool:
    """Whether the last recorded choice was clicked after this one, which was delayed on its way to the store.

    Slack reported the delayed click as failed, and the person has clicked again since. It must not undo that
    later click; it is accepted late only if it raises the standing.
    """
    last, this = question.clicked_at, answer.clicked_at
    return last is not None and this is not None and this < last


def _is_known(question: Question, answer: Answer) -> bool:
    """Whether this very click is stored: Slack redelivers one if it has not received the acknowledgement."""
    is_same = answer.clicked_at is not None and answer.clicked_at == question.clicked_at
    return is_same and answer.choice is question.said


def _compare_ranks(question: Question, chosen: Outcome) -> int:
    """How far the choice ranks above the standing; above a decision of the bot, every choice ranks by 1."""
    if question.standing is None or not OUTCOMES[question.standing].chosen:
        return 1
    return OUTCOMES[chosen].rank - OUTCOMES[question.standing].rank


def _apply_answer(question: Question, answer: Answer, rank_change: int, policy: Policy) -> Question:
    """Return the question with this answer. The click proves that the question was asked, and where."""
    at = question.after_assignments(answer.at)
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
        proof_code="",
        retry_at=None,
        proved_at=question.proved_at if outranked else None,
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
