"""A burst: the line to the person, and the card for the security team. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.card import CardLinks, join_lines
from bot.slack.render.marks import line_metadata
from bot.slack.render.rich_text import as_text, date, fill, literal, quote, sentence
from bot.slack.render.text import shorten, to_line
from bot.triage.place_rules import OTHER_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.slack.render.blocks import Block
    from bot.slack.render.rich_text import Element
    from bot.slack.render.templates import Wording
    from bot.triage.model import Question
    from bot.triage.places import Burst, Places
    from bot.triage.policy import Policy

#: The button with which somebody takes all of a burst.
TAKE_ALL_ACTION = "take-all"

#: Characters of the list of kinds on the card, and the most kinds that it names. Slack takes no more than
#: 13,200 characters in all, and the identifiers need 10,240.
KINDS_MAX = 1000
LABELS_MAX = 20

#: How many identifiers fit into one block, however long they are.
LONG_MAX = 11


def line_message(line: Question, wording: Wording) -> dict[str, Any]:
    """Return `text`, `blocks` and `metadata` of the line about waiting questions."""
    words = fill(wording["burst"]["line"])
    return {
        "text": as_text(words),
        "blocks": [sentence(words, block_id="burst-line")],
        "metadata": line_metadata(line),
    }


def burst_card(places: Places, wording: Wording, policy: Policy, links: CardLinks) -> dict[str, Any]:
    """Return `text` and `blocks` of a burst's card. Raises `ValueError` if there is no burst."""
    burst, words = places.burst, wording["burst"]
    if burst is None:
        raise ValueError("a card needs a burst")
    who = links.profile(places.slack_id, places.slack_name)
    counts = {"count": str(max(1, sum(burst.kinds.values()))), "waiting": str(burst.waiting)}
    headline = fill(words["over" if burst.ended_at else "headline"], who=who, **counts)
    content = [
        sentence(headline, block_id="burst"),
        sentence(join_lines(_facts(burst, wording, policy)), block_id="about"),
        *_list_block(words["denied"], burst.denied, wording, "denied"),
        *_list_block(words["first"], burst.first, wording, "first"),
        sentence(fill(words["rest"], open=str(policy.open_per_person)), block_id="rest"),
        *_take_block(places, burst, wording, policy, links),
    ]
    return {"text": as_text(headline), "blocks": content}


def _facts(burst: Burst, wording: Wording, policy: Policy) -> Iterator[tuple[str, Sequence[Element]]]:
    words = wording["burst"]
    yield words["since"], [date(burst.since, policy.default_zone)]
    named = [each for each in burst.kinds.items() if each[0] != OTHER_LABELS]
    ranked = sorted(named, key=lambda each: (-each[1], each[0]))
    empty = wording["text"]["empty"]
    kinds = ", ".join(f"{to_line(label) or empty} ({count})" for label, count in ranked[:LABELS_MAX])
    more = f", {wording['text']['cut']}" if len(burst.kinds) > len(ranked[:LABELS_MAX]) else ""
    if kinds:
        yield words["kinds"], [literal(shorten(kinds + more, KINDS_MAX, mark=wording["text"]["cut"]))]


def _list_block(label: str, identifiers: Sequence[str], wording: Wording, name: str) -> list[Block]:
    if not identifiers:
        return []
    lines = [to_line(each) or wording["text"]["empty"] for each in identifiers]
    size = len(lines) if len("\n".join(lines)) <= blocks.SECTION_MAX else LONG_MAX
    texts = ["\n".join(lines[start : start + size]) for start in range(0, len(lines), size)]
    return [
        sentence([literal(f"{label}:", "bold")], block_id=f"{name}-label"),
        quote([literal(texts[0])], block_id=name),
        *(quote([literal(text)], block_id=f"{name}-{n}") for n, text in enumerate(texts[1:], 2)),
    ]


def _take_block(
    places: Places, burst: Burst, wording: Wording, policy: Policy, links: CardLinks
) -> list[Block]:
    if burst.taken_by and burst.taken_at is not None:
        who = links.profile(burst.taken_by, burst.taken_name)
        moment = date(burst.taken_at, policy.default_zone)
        return [sentence(fill(wording["card"]["taken"], who=who, date=[moment]), block_id="taken")]
    if burst.ended_at is not None:  # its row is about to be forgotten
        return []
    button = blocks.button(wording["burst"]["take"], action_id=TAKE_ALL_ACTION, value=places.card)
    return [blocks.actions([button], block_id="take")]
