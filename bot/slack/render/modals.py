"""The windows: one for a text, and one for handing an alert over. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.rich_text import as_plain, fill, sentence
from bot.triage.answer_rules import NOTE_LENGTH_MAX
from bot.triage.assignments import CardClick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.slack.render.blocks import Block
    from bot.slack.render.templates import Wording
    from bot.triage.model import Question

#: What the window for a note is called in payloads, and what every field for a text and its value are.
NOTE_VIEW = "note"
NOTE_BLOCK = "note"
NOTE_TEXT = "text"
HAND_OVER_VIEW = "hand-over"
RECEIVER_BLOCK = "receiver"
RECEIVER = "who"


def note_view(question: Question, wording: Wording, *, required_for: str = "") -> dict[str, Any]:
    """Return the modal; its `private_metadata` is the question's ref.

    `required_for` is the answer for which a note is required, as its button words it; "" if it is optional.
    """
    words = wording["note"]
    why = [sentence(fill(words["required"], choice=required_for), block_id="why")] if required_for else []
    return text_view(NOTE_VIEW, question.ref, words, above=why)


def text_view(  # noqa: PLR0913 - each says something else about the window
    callback_id: str,
    private_metadata: str,
    words: Mapping[str, str],
    *,
    above: Sequence[Block] = (),
    below: Sequence[Block] = (),
    length_max: int = NOTE_LENGTH_MAX,
) -> dict[str, Any]:
    """Return a modal with one field for a text, and blocks above and below that.

    `words` has its title, its label, and what its buttons `submit` and `close` are called.
    """
    field = {
        "type": "plain_text_input",
        "action_id": NOTE_TEXT,
        "multiline": True,
        "max_length": length_max,
        "focus_on_load": True,
    }
    return _modal(callback_id, private_metadata, words, [*above, _input(NOTE_BLOCK, words, field), *below])


def hand_over_view(click: CardClick, wording: Wording) -> dict[str, Any]:
    """Return the modal in which somebody chooses who gets an alert; it remembers the card that opened it."""
    words = wording["hand_over"]
    field = {"type": "users_select", "action_id": RECEIVER, "focus_on_load": True}
    return _modal(HAND_OVER_VIEW, card_metadata(click), words, [_input(RECEIVER_BLOCK, words, field)])


def card_metadata(click: CardClick) -> str:
    """Return what a window remembers of the card that opened it."""
    return f"{click.card} {click.channel} {click.ts}"


def errors_at(block: str, refusal: str, wording: Wording) -> dict[str, str]:
    """Return why what was sent cannot be taken, at a field of the window, where no markup is shown."""
    return {block: as_plain(fill(wording["refusal"][refusal]))}


def _modal(
    callback_id: str, private_metadata: str, words: Mapping[str, str], content: Sequence[Block]
) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": private_metadata,
        **{name: blocks.plain(words[name]) for name in ("title", "submit", "close")},
        "blocks": list(content),
    }


def _input(block_id: str, words: Mapping[str, str], element: Block) -> Block:
    return {
        "type": "input",
        "block_id": block_id,
        "label": blocks.plain(words["label"]),
        "element": element,
    }
