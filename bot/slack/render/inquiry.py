"""Follow-up questions of the security team: the message to the person, the window for their reply. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.marks import REPLY_ACTION, inquiry_metadata
from bot.slack.render.modals import card_metadata, text_view
from bot.slack.render.question import title_of
from bot.slack.render.rich_text import as_text, fill, link, literal, quote, sentence
from bot.slack.render.text import shorten, to_handle
from bot.triage.inquiry_rules import INQUIRY_LENGTH_MAX

if TYPE_CHECKING:
    from bot.slack.render.blocks import Block
    from bot.slack.render.templates import Wording
    from bot.triage.assignments import CardClick
    from bot.triage.inquiry import Inquiry, InquiryNote
    from bot.triage.model import Question
    from bot.triage.policy import Policy

#: What the window for a reply is called in payloads.
REPLY_VIEW = "reply"

#: What the window for a follow-up question is called in payloads.
ASK_BACK_VIEW = "ask-back"


def inquiry_message(
    inquiry: Inquiry, question: Question, wording: Wording, policy: Policy, *, workspace: str
) -> dict[str, Any]:
    """Return `text`, `blocks` and `metadata` of the message with which the security team asks.

    `workspace` is the address of the workspace; "": there is no link to the question.
    """
    words = wording["inquiry"]
    asks = fill(words["asks"], title=title_of(question, policy))
    who = fill(words["asker"], who=to_handle(inquiry.slack_name, inquiry.slack_id))
    if url := _permalink(question, workspace):
        who = [*who, literal(" "), link(url, words["link"])]
    button = blocks.button(words["reply"], action_id=REPLY_ACTION, value=inquiry.ref)
    return {
        "text": as_text(asks),
        "blocks": [
            sentence(asks, block_id="asks"),
            quote_inquiry(inquiry, wording),
            sentence(who, block_id="asker"),
            blocks.actions([button], block_id="reply"),
            blocks.context(words["warning"], block_id="warning"),
        ],
        "metadata": inquiry_metadata(inquiry),
    }


def ask_back_view(click: CardClick, wording: Wording) -> dict[str, Any]:
    """Return the modal for a follow-up question; it remembers the card that opened it."""
    return text_view(ASK_BACK_VIEW, card_metadata(click), wording["ask_back"], length_max=INQUIRY_LENGTH_MAX)


def reply_view(inquiry: Inquiry, wording: Wording) -> dict[str, Any]:
    """Return the modal for a reply; its `private_metadata` is the inquiry's ref."""
    return text_view(
        REPLY_VIEW,
        inquiry.ref,
        wording["reply"],
        above=[quote_inquiry(inquiry, wording)],
        below=[blocks.context(wording["inquiry"]["warning"], block_id="warning")],
    )


def thanks_view(wording: Wording) -> dict[str, Any]:
    """Return what the window shows once a reply is stored."""
    words = wording["reply"]
    return {
        "type": "modal",
        "title": blocks.plain(words["title"]),
        "close": blocks.plain(words["done"]),
        "blocks": [sentence(fill(words["thanks"]), block_id="thanks")],
    }


def quote_inquiry(inquiry: Inquiry | InquiryNote, wording: Wording) -> Block:
    """Return what is asked, literally, as somebody's words."""
    marks = wording["text"]
    text = shorten(inquiry.text, INQUIRY_LENGTH_MAX, mark=marks["cut"], empty=marks["empty"])
    return quote([literal(text)], block_id="inquiry")


def _permalink(question: Question, workspace: str) -> str:
    """Return the address of the question's message; "" if it is not known."""
    if not workspace or not question.ts:
        return ""
    return f"{workspace}/archives/{question.channel}/p{question.ts.replace('.', '')}"
