"""Any journey of a few requests, through crashes, lost answers and changed minds: what always holds."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fakes import MemoryStore, SteppedClock, a_request
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from truthful_slack import LOOK_ENDS, POST_ENDS, KilledError, TruthfulSlack

from bot.errors import StoreError
from bot.sqs.wire import write_report
from bot.triage.asking import Asker
from bot.triage.policy import Policy
from bot.triage.model import Answer, Choice, InvalidBody, Outcome, Question, State
from bot.triage.ratchet import IDLE_CHANGES_MAX, RANKS, Refusal
from bot.triage.recorder import Recorder
from bot.triage.service import TriageService

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bot.triage.model import OutboxRow

NAMES = tuple("abcdefghijkl")
WAYS_ON = {
    State.ACCEPTED: {State.ACCEPTED, State.POSTING, State.ASKED, State.CLOSED},
    State.POSTING: {State.POSTING, State.ASKED, State.CLOSED},
    State.ASKED: {State.ASKED},
    State.CLOSED: {State.CLOSED, State.ASKED},
}


class Journeys(RuleBasedStateMachine):
    """Requests on their way, and what was true of them before."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.slack = TruthfulSlack()
        self.before: dict[str, Question] = {}
        self.bodies: dict[str, Sequence[str]] = {}

    @initialize(allow=st.booleans())
    def begin(self, *, allow: bool) -> None:
        self.policy = Policy(allow_deescalation=allow)
        self.start()

    @rule()
    def start(self) -> None:
        """Start the process (again): nothing is left but what is stored."""
        recorder = Recorder(self.store, write_report, policy=self.policy, clock=self.clock)
        asker = Asker(self.slack, recorder, spread=lambda: 1.0)
        self.service = TriageService(recorder, self.slack, asker, on_work=lambda: None)

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
    def receive(self, names: list[str]) -> None:
        batch = [a_request(name, user=f"{name}@example.com") for name in names]
        assert list(self.run(self.service.receive(batch))) == [True] * len(batch)

    @rule(name=st.sampled_from(NAMES))
    def receive_what_is_invalid(self, name: str) -> None:
        received = InvalidBody(reason="no user", salvaged=a_request(name, user=""))
        assert list(self.run(self.service.receive([received]))) == [True]

    @rule(
        seconds=st.sampled_from([0, 1, 5, 10, 60, 1000]),
        posts=st.lists(st.sampled_from(sorted(POST_ENDS)), min_size=1, max_size=6),
        looks=st.lists(st.sampled_from(sorted(LOOK_ENDS)), max_size=3),
        quick=st.none() | st.sampled_from(Choice),
    )
    def let_time_pass(
        self, seconds: int, posts: list[str], looks: list[str], *, quick: Choice | None
    ) -> None:
        self.slack.post_ends, self.slack.look_ends = posts, looks
        if quick:
            self.slack.quick_person = lambda row: self.service.answer(self._click(row, quick))
        self.clock.advance(seconds=seconds)
        self.run(self._work())
        self.slack.post_ends, self.slack.look_ends, self.slack.quick_person = [], [], None

    @precondition(lambda self: self.slack.messages)
    @rule(data=st.data(), choices=st.lists(st.sampled_from(Choice), min_size=1, max_size=25))
    def click(self, data: st.DataObject, choices: list[Choice]) -> None:
        """Press buttons of a message that is there, whatever we know of it."""
        ref = data.draw(st.sampled_from(sorted(self.slack.messages)))
        question = self.run(self.store.load(ref))
        assert question is not None
        for choice in choices:
            result = self.run(self.service.answer(self._click(question, choice)))
            assert result is Refusal.TOO_MANY_CHANGES or isinstance(result, Question)
        said = self.run(self.store.load(ref))
        assert said is not None
        assert said.state is State.ASKED
        assert said.answers >= 1

    @precondition(lambda self: self.slack.messages)
    @rule(choice=st.sampled_from(Choice))
    def click_while_the_store_fails(self, choice: Choice) -> None:
        ref = min(self.slack.messages)
        question = self.run(self.store.load(ref))
        assert question is not None
        self.store.fails = [StoreError("disk full")]
        with suppress(StoreError):
            self.run(self.service.answer(self._click(question, choice)))
        if self.store.fails:  # it was no news, so nothing was to be stored
            self.store.fails = []
        else:
            assert self.run(self.store.load(ref)) == question

    @rule()
    def look_at_the_end(self) -> None:
        """After enough time without trouble, whatever could be asked has been."""
        self.clock.advance(seconds=600)
        for _ in range(12):
            self.run(self._work())
            self.clock.advance(seconds=60)
        for question in self.store.questions.values():
            assert question.state in (State.ASKED, State.CLOSED)
            assert not question.outdated
            assert question.due_at is None

    @invariant()
    def nobody_has_two_messages(self) -> None:
        assert all(len(places) == 1 for places in self.slack.messages.values())

    @invariant()
    def every_report_is_there_once_and_stays_as_it_was(self) -> None:
        for question in self.store.questions.values():
            name = question.request.identifier
            rows: Sequence[OutboxRow] = self.run(self.store.reports_of(name))
            assert [row.sequence for row in rows] == list(range(question.reports))
            bodies = [row.body for row in rows]
            assert bodies[: len(self.bodies.get(name, ()))] == self.bodies.get(name, [])
            self.bodies[name] = bodies
            assert bool(rows) == (question.standing is not None)
            if rows:
                assert json.loads(bodies[-1])["details"]["triagebot"]["outcome"] == question.standing

    @invariant()
    def nothing_goes_back(self) -> None:
        for ref, question in self.store.questions.items():
            before = self.before.get(ref)
            self.before[ref] = question
            assert question.idle_changes <= IDLE_CHANGES_MAX
            assert question.state in WAYS_ON[before.state if before else State.ACCEPTED]
            if before is None:
                continue
            assert question.claimed_at == (before.claimed_at or question.claimed_at)
            assert question.posted == (before.posted or question.posted)
            assert before.state is question.state or question.state is not State.ASKED or question.posted
            if before.said and before.standing and question.standing and not self.policy.allow_deescalation:
                assert RANKS[question.standing] >= RANKS[before.standing]
            if before.state is State.CLOSED and question.state is State.ASKED:
                assert question.said is not None
                assert question.standing is not Outcome.UNDELIVERABLE

    def teardown(self) -> None:
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def _click(self, question: Question, choice: Choice) -> Answer:
        [place, *_] = self.slack.messages[question.ref]
        return Answer(
            ref=question.ref,
            choice=choice,
            slack_id=question.slack_id,
            ours=True,
            posted=place,
            at=self.clock(),
        )

    async def _work(self) -> None:
        for _ in range(5):
            due = await self.store.due(self.clock(), limit=10)
            for question in due:
                try:
                    await self.service.work_on(question)
                except KilledError:
                    self.start()
                    return


TestJourneys = Journeys.TestCase
TestJourneys.settings = settings(max_examples=150, stateful_step_count=25)
