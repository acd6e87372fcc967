"""Judges a run by its history alone: it knows nothing of the worker's store or code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise, starmap

from bot.sandbox.mozdef import AlertBook

from . import (
    ask_back_rules,
    burst_rules,
    card_rules,
    clock_rules,
    people_rules,
    proof_rules,
    restore_rules,
    trail_rules,
)
from .alerts import Kind
from .case import Case, Receipt, open_cases, read_receipt, without_repeats
from .deaths import Deaths
from .history import History
from .messages import text_of
from .orders import APART_SECONDS, HOLD_SECONDS
from .promises import Findings, Promise, Violation


def judge(history: History) -> list[Violation]:
    """Return every broken promise of a run."""
    return list(Checker(history).violations())


class Checker:
    """One look at a history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._deaths = Deaths(history)
        self._copies = {sent.body for sent in history.dead_letters}

    def violations(self) -> Iterator[Violation]:
        """Yield what is wrong with each alert, with all that MozDef heard, and with the worker's lives."""
        for case in open_cases(self._history).values():
            for promise, evidence in self._of_case(case):
                yield Violation(promise=promise, identifier=case.alert.identifier, evidence=evidence)
        yield from self._unheard()
        yield from burst_rules.bursts(self._history)
        yield from proof_rules.pushes(self._history)
        for trouble in self._history.unproved:
            yield Violation(promise=Promise.UNPROVED, identifier="", evidence=trouble)
        for loss in self._history.unnoticed:
            yield Violation(promise=Promise.UNNOTICED, identifier="", evidence=loss)
        for line in self._history.leaks:
            yield Violation(promise=Promise.LEAKED, identifier="", evidence=line)
        for line in self._history.surprises:
            yield Violation(promise=Promise.UNEXPECTED, identifier="", evidence=line)
        for end in self._history.ends:
            if end.is_wrong:
                yield Violation(promise=Promise.FALLEN, identifier="", evidence=str(end))

    def _of_case(self, case: Case) -> Findings:
        if case.alert.body not in self._history.deleted:
            yield Promise.LEFT, "never deleted"
        yield from _asked(case)
        yield from self._copied(case)
        yield from trail_rules.chain(case)
        yield from card_rules.intruders(case)
        is_heard = case.alert.identifier not in self._history.refused
        yield from ask_back_rules.asked_back(case, is_heard=is_heard)
        if case.restored_at:
            if is_heard:
                yield from restore_rules.answers(case)
            return
        yield from self._reports(case.receipts)
        yield from clock_rules.reminders(case, self._history.blur)
        yield from clock_rules.late_reminders(case, self._deaths)
        yield from card_rules.doubled_cards(case, self._deaths)
        if not is_heard:
            return
        yield from self._lost(case)
        yield from clock_rules.deadlines(case, self._deaths)
        yield from proof_rules.proofs(case, self._history) if case.is_factored else people_rules.answers(case)
        yield from people_rules.what_stands(case)
        yield from people_rules.notes(case)
        yield from card_rules.cards(case)
        yield from ask_back_rules.replies(case)

    def _lost(self, case: Case) -> Findings:
        """Judge how an accepted request ended: who can be asked is asked, whatever MozDef is told."""
        if case.alert.body not in self._history.deleted:
            return
        if case.alert.kind is Kind.ASKABLE and not case.questions and not self._waited(case):
            yield Promise.LOST, "never asked"
        elif case.alert.kind not in (Kind.ASKABLE, Kind.UNREADABLE) and not case.receipts:
            yield Promise.LOST, "not reported as undeliverable"

    def _waited(self, case: Case) -> bool:
        """Whether the alert may have found no place until it was given up. That is reported only once."""
        conversation = f"D{case.alert.person[1:]}"
        was_told = any(line.channel == conversation for line in self._history.burst_lines)
        reasons = {each.reason for each in case.receipts}
        return clock_rules.WAITED in reasons or (was_told and clock_rules.LATE_REASON in reasons)

    def _copied(self, case: Case) -> Findings:
        alert = case.alert
        is_valid = alert.kind not in (Kind.INVALID, Kind.UNREADABLE)
        if is_valid and alert.body in self._copies:
            yield Promise.MISJUDGED, alert.kind
        if not is_valid and alert.body in self._history.deleted and alert.body not in self._copies:
            yield Promise.UNCOPIED, alert.kind

    def _unheard(self) -> Iterator[Violation]:
        """Pass everything to a stock MozDef in order, without repeats."""
        book = AlertBook(alert.identifier for alert in self._history.alerts)
        received = {alert.identifier: alert.body for alert in self._history.alerts}
        for receipt in without_repeats(list(map(read_receipt, self._history.reports))):
            verdict = book.receive(receipt.sent.body)
            was_restored = any(receipt.sent.at > restored.at for restored in self._history.restores)
            earliest = self._history.received[received[receipt.identifier]] + HOLD_SECONDS
            trouble = "" if verdict.kept or was_restored else f"{verdict.reason}: {receipt.sent.body}"
            if receipt.sent.at < earliest - self._history.blur:
                trouble = f"sent {earliest - receipt.sent.at:.1f} s before MozDef knows the alert"
            if trouble:
                yield Violation(promise=Promise.UNHEARD, identifier=receipt.identifier, evidence=trouble)

    def _reports(self, receipts: Sequence[Receipt]) -> Findings:
        bodies: dict[str, set[str]] = defaultdict(set)
        for receipt in receipts:
            bodies[receipt.event_id].add(receipt.sent.body)
        if any(len(each) > 1 for each in bodies.values()):
            yield Promise.ALTERED, str([each for each in bodies.values() if len(each) > 1])
        if len({receipt.sent.body for receipt in receipts if receipt.sequence == 0}) > 1:
            yield Promise.CONFLICTING, str([each.sent.body for each in receipts if each.sequence == 0])
        first = without_repeats(receipts)
        sequences = [receipt.sequence for receipt in first]
        if not all(starmap(self._may_follow, pairwise([-1, *sequences]))):
            yield Promise.DISORDERLY, f"sequences {sequences}"
        gaps = [later.sent.at - earlier.sent.at for earlier, later in pairwise(first)]
        if any(gap < APART_SECONDS - self._history.blur for gap in gaps):
            yield Promise.DISORDERLY, f"apart by {gaps} s"

    def _may_follow(self, sequence: int, later: int) -> bool:
        """Whether a report may have this number; after each restore they go on from the next hundred."""
        is_restored = self._history.whole_restores and later > sequence and later % 100 == 0
        return later == sequence + 1 or bool(is_restored)


def _asked(case: Case) -> Findings:
    places = [f"{question.channel} {question.ts}" for question in case.questions]
    if len(places) > 1:
        yield Promise.TWICE, ", ".join(places)
    if any(question.channel != f"D{case.alert.person[1:]}" for question in case.questions):
        yield Promise.MISDIRECTED, ", ".join(places)
    told = {text_of(question, "facts") for question in case.questions}
    # A message that is redrawn for a row that was lost has only what its metadata tells.
    if told - {case.alert.facts, *([""] if case.restored_at else [])}:
        yield Promise.MISTOLD, str(told)
