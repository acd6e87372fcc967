"""What Slack refuses in blocks, views and metadata, for the part of Block Kit that this bot uses.

Source of the limits: the Block Kit reference, as of November 2026. Other kinds of blocks and elements are
refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final

from bot.sandbox.fake_slack.shapes import (
    Check,
    anything,
    array,
    boolean,
    complain,
    integer,
    one_of,
    shape,
    string,
    variant,
)

#: Longest `text` of chat.postMessage and of chat.update, in characters.
POST_TEXT_LIMIT: Final = 40_000
UPDATE_TEXT_LIMIT: Final = 4_000
#: Longest total text in the blocks of one message, in characters (observed: slackapi/bolt-js issue 2509).
BLOCKS_TEXT_LIMIT: Final = 13_200
#: Most blocks in a message and in a view.
MESSAGE_BLOCKS: Final = 50
VIEW_BLOCKS: Final = 100
#: Most characters in one block of rich text, and most elements of a list in it. Slack documents no number;
#: these are cautious guesses.
RICH_TEXT_LIMIT: Final = 3_000
RICH_ELEMENTS: Final = 200
#: Largest metadata, in characters of JSON. Slack documents no number; this is a cautious guess.
METADATA_LIMIT: Final = 8_000

_EVENT_TYPE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,255}")


def _text(*, at_most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Check:
    content = string(at_most=at_most, at_least=1)
    shapes = {
        "plain_text": shape({"type": anything, "text": content}, {"emoji": boolean}),
        "mrkdwn": shape({"type": anything, "text": content}, {"verbatim": boolean}),
    }
    return variant({kind: shapes[kind] for kind in kinds})


def _plain(at_most: int) -> Check:
    return _text(at_most=at_most, kinds=("plain_text",))


_id: Check = string(at_most=255, at_least=1)
_image = shape(
    {"type": anything, "image_url": string(at_most=3000, at_least=1), "alt_text": string(at_most=2000)},
    {"title": _plain(2000), "block_id": _id},
)
_confirm = shape(
    {"title": _plain(100), "text": _text(at_most=300), "confirm": _plain(30), "deny": _plain(30)},
    {"style": one_of("primary", "danger")},
)
_button = shape(
    {"type": anything, "text": _plain(75)},
    {
        "action_id": _id,
        "value": string(at_most=2000),
        "url": string(at_most=3000),
        "style": one_of("primary", "danger"),
        "confirm": _confirm,
        "accessibility_label": string(at_most=75),
    },
)
_text_input = shape(
    {"type": anything},
    {
        "action_id": _id,
        "placeholder": _plain(150),
        "initial_value": string(at_most=3000),
        "multiline": boolean,
        "min_length": integer(at_least=0, at_most=3000),
        "max_length": integer(at_least=1, at_most=3000),
        "focus_on_load": boolean,
    },
)
_users_select = shape(
    {"type": anything},
    {
        "action_id": _id,
        "placeholder": _plain(150),
        "initial_user": string(at_most=255, at_least=1),
        "focus_on_load": boolean,
    },
)
_actions = array(variant({"button": _button}), at_most=25)
_context = array(
    variant({"plain_text": _plain(2000), "mrkdwn": _text(at_most=2000), "image": _image}), at_most=10
)
_section = shape(
    {"type": anything},
    {
        "text": _text(at_most=3000),
        "fields": array(_text(at_most=2000), at_most=10),
        "accessory": variant({"button": _button, "image": _image}),
        "expand": boolean,
        "block_id": _id,
    },
)
_style = shape({}, {"bold": boolean, "italic": boolean, "strike": boolean, "code": boolean})
_rich_content = variant(
    {
        "text": shape({"type": anything, "text": string(at_most=3000, at_least=1)}, {"style": _style}),
        "link": shape(
            {"type": anything, "url": string(at_most=3000, at_least=1)},
            {"text": string(at_most=3000, at_least=1), "style": _style, "unsafe": boolean},
        ),
        "date": shape(
            {
                "type": anything,
                "timestamp": integer(at_least=0, at_most=99_999_999_999),
                "format": string(at_most=200, at_least=1),
            },
            {"fallback": string(at_most=200, at_least=1), "url": string(at_most=3000), "style": _style},
        ),
    }
)
_rich_paragraph = shape(
    {"type": anything, "elements": array(_rich_content, at_most=RICH_ELEMENTS)},
    {"border": integer(at_least=0, at_most=1)},
)
_rich_text = shape(
    {
        "type": anything,
        "elements": array(
            variant({"rich_text_section": _rich_paragraph, "rich_text_quote": _rich_paragraph}),
            at_most=RICH_ELEMENTS,
        ),
    },
    {"block_id": _id},
)
_input = shape(
    {
        "type": anything,
        "label": _plain(2000),
        "element": variant({"plain_text_input": _text_input, "users_select": _users_select}),
    },
    {"hint": _plain(2000), "optional": boolean, "dispatch_action": boolean, "block_id": _id},
)
_block = variant(
    {
        "section": _section,
        "rich_text": _rich_text,
        "actions": shape({"type": anything, "elements": _actions}, {"block_id": _id}),
        "context": shape({"type": anything, "elements": _context}, {"block_id": _id}),
        "divider": shape({"type": anything}, {"block_id": _id}),
        "header": shape({"type": anything, "text": _plain(150)}, {"block_id": _id}),
        "image": _image,
        "input": _input,
    }
)
_message_blocks = array(_block, at_most=MESSAGE_BLOCKS, at_least=0)
_view_blocks = array(_block, at_most=VIEW_BLOCKS, at_least=0)
_view_facts = {
    "callback_id": string(at_most=255),
    "private_metadata": string(at_most=3000),
    "external_id": string(at_most=255),
}
_view = variant(
    {
        "home": shape({"type": anything, "blocks": _view_blocks}, _view_facts),
        "modal": shape(
            {"type": anything, "title": _plain(24), "blocks": _view_blocks},
            {
                **_view_facts,
                "submit": _plain(24),
                "close": _plain(24),
                "clear_on_close": boolean,
                "notify_on_close": boolean,
                "submit_disabled": boolean,
            },
        ),
    }
)


def problems_of_blocks(blocks: list[Any]) -> list[str]:
    """Return what Slack refuses in the blocks of a message, as sentences; empty if it accepts them."""
    problems: list[str] = []
    _message_blocks(blocks, "/blocks", problems)
    return problems or _problems_among(blocks, "/blocks")


def problems_of_view(view: Any) -> list[str]:
    """Return what Slack refuses in a view (modal or home), as sentences; empty if it accepts it."""
    problems: list[str] = []
    _view(view, "/view", problems)
    if problems:
        return problems
    has_input = any(block["type"] == "input" for block in view["blocks"])
    if has_input and view["type"] == "modal" and "submit" not in view:
        complain(problems, "missing required field: submit", "/view")
    return problems + _problems_among(view["blocks"], "/view/blocks")


def _problems_among(blocks: list[Any], pointer: str) -> list[str]:
    """Return what is wrong among individually valid blocks: duplicate ids, a section without content."""
    problems: list[str] = []
    for block_id in _find_repeated(block.get("block_id") for block in blocks):
        complain(problems, f"block_id already exists: {block_id}", pointer)
    for index, block in enumerate(blocks):
        if block["type"] == "section" and not {"text", "fields"} & block.keys():
            complain(problems, "missing required field: text or fields", f"{pointer}/{index}")
        if block["type"] == "rich_text" and length_of_text(block) > RICH_TEXT_LIMIT:
            complain(problems, f"must be less than {RICH_TEXT_LIMIT + 1} characters", f"{pointer}/{index}")
        for action_id in _find_repeated(each.get("action_id") for each in block.get("elements", ())):
            complain(problems, f"action_id already exists: {action_id}", f"{pointer}/{index}/elements")
    return problems


def _find_repeated(names: Any) -> list[str]:
    return [name for name, count in Counter(names).items() if name is not None and count > 1]


def length_of_text(value: Any) -> int:
    """Return the total number of characters in the text objects in `value`."""
    if isinstance(value, list):
        return sum(map(length_of_text, value))
    if isinstance(value, dict):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(length_of_text(inner) for inner in value.values())
    return 0


def problem_of_metadata(metadata: Any) -> str | None:
    """Return the error code with which Slack refuses message metadata; None if it accepts it."""
    if not isinstance(metadata, dict) or metadata.keys() - {"event_type", "event_payload"}:
        return "invalid_metadata_format"
    event_type, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(event_type, str) or not _EVENT_TYPE.fullmatch(event_type):
        return "invalid_metadata_format"
    if not isinstance(payload, dict):
        return "invalid_metadata_schema"
    return "metadata_too_large" if len(json.dumps(metadata)) > METADATA_LIMIT else None
