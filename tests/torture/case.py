"""All that is known of one alert: what the rules judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bot.sandbox.fake_slack import Message
from bot.triage.free_values import unpad

from .alerts import Alert
from .history import History, Note, Press
from .messages import identifier_of, key_of, reminded_key
from .sqs_queue import Sent

#: What the bot decides itself.
BY_BOT: Final = frozenset({"undeliverable", "timedOut"})


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A body of the response queue, read."""

    sent: Sent
    identifier: str
    sequence: int
    event_id: str
    outcome: str
    said: str  #: the person's choice; empty if the bot decided
    response: str  #: the word for MozDef; empty in a note
    reason: str  #: of an undeliverable outcome
    comment: str  #: what the person wrote
    at: float  #: when it happened, as it says itself

    @property
    def by_bot(self) -> bool:
        """Whether it tells of a decision of the bot's."""
        return not self.said and not self.comment


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
    taken: bool = False  #: by somebody of the security team
    restored_at: float = 0.0  #: when the store was last restored that may have known of it; 0: never
    shown_at_restore: str = ""  #: the answer that its message showed then

    @property
    def asked_at(self) -> float:
        """When Slack says that the question was put; there must be one."""
        return min(float(question.ts) for question in self.questions)

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
    for message in history.cards:
        cases[identifier_of(message)].cards.append(message)
    for receipt in map(read_receipt, history.reports):
        cases[receipt.identifier].receipts.append(receipt)
    for press in history.presses:
        if press.honest:
            cases[press.identifier].presses.append(press)
    for note in history.notes:
        cases[note.identifier].notes.append(note)
    for case in cases.values():
        case.taken = case.alert.identifier in history.taken
        _note_restores(case, history)
    return cases


def _note_restores(case: Case, history: History) -> None:
    for restored in history.restores:
        if history.received.get(case.alert.body, restored.at) < restored.at:
            case.restored_at = restored.at
            case.shown_at_restore = restored.shown.get(case.alert.key, "")


def without_repeats(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Leave out repeats: each event stands where it came first."""
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
        at=datetime.fromisoformat(body["timestamp"]).timestamp(),
    )
