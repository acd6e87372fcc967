"""Any journey of a few requests, through crashes, lost answers and changed minds: what always holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from fakes import SteppedClock, a_request
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from journey_promises import Promises, judge_click
from mortal_store import WRITE_ENDS, Home, KilledError, MortalStore
from truthful_slack import LOOK_ENDS, POST_ENDS, Message, TruthfulSlack
from wiring import instead, wired

from bot.errors import StoreError, TransientError
from bot.triage.answer_rules import Refusal
from bot.triage.model import Choice, InvalidBody, OutboxRow, Question, State, TriageRequest, Work
from bot.triage.policy import Policy
from bot.triage.restore_rules import is_unread

NAMES = tuple("abcdefghijkl")
#: So few that some of them get more questions than may be put to somebody at once.
PEOPLE = 3

batches = st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True)
#: An answer that is lost is what most goes wrong after: it is drawn more often than the others.
POST_ENDS_TO_DRAW = [*["done, answer lost"] * 4, *sorted(POST_ENDS)]
#: How a click ends that nobody acknowledges: it is not stored, or it is not known yet what it would change.
UNACKNOWLEDGED = (StoreError, TransientError)
writes = st.lists(st.sampled_from(WRITE_ENDS), max_size=4)
choices = st.sampled_from(Choice)


def request_for(name: str) -> TriageRequest:
    return a_request(name, user=f"person-{NAMES.index(name) % PEOPLE}@example.com")


class Journeys(RuleBasedStateMachine):
    """Requests on their way, and what was true of them before."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = SteppedClock()
        self.home = self.new_home()
        self.slack = TruthfulSlack(self.clock)
        self.promises = Promises()

    def new_home(self) -> Home:
        """Return where the store lives on; each kind of store has its own."""
        raise NotImplementedError

    @initialize(
        allow=st.booleans(),
        lag=st.sampled_from([14, 4, 0]),
        expire_after=st.sampled_from([60, 86400, None]),
        names=batches,
    )
    def begin(self, names: list[str], *, allow: bool, lag: int, expire_after: int | None) -> None:
        expiry = timedelta(seconds=expire_after) if expire_after else None
        self.policy = Policy(
            open_per_person=100,
            allow_deescalation=allow,
            expire_after=expiry,
            remind_after=timedelta(seconds=30),
            remind_times=2,
        )
        self.slack.lag = timedelta(seconds=lag)
        self.start()
        self.receive(names, [])
        self.back_up()

    @rule()
    def start(self) -> None:
        """Start the process (again): nothing is left but what is stored."""
        self.kept = self.run(self.home.open())
        self._start_with_store()

    @rule(names=batches, ends=writes)
    def receive(self, names: list[str], ends: list[str]) -> None:
        self._receive([request_for(name) for name in names], ends)

    @rule(name=st.sampled_from(NAMES), ends=writes)
    def receive_what_is_invalid(self, name: str, ends: list[str]) -> None:
        self._receive([InvalidBody(reason="no user", salvaged=a_request(name, user=""))], ends)

    @rule(
        hops=st.lists(st.sampled_from([10, 5, 1, 60, 1000, 100_000]), min_size=1, max_size=4),
        posts=st.lists(st.sampled_from(POST_ENDS_TO_DRAW), min_size=1, max_size=6),
        looks=st.lists(st.sampled_from(sorted(LOOK_ENDS)), max_size=3),
        quick=st.none() | choices,
        ends=writes,
    )
    def let_time_pass(self, hops: list[int], posts: list[str], looks: list[str], **trouble: Any) -> None:
        self.slack.post_ends, self.slack.look_ends, self.store.ends = posts, looks, trouble["ends"]
        if quick := trouble["quick"]:
            self.slack.quick_person = lambda message: self._click(message, quick)
        for seconds in hops:
            self.run(self._work())
            self.clock.advance(seconds=seconds)
        self.slack.post_ends, self.slack.look_ends, self.slack.quick_person = [], [], None
        self.store.ends = []

    @precondition(lambda self: self.slack.messages)
    @rule(data=st.data(), pressed=st.lists(choices, min_size=1, max_size=25), ends=writes)
    def click(self, data: st.DataObject, pressed: list[Choice], ends: list[str]) -> None:
        """Press buttons of a message that is there, whatever we know of it."""
        message = data.draw(st.sampled_from(self.slack.messages))
        before = self.run(self.kept.load(message.ref))
        with self._writes_ending(ends):
            for choice in pressed:
                with suppress(*UNACKNOWLEDGED):  # the person clicks again
                    judge_click(before, choice, self.run(self._click(message, choice)))
                    self.what_was_promised_holds()

    @precondition(lambda self: self.promises.has_reports)
    @rule(ends=writes)
    def publish(self, ends: list[str]) -> None:
        rows: Sequence[OutboxRow] = self.run(self.kept.sendable(self.clock(), limit=10))
        self.promises.deliver(rows)
        with self._writes_ending(ends):
            self.run(self.store.mark_sent(rows, self.clock()))

    @precondition(lambda self: self.promises.has_reports)
    @rule(names=batches)
    def replay(self, names: list[str]) -> None:
        self.run(self.kept.replay(names, self.clock()))

    @rule()
    def back_up(self) -> None:
        self.run(self.home.back_up())

    @rule()
    def restore(self) -> None:
        """Put the last backup in place. What was accepted after it is lost, and may be delivered again."""
        self.kept = self.run(self.home.restore())
        self.promises = Promises(
            shown={each.identifier: each.standing for each in self.slack.drawn.values()},
            kept=self.run(self._count_reports()),
        )
        self.slack.reminded.clear()  # the backup does not know of those, either
        self.run(self.kept.reset_after_restore(self.clock(), longest=self.policy.expire_after))
        self._start_with_store()

    @rule()
    def look_at_the_end(self) -> None:
        """After enough time without trouble, whatever could be asked has been."""
        self.clock.advance(seconds=600)
        for _ in range(12):
            self.run(self._work())
            self.clock.advance(seconds=60)
        for question in self._questions():
            assert question.state in (State.ASKED, State.CLOSED)
            is_open = question.state is State.ASKED and question.standing is None
            assert question.work is None or is_open
            assert question.deadline is None or is_open
            if not question.is_unsure and not is_unread(question, self.run(self.kept.restored())):
                assert self.slack.shown.get(question.ref) == question.said

    @invariant()
    def nobody_has_two_messages(self) -> None:
        asked = Counter(message.ref.partition(".")[0] for message in self.slack.messages)
        assert not asked or max(asked.values()) == 1

    @invariant()
    def what_was_promised_holds(self) -> None:
        if hasattr(self, "kept"):
            questions = self._questions()
            self.run(self.promises.check(questions, self.kept, self.policy, now=self.clock()))
            for question in questions:
                assert self.slack.reminded[question.ref] <= question.reminders <= self.policy.remind_times

    def teardown(self) -> None:
        try:
            self.run(self.home.close())
        finally:
            # Also where the store cannot be closed: a loop that is left open fails some later test.
            self.runner.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def _start_with_store(self) -> None:
        self.store = MortalStore(self.kept)
        messenger = instead(self.slack)
        self.service = wired(self.store, self.policy, clock=self.clock, messenger=messenger).service

    def _questions(self) -> Sequence[Question]:
        questions: Sequence[Question] = self.run(self.kept.list_questions(limit=100))
        return questions

    async def _count_reports(self) -> dict[str, int]:
        questions = await self.kept.list_questions(limit=100)
        return {each.identifier: len(await self.kept.reports_of(each.identifier)) for each in questions}

    def _receive(self, batch: list[TriageRequest | InvalidBody], ends: list[str]) -> None:
        with self._writes_ending(list(ends)):
            fates = self.run(self.service.receive(batch))
            # A valid request after an invalid one is saved by itself: that write may fail alone.
            assert False not in fates or "refused" in ends
            self.promises.accept([each for each, fate in zip(batch, fates, strict=True) if fate])

    @contextmanager
    def _writes_ending(self, ends: list[str]) -> Iterator[None]:
        """Make the next writes end like this; the process that dies of one is started again."""
        self.store.ends = ends
        try:
            yield
        except KilledError:
            self.start()
        except StoreError:
            pass
        self.store.ends = []

    async def _click(self, message: Message, choice: Choice) -> Question | Refusal:
        return await self.service.answer(message.click(choice, self.clock()))

    async def _work(self) -> None:
        try:
            for _ in range(5):
                for question in await self.kept.overdue(self.clock(), limit=20):
                    with suppress(StoreError):
                        await self.service.expire(question)
                for work in Work:
                    for question in await self.kept.due(work, self.clock(), limit=20):
                        with suppress(StoreError):
                            await self.service.work_on(question, work)
        except KilledError:
            self.kept = await self.home.open()
            self._start_with_store()
