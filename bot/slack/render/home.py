"""A person's Home: what is open for them, what they answered, and whether all this is real. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.question import address, answer_buttons, notice_text, summary_text
from bot.slack.render.templates import words_for
from bot.slack.render.text import escape, to_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.slack.render.blocks import Block
    from bot.slack.render.templates import Wording
    from bot.triage.answer_rules import Notice
    from bot.triage.model import Question
    from bot.triage.policy import Policy

#: Questions shown: five blocks each, a notice and the rest stay within the hundred blocks of a view.
OPEN_MAX = 15
ANSWERED_MAX = 20

#: Characters of a summary on the Home: all blocks of a view together are limited, too.
SUMMARY_MAX = 500


def home_view(
    unanswered: Sequence[Question],
    answered: Sequence[Question],
    wording: Wording,
    policy: Policy,
    *,
    notice: Notice | None = None,
) -> dict[str, Any]:
    """Return the view that `views.publish` takes; on top of it stands a notice, if there is one."""
    content = [
        *_notice_blocks((notice,) if notice else (), wording),
        *_open_blocks(unanswered[:OPEN_MAX], wording, policy),
        *_explanation(wording),
        *_answered_blocks(answered[:ANSWERED_MAX], wording, policy),
    ]
    return {"type": "home", "blocks": content}


def notices_view(notices: Sequence[Notice], wording: Wording) -> dict[str, Any]:
    """Return a Home that says these things, and shows no question."""
    return {"type": "home", "blocks": [*_notice_blocks(notices, wording), *_explanation(wording)]}


def title_of(question: Question, policy: Policy) -> str:
    """Return what the alert is called: its title, or else its label; harmless."""
    return escape(to_line(policy.of(question).title or question.request.alert))


def _notice_blocks(notices: Sequence[Notice], wording: Wording) -> list[Block]:
    texts = [notice_text(notice, wording) for notice in notices]
    return [blocks.section(text, block_id=f"notice-{number}") for number, text in enumerate(texts)]


def _explanation(wording: Wording) -> list[Block]:
    words = wording["home"]
    return [blocks.header(words["real"]), blocks.section(words["explanation"], block_id="real")]


def _open_blocks(questions: Sequence[Question], wording: Wording, policy: Policy) -> Iterator[Block]:
    words = wording["home"]
    yield blocks.header(words["open"])
    if not questions:
        yield blocks.section(words["none"], block_id="none")
    for number, question in enumerate(questions):
        own = words_for(policy.of(question), wording)
        asked_at = question.asked_at or question.accepted_at
        date = blocks.format_time(asked_at, policy.zone(question))
        yield blocks.context(words["asked"].format(title=title_of(question, policy), date=date))
        yield blocks.section(summary_text(question, own, SUMMARY_MAX), block_id=f"summary-{number}")
        yield blocks.section(
            own["question"]["ask"].format(user=address(question)), block_id=f"question-{number}"
        )
        yield blocks.actions(answer_buttons(question, own), block_id=f"answers-{number}")
        yield {"type": "divider"}


def _answered_blocks(questions: Sequence[Question], wording: Wording, policy: Policy) -> Iterator[Block]:
    if not questions:
        return
    yield blocks.header(wording["home"]["answered"])
    for question in questions:
        own = words_for(policy.of(question), wording)
        answered_at = question.answered_at or question.accepted_at
        yield blocks.context(
            wording["home"]["said"].format(
                title=title_of(question, policy),
                choice=own["button"][question.said or question.offered[0]],
                date=blocks.format_time(answered_at, policy.zone(question)),
            )
        )
