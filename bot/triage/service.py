"""The verbs: receive, ask, answer, redraw. What they decide stands in `rules` and `ratchet`."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from bot.errors import AmbiguousError, StoreError, TransientError
from bot.triage import rules
from bot.triage.events import about
from bot.triage.model import InvalidBody, Step, Work
from bot.triage.ratchet import Refusal, answer_question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bot.triage.asking import Asker
    from bot.triage.model import Answer, Change, Question, TriageRequest
    from bot.triage.ports import Messenger
    from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)


class TriageService:
    """What happens to a request, a question and an answer."""

    def __init__(
        self, recorder: Recorder, messenger: Messenger, asker: Asker, *, on_work: Callable[[], None]
    ) -> None:
        self._recorder = recorder
        self._messenger = messenger
        self._asker = asker
        self._on_work = on_work
        self._redrawing: set[str] = set()

    async def receive(self, batch: Sequence[TriageRequest | InvalidBody]) -> Sequence[bool]:
        """Store what is new; tell for each whether it may be deleted from the queue.

        True: it is stored, was known already, or there is nothing in it that could be.
        """
        steps = [self._taken_in(each) for each in batch]
        changes = [self._recorder.change(step) for step in steps if step is not None]
        verdicts = await self._add(changes)
        fates = [step is None or _log_receipt(step, next(verdicts)) for step in steps]
        self._on_work()
        return fates

    async def answer(self, answer: Answer) -> Question | Refusal:
        """Take a click as an answer. When it returns a question, the answer is durable.

        `StoreError`: it was not stored, and the person must be able to click again.
        """
        question = await self._recorder.store.load(answer.ref)
        if question is None:
            return Refusal.CLOSED
        policy = self._recorder.policy
        current, verdict = await self._recorder.decide(
            question, lambda row: answer_question(row, answer, policy)
        )
        if current is None:
            return Refusal.CLOSED
        if isinstance(verdict, Refusal):
            return verdict
        if verdict is not None:
            _log_answer(current)
            self._on_work()
        return current

    async def work_on(self, question: Question) -> None:
        """Do what is due for a question, whatever it is."""
        if question.work is Work.REDRAW:
            await self.redraw(question)
        elif question.work is Work.ASK:
            await self._asker.ask(question)
            self._on_work()  # whoever could not be asked left a report

    async def expire(self, question: Question) -> None:
        """End a question whose deadline has come."""
        policy, clock = self._recorder.policy, self._recorder.clock
        current, step = await self._recorder.decide(question, lambda row: rules.expire(row, clock(), policy))
        if current is not None and step is not None:
            log.info("question expired", extra=about(current, "question.expired", reason=current.reason))
            self._on_work()

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        """Make the message show what is stored. One redraw a message is under way at a time."""
        if question.ref in self._redrawing:
            return  # whoever redraws it now will find that its row has changed
        self._redrawing.add(question.ref)
        try:
            current: Question | None = question
            while current is not None and current.outdated:
                current = await self._redraw_once(current, response_url)
        finally:
            self._redrawing.discard(question.ref)

    async def tell(self, response_url: str, refusal: Refusal) -> None:
        """Tell the clicker why nothing changed, as far as Slack lets us."""
        try:
            await self._messenger.tell(response_url, refusal.value)
        except (TransientError, AmbiguousError) as error:
            log.warning("clicker not told: %s", error, extra={"event": "refusal.lost", "fields": {}})

    async def _add(self, changes: Sequence[Change]) -> Iterator[bool | StoreError]:
        """Add what is new. `StoreError` if nothing at all could be stored: then it is the store's trouble."""
        verdicts = await self._recorder.store.add(changes) if changes else ()
        failures = [verdict for verdict in verdicts if isinstance(verdict, StoreError)]
        if failures and len(failures) == len(verdicts):
            raise failures[0]
        return iter(verdicts)

    def _taken_in(self, received: TriageRequest | InvalidBody) -> Step | None:
        request = received.salvaged if isinstance(received, InvalidBody) else received
        if request is None:
            return None
        now, ref = self._recorder.clock(), rules.new_ref(request.identifier, secrets.token_hex(16))
        if isinstance(received, InvalidBody):
            return rules.reject(request, ref, now, self._recorder.policy)
        return rules.accept(request, ref, now, self._recorder.policy)

    async def _redraw_once(self, question: Question, response_url: str) -> Question | None:
        """Redraw and record it; return the row as it is then, or None to leave it to the sweeper."""
        try:
            await self._messenger.redraw(question, response_url=response_url)
        except (TransientError, AmbiguousError) as error:
            # A redraw may be repeated, so it does not matter whether this one was done.
            log.warning("not redrawn yet: %s", error, extra=about(question, "question.stale"))
            due_at = self._recorder.clock() + (getattr(error, "retry_after", None) or rules.RETRY_MAX)
            await self._recorder.decide(question, lambda row: rules.defer(row, due_at))
            return None
        current, _ = await self._recorder.decide(question, lambda row: rules.shown(row, question.reports))
        return current


def _log_receipt(step: Step, verdict: bool | StoreError) -> bool:  # noqa: FBT001 - it is a verdict
    alert = step.question.request.alert
    if isinstance(verdict, StoreError):
        log.error("not stored: %s", verdict, extra=about(step.question, "request.left", alert=alert))
        return False
    if verdict and step.report:
        log.info(
            "question closed", extra=about(step.question, "question.closed", reason=step.question.reason)
        )
    elif verdict:
        log.info("request accepted", extra=about(step.question, "request.accepted", alert=alert))
    else:
        log.info("request known", extra=about(step.question, "request.known", alert=alert))
    return True


def _log_answer(question: Question) -> None:
    fields = {"said": question.said, "standing": question.standing, "sequence": question.reports - 1}
    log.info("question answered", extra=about(question, "question.answered", **fields))
