"""All that is known of one alert: what the rules judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from bot.sandbox.fake_slack import Message
from bot.triage.padding import unpad

from .alerts import Alert
from .history import CardAction, Exchange, History, Note, Press
from .messages import INQUIRY_EVENT, identifier_of, key_of, reminded_key
from .sqs_queue import Sent

#: What the bot decides itself.
BY_BOT: Final = frozenset({"undeliverable", "timedOut", "unproven"})


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A body of the response queue, read."""

    sent: Sent
    identifier: str
    sequence: int
    event_id: str
    outcome: str
    said: str  #: the person's choice; empty if the bot decided, whatever it says of a *yes* without proof
    response: str  #: the word for MozDef; empty in a note
    reason: str  #: of an undeliverable or unproven outcome, or of an attempt that failed
    comment: str  #: what the person wrote
    question: str = ""  #: the security team's follow-up question
    in_reply_to: int | None = None  #: the sequence of such a receipt
    at: float  #: when it happened, as it says itself
    is_proved: bool = False  #: whether it says that the person proved their *yes*

    @property
    def by_bot(self) -> bool:
        """Whether it reports a decision of the bot."""
        return not self.said and not self.is_text

    @property
    def is_text(self) -> bool:
        """Whether it reports a note or a follow-up question, and no choice."""
        return bool(self.comment) or self.is_exchange

    @property
    def is_exchange(self) -> bool:
        """Whether it reports a follow-up question: it changes nothing."""
        return bool(self.question) or self.in_reply_to is not None


@dataclass(kw_only=True)
class Case:
    """One alert, with everything that happened about it, oldest first."""

    alert: Alert
    questions: list[Message] = field(default_factory=list)
    reminders: list[Message] = field(default_factory=list)
    cards: list[Message] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)  #: repeats included
    presses: list[Press] = field(default_factory=list)  #: the honest ones
    notes: list[Note] = field(default_factory=list)
    lines: list[Message] = field(default_factory=list)  #: in the threads of its cards
    card_actions: list[CardAction] = field(default_factory=list)  #: on its cards, the honest ones
    asked_back: list[Message] = field(default_factory=list)
    inquiries: list[Exchange] = field(default_factory=list)
    replies: list[Exchange] = field(default_factory=list)
    early: list[CardAction] = field(default_factory=list)  #: of the person, before anybody knew who it is
    restored_at: float = 0.0  #: when the store was last restored that may have known of it; 0: never
    shown_at_restore: str = ""  #: the answer that its message showed then
    is_factored: bool = False  #: whether a *yes* must be proved

    @property
    def asked_at(self) -> float:
        """When Slack says that the question was put; there must be one."""
        return min(float(question.ts) for question in self.questions)

    @property
    def settled_at(self) -> float:
        """When the person could be sure of an answer that counts at once; infinite if never."""
        counted = [each for each in self.presses if not (self.is_factored and each.choice == "yes")]
        return min((each.ended_at for each in counted if each.acknowledged), default=float("inf"))

    @property
    def answered_at(self) -> float:
        """When the person could be sure of having answered; infinite if never."""
        return min((press.ended_at for press in self.presses if press.acknowledged), default=float("inf"))


def open_cases(history: History) -> Mapping[str, Case]:
    """Return the case of each alert, by its identifier."""
    cases = {alert.identifier: Case(alert=alert) for alert in history.alerts}
    by_key = {alert.key: cases[alert.identifier] for alert in history.alerts}
    for message in history.messages:
        by_key[key_of(message)].questions.append(message)
    for message in history.reminders:
        by_key[reminded_key(message)].reminders.append(message)
    for message in history.asked_back:
        by_key[key_of(message, event=INQUIRY_EVENT)].asked_back.append(message)
    _note_cards(cases, history)
    for sent in history.reports:
        receipt = read_receipt(sent)
        is_unproved = receipt.identifier in history.factored and receipt.outcome in BY_BOT
        kept = replace(receipt, said="") if is_unproved and receipt.said == "yes" else receipt
        cases[receipt.identifier].receipts.append(kept)
    for press in history.presses:
        if press.honest:
            cases[press.identifier].presses.append(press)
    for note in history.notes:
        cases[note.identifier].notes.append(note)
    for case in cases.values():
        case.is_factored = case.alert.identifier in history.factored
        _note_restores(case, history)
    return cases


def _note_cards(cases: Mapping[str, Case], history: History) -> None:
    threads: dict[str | None, Case] = {}
    for card in history.cards:
        threads[card.ts] = cases[identifier_of(card)]
        threads[card.ts].cards.append(card)
    for line in history.lines:
        if line.thread_ts in threads:
            threads[line.thread_ts].lines.append(line)
    for inquiry in history.inquiries:
        cases[inquiry.identifier].inquiries.append(inquiry)
    for reply in history.replies:
        cases[reply.identifier].replies.append(reply)
    for action in history.card_actions:
        case = cases[action.identifier]
        if action.honest:
            case.card_actions.append(action)
        elif action.by == case.alert.person and (not case.questions or action.at < case.asked_at):
            case.early.append(action)


def _note_restores(case: Case, history: History) -> None:
    for restored in history.restores:
        if history.received.get(case.alert.body, restored.at) < restored.at:
            case.restored_at = restored.at
            case.shown_at_restore = restored.shown.get(case.alert.key, "")


def without_repeats(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Leave out repeats: each event is where it came first."""
    first: dict[str, Receipt] = {}
    for receipt in receipts:
        first.setdefault(receipt.event_id, receipt)
    return list(first.values())


def read_receipt(sent: Sent) -> Receipt:
    body = json.loads(sent.body)
    facts = body["details"]["triagebot"]
    return Receipt(
        sent=sent,
        identifier=body["details"]["identifier"],
        sequence=facts["sequence"],
        event_id=facts["eventId"],
        outcome=facts["outcome"],
        said=facts.get("said", "" if facts["outcome"] in BY_BOT else facts["outcome"]),
        response=body["details"].get("response", ""),
        reason=unpad(facts.get("reason", "")),
        comment=unpad(facts.get("comment", "")),
        question=unpad(facts.get("question", "")),
        in_reply_to=facts.get("inReplyTo"),
        is_proved="factor" in facts,
        at=datetime.fromisoformat(body["timestamp"]).timestamp(),
    )
