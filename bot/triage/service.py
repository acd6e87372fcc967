"""The verbs: receive, ask, answer, redraw. The decisions are in `asking_rules` and `answer_rules`."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from bot.backoff import retry_delay
from bot.errors import AmbiguousError, StoreError, TransientError
from bot.triage import asking_rules, card_rules, restore_rules
from bot.triage.answer_rules import (
    Notice,
    Refusal,
    add_note,
    answer_question,
    count_refusal,
)
from bot.triage.asking import Asker
from bot.triage.bursts import Bursts
from bot.triage.cards import Cards
from bot.triage.factor import Attempt, draw_code
from bot.triage.factor_rules import ProofContext
from bot.triage.inquiring import Inquirer
from bot.triage.inquiry import Inquiry, Reply
from bot.triage.listing import Listed
from bot.triage.log_events import log_event, log_question
from bot.triage.model import (
    Answer,
    Choice,
    Conflict,
    InvalidBody,
    MessageRef,
    Note,
    Question,
    RefusedClick,
    Step,
    TriageRequest,
    Work,
)
from bot.triage.ports import Messenger
from bot.triage.proving import Prover
from bot.triage.recorder import Recorder
from bot.triage.reminding import Reminder

log = logging.getLogger(__name__)

#: How far back a person's Home goes, and the most questions of each kind that it lists.
LOOK_BACK = timedelta(days=30)
LISTED_MAX = 20

#: How long after its start a redraw may still take effect, even if its caller is dead: a little longer than a
#: call may take.
REDRAW_TAKES = timedelta(seconds=20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Actors:
    """The objects that do the work that is due."""

    asker: Asker
    reminder: Reminder
    cards: Cards
    bursts: Bursts
    prover: Prover
    inquirer: Inquirer
    jitter: Callable[[], float] = random.random  #: a random number in 0..1, for jitter


@dataclass(frozen=True, kw_only=True, slots=True)
class _Click:
    """What was clicked and by whom, if it helps to find a question that the store has lost."""

    ref: str
    slack_id: str  #: of who clicked, if they may be the person asked; "": they are not
    message_ref: MessageRef | None = None  #: the question's message; None: that is not known

    @classmethod
    def of(cls, click: Answer | Note) -> Self:
        """Return the origin of a click on a question, or on one of its windows."""
        return cls(
            ref=click.ref,
            slack_id=click.slack_id if click.same_workspace else "",
            message_ref=click.message_ref if isinstance(click, Answer) else None,
        )


class TriageService:
    """Handles requests, questions and answers."""

    def __init__(
        self, recorder: Recorder, messenger: Messenger, actors: Actors, *, on_work: Callable[[], None]
    ) -> None:
        self._recorder = recorder
        self._messenger = messenger
        self._actors = actors
        self._on_work = on_work
        self._redrawing: set[str] = set()

    async def receive(self, batch: Sequence[TriageRequest | InvalidBody]) -> Sequence[bool | Conflict]:
        """Store what is new; return for each whether it may be deleted from the queue.

        True: it is stored, was known already, or has nothing that could be stored. A conflict may be deleted
        once it has been reported. Raises `StoreError` if nothing could be stored: then the store is at fault,
        not a request.
        """
        restore = await self._actors.asker.restores.restore()
        taken = (self._take_in(each) for each in batch)
        steps = [step and card_rules.give_secret(restore_rules.note_new(step, restore)) for step in taken]
        verdicts = iter(await self._recorder.add([step for step in steps if step is not None]))
        results = [
            step and await self._result(received, step, next(verdicts))
            for received, step in zip(batch, steps, strict=True)
        ]
        _require_a_success(results)
        handled = [
            step is None or result is None or _log_receipt(step, result)
            for step, result in zip(steps, results, strict=True)
        ]
        for received, done in zip(batch, handled, strict=True):
            if done and isinstance(received, InvalidBody):
                self._recorder.meter.count_rejected(received)
        self._on_work()
        return handled

    async def answer(self, answer: Answer) -> Question | Refusal:
        """Accept a click as an answer. When this returns a question, the answer is durable.

        Raises `StoreError` if it was not stored, and `TransientError` if, after a restore, it is not
        known yet who was asked or what was answered. In both cases the person must be able to click again.
        """
        policy = self._recorder.policy

        def decide(row: Question, ticket: ProofContext | None) -> Step | Refusal | None:
            return answer_question(row, answer, policy, ticket)

        return await self._record_click(answer, decide, _log_answer)

    async def add_note(self, note: Note) -> Question | Refusal:
        """Add a note to an answer. Returns and raises as `answer` does."""
        policy = self._recorder.policy
        return await self._record_click(note, lambda row, _: add_note(row, note, policy), _log_note)

    async def find_inquiry(self, click: Reply) -> Inquiry | Refusal:
        """Return the inquiry that somebody wants to reply to. Raises as `answer` does."""
        return await self._actors.inquirer.find(click)

    async def reply(self, reply: Reply) -> Question | Refusal:
        """Accept a reply to an inquiry. Returns and raises as `answer` does."""
        return await self._actors.inquirer.reply(reply)

    async def find(self, ref: str) -> Question | None:
        """Return the question with this ref; None if there is none. Raises `StoreError`."""
        return await self._recorder.store.load(ref)

    async def find_clicked(self, ref: str, slack_id: str, message_ref: MessageRef | None) -> Question | None:
        """Return the question with this ref, on whose message somebody clicked. Raises as `answer` does."""
        click = _Click(ref=ref, slack_id=slack_id, message_ref=message_ref)
        return await self.find(ref) or await self._load_clicked(click)

    async def identifier_field(self, ref: str) -> Mapping[str, str]:
        """Return the log field that names the alert of this ref or card; none if it cannot be read. Raises
        nothing.
        """
        try:
            question = await self._recorder.store.load_by_key(ref.partition(".")[0])
        except StoreError:
            return {}
        return {"identifier": question.request.identifier} if question else {}

    async def questions_of(self, slack_id: str) -> Listed:
        """Return what a person has not answered, has answered in the last 30 days, and has taken for the
        security team: at most 20 each.
        """
        store, since = self._recorder.store, self._recorder.clock() - LOOK_BACK
        unanswered = list(await store.open_for(slack_id, limit=LISTED_MAX))
        answered = list(await store.answered_by(slack_id, since, limit=LISTED_MAX))
        if other_id := await store.asked_as(slack_id):
            unanswered += await store.open_for(other_id, limit=LISTED_MAX)
            answered += await store.answered_by(other_id, since, limit=LISTED_MAX)
            unanswered.sort(key=lambda each: each.asked_at or each.accepted_at, reverse=True)
            answered.sort(key=lambda each: each.answered_at or each.accepted_at, reverse=True)
        taken = await store.taken_by(slack_id, limit=LISTED_MAX)
        return Listed(unanswered=unanswered[:LISTED_MAX], answered=answered[:LISTED_MAX], taken=taken)

    async def work_on(self, question: Question, work: Work) -> None:
        """Do the work that is due for a question. Raises `StoreError`."""
        certain = await self._actors.asker.restores.before_work(question, work)
        if certain is not None:
            await self._work_on(certain, work)
        self._on_work()  # if nobody could be asked, there is a report to send

    async def _work_on(self, question: Question, work: Work) -> None:
        if work is Work.REDRAW:
            # Another worker may have stored an answer since this row was read: do not draw an older one.
            stored = await self.find(question.ref)
            if stored is not None:
                await self.redraw(stored)
        elif work is Work.ASK:
            await self._actors.asker.ask(question)
        elif work is Work.REMIND:
            await self._actors.reminder.remind(question)
        else:
            await self._actors.cards.show(question)

    async def find_person(self, question: Question) -> None:
        """Find out whom a question is for; end it if there is nobody. Raises `StoreError`."""
        await self._actors.asker.find_person(question)
        self._on_work()

    async def expire(self, question: Question) -> None:
        """End a question whose deadline has passed. Raises `StoreError`."""
        policy, clock = self._recorder.policy, self._recorder.clock
        certain = await self._actors.asker.restores.before_deadline(question)
        if certain is None:
            return
        restore = await self._actors.asker.restores.restore()

        def expire(row: Question) -> Step | None:
            return asking_rules.expire(restore_rules.give_up_reading(row, restore, clock()), clock(), policy)

        current, step = await self._recorder.decide(certain, expire)
        if current is not None and step is not None:
            reason = current.reason or None
            log_question(log.info, "question.expired", current, reason=reason, standing=current.standing)
            self._on_work()

    async def redraw(self, question: Question, *, response_url: str = "") -> bool:
        """Make the message show what is stored; return False if that has to be done later.

        Each message is redrawn by one call at a time.
        """
        if question.ref in self._redrawing:
            # The redraw under way will notice that the row has changed. The sweeper must not spin until then.
            await asyncio.sleep(1)
            return True
        self._redrawing.add(question.ref)
        try:
            current: Question | None = question
            is_shown = True
            while current is not None and current.outdated:
                is_shown, current = await self._redraw_once(current, response_url)
        finally:
            self._redrawing.discard(question.ref)
        return is_shown

    async def tell(self, response_url: str, notice: Notice, *, ref: str = "") -> None:
        """Tell the clicker why nothing changed, or what failed; `ref` is the question's. Failures are
        logged.
        """
        try:
            await self._messenger.tell(response_url, notice)
        except (TransientError, AmbiguousError) as error:
            await self.note_untold(notice, error, ref=ref)

    async def note_untold(self, notice: Notice, error: Exception, *, ref: str = "") -> None:
        """Log and count a clicker who could not be told something."""
        fields = await self.identifier_field(ref)
        if isinstance(notice, Refusal):
            log_event(log.warning, "reply.failed", "the person who clicked was not told: %s", error, **fields)
        else:
            log_event(log.warning, "notice.lost", "the person who clicked was not told: %s", error, **fields)
        self._recorder.meter.count_untold()

    async def _record_click(
        self,
        click: Answer | Note,
        decision: Callable[[Question, ProofContext | None], Step | Refusal | None],
        log_it: Callable[[Question], None],
    ) -> Question | Refusal:
        question = await self._load_clicked(_Click.of(click))
        if question is None:
            return Refusal.CLOSED
        if isinstance(click, Answer) and click.choice is Choice.YES and self._needs_factor(question):
            current, verdict = await self._decide_proof(question, decision)
        else:
            current, verdict = await self._recorder.decide(question, lambda row: decision(row, None))
        if current is None:
            return Refusal.CLOSED
        if isinstance(verdict, Refusal):
            refused = RefusedClick(slack_id=click.slack_id, reason=verdict.value)
            await self._recorder.decide(current, lambda row: count_refusal(row, refused))
            log_question(log.info, "click.refused", question, reason=verdict.value)
            return verdict
        if verdict is not None:
            if current.in_doubt_since is None:
                self._actors.asker.forget(current)
            log_it(current)
            if verdict.attempt is not None:
                self._actors.prover.start(verdict.attempt)
            self._on_work()
        return current

    def _needs_factor(self, question: Question) -> bool:
        return self._recorder.policy.needs_factor(question)

    async def _decide_proof(
        self, question: Question, decision: Callable[[Question, ProofContext | None], Step | Refusal | None]
    ) -> tuple[Question | None, Step | Refusal | None]:
        """Decide about a *yes* that may have to be proved: its attempt is stored with it."""
        subject = self._recorder.policy.people.subject(question.request.user)
        earliest_push = await self._actors.asker.restores.earliest_push()
        code = draw_code()

        def decide(row: Question, last: Attempt | None) -> Step | Refusal | None:
            lag = self._recorder.clock.lag
            ticket = ProofContext(subject=subject, code=code, last=last, lag=lag, earliest_push=earliest_push)
            return decision(row, ticket)

        return await self._recorder.decide_proof(question, subject, decide)

    async def _load_clicked(self, click: _Click) -> Question | None:
        """Return the question that was clicked, with a certain standing; None if there is none."""
        restores = self._actors.asker.restores
        stored = await self._recorder.store.load(click.ref)
        if stored is None:
            return await restores.revive(click.ref, click.slack_id, click.message_ref)
        question = await self._actors.asker.identify(stored)
        return question and await restores.before_click(question, click.slack_id, click.message_ref)

    async def _result(
        self,
        received: TriageRequest | InvalidBody,
        step: Step,
        verdict: bool | StoreError,  # noqa: FBT001 - it is a verdict
    ) -> bool | Step | Conflict | StoreError:
        """Return how a request was handled: see `_log_receipt`. A repeat is compared with what is stored."""
        if verdict is not False or isinstance(received, InvalidBody):
            return verdict
        recorder, now, change = self._recorder, step.question.accepted_at, None
        try:
            current = await recorder.store.find(received.identifier)
            if current is not None:
                current, change = await recorder.decide(
                    current,
                    lambda row: asking_rules.receive_again(
                        row, received, now, recorder.policy, lag=recorder.clock.lag
                    ),
                )
        except StoreError as error:
            return error
        if current is None:
            return StoreError("the question with this identifier was removed a moment ago")
        return change or False

    def _take_in(self, received: TriageRequest | InvalidBody) -> Step | None:
        request = received.salvaged if isinstance(received, InvalidBody) else received
        if request is None:
            return None
        now, ref = self._recorder.clock(), asking_rules.new_ref(request.identifier, secrets.token_hex(16))
        if isinstance(received, InvalidBody):
            return asking_rules.reject(request, ref, now, self._recorder.policy)
        return asking_rules.accept(request, ref, now, self._recorder.policy, lag=self._recorder.clock.lag)

    async def _redraw_once(self, question: Question, response_url: str) -> tuple[bool, Question | None]:
        """Redraw and record it. Return whether it was drawn, and the row as it is now.

        None in its place: the sweeper does the rest.
        """
        began_at = self._recorder.clock()
        try:
            await self._messenger.redraw(question, response_url=response_url)
        except (TransientError, AmbiguousError) as error:
            # A redraw may be repeated, so it does not matter whether this one took effect.
            log_question(log.warning, "redraw.delayed", question, "not redrawn: %s", error)
            jittered = retry_delay(question.attempts + 1, self._actors.jitter())
            due_at = self._recorder.clock() + (getattr(error, "retry_after", None) or timedelta(0)) + jittered
            await self._recorder.decide(question, lambda row: asking_rules.defer(row, due_at))
            return False, None
        again_at = _hidden_until(question, began_at)
        current, _ = await self._recorder.decide(
            question, lambda row: asking_rules.record_shown(row, question.changes, again_at=again_at)
        )
        is_newest = current is not None and current.changes == question.changes
        return True, None if again_at and is_newest else current


def _hidden_until(question: Question, began_at: datetime) -> datetime | None:
    """Return until when a redraw of an earlier report may hide one that began then; None if none can.

    Such a redraw, in this or another worker, started before the last report was written. What this one shows
    may have been there long before Slack answered.
    """
    last = question.answered_at if question.proof_code else question.settled_at
    if question.changes == 1 or last is None:
        return None
    until = last + REDRAW_TAKES
    return until if until > began_at else None


def _require_a_success(results: Sequence[bool | Step | Conflict | StoreError | None]) -> None:
    """Raise the first `StoreError` if everything that had to be stored failed with one."""
    tried = [result for result in results if result is not None]
    failures = [result for result in tried if isinstance(result, StoreError)]
    if failures and len(failures) == len(tried):
        raise failures[0]


def _log_receipt(step: Step, result: bool | Step | Conflict | StoreError) -> bool | Conflict:  # noqa: FBT001 - it is a verdict
    """Log how a request was handled; return whether it may be deleted from the queue.

    `result` is True if it is new, False if it is known, a step if it replaced an invalid one.
    """
    question, alert = step.question, step.question.request.alert
    match result:
        case Conflict():
            return result  # logged once it has been reported
        case StoreError():
            log_question(log.error, "request.left", question, "not stored: %s", result, alert=alert)
            return False
        case Step():
            log_question(log.info, "request.reopened", question, alert=alert)
            _log_left_out(result.question)
        case True if step.report:
            log_question(log.info, "question.closed", question, reason=question.reason)
        case True:
            log_question(log.info, "request.accepted", question, alert=alert)
            _log_left_out(question)
        case _:
            log_question(log.info, "request.known", question, alert=alert)
    return True


def _log_left_out(question: Question) -> None:
    """Log which of the optional fields is left out of a question, and why."""
    if question.request.left_out:
        reasons = "; ".join(question.request.left_out)
        log_question(log.warning, "request.reduced", question, "left out: %s", reasons)


def _log_answer(question: Question) -> None:
    fields = {"said": question.said, "standing": question.standing, "sequence": question.reports - 1}
    log_question(log.info, "question.answered", question, **fields)


def _log_note(question: Question) -> None:
    log_question(log.info, "note.added", question, sequence=question.reports - 1)
