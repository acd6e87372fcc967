"""Workers that share a metered table, and what happens to an alert among them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fakes import ScriptedMessenger, SteppedClock, a_request
from local_dynamodb import connection, create_table, dynamodb, store_in
from request_units import Meter, stored_bytes
from scripted_factor import ScriptedFactor
from wiring import instead, wired

from bot.store.dynamodb.store import DynamoStore
from bot.triage.factor import Verdict
from bot.triage.model import Answer, Choice, Fact, Note, Question, Work
from bot.triage.policy import AlertPolicies, AlertPolicy, Factor, Policy
from bot.worker.health import StoreWatch

#: What an alert says, as MozDef writes it without anything long.
SUMMARY = "A Duo bypass code was generated for your account from 203.0.113.7 at 11:58 UTC. " * 2

#: A kind of alert that needs a proof.
PROVED = "proved"
_POLICY = Policy(alerts=AlertPolicies(by_label={PROVED: AlertPolicy(factor=Factor.REQUIRED)}))

#: Nobody looks on their own: the journey's clock says when somebody does.
_NEVER = timedelta(days=999)
_URL = "https://hooks.example/1"


class DiedError(Exception):
    """The worker died here."""


class Member:
    """One worker of a crew."""

    def __init__(self, store: DynamoStore, slack: ScriptedMessenger, clock: SteppedClock) -> None:
        self.store = store
        self._clock = clock
        # A person who is asked for a proof gives it once they have read the message.
        reactions = [(Verdict.APPROVED, 1)]
        self.factor = ScriptedFactor(clock=clock, reactions=reactions, interval=timedelta(milliseconds=10))
        parts = wired(store, _POLICY, clock=clock, messenger=instead(slack), factor=self.factor)
        self.service = parts.service

    async def work(self) -> None:
        """Do whatever is due now, but for deadlines, and send what waits."""
        for work in Work:
            for question in await self.store.due(work, self._clock(), limit=10):
                await self.service.work_on(question, work)
        await self.store.mark_sent(await self.store.sendable(self._clock(), limit=10), self._clock())


class Crew:
    """Several workers on one table, which look at it at the same moments."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self.clock = SteppedClock()
        self.meter = Meter(connection(name))
        self._slack = ScriptedMessenger(clock=self.clock)
        options: dict[str, Any] = {"clock": self.clock, "caller": self.meter, "look_interval": _NEVER}
        self.members = [Member(store_in(name, **options), self._slack, self.clock) for _ in range(size)]
        self._dead: list[Member] = []

    @property
    def stored_bytes(self) -> int:
        return stored_bytes(dynamodb().scan(TableName=self._name)["Items"])

    async def pass_time(self, *, seconds: float) -> None:
        """Advance the clock, then have all do what is due. Each sees a deadline before any has ended it."""
        self.clock.advance(seconds=seconds)
        seen = [await each.store.overdue(self.clock(), limit=10) for each in self.members]
        for member, overdue in zip(self.members, seen, strict=True):
            await asyncio.gather(*(member.service.expire(question) for question in overdue))
        for member in self.members:
            await member.work()

    async def ask(self, *facts: Fact, alert: str = a_request().alert) -> None:
        request = replace(a_request(summary=SUMMARY), facts=facts, alert=alert)
        await self.members[0].service.receive([request])
        await self.pass_time(seconds=0)
        assert len(self._slack.posts) == 1

    async def die_while_asking(self) -> None:
        """Accept a request, and kill the worker that holds it as the post begins."""

        async def die(_: Question | None) -> None:
            raise DiedError

        self._slack.before["post"] = die
        try:
            await self.ask()
        except DiedError:
            self._dead.append(self.members.pop(0))
        del self._slack.before["post"]

    async def answer(self, choice: Choice) -> None:
        """Take the person's click, if possible at a worker that did not ask, and show it."""
        said: dict[str, Any] = {"choice": choice, "message_ref": self._question.message_ref}
        service = self.members[-1].service
        answered = await service.answer(Answer(**self._by_person(), **said))
        assert isinstance(answered, Question)
        await service.redraw(answered, response_url=_URL)

    async def prove(self) -> None:
        """Take a *yes* that has to be proved, and its proof."""
        await self.answer(Choice.YES)
        while "poll" not in dict(self.members[-1].factor.calls):  # the push is stored by then
            await asyncio.sleep(0.01)
        self.clock.advance(seconds=20)
        proofs = [each for each in asyncio.all_tasks() if each.get_name().startswith("prove ")]
        await asyncio.gather(*proofs)

    async def look_for_attempts(self) -> None:
        """Look for attempts with which nobody goes on, as every worker does where proofs are needed."""
        await self.members[0].store.due_attempts(self.clock(), limit=10)

    async def write_note(self) -> None:
        service = self.members[-1].service
        note = Note(**self._by_person(), text="I was on a train.", view_id="V0123456789")
        noted = await service.add_note(note)
        assert isinstance(noted, Question)
        await service.redraw(noted)

    async def look_for_old_ones(self) -> None:
        """Do what every worker does once an hour."""
        await self.members[0].store.remove_ended(self.clock() - timedelta(days=30), limit=10)

    async def be_scraped(self, times: int) -> None:
        """Ask the store this many times a minute for what the metrics show of it."""
        watch = StoreWatch(self.members[0].store, clock=self.clock)
        for _ in range(times):
            assert not (await watch.look()).trouble
            self.clock.advance(seconds=60 / times)

    async def reports_sent(self) -> int:
        """How many reports the response queue has got."""
        identifier = a_request().identifier
        return sum(row.sent_at is not None for row in await self.members[-1].store.reports_of(identifier))

    async def close(self) -> None:
        for member in (*self.members, *self._dead):
            await member.store.close()

    @property
    def _question(self) -> Question:
        """The question without a read that costs: Slack sends its ref with the click."""
        return self._slack.posts[-1][1]

    def _by_person(self) -> dict[str, Any]:
        asked = self._question
        return {"ref": asked.ref, "slack_id": asked.slack_id, "same_workspace": True, "at": self.clock()}


@asynccontextmanager
async def crew_of(size: int) -> AsyncIterator[Crew]:
    """Several workers on their own table."""
    crew = Crew(create_table(), size)
    try:
        yield crew
    finally:
        await crew.close()
