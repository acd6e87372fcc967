"""A person's Home: what is open for them, what they answered, and whether all this is real. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.card import find_headline
from bot.slack.render.question import (
    address,
    advice_elements,
    answer_buttons,
    answer_text,
    deadline_block,
    evidence,
    notice_text,
    proof_elements,
    title_of,
)
from bot.slack.render.rich_text import date, fill, literal, sentence
from bot.slack.render.templates import words_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.slack.render.blocks import Block
    from bot.slack.render.card import CardLinks
    from bot.slack.render.templates import Wording
    from bot.triage.answer_rules import Notice
    from bot.triage.listing import Listed
    from bot.triage.model import Question
    from bot.triage.policy import Policy

#: The most questions shown: eight blocks for each open one, two for each answered one, one for each taken
#: one and six others fit into the hundred blocks of a view.
OPEN_MAX = 8
ANSWERED_MAX = 11
TAKEN_MAX = 8

#: Characters of a summary, and of facts, on the Home: it must be readable at a glance.
QUOTE_MAX = 500


def home_view(
    listed: Listed,
    wording: Wording,
    policy: Policy,
    *,
    notice: Notice | None = None,
    links: CardLinks,
) -> dict[str, Any]:
    """Return the view that `views.publish` takes; a notice, if there is one, comes first."""
    content = [
        *_notice_blocks((notice,) if notice else (), wording),
        *_open_blocks(listed.unanswered[:OPEN_MAX], wording, policy),
        *_explanation(wording),
        *_taken_blocks(listed.taken[:TAKEN_MAX], wording, policy, links),
        *_answered_blocks(listed.answered[:ANSWERED_MAX], wording, policy),
    ]
    return {"type": "home", "blocks": content}


def notices_view(notices: Sequence[Notice], wording: Wording) -> dict[str, Any]:
    """Return a Home that says these things, and shows no question."""
    return {"type": "home", "blocks": [*_notice_blocks(notices, wording), *_explanation(wording)]}


def _notice_blocks(notices: Sequence[Notice], wording: Wording) -> list[Block]:
    texts = [notice_text(notice, wording) for notice in notices]
    return [sentence(fill(text), block_id=f"notice-{number}") for number, text in enumerate(texts)]


def _explanation(wording: Wording) -> list[Block]:
    words = wording["home"]
    return [
        blocks.header(words["real"], block_id="is-it-real"),
        sentence(fill(words["explanation"]), block_id="real"),
    ]


def _open_blocks(questions: Sequence[Question], wording: Wording, policy: Policy) -> Iterator[Block]:
    words = wording["home"]
    yield blocks.header(words["open"], block_id="open")
    if not questions:
        yield sentence(fill(words["none"]), block_id="none")
    for number, question in enumerate(questions):
        own = words_for(policy.of(question), wording)
        asked_at = date(question.asked_at or question.accepted_at, policy.zone(question))
        asked = fill(words["asked"], title=title_of(question, policy), date=[asked_at])
        yield sentence(asked, block_id=f"asked-{number}")
        yield from evidence(question, own, policy, QUOTE_MAX, suffix=f"-{number}")
        yield sentence(fill(own["question"]["ask"], user=address(question)), block_id=f"question-{number}")
        yield blocks.actions(answer_buttons(question, own), block_id=f"answers-{number}")
        yield from deadline_block(question, own, policy, suffix=f"-{number}")
        if is_over := answer_text(question, own):
            yield blocks.section(is_over, block_id=f"over-{number}")
        yield {"type": "divider"}


def _taken_blocks(
    questions: Sequence[Question], wording: Wording, policy: Policy, links: CardLinks
) -> Iterator[Block]:
    if not questions:
        return
    words = wording["home"]
    yield blocks.header(words["taken"], block_id="taken")
    for number, question in enumerate(questions):
        headline = find_headline(question, wording, policy, links)
        taken_at = date(question.taken_at or question.accepted_at, policy.default_zone)
        has = fill(words["has"], outcome=headline, date=[taken_at])
        card = links.card(question, words["card"])
        yield sentence([*has, literal(" ("), *card, literal(")")], block_id=f"taken-{number}")


def _answered_blocks(questions: Sequence[Question], wording: Wording, policy: Policy) -> Iterator[Block]:
    if not questions:
        return
    yield blocks.header(wording["home"]["answered"], block_id="answered")
    for number, question in enumerate(questions):
        own = words_for(policy.of(question), wording)
        answered_at = date(question.answered_at or question.accepted_at, policy.zone(question))
        said = fill(
            wording["home"]["said"],
            title=title_of(question, policy),
            choice=own["button"][question.said or question.offered[0]],
            date=[answered_at],
        )
        if advice := advice_elements(question, policy):
            said += [literal("\n"), *advice]
        yield sentence(said, block_id=f"said-{number}")
        if proof := proof_elements(question, own, policy):
            yield sentence(proof, block_id=f"proof-{number}")
        elif told := answer_text(question, own):
            yield blocks.section(told, block_id=f"answer-{number}")
