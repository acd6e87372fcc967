"""The verb *ask*: from an accepted request to a question that is posted in Slack once.

Order matters: find the person, claim durably, post, record. A worker that dies between claim and record
leaves a row in doubt, and a row in doubt is looked up in Slack before it is posted again.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from bot.backoff import retry_delay
from bot.errors import (
    AmbiguousError,
    AppRejected,
    NoConversation,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage import asking_rules
from bot.triage.log_events import log_event
from bot.triage.look_ups import LookUpDelays, LookUpResult, LookUps
from bot.triage.model import State
from bot.triage.outcomes import Reason, reason_of
from bot.triage.rate_limits import is_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bot.triage.model import MessageRef, Person, Question, Step
    from bot.triage.outcomes import SlackCode
    from bot.triage.ports import Messenger
    from bot.triage.rate_limits import Pacing
    from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: What to do about a code that several people have met and for which our tables have no remedy.
_UNKNOWN_REMEDY = (
    "Look it up in Slack's documentation of chat.postMessage; see messages.toml if it blames the text."
)

#: How long a question is tried against such a code, at the least.
PATIENCE = timedelta(minutes=15)

#: As many people must meet the same code, with nobody asked in between, for it to be the worker's trouble.
PEOPLE = 3

#: Of so many people it is known when they were asked last: one of them is somebody else.
_ASKED_KEPT = 2


class Asker:
    """Takes a question that is due one step closer to being asked."""

    def __init__(
        self,
        messenger: Messenger,
        recorder: Recorder,
        *,
        pacing: Pacing,
        delays: LookUpDelays | None = None,
    ) -> None:
        self._messenger = messenger
        self._recorder = recorder
        self._clock = recorder.clock
        self._limiter = pacing.limiter
        self._rate_limiter = pacing.rate_limiter
        self._jitter = pacing.jitter
        self._unknown_errors = UnknownErrorHistory()
        self._delays = delays or LookUpDelays()
        self._look_ups = LookUps(messenger, clock=recorder.clock, delays=self._delays)
        self._claims: dict[str, Question] = {}  #: rows that this process has claimed and is posting, by ref

    async def ask(self, question: Question) -> None:
        """Ask, or find out whether it was asked. A failure reschedules the question, or ends it.

        Raises `StoreError`.
        """
        if question.state not in (State.ACCEPTED, State.POSTING):
            return  # it was asked, or never will be
        try:
            await self._take_step(question)
        except Undeliverable as error:
            await self._close(self._claims.get(question.ref, question), reason_of(error.reason))
        except TransientError as error:
            await self._retry(question, error)
        except AmbiguousError as error:
            await self._leave_in_doubt(self._claims.get(question.ref, question), error)
        finally:
            self._claims.pop(question.ref, None)

    async def identify(self, question: Question) -> Question | None:
        """Find out whom a row of a restored backup is for, so that a click on it can be judged.

        Return the row as it is then; None if it is gone. Raises `TransientError` if that is not known yet.
        """
        if question.state is State.ACCEPTED and question.in_doubt_since is not None:
            with contextlib.suppress(Undeliverable):  # nobody: the sweeper will find the same, and end it
                return await self._claim_restored(question)
        return question

    async def _take_step(self, question: Question) -> None:
        if question.in_doubt_since is None:
            await self._ask_in_turn(question)
        elif question.state is State.ACCEPTED:
            await self._claim_restored(question)
        else:
            await self._look(question)

    async def _ask_in_turn(self, question: Question) -> None:
        now = self._clock()
        turn = now if is_in_turn(question, now) else self._rate_limiter.reserve(question.request.user, now)
        if turn > now:
            await self._recorder.decide(question, lambda row: asking_rules.postpone(row, turn))
            return
        try:
            await self._post(question)
        except AppRejected as error:
            self._limiter.trip(error, self._clock())
            raise
        except UnknownErrorCode as error:
            self._handle_unknown_code(question, error)
        except TransientError as error:
            if error.retry_after is not None:
                self._limiter.slow_down(error.retry_after, self._clock())
            raise

    async def _post(self, question: Question) -> None:
        person = await self._person(question)
        if await self._waits_for_hours(question, person):
            return
        claimed = await self._recorder.save(question, asking_rules.claim(question, person, self._clock()))
        if claimed is None or await self._give_up_stale(claimed):
            return
        self._claims[question.ref] = claimed
        # Whoever stands still from here on, with the call under way, may still be late: Slack's API has no
        # "post unless it is there". So the claim is judged last, and the call is cut off after a while.
        message_ref = await self._put(claimed)
        if message_ref is None:
            return
        self._unknown_errors.note_success(claimed, self._clock())
        await self._record(claimed, message_ref)
        self._limiter.reset()

    async def _put(self, claimed: Question) -> MessageRef | None:
        """Post the question, in a conversation that is opened for it if need be; None if it was given up."""
        with contextlib.suppress(NoConversation):
            return await self._messenger.post(claimed)
        channel = await self._messenger.open_conversation(claimed)
        if await self._give_up_stale(claimed):
            return None
        return await self._messenger.post(claimed, channel=channel)

    async def _give_up_stale(self, claimed: Question) -> bool:
        """Give up a claim that grew old while this process stalled: another worker may have taken over."""
        now = self._clock()
        if now - (claimed.in_doubt_since or now) <= self._delays.claim_holds:
            return False
        step = asking_rules.record_not_posted(claimed, now)
        if step is None:
            return False
        log_event(
            log.warning,
            "question.delayed",
            "question delayed: the claim is too old",
            identifier=claimed.identifier,
        )
        # Only of this version: a worker that took over has written before posting.
        await self._recorder.save(claimed, step)
        return True

    async def _person(self, question: Question) -> Person:
        person = await self._messenger.find_person(question.request.user)
        reason = asking_rules.why_not_ask(person, self._recorder.policy)
        if reason is not None:
            raise Undeliverable(reason)
        return person

    async def _waits_for_hours(self, question: Question, person: Person) -> bool:
        now, policy = self._clock(), self._recorder.policy
        ask_at = policy.ask_at(question, person, now)
        if ask_at <= now:
            return False
        await self._recorder.decide(
            question, lambda row: asking_rules.wait_for_hours(row, person, ask_at, policy)
        )
        return True

    async def _claim_restored(self, question: Question) -> Question | None:
        """Claim a row of a restored backup, which may have been asked since the backup was made."""
        person = await self._person(question)
        current, _ = await self._recorder.decide(
            question, lambda row: asking_rules.claim_restored(row, person, self._clock())
        )
        return current

    async def _record(self, question: Question, message_ref: MessageRef) -> None:
        policy = self._recorder.policy
        await self._recorder.decide(
            question, lambda row: asking_rules.record_asked(row, message_ref, self._clock(), policy)
        )
        self.forget(question)
        log_event(
            log.info,
            "question.asked",
            "question asked",
            identifier=question.identifier,
            channel=message_ref.channel,
        )

    async def _look(self, question: Question) -> None:
        found = await self._look_ups.look(question)
        if found is LookUpResult.IMPOSSIBLE:
            await self._close(question, Reason.DELIVERY_UNKNOWN)
        elif found is LookUpResult.NOT_POSTED:
            await self._ask_again(question)
        elif isinstance(found, LookUpResult):
            await self._look_later(question, self._look_ups.look_at(question))
        else:
            await self._record(question, found)

    async def _ask_again(self, question: Question) -> None:
        self._look_ups.forget(question)
        log_event(
            log.info,
            "question.not_found",
            "not found in Slack, so it was not asked",
            identifier=question.identifier,
        )
        await self._decide(question, lambda row: asking_rules.record_not_posted(row, self._clock()))

    async def _look_later(self, question: Question, look_at: datetime) -> None:
        current = await self._decide(question, lambda row: asking_rules.defer(row, look_at))
        if current is None or current.in_doubt_since is None:
            self._look_ups.forget(question)  # a click was faster

    async def _leave_in_doubt(self, question: Question, error: AmbiguousError) -> None:
        """Leave the row in doubt: the post may have happened."""
        log_event(
            log.warning,
            "question.unconfirmed",
            "it may have been posted: %s",
            error,
            identifier=question.identifier,
        )
        await self._look_later(question, self._look_ups.doubt(question))

    async def _retry(self, question: Question, error: TransientError) -> None:
        log_event(
            log.warning, "question.delayed", "question delayed: %s", error, identifier=question.identifier
        )
        due_at = self._clock() + self._delay(question, error)
        claimed = self._claims.get(question.ref)
        if claimed is not None:
            await self._decide(claimed, lambda row: asking_rules.record_not_posted(row, due_at))
        else:
            await self._decide(question, lambda row: asking_rules.defer(row, due_at))

    def _handle_unknown_code(self, question: Question, error: UnknownErrorCode) -> NoReturn:
        """Classify an unknown error code: raise it again to retry, or raise `Undeliverable` to give up."""
        now = self._clock()
        self._unknown_errors.note(question, error.code, now)
        if self._unknown_errors.is_worker_trouble(error.code):
            self._limiter.trip(AppRejected(error.code, remedy=error.remedy or _UNKNOWN_REMEDY), now)
        if self._unknown_errors.is_final(question, error.code, now):
            raise Undeliverable(error.code) from error
        raise error

    async def _close(self, question: Question, reason: Reason | SlackCode) -> None:
        now, policy = self._clock(), self._recorder.policy
        await self._decide(question, lambda row: asking_rules.close(row, reason, now, policy))
        self.forget(question)
        log_event(
            log.info, "question.closed", "question closed", identifier=question.identifier, reason=reason
        )

    async def _decide(
        self, question: Question, decision: Callable[[Question], Step | None]
    ) -> Question | None:
        """Store a decision on a row that is still to be asked, unless another worker has claimed it since."""

        def decide(row: Question) -> Step | None:
            is_open = row.state in (State.ACCEPTED, State.POSTING)
            return decision(row) if is_open and row.in_doubt_since == question.in_doubt_since else None

        current, _ = await self._recorder.decide(question, decide)
        return current

    def _delay(self, question: Question, error: TransientError) -> timedelta:
        if error.retry_after is not None:
            return error.retry_after  # without a back-off: the limiter already limits how many begin
        return retry_delay(question.attempts, self._jitter())

    def forget(self, question: Question) -> None:
        """Forget what this process knows about a question that was asked, or has ended."""
        self._unknown_errors.forget(question)
        self._look_ups.forget(question)


class UnknownErrorHistory:
    """Remembers the unknown error codes that Slack has returned lately, and decides when to give up.

    One new code of Slack's, or one typing error in `messages.toml`, must not settle a backlog; nor must one
    person whom Slack keeps from us hold up all others. So a code that three people meet, with nobody asked in
    between, is the worker's trouble. One that a question meets for a quarter of an hour is the question's, if
    somebody else was asked meanwhile; if nobody was, it waits. Lives with the process: a restart is patient
    again.
    """

    def __init__(self) -> None:
        self._since: dict[str, dict[str, datetime]] = {}
        self._people: dict[str, dict[str, datetime]] = {}
        self._asked: dict[str, datetime] = {}  #: the people asked last, the latest last

    def note(self, question: Question, code: str, now: datetime) -> None:
        """Record that this question was refused with this code at `now`."""
        self._since.setdefault(question.ref, {}).setdefault(code, now)
        people = self._people.setdefault(code, {})
        people[question.request.user] = now
        for user in [user for user, seen in people.items() if now - seen > 2 * PATIENCE]:
            del people[user]

    def note_success(self, question: Question, now: datetime) -> None:
        """Remember that Slack took this question: whatever others have met is not the worker's trouble."""
        self._people.clear()
        self._asked.pop(question.request.user, None)  # to stand last
        self._asked[question.request.user] = now
        if len(self._asked) > _ASKED_KEPT:
            del self._asked[next(iter(self._asked))]

    def forget(self, question: Question) -> None:
        """Forget the codes of a question that was asked, or has ended."""
        self._since.pop(question.ref, None)

    def is_worker_trouble(self, code: str) -> bool:
        """Whether so many people ran into the code that the worker is to blame, not a request."""
        return len(self._people.get(code, ())) >= PEOPLE

    def is_final(self, question: Question, code: str, now: datetime) -> bool:
        """Whether to believe that this question can never be asked."""
        since = self._since.get(question.ref, {}).get(code, now)
        others = [moment for user, moment in self._asked.items() if user != question.request.user]
        is_its_own = any(moment > since for moment in others)
        return now - since >= PATIENCE and is_its_own and not self.is_worker_trouble(code)
