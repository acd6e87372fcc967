"""What the person sees in the conversation: the question, its reminder, a refusal. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.blocks import CONFIRM_TEXT_MAX, SECTION_MAX, Block
from bot.slack.render.templates import CONFIRMS, NOTIFICATION_MAX, words_for
from bot.slack.render.text import escape, show, to_line, truncate
from bot.triage.answer_rules import Refusal
from bot.triage.foreign_text import Cleaned, clean
from bot.triage.model import Choice
from bot.triage.outcomes import OUTCOMES
from bot.triage.policy import NoteRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.slack.render.templates import Wording
    from bot.triage.answer_rules import Notice
    from bot.triage.model import Question
    from bot.triage.policy import Policy

#: What each answer button's action_id starts with; no other action_id of ours does.
ACTION_PREFIX = "answer-"

#: The button that opens the window for a note.
NOTE_ACTION = "note"

#: Mark a question's message and its reminders, so that they can be known again.
QUESTION_EVENT = "triage_question"
REMINDER_EVENT = "triage_reminder"

_STYLES = {Choice.YES: "primary", Choice.NO: "danger"}


def question_message(question: Question, wording: Wording, policy: Policy) -> dict[str, Any]:
    """Return `text`, `blocks` and `metadata` of the question's message, as what is stored now wants it."""
    words = words_for(policy.of(question), wording)
    user = address(question)
    summary = clean(question.request.summary, SECTION_MAX)
    content = [
        blocks.section(_show(summary, SECTION_MAX, words), block_id="summary"),
        blocks.section(words["question"]["ask"].format(user=user), block_id="question"),
        blocks.actions(answer_buttons(question, words), block_id="answers"),
        blocks.context(words["question"]["about"], block_id="about"),
    ]
    answer = _answer_text(question, words)
    if answer:
        content += [blocks.section(answer, block_id="answer"), *_note_blocks(question, words, policy)]
    metadata = {"event_type": QUESTION_EVENT, "event_payload": {"ref": question.ref}}
    return {"text": answer or _notification(summary, user, words), "blocks": content, "metadata": metadata}


def is_question(message: Mapping[str, Any], ref: str) -> bool:
    """Whether a message of the history puts the question of this ref.

    It is known by its metadata; or by its answer buttons, for Slack may drop the metadata with a redraw.
    """
    metadata = message.get("metadata")
    if isinstance(metadata, dict) and metadata.get("event_type") == QUESTION_EVENT:
        payload = metadata.get("event_payload")
        return isinstance(payload, dict) and payload.get("ref") == ref
    return any(
        str(element.get("action_id")).startswith(ACTION_PREFIX) and element.get("value") == ref
        for block in _dicts(message.get("blocks"))
        for element in _dicts(block.get("elements"))
    )


def reminder_message(question: Question, wording: Wording, policy: Policy, *, link: str) -> dict[str, Any]:
    """Return `text`, `blocks` and `metadata` of a reminder.

    `link` goes to the question. Without one ("") the reminder points to the Home, which has the question too.
    """
    words = wording["reminder"]
    user = address(question)
    text = words["text_open"].format(user=user)
    if question.deadline is not None:
        deadline = blocks.format_time(question.deadline, policy.zone(question))
        text = words["text"].format(user=user, deadline=deadline)
    if not link:
        text = f"{text} {words['home']}"
    shown = f"{text} <{link}|{words['link']}>" if link else text
    payload = {"ref": question.ref, "n": question.reminders}
    return {
        "text": text,
        "blocks": [blocks.section(shown, block_id="reminder")],
        "metadata": {"event_type": REMINDER_EVENT, "event_payload": payload},
    }


def notice_message(notice: Notice, wording: Wording) -> dict[str, Any]:
    """Return what the clicker, and nobody else, is told: nothing was changed, or what follows failed."""
    text = notice_text(notice, wording)
    return {"text": text, "response_type": "ephemeral", "replace_original": False}


def notice_text(notice: Notice, wording: Wording) -> str:
    """Return the words for a notice."""
    return wording["refusal" if isinstance(notice, Refusal) else "unfinished"][notice]


def answer_buttons(question: Question, words: Wording) -> list[Block]:
    """Return the buttons of the choices that are offered, in order."""
    user = to_line(question.request.user)
    return [_button(choice, question.ref, user, words) for choice in question.offered]


def address(question: Question) -> str:
    """Return the address that the alert names, harmless."""
    return escape(to_line(question.request.user))


def summary_text(question: Question, words: Wording, limit: int) -> str:
    """Return the alert's summary, harmless."""
    return _show(clean(question.request.summary, limit), limit, words)


def _show(cleaned: Cleaned, limit: int, words: Wording) -> str:
    return show(cleaned, limit, mark=words["text"]["cut"], empty=words["text"]["empty"])


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _button(choice: Choice, ref: str, user: str, words: Wording) -> Block:
    button = blocks.button(words["button"][choice], action_id=f"{ACTION_PREFIX}{choice}", value=ref)
    if choice in _STYLES:
        button["style"] = _STYLES[choice]
    if choice in CONFIRMS:
        button["confirm"] = _confirm(words[CONFIRMS[choice]], user)
    return button


def _confirm(words: Mapping[str, str], user: str) -> Block:
    text = words["text"].format(user=truncate(user, _count_room_for_user(words["text"]), mark="…"))
    return {
        "title": blocks.plain(words["title"]),
        "text": blocks.plain(text),
        "confirm": blocks.plain(words["confirm"]),
        "deny": blocks.plain(words["deny"]),
    }


@lru_cache
def _count_room_for_user(text: str) -> int:
    room = CONFIRM_TEXT_MAX - len(text.format(user=""))
    return room // max(1, text.count("{user}"))


def _answer_text(question: Question, words: Wording) -> str:
    texts = words["answer"]
    if question.said is None:
        ended = question.standing
        return texts[ended] if ended and OUTCOMES[ended].has_answer_text else ""
    if question.retracted:
        return texts["retracted"]
    answer = texts[question.said]
    return texts["changed"].format(answer=answer) if question.answers > 1 else answer


def _note_blocks(question: Question, words: Wording, policy: Policy) -> list[Block]:
    """Return the button for a note, where the answer may have one, and thanks for one that there is.

    Whoever took an answer back may explain the one that stands.
    """
    given = [choice for choice in Choice if choice.value in (question.said, question.standing)]
    if question.said is None or all(policy.note_rule(question, each) is NoteRule.NEVER for each in given):
        return []
    button = blocks.button(words["note"]["button"], action_id=NOTE_ACTION, value=question.ref)
    thanks = [blocks.context(words["note"]["thanks"], block_id="noted")] if question.notes else []
    return [blocks.actions([button], block_id="note"), *thanks]


def _notification(summary: Cleaned, user: str, words: Wording) -> str:
    line = clean(summary.text, NOTIFICATION_MAX, one_line=True)
    line = line._replace(is_whole=line.is_whole and summary.is_whole)
    return words["question"]["notification"].format(user=user, summary=_show(line, NOTIFICATION_MAX, words))
