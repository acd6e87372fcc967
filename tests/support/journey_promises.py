"""What must hold of all questions and reports after every step of a journey."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from bot.triage.answer_rules import IDLE_CHANGES_MAX, Refusal
from bot.triage.model import Choice, InvalidBody, OutboxRow, Question, State, TriageRequest
from bot.triage.outcomes import OUTCOMES, Outcome, Reason
from bot.triage.policy import Policy

WAYS_ON = {
    State.ACCEPTED: {State.ACCEPTED, State.POSTING, State.ASKED, State.CLOSED},
    State.POSTING: {State.POSTING, State.ASKED, State.CLOSED},
    State.ASKED: {State.ASKED},
    State.CLOSED: {State.CLOSED, State.ASKED, State.ACCEPTED},
}


class Reports(Protocol):
    """Where the reports of an identifier are found."""

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        """Return them in order."""


class Promises:
    """Remembers what was true after the previous step, and compares it with what is true now."""

    def __init__(
        self, *, shown: Mapping[str, Outcome | None] | None = None, kept: Mapping[str, int] | None = None
    ) -> None:
        """After a restore: what the messages show, and how many reports there are, by identifier."""
        self._shown = shown or {}
        self._kept = kept or {}
        self._accepted: set[str] = set()
        self._before: dict[str, Question] = {}
        self._written: dict[str, list[tuple[str, str]]] = {}
        self._delivered: dict[str, int] = {}

    @property
    def has_reports(self) -> bool:
        return any(self._written.values())

    def accept(self, batch: Sequence[TriageRequest | InvalidBody]) -> None:
        """Note what may be deleted from the queue: from now on it must not be lost."""
        for each in batch:
            request = each.salvaged if isinstance(each, InvalidBody) else each
            assert request is not None
            self._accepted.add(request.identifier)

    def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Note what the response queue got: each in its turn, or again, or all from the start."""
        assert len({row.identifier for row in rows}) == len(rows)
        for row in rows:
            number = self._written[row.identifier].index((row.event_id, row.body))
            last = self._delivered.get(row.identifier, number - 1)
            assert number in (0, last, last + 1)
            self._delivered[row.identifier] = number

    async def check(
        self, questions: Sequence[Question], store: Reports, policy: Policy, *, now: datetime
    ) -> None:
        assert {each.request.identifier for each in questions} >= self._accepted
        for question in questions:
            await self._check_reports(store, question, policy)
            before = self._before.get(question.ref)
            self._before[question.ref] = question
            _check_alone(question)
            if before is not None and before != question:
                _check_step(before, question, policy)
                _check_expiry(before, question, now)

    async def _check_reports(self, store: Reports, question: Question, policy: Policy) -> None:
        name = question.request.identifier
        rows = await store.reports_of(name)
        sequences = [row.sequence for row in rows]
        if question.read_at is None:
            assert sequences == list(range(question.reports))
        else:
            assert sequences == sorted(set(sequences))
            assert all(sequence < question.reports for sequence in sequences)
        self._check_against_shown(question, [json.loads(row.body) for row in rows], policy)
        written = [(row.event_id, row.body) for row in rows]
        assert written[: len(self._written.get(name, ()))] == self._written.get(name, [])
        self._written[name] = written
        told = [json.loads(row.body)["details"]["triagebot"] for row in rows]
        if question.standing is None:  # nothing was told, or that the first request was invalid
            assert [each.get("reason") for each in told] in ([], ["invalid_request"])
        elif question.read_at is not None and not told:
            pass  # it was told by the lost store
        else:
            assert [each["outcome"] for each in told[-1:]] == [question.standing]

    def _check_against_shown(self, question: Question, bodies: Sequence[Any], policy: Policy) -> None:
        """No report since a restore is milder than what the message showed then, and MozDef was told."""
        shown = self._shown.get(question.identifier)
        if shown is None or not OUTCOMES[shown].chosen or policy.allow_deescalation:
            return
        for body in bodies[self._kept.get(question.identifier, 0) :]:
            outcome = Outcome(body["details"]["triagebot"]["outcome"])
            is_note = body["category"] != "triagebot"
            assert is_note or OUTCOMES[outcome].rank >= OUTCOMES[shown].rank


def judge_click(before: Question | None, choice: Choice, result: Question | Refusal) -> None:
    """Check the result of a click by the person asked; `before` is the row as it was when they began."""
    if before is None:  # a question that the backup does not know
        assert result is Refusal.TOO_MANY_CHANGES or isinstance(result, Question)
    elif not before.slack_id and before.state is not State.ACCEPTED:  # ended without anybody to ask
        assert result is Refusal.OTHER_PERSON
    else:
        assert result is Refusal.TOO_MANY_CHANGES or isinstance(result, Question)
    if isinstance(result, Question):
        assert (result.state, result.said) == (State.ASKED, choice)


def _waits_for_place(question: Question) -> bool:
    """Whether a burst calls it. A release before drops whose place that is, once it has reported it."""
    was_dropped = question.state is State.ACCEPTED and question.reason == Reason.NOT_ASKED_IN_TIME
    return bool(question.waits_for) or was_dropped


def _check_alone(question: Question) -> None:
    assert question.idle_changes <= IDLE_CHANGES_MAX
    assert question.state is not State.ASKED or question.message_ref
    assert question.in_doubt_since is None or question.state in (State.ACCEPTED, State.POSTING)
    assert question.work is None or question.due_at is not None or _waits_for_place(question)


def _check_step(before: Question, question: Question, policy: Policy) -> None:
    """Nothing goes back."""
    assert question.state in WAYS_ON[before.state]
    assert question.claimed_at == (before.claimed_at or question.claimed_at)
    assert question.message_ref == (before.message_ref or question.message_ref)
    is_reopened = before.reason == "invalid_request" and question.reason != before.reason
    assert before.standing is None or question.standing is not None or is_reopened
    assert (question.request == before.request) or is_reopened
    assert question.state is not State.ACCEPTED or before.state is not State.CLOSED or is_reopened
    if before.said and before.standing and question.standing and not policy.allow_deescalation:
        assert OUTCOMES[question.standing].rank >= OUTCOMES[before.standing].rank
    if before.state is State.CLOSED and question.state is State.ASKED:
        assert question.said is not None or question.read_at != before.read_at
        assert question.standing is not Outcome.UNDELIVERABLE or question.said is None


def _check_expiry(before: Question, question: Question, now: datetime) -> None:
    """Not early; and an outcome that somebody has set is never replaced by the clock."""
    by_the_clock = question.standing is Outcome.TIMED_OUT or question.reason == "not_asked_in_time"
    if question.read_at != before.read_at:
        return  # its message shows that the clock had ended it
    if by_the_clock and (before.standing, before.reason) != (question.standing, question.reason):
        assert before.standing is None
        assert before.deadline is not None
        assert before.deadline <= now
