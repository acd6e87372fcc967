"""Judges a run by its history alone: it knows nothing of the worker's store, log or code."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bot.sandbox.mozdef import AlertBook

from .alerts import Kind
from .answers import why_unexplained
from .crowd import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.sandbox.slack import Message

    from .alerts import Alert
    from .history import History, Press
    from .sqs_queue import Sent

#: What the worker is told in MOZDEF_SYNC_SECONDS, and how far reports of one identifier are apart at the
#: least: seconds of the torture's time.
HOLD_SECONDS: Final = 20
_APART_SECONDS: Final = 5


class Promise(StrEnum):
    """What must not happen."""

    LOST = "accepted requests lost"
    TWICE = "questions asked twice"
    MISDIRECTED = "questions put to the wrong person"
    GIVEN_UP = "people given up who can be asked"
    UNREPORTED = "acknowledged answers without a report"
    FORGED = "reported answers that nobody gave"
    CONFLICTING = "conflicting first outcomes"
    ALTERED = "repeats that are not byte-identical"
    DISORDERLY = "reports out of order or too close"
    UNHEARD = "reports that a stock MozDef would lose"
    MISJUDGED = "valid requests in the dead-letter queue"
    UNCOPIED = "invalid requests without a copy"
    LEFT = "requests left in the queue"
    UNSHOWN = "answers that the message does not show"
    FALLEN = "lives that ended otherwise than they had to"


#: What time may still cure while the worker runs.
CURABLE: Final = frozenset(
    {Promise.LOST, Promise.UNREPORTED, Promise.UNCOPIED, Promise.LEFT, Promise.UNSHOWN}
)


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A promise that was broken, for which alert, and how that was seen."""

    promise: Promise
    identifier: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A body of the response queue, read."""

    sent: Sent
    identifier: str
    sequence: int
    event_id: str
    outcome: str
    said: str  #: the person's choice; empty if the bot decided


def judge(history: History) -> list[Violation]:
    """Return every broken promise of a run."""
    return list(Checker(history).violations())


class Checker:
    """One look at a history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._questions: dict[str, list[Message]] = defaultdict(list)
        self._receipts: dict[str, list[Receipt]] = defaultdict(list)
        self._copies = {sent.body for sent in history.dead_letters}
        self._presses: dict[str, list[Press]] = defaultdict(list)
        for press in history.presses:
            self._presses[press.identifier].append(press)
        for message in history.messages:
            self._questions[key_of(message)].append(message)
        for receipt in map(_read, history.reports):
            self._receipts[receipt.identifier].append(receipt)

    def violations(self) -> Iterator[Violation]:
        """Yield what is wrong with each alert, with all that MozDef heard, and with the worker's lives."""
        for alert in self._history.alerts:
            for promise, evidence in self._of_alert(alert):
                yield Violation(promise=promise, identifier=alert.identifier, evidence=evidence)
        yield from self._unheard()
        for end in self._history.ends:
            if end.is_wrong:
                yield Violation(promise=Promise.FALLEN, identifier="", evidence=str(end))

    def _of_alert(self, alert: Alert) -> Iterator[tuple[Promise, str]]:
        questions, receipts = self._questions[alert.key], self._receipts[alert.identifier]
        if alert.body not in self._history.deleted:
            yield Promise.LEFT, "never deleted"
        yield from _asked(alert, questions)
        yield from self._copied(alert)
        yield from _reports(receipts)
        if alert.identifier in self._history.refused:
            return
        yield from self._ended(alert, questions, receipts)
        yield from self._answered(alert, questions, receipts)

    def _ended(
        self, alert: Alert, questions: Sequence[Message], receipts: Sequence[Receipt]
    ) -> Iterator[tuple[Promise, str]]:
        if alert.kind is Kind.ASKABLE:
            if alert.body in self._history.deleted and not questions and not receipts:
                yield Promise.LOST, "neither asked nor reported"
            if any(receipt.outcome == "undeliverable" for receipt in receipts):
                yield Promise.GIVEN_UP, receipts[0].sent.body
        elif alert.kind is not Kind.UNREADABLE and alert.body in self._history.deleted and not receipts:
            yield Promise.LOST, "not reported as undeliverable"

    def _answered(
        self, alert: Alert, questions: Sequence[Message], receipts: Sequence[Receipt]
    ) -> Iterator[tuple[Promise, str]]:
        presses = [press for press in self._presses[alert.identifier] if press.honest]
        choices = [receipt.said for receipt in _first(receipts) if receipt.said]
        trouble = why_unexplained(presses, choices)
        if trouble is not None:
            kind, evidence = trouble
            yield {"unreported": Promise.UNREPORTED, "forged": Promise.FORGED}[kind], evidence
        if choices and questions and not _shows_answer(questions[0]):
            yield Promise.UNSHOWN, f"{questions[0].channel} {questions[0].ts}"

    def _copied(self, alert: Alert) -> Iterator[tuple[Promise, str]]:
        is_valid = alert.kind not in (Kind.INVALID, Kind.UNREADABLE)
        if is_valid and alert.body in self._copies:
            yield Promise.MISJUDGED, alert.kind
        if not is_valid and alert.body in self._history.deleted and alert.body not in self._copies:
            yield Promise.UNCOPIED, alert.kind

    def _unheard(self) -> Iterator[Violation]:
        """Let a stock MozDef hear everything in order, repeats left out."""
        book = AlertBook(alert.identifier for alert in self._history.alerts)
        received = {alert.identifier: alert.body for alert in self._history.alerts}
        heard: set[str] = set()
        for receipt in map(_read, self._history.reports):
            if receipt.event_id in heard:
                continue
            heard.add(receipt.event_id)
            verdict = book.receive(receipt.sent.body)
            earliest = self._history.received[received[receipt.identifier]] + HOLD_SECONDS
            trouble = "" if verdict.kept else f"{verdict.reason}: {receipt.sent.body}"
            if receipt.sent.at < earliest:
                trouble = f"sent {earliest - receipt.sent.at:.1f} s before MozDef knows the alert"
            if trouble:
                yield Violation(promise=Promise.UNHEARD, identifier=receipt.identifier, evidence=trouble)


