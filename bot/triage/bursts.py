"""Places for questions. Each person has a limited number; the questions that find none wait, as a burst.

A place is reserved in the transaction that claims its question, or that calls a waiting one. Waiting
questions cost nothing: a burst is looked at when a question of its person ends, and every five seconds in
case the worker that knew of it has died.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from bot.backoff import RETRY_MAX, pause_to_beat, retry_delay, when_set
from bot.errors import (
    AmbiguousError,
    NoConversation,
    PermanentError,
    StoreError,
    TransientError,
    UnknownErrorCode,
)
from bot.triage import asking_rules, place_rules
from bot.triage.answer_rules import Refusal
from bot.triage.assignments import CardClick
from bot.triage.cards import REFUSED_WAIT
from bot.triage.log_events import log_event, log_question
from bot.triage.look_ups import LookUpDelays, LookUpResult, LookUps
from bot.triage.model import MessageRef, Person, Question, State, Step, change_question
from bot.triage.outcomes import Outcome
from bot.triage.places import Line, Places
from bot.triage.ports import Messenger, SecurityTeam
from bot.triage.rate_limits import Pacing
from bot.triage.recorder import Recorder
from bot.triage.restores import Restores

log = logging.getLogger(__name__)

#: The most bursts that one look in the store returns.
FOUND_MAX: Final = 100

#: The most open questions of one person that are read if their row may not list all of them.
OPEN_MAX: Final = 120

#: How long to wait for calls in progress when stopping. What they leave in doubt, the next worker looks up.
STOP_WAIT: Final = timedelta(seconds=3)

#: The longest wait before a retry if Slack refuses the line with an unknown code.
LINE_WAIT: Final = timedelta(seconds=30)

Decision = Callable[[Places], Places | None]


class Bursts:
    """Reserves places for questions, and calls those that wait in their turn. Raises `StoreError`."""

    def __init__(
        self,
        slack: tuple[Messenger, SecurityTeam],
        recorder: Recorder,
        *,
        pacing: Pacing,
        restores: Restores,
        delays: LookUpDelays | None = None,
    ) -> None:
        self._messenger, self._team = slack
        self._recorder = recorder
        self._restores = restores
        self._store = recorder.store
        self._clock = recorder.clock
        self._policy = recorder.policy
        self._pacing = pacing
        self._delays = delays or LookUpDelays()
        self._look_ups = LookUps(self._messenger, clock=recorder.clock, delays=self._delays)
        self._stop = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  #: see `turn`
        self._again: set[str] = set()  #: people whose burst must be looked at again
        self._known: set[str] = set()  #: people with a waiting question, as far as this worker knows
        self._denied: defaultdict[str, list[Question]] = defaultdict(list)
        self.on_work: Callable[[], None] = lambda: None

    # Places

    @asynccontextmanager
    async def turn(self, question: Question, person: Person) -> AsyncIterator[Places | None]:
        """Yield the person's places with one for the question, not stored yet; None: the question waits now.

        The person's next question is blocked until the caller has stored them. Otherwise all questions that
        arrive together would find the same place free, and each would reserve a turn among the person's
        messages. A question that finds others waiting blocks none.
        """
        key = place_rules.person_key(person.slack_id, person.other_slack_id)
        places, reserved = await self._reserve(question, person) if key in self._known else (None, None)
        if places is not None and _is_on(places) and reserved is not None:
            yield reserved
            return
        if places is None or not _is_on(places):
            async with self._locks.setdefault(key, asyncio.Lock()):
                places, reserved = await self._reserve(question, person)
                if reserved is not None:
                    yield reserved
                    return
        await self._let_wait(question, person, places)
        yield None

    async def find_place(self, question: Question, person: Person) -> Places | None:
        """Return what `turn` yields, without blocking the person's next question."""
        places, reserved = await self._reserve(question, person)
        if reserved is None:
            await self._let_wait(question, person, places)
        return reserved

    async def _reserve(self, question: Question, person: Person) -> tuple[Places, Places | None]:
        """Return the person's places, and the same with one for the question; None: it gets none."""
        places = await self._load(person)
        if places.holds(question.ref):
            return places, places
        if _is_on(places):
            return places, None
        limit = self._policy.open_per_person
        reserved = place_rules.reserve(places, question, limit)
        if reserved is None:
            places = await self._drop_ended(places)
            reserved = place_rules.reserve(places, question, limit)
        return places, reserved

    async def claim(self, question: Question, person: Person, places: Places) -> Question | None:
        """Claim the question and store its place; None if it waits now, or another worker has it."""
        return await self._store_with(
            question, person, places, lambda: asking_rules.claim(question, person, self._clock())
        )

    async def postpone(self, question: Question, person: Person, places: Places, turn: datetime) -> None:
        """Postpone the question until its turn among the person's messages. It already holds its place."""
        await self._store_with(question, person, places, lambda: asking_rules.postpone(question, turn))

    async def _store_with(
        self, question: Question, person: Person, places: Places, decide: Callable[[], Step | None]
    ) -> Question | None:
        """Store a step of the question together with its place."""
        reserved: Places | None = places
        while reserved is not None:
            step = decide()
            if step is None:
                return None
            saved = await self._recorder.save(question, replace(step, places=reserved))
            if saved is not None:
                return saved
            stored = await self._store.load(question.ref)
            if stored is None or stored.version != question.version:
                return None
            reserved = await self.find_place(stored, person)  # another question took a place meanwhile
        return None

    async def hold(self, question: Question, person: Person) -> None:
        """Hold a place for a question that may already be in Slack, as after a restore."""
        places, limit = await self._load(person), self._policy.open_per_person
        await self._change(places, lambda row: place_rules.hold(row, question, limit))

    async def release(self, question: Question) -> None:
        """Release the place of a question that was not asked after all: it gets one in its turn."""
        person = place_rules.person_key(question.slack_id, question.other_slack_id)
        await self._change_stored(person, lambda row: place_rules.release(row, question))

    async def _let_wait(self, question: Question, person: Person, places: Places) -> None:
        now, lag, policy = self._clock(), self._clock.lag, self._policy
        draw = {"line_ref": asking_rules.new_ref(places.person, _secret()), "card_secret": _secret()}
        begun = await self._change(places, lambda row: place_rules.begin(row, now, **draw))
        self._known.add(places.person)
        zone, key = person.time_zone, places.person
        current, step = await self._recorder.decide(
            question,
            lambda row: place_rules.wait_for_place(
                change_question(row, time_zone=zone), key, now, policy, lag=lag
            ),
        )
        if current is not None and step is not None:
            log_question(log.info, "question.waiting", question, open=len(places.held))
        has_room = place_rules.reserve(places, question, policy.open_per_person)
        if begun is not None or has_room is not None:
            self.wake(places.person)
        if begun is not None and places.burst is None:
            log_event(log.warning, "burst.began", person=places.person)

    async def _load(self, person: Person) -> Places:
        """Return a person's places. To a new or restored row the questions that are open are added."""
        key = place_rules.person_key(person.slack_id, person.other_slack_id)
        stored = await self._store.find_places(key)
        places = replace(
            stored or Places(person=key, touched_at=self._clock()),
            slack_id=person.slack_id,
            other_slack_id=person.other_slack_id,
            slack_name=person.slack_name,
        )
        if stored is None or await self._restores.may_lack():
            for slack_id in filter(None, (person.slack_id, person.other_slack_id)):
                asked = await self._store.open_for(slack_id, limit=OPEN_MAX)
                places = place_rules.add_open(places, asked, self._clock(), self._policy)
        return places

    async def _drop_ended(self, places: Places) -> Places:
        """Return the places without those of questions that have ended, or were answered or removed."""
        found = await asyncio.gather(*(self._store.load(each.ref) for each in places.held))
        questions = {each.ref: each for each in found if each is not None}
        left = place_rules.drop_ended(places, questions, self._clock(), self._policy)
        for each in questions.values():
            if each.standing is Outcome.NO:
                left = place_rules.record_denied(left, each, self._clock()) or left
        return left

    async def _change(self, places: Places, decide: Decision) -> Places | None:
        """Store what `decide` returns, deciding again if another writer was faster; None: nothing changes."""
        current: Places | None = places
        while current is not None:
            decided = decide(current)
            if decided is None:
                return None
            saved = self._recorder.next_places(decided)
            if await self._store.save_places(saved):
                return saved
            stored = await self._store.find_places(places.person)
            current = stored and replace(
                stored,
                slack_id=places.slack_id,
                other_slack_id=places.other_slack_id,
                slack_name=places.slack_name,
            )
        return None

    # Bursts

    def note(self, before: Question, after: Question) -> None:
        """Look at the burst of a question's person, if there is one and the question has ended."""
        if not self._known or not after.slack_id:
            return
        person = place_rules.person_key(after.slack_id, after.other_slack_id)
        has_ended = (after.standing, after.said) != (before.standing, before.said)
        if person in self._known and (has_ended or after.state is State.CLOSED):
            if after.standing is Outcome.NO:
                self._denied[person].append(after)
            self.wake(person)

    def wake(self, person: str) -> None:
        """Look at a person's burst now; if a look is in progress, once more after it."""
        if person in self._tasks:
            self._again.add(person)
        elif not self._stop.is_set():
            self._tasks[person] = asyncio.create_task(self._work(person), name=f"burst {person}")

    async def take(self, click: CardClick) -> Places | Refusal:
        """Record durably who took a whole burst; return the row, or why this click may not do that."""
        person, _, _ = click.card.partition(".")
        places, now = await self._store.find_places(person), self._clock()
        if places is None or places.burst is None:
            return Refusal.CLOSED
        refusal = place_rules.why_not_take(places, click, self._policy)
        taken = None
        if refusal is None:
            taken = await self._change(places, lambda row: place_rules.take_burst(row, click, now))
        if taken is not None:
            log_event(log.info, "burst.taken", person=person, slack_id=click.slack_id)
            self.wake(person)
            return taken
        if refusal is None:  # nothing was changed
            places = await self._store.find_places(person) or places
            refusal = place_rules.why_not_taken(places, click)
        if refusal is not None:
            log_event(log.info, "click.refused", person=person, reason=refusal.value)
        return refusal or places

    async def run(self, stop: asyncio.Event) -> None:
        """Look at the bursts that are due, until `stop` is set. Failures are logged; raises nothing."""
        with when_set(stop, self._stop.set):
            while not stop.is_set():
                await self._find()
                await pause_to_beat(stop, every=place_rules.LOOK_INTERVAL)
        await self.drain(timeout=STOP_WAIT)

    async def drain(self, *, timeout: timedelta | None = None) -> None:  # noqa: ASYNC109 - it cancels nothing
        """Wait for the looks in progress; None: without a limit."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=timeout.total_seconds() if timeout else None)

    async def _find(self) -> None:
        if not self._clock.is_known:  # by a wrong clock all bursts may be due, or none
            return
        try:
            due = await self._store.due_places(self._clock(), limit=FOUND_MAX)
        except StoreError as error:
            log_event(log.error, "sweep.failed", "sweep failed: %s", error)
            return
        for places in due:
            self.wake(places.person)

    async def _work(self, person: str) -> None:
        try:
            await self.look_at(person)
        except StoreError as error:  # it is due again
            log_event(log.error, "sweep.failed", "a burst is left for later: %s", error)
        except Exception:  # noqa: BLE001 - it is logged, with its traceback
            log_event(log.exception, "sweep.failed", "a burst is left for later")
        finally:
            del self._tasks[person]
            if person in self._again:
                self._again.discard(person)
                self.wake(person)

    async def look_at(self, person: str) -> None:
        """Call waiting questions into free places, then tell the person and the team about the others."""
        places = await self._call_waiting(person)
        if places is None or places.burst is None:
            self._known.discard(person)
            self._denied.pop(person, None)
            return
        self._known.add(person)
        now = self._clock()
        if places.due_at is not None and places.due_at <= now:
            places = await self._count(places) or places
        await self._tell(places)
        await self._show(places)
        has_channel = self._policy.has_channel
        if places.burst is not None and await self._change_stored(
            person, lambda row: place_rules.forget_burst(row, has_channel=has_channel)
        ):
            self._known.discard(person)
            self._look_ups.forget(place_rules.line_of(places))  # its line may still be in doubt
            log_event(log.info, "burst.ended", person=person)

    async def _call_waiting(self, person: str) -> Places | None:
        """Give the free places to the questions that are next; return the row, None if there is none."""
        for question in self._denied.pop(person, ()):
            note = partial(place_rules.record_denied, question=question, now=self._clock())
            await self._change_stored(person, note)
        while True:
            places = await self._store.find_places(person)
            if places is None or places.burst is None:
                return places
            left, now = await self._drop_ended(places), self._clock()
            # Each label that waits costs a read.
            is_full = place_rules.is_full(left, self._policy.open_per_person)
            waiting = () if is_full else await self._store.first_waiting(person)
            chosen = place_rules.choose(left, waiting, now, self._policy)
            if chosen is None:
                return left if left is places else await self._change(left, lambda row: row) or places
            question, reserved = chosen
            step = place_rules.call(question, reserved, now, self._policy)
            if await self._recorder.save(question, step) is not None:
                log_question(log.info, "question.called", question)
                self.on_work()

    async def _count(self, places: Places) -> Places | None:
        count = await self._store.count_waiting(places.person, limit=place_rules.IDENTIFIERS_MAX)
        now = self._clock()

        def decide(row: Places) -> Places:
            counted = place_rules.count_waiting(row, count, now)
            return place_rules.record_look(counted, any_waiting=bool(count.kinds), now=now)

        return await self._change(places, decide)

    async def _change_stored(self, person: str, decide: Decision) -> Places | None:
        places = await self._store.find_places(person)
        return places and await self._change(places, decide)

    # The line to the person

    async def _tell(self, places: Places) -> None:
        """Post the line; if it is in doubt, look it up instead."""
        line = places.burst.line if places.burst else None
        if line is None or line.is_over or self._pacing.limiter.opens_at(self._clock.monotonic()):
            return
        if line.in_doubt_since is not None:
            await self._look_up(places, line)
            return
        since = self._clock.boottime()
        claimed = await self._change(places, lambda row: place_rules.claim_line(row, self._clock()))
        if claimed is not None and claimed.burst is not None:
            await self._post(claimed, claimed.burst.line, since)

    async def _post(self, places: Places, line: Line, since: timedelta) -> None:
        message = place_rules.line_of(places)
        try:
            is_told = await self._restores.has_line(message)  # under another ref
            if not is_told and await self._send(message, since) is None:
                await self._delay_line(places, line, TransientError("its claim is too old"))
                return
        except TransientError as error:
            await self._delay_line(places, line, error)
        except AmbiguousError as error:
            log_question(log.warning, "burst_line.unconfirmed", message, "it may have been posted: %s", error)
            self._look_ups.mark_in_doubt(message)
        except PermanentError as error:
            log_question(log.warning, "burst_line.refused", message, "the line is lost: %s", error)
            await self._change(places, lambda row: place_rules.end_line(row, line))
        else:
            await self._end_line(places, line)

    async def _send(self, message: Question, since: timedelta) -> MessageRef | None:
        """Post the line, opening the conversation if necessary; None: the claim is too old."""
        channel = ""
        for _ in range(2):
            if self._clock.boottime() - since > self._delays.claim_holds:  # the process was frozen
                return None
            try:
                return await self._messenger.post_line(message, channel=channel)
            except NoConversation:
                if channel:
                    raise
                channel = await self._messenger.open_conversation(message)
        return None

    async def _delay_line(self, places: Places, line: Line, error: TransientError) -> None:
        message = place_rules.line_of(places)
        log_question(log.warning, "burst_line.delayed", message, "the line is delayed: %s", error)
        longest = LINE_WAIT if isinstance(error, UnknownErrorCode) else RETRY_MAX
        jittered = retry_delay(line.attempts, self._pacing.jitter(), longest=longest)
        due_at = self._clock() + (error.retry_after or jittered)
        await self._change(places, lambda row: place_rules.record_line_not_posted(row, line, due_at))

    async def _look_up(self, places: Places, line: Line) -> None:
        message = place_rules.line_of(places)
        try:
            found = await self._look_ups.look(message)
        except TransientError as error:
            log_question(log.warning, "burst_line.delayed", message, "not looked up yet: %s", error)
            return
        if found is LookUpResult.NOT_POSTED:
            self._look_ups.forget(message)
            now = self._clock()
            await self._change(places, lambda row: place_rules.record_line_not_posted(row, line, now))
        elif not isinstance(found, LookUpResult) or found is LookUpResult.IMPOSSIBLE:
            self._look_ups.forget(message)
            await self._end_line(places, line)

    async def _end_line(self, places: Places, line: Line) -> None:
        if await self._change(places, lambda row: place_rules.end_line(row, line)):
            log_event(log.info, "burst.told", person=places.person)

    # The card

    async def _show(self, places: Places) -> None:
        """Post the burst's card, or update it."""
        if not self._policy.has_channel:
            return
        claimed = await self._change_stored(
            places.person, lambda row: place_rules.claim_card(row, self._clock())
        )
        if claimed is None:
            return
        try:
            ts = await self._team.show_burst(claimed)
        except (PermanentError, UnknownErrorCode) as error:
            log_event(log.error, "card.refused", "the card of a burst is refused: %s", error)
            await self._refuse(claimed)
        except (TransientError, AmbiguousError) as error:
            log_event(log.warning, "card.delayed", "the card of a burst is delayed: %s", error)
            asked: timedelta | None = getattr(error, "retry_after", None)
            await self._postpone(claimed, asked or place_rules.CARD_LEASE)
        else:
            now = self._clock()
            await self._change(claimed, lambda row: place_rules.record_card(row, claimed, ts, now))
            log_event(log.info, "burst.shown", person=claimed.person)

    async def _refuse(self, places: Places) -> None:
        """Retry a refused card later; never, if the burst is over: the next one has a card of its own."""
        due_at = self._clock() + REFUSED_WAIT
        await self._change(places, lambda row: place_rules.refuse_card(row, due_at))

    async def _postpone(self, places: Places, wait: timedelta) -> None:
        due_at = self._clock() + wait
        await self._change(places, lambda row: place_rules.postpone_card(row, due_at))


def _is_on(places: Places) -> bool:
    """Whether a burst is in progress: then no new question may take a place before those that wait."""
    return places.burst is not None and places.burst.ended_at is None


def _secret() -> str:
    return secrets.token_hex(16)
