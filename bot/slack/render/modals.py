"""The window in which a person writes a note. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.rich_text import as_plain, fill, sentence
from bot.triage.answer_rules import NOTE_LENGTH_MAX

if TYPE_CHECKING:
    from bot.slack.render.templates import Wording
    from bot.triage.model import Question

#: What the window, its field and the field's value are called in payloads.
NOTE_VIEW = "note"
NOTE_BLOCK = "note"
NOTE_TEXT = "text"


def note_view(question: Question, wording: Wording, *, required_for: str = "") -> dict[str, Any]:
    """Return the modal; its `private_metadata` is the question's ref.

    `required_for` is the answer for which a note is required, as its button words it; "" if it is optional.
    """
    words = wording["note"]
    why = [sentence(fill(words["required"], choice=required_for), block_id="why")] if required_for else []
    field = {
        "type": "plain_text_input",
        "action_id": NOTE_TEXT,
        "multiline": True,
        "max_length": NOTE_LENGTH_MAX,
        "focus_on_load": True,
    }
    return {
        "type": "modal",
        "callback_id": NOTE_VIEW,
        "private_metadata": question.ref,
        "title": blocks.plain(words["title"]),
        "submit": blocks.plain(words["submit"]),
        "close": blocks.plain(words["close"]),
        "blocks": [
            *why,
            {
                "type": "input",
                "block_id": NOTE_BLOCK,
                "label": blocks.plain(words["label"]),
                "element": field,
            },
        ],
    }


def note_errors(refusal: str, wording: Wording) -> dict[str, str]:
    """Return what the window says when the note cannot be taken: without markup, which it does not know."""
    return {NOTE_BLOCK: as_plain(fill(wording["refusal"][refusal]))}