def _asked(alert: Alert, questions: Sequence[Message]) -> Iterator[tuple[Promise, str]]:
    places = [f"{question.channel} {question.ts}" for question in questions]
    if len(questions) > 1:
        yield Promise.TWICE, ", ".join(places)
    if any(question.channel != f"D{alert.person[1:]}" for question in questions):
        yield Promise.MISDIRECTED, ", ".join(places)


def _reports(receipts: Sequence[Receipt]) -> Iterator[tuple[Promise, str]]:
    bodies: dict[str, set[str]] = defaultdict(set)
    for receipt in receipts:
        bodies[receipt.event_id].add(receipt.sent.body)
    if any(len(each) > 1 for each in bodies.values()):
        yield Promise.ALTERED, str([each for each in bodies.values() if len(each) > 1])
    if len({receipt.sent.body for receipt in receipts if receipt.sequence == 0}) > 1:
        yield Promise.CONFLICTING, str([each.sent.body for each in receipts if each.sequence == 0])
    first = _first(receipts)
    sequences = [receipt.sequence for receipt in first]
    if sequences != list(range(len(first))):
        yield Promise.DISORDERLY, f"sequences {sequences}"
    gaps = [later.sent.at - earlier.sent.at for earlier, later in pairwise(first)]
    if any(gap < _APART_SECONDS for gap in gaps):
        yield Promise.DISORDERLY, f"apart by {gaps} s"


def _first(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Leave out repeats: each event stands where it came first."""
    first: dict[str, Receipt] = {}
    for receipt in receipts:
        first.setdefault(receipt.event_id, receipt)
    return list(first.values())


def _read(sent: Sent) -> Receipt:
    details = json.loads(sent.body)["details"]
    facts = details["triagebot"]
    by_bot = facts["outcome"] in {"undeliverable", "timedOut"}
    return Receipt(
        sent=sent,
        identifier=details["identifier"],
        sequence=facts["sequence"],
        event_id=facts["eventId"],
        outcome=facts["outcome"],
        said=facts.get("said", "" if by_bot else facts["outcome"]),
    )


def _shows_answer(message: Message) -> bool:
    return any(block.get("block_id") == "answer" for block in message.blocks)
