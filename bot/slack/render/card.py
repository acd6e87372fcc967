"""The security team's card of one alert, and a line in its thread. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent_encode

from bot.slack.render import blocks
from bot.slack.render.question import address, evidence, title_of
from bot.slack.render.rich_text import as_text, date, fill, link, literal, quote, sentence
from bot.slack.render.templates import words_for
from bot.slack.render.text import shorten, to_line
from bot.triage.model import AlertTaken
from bot.triage.outcomes import Outcome, explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from bot.slack.render.blocks import Block
    from bot.slack.render.rich_text import Element, Value
    from bot.slack.render.templates import Wording
    from bot.triage.model import Question, Report
    from bot.triage.policy import Policy

#: The button with which somebody takes the alert.
TAKE_ACTION = "take-it"

#: Characters of each quote: a card is to be read at a glance.
QUOTE_MAX = 1500

#: Characters of a note: all that a person can write.
NOTE_MAX = 3000

#: Answers of somebody who gave one and took it back: then it is known when that one was given.
_TAKEN_BACK_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class CardLinks:
    """Where a card leads."""

    workspace: str  #: the workspace's address, such as `https://example.slack.com`; "": no profiles
    alert_url: str = ""  #: of an alert, with {identifier}; "": none

    def profile(self, slack_id: str, name: str) -> list[Element]:
        """Return a link to somebody's profile. Unlike a mention, it notifies nobody."""
        label = to_line(f"@{name}" if name else slack_id)
        if not self.workspace or not slack_id:
            return [literal(label)]
        return [link(f"{self.workspace}/team/{percent_encode(slack_id, safe='')}", label)]


def card_message(question: Question, wording: Wording, policy: Policy, links: CardLinks) -> dict[str, Any]:
    """Return `text` and `blocks` of the card."""
    words = wording["card"]
    headline = _headline(question, wording, policy, links)
    content = [
        sentence(headline, block_id="outcome"),
        *evidence(question, wording, policy, QUOTE_MAX),
        sentence(_join_lines(_facts(question, wording, policy)), block_id="about"),
        *_note_blocks(question.note, words["note"], wording),
        *_alert_link(question, words["link"], links.alert_url),
        _take_block(question, words, policy, links),
    ]
    return {"text": as_text(headline), "blocks": content}


def thread_line(
    question: Question, event: Report | AlertTaken, wording: Wording, policy: Policy, links: CardLinks
) -> dict[str, Any]:
    """Return `text` and `blocks` for the thread: a change, a note, or who took the alert."""
    words = wording["card"]
    note = "" if isinstance(event, AlertTaken) else event.comment
    if isinstance(event, AlertTaken):
        line = fill(words["taken_line"], who=links.profile(event.slack_id, event.slack_name))
    elif note:
        line = fill(words["noted"])
    elif event.retracted and event.said:
        said = words_for(policy.of(question), wording)["button"][event.said]
        line = [literal(f"{words['retracted']}: "), literal(said)]
    else:
        then = replace(question, standing=event.outcome)
        line = fill(words["changed"], outcome=_headline(then, wording, policy, links))
    return {"text": as_text(line), "blocks": [sentence(line, block_id="event"), *_quote_note(note, wording)]}


def _headline(question: Question, wording: Wording, policy: Policy, links: CardLinks) -> list[Element]:
    outcome = question.standing or Outcome.UNDELIVERABLE
    who: Value = address(question) or wording["text"]["empty"]  # an invalid request may name nobody
    if question.slack_id:
        who = links.profile(question.slack_id, question.slack_name)
    return fill(wording["card"][outcome], title=title_of(question, policy), who=who)


def _facts(question: Question, wording: Wording, policy: Policy) -> Iterator[tuple[str, Sequence[Element]]]:
    """Yield what the bot knows, a name and its value each."""
    words, zone, request = wording["card"], policy.default_zone, question.request
    texts = {
        "alert": to_line(request.alert),
        "identifier": to_line(request.identifier),
        "address": address(question),
        "confidence": request.confidence.value,
        "left_out": to_line("; ".join(request.left_out)),
        "reason": to_line(explain(question.reason)),
    }
    yield from ((words[key], [literal(text)]) for key, text in texts.items() if text)
    moments = {"asked": question.asked_at, "answered": _answered_at(question)}
    yield from ((words[key], [date(moment, zone)]) for key, moment in moments.items() if moment)
    if question.said and question.retracted and question.answered_at:
        said = words_for(policy.of(question), wording)["button"][question.said]
        yield words["retracted"], [literal(f"{said}, "), date(question.answered_at, zone)]


def _join_lines(facts: Iterator[tuple[str, Sequence[Element]]]) -> list[Element]:
    return [
        element
        for number, (name, value) in enumerate(facts)
        for element in (literal("\n" * bool(number) + f"{name}: ", "bold"), *value)
    ]


def _answered_at(question: Question) -> datetime | None:
    """Return when the answer that stands was given, as far as that is known: only the first and last are."""
    if question.retracted:
        return question.first_answered_at if question.answers == _TAKEN_BACK_AT_ONCE else None
    return question.answered_at


def _note_blocks(note: str, label: str, wording: Wording) -> list[Block]:
    quoted = _quote_note(note, wording)
    return [sentence([literal(f"{label}:", "bold")], block_id="note-label"), *quoted] if quoted else []


def _quote_note(note: str, wording: Wording) -> list[Block]:
    if not note:
        return []
    words = wording["text"]
    return [
        quote([literal(shorten(note, NOTE_MAX, mark=words["cut"], empty=words["empty"]))], block_id="note")
    ]


def _alert_link(question: Question, label: str, alert_url: str) -> list[Block]:
    if not alert_url:
        return []
    url = alert_url.replace("{identifier}", percent_encode(question.request.identifier, safe=""))
    return [sentence([link(url, label)], block_id="link")]


def _take_block(question: Question, words: Any, policy: Policy, links: CardLinks) -> Block:
    if not question.taken_by or question.taken_at is None:
        button = blocks.button(words["take"], action_id=TAKE_ACTION, value=question.ref)
        return blocks.actions([button], block_id="take")
    who = links.profile(question.taken_by, question.taken_name)
    moment = date(question.taken_at, policy.default_zone)
    return sentence(fill(words["taken"], who=who, date=[moment]), block_id="taken")
