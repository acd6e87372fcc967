"""The security team's card of one alert, and a line in its thread. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.slack.render import blocks
from bot.slack.render.home import title_of
from bot.slack.render.question import address, summary_text
from bot.slack.render.templates import words_for
from bot.slack.render.text import escape, sanitize, to_line, truncate
from bot.triage.model import AlertTaken
from bot.triage.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from bot.slack.render.templates import Wording
    from bot.triage.model import Question, Report
    from bot.triage.policy import Policy

#: The button with which somebody takes the alert.
TAKE_ACTION = "take-it"

#: Characters: a card is to be read at a glance.
SUMMARY_MAX = 1500
FIELD_MAX = 1000

#: Answers of somebody who gave one and took it back: then it is known when that one was given.
_TAKEN_BACK_AT_ONCE = 2


def card_message(
    question: Question, wording: Wording, policy: Policy, *, team_id: str, alert_url: str
) -> dict[str, Any]:
    """Return `text` and `blocks` of the card. `alert_url` is a template with {identifier}, or ""."""
    words = wording["card"]
    headline = _headline(question, wording, policy, team_id)
    content = [
        blocks.section(headline, block_id="outcome"),
        blocks.section(summary_text(question, wording, SUMMARY_MAX), block_id="summary"),
        blocks.section(
            truncate("\n".join(_facts(question, wording, policy)), 2900, mark="…"), block_id="facts"
        ),
        *_link(question, words["link"], alert_url),
        _take_block(question, words, policy, team_id),
    ]
    return {"text": headline, "blocks": content}


def thread_line(
    question: Question, event: Report | AlertTaken, wording: Wording, policy: Policy, *, team_id: str
) -> str:
    """Return what the card's thread says of an event: a change, a note, or who took the alert."""
    words = wording["card"]
    if isinstance(event, AlertTaken):
        return words["taken_line"].format(who=profile_link(team_id, event.slack_id, event.slack_name))
    if event.comment:
        room = blocks.SECTION_MAX - len(words["noted"].format(note=""))
        return words["noted"].format(note=_sanitize(event.comment, wording, room))
    if event.retracted and event.said:
        said = words_for(policy.of(question), wording)["button"][event.said]
        return f"{words['retracted']}: {said}"
    then = replace(question, standing=event.outcome)
    return words["changed"].format(outcome=_headline(then, wording, policy, team_id))


def profile_link(team_id: str, slack_id: str, name: str) -> str:
    """Return a link to somebody's profile. Unlike a mention, it notifies nobody."""
    label = f"@{escape(to_line(name))}" if name else slack_id
    return f"<slack://user?team={quote(team_id)}&id={quote(slack_id)}|{label}>"


def _headline(question: Question, wording: Wording, policy: Policy, team_id: str) -> str:
    outcome = question.standing or Outcome.UNDELIVERABLE
    who = address(question) or wording["text"]["empty"]  # an invalid request may name nobody
    if question.slack_id:
        who = profile_link(team_id, question.slack_id, question.slack_name)
    return wording["card"][outcome].format(title=title_of(question, policy), who=who)


def _facts(question: Question, wording: Wording, policy: Policy) -> Iterator[str]:
    words, zone = wording["card"], policy.default_zone
    buttons = words_for(policy.of(question), wording)["button"]
    last = blocks.format_time(question.answered_at, zone) if question.answered_at else ""
    facts = {
        words["alert"]: escape(to_line(question.request.alert)),
        words["identifier"]: escape(to_line(question.request.identifier)),
        words["address"]: address(question),
        words["confidence"]: question.request.confidence.value,
        words["reason"]: escape(to_line(question.reason)),
        words["asked"]: blocks.format_time(question.asked_at, zone) if question.asked_at else "",
        words["answered"]: _format_answered_at(question, zone),
        words["retracted"]: f"{buttons[question.said]}, {last}"
        if question.said and question.retracted
        else "",
        words["note"]: _sanitize(question.note, wording, FIELD_MAX) if question.note else "",
    }
    return (f"*{name}:* {value}" for name, value in facts.items() if value)


def _format_answered_at(question: Question, zone: ZoneInfo) -> str:
    """Return when the answer that stands was given, as far as that is known: only the first and last are."""
    moment = question.answered_at
    if question.retracted:
        moment = question.first_answered_at if question.answers == _TAKEN_BACK_AT_ONCE else None
    return blocks.format_time(moment, zone) if moment else ""


def _link(question: Question, label: str, alert_url: str) -> list[blocks.Block]:
    if not alert_url:
        return []
    url = alert_url.replace("{identifier}", quote(question.request.identifier, safe=""))
    return [blocks.section(f"<{escape(url)}|{label}>", block_id="link")]


def _take_block(question: Question, words: Any, policy: Policy, team_id: str) -> blocks.Block:
    if not question.taken_by or question.taken_at is None:
        button = blocks.button(words["take"], action_id=TAKE_ACTION, value=question.ref)
        return blocks.actions([button], block_id="take")
    who = profile_link(team_id, question.taken_by, question.taken_name)
    date = blocks.format_time(question.taken_at, policy.default_zone)
    return blocks.context(words["taken"].format(who=who, date=date), block_id="taken")


def _sanitize(text: str, wording: Wording, limit: int) -> str:
    return sanitize(text, limit, mark=wording["text"]["cut"], empty=wording["text"]["empty"])
