"""The security team's card of one alert, and a line in its thread. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent_encode

from bot.slack.render import blocks
from bot.slack.render.inquiry import quote_inquiry
from bot.slack.render.question import address, evidence, title_of
from bot.slack.render.rich_text import as_text, date, fill, link, literal, quote, sentence
from bot.slack.render.templates import words_for
from bot.slack.render.text import shorten, to_handle, to_line
from bot.triage.assignments import Assignment, AssignmentKind
from bot.triage.model import Report
from bot.triage.outcomes import FACTOR_REASONS, Outcome, explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from bot.slack.render.blocks import Block
    from bot.slack.render.rich_text import Element, Value
    from bot.slack.render.templates import Wording
    from bot.triage.model import Question
    from bot.triage.policy import Policy

#: The buttons with which somebody takes the alert, hands it over and releases it.
TAKE_ACTION = "take-it"
HAND_OVER_ACTION = "hand-over"
RELEASE_ACTION = "release"

#: The button that opens the window in which somebody asks the person something.
ASK_ACTION = "ask"

#: Who does what with an alert, in the card's thread.
_ASSIGNED = {
    AssignmentKind.TAKEN: "taken_line",
    AssignmentKind.HANDED_OVER: "handed_over_line",
    AssignmentKind.RELEASED: "released_line",
}

#: Characters of each quote: a card must be readable at a glance.
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
    channel: str = ""  #: the id of the cards' channel; "": there is none

    def profile(self, slack_id: str, name: str) -> list[Element]:
        """Return a link to somebody's profile. Unlike a mention, it notifies nobody."""
        label = to_handle(name, slack_id)
        if not self.workspace or not slack_id:
            return [literal(label)]
        return [link(f"{self.workspace}/team/{percent_encode(slack_id, safe='')}", label)]

    def card(self, question: Question, label: str) -> list[Element]:
        """Return a link to a question's card; the label alone if it is not known where that is."""
        if not self.workspace or not self.channel or not question.card_ts:
            return [literal(label)]
        return [link(f"{self.workspace}/archives/{self.channel}/p{question.card_ts.replace('.', '')}", label)]


def card_message(question: Question, wording: Wording, policy: Policy, links: CardLinks) -> dict[str, Any]:
    """Return `text` and `blocks` of the card."""
    words = wording["card"]
    headline = find_headline(question, wording, policy, links)
    content = [
        sentence(headline, block_id="outcome"),
        *evidence(question, wording, policy, QUOTE_MAX),
        sentence(join_lines(_facts(question, wording, policy)), block_id="about"),
        *_note_blocks(question.note, words["note"], wording),
        *_alert_link(question, words["link"], links.alert_url),
        *_assignment_blocks(question, words, policy, links),
    ]
    return {"text": as_text(headline), "blocks": content}


def thread_line(
    question: Question, event: Report | Assignment, wording: Wording, policy: Policy, links: CardLinks
) -> dict[str, Any]:
    """Return `text` and `blocks` for the thread: a change, a note, or who took the alert or let go of it."""
    words = wording["card"]
    if isinstance(event, Report) and event.is_exchange:
        return _ask_back_line(question, event, wording, links)
    note = "" if isinstance(event, Assignment) else event.comment
    if isinstance(event, Assignment):
        who, receiver = links.profile(event.by, event.by_name), links.profile(event.to, event.to_name)
        key = _ASSIGNED[event.kind] if event.by else "own_line"
        line = fill(words[key], who=who, receiver=receiver)
    elif note:
        line = fill(words["noted"])
    elif event.retracted and event.said:
        said = words_for(policy.of(question), wording)["button"][event.said]
        line = [literal(f"{words['retracted']}: "), literal(said)]
    else:
        then = replace(question, standing=event.outcome)
        line = fill(words["changed"], outcome=find_headline(then, wording, policy, links))
    if not isinstance(event, Assignment) and not note and event.reason in FACTOR_REASONS:
        line = [*line, literal(f" ({event.reason})")]
    return {"text": as_text(line), "blocks": [sentence(line, block_id="event"), *_quote_note(note, wording)]}


def _ask_back_line(question: Question, event: Report, wording: Wording, links: CardLinks) -> dict[str, Any]:
    """Return the line about an inquiry, about a reply, or about an inquiry that could not be asked."""
    words, said = wording["card"], _quote_note(event.comment, wording)
    if event.inquiry:
        who = links.profile(event.inquiry.slack_id, event.inquiry.slack_name)
        line, said = fill(words["asked_back_line"], who=who), [quote_inquiry(event.inquiry, wording)]
    elif event.comment:
        line = fill(words["replied_line"], who=links.profile(question.slack_id, question.slack_name))
    else:
        line = fill(words["not_asked_back_line"], reason=to_line(explain(event.reason)))
    return {"text": as_text(line), "blocks": [sentence(line, block_id="event"), *said]}


def find_headline(question: Question, wording: Wording, policy: Policy, links: CardLinks) -> list[Element]:
    """Return one sentence about an alert: which it is, whom it concerns, and how it ended."""
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


def join_lines(facts: Iterator[tuple[str, Sequence[Element]]]) -> list[Element]:
    """Return facts as lines, each after its name."""
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
    if len(url) > blocks.URL_MAX:  # an identifier of 255 emoji; Slack would refuse the whole card
        return []
    return [sentence([link(url, label)], block_id="link")]


def _assignment_blocks(question: Question, words: Any, policy: Policy, links: CardLinks) -> Iterator[Block]:
    is_taken = question.taken_at is not None
    if question.taken_at is not None:
        who = links.profile(question.taken_by, question.taken_name)
        moment = date(question.taken_at, policy.default_zone)
        yield sentence(fill(words["taken"], who=who, date=[moment]), block_id="taken")
    buttons = {
        TAKE_ACTION: "" if is_taken else words["take"],
        HAND_OVER_ACTION: words["hand_over"],
        RELEASE_ACTION: words["release"] if is_taken else "",
        ASK_ACTION: words["ask"] if question.message_ref else "",
    }
    yield blocks.actions(
        [
            blocks.button(label, action_id=action_id, value=question.card)
            for action_id, label in buttons.items()
            if label
        ],
        block_id="take",
    )
