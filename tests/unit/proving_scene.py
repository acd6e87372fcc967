"""A worker whose alerts need a proof, in simulated time, and a person who answers on two devices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from fakes import ADA, ScriptedMessenger, a_message, a_request
from memory_store import MemoryStore
from scripted_factor import ScriptedFactor
from simulated_time import run_simulated
from wiring import instead, wired

from bot.clock import Clock
from bot.triage.answer_rules import Refusal
from bot.triage.factor import Verdict
from bot.triage.model import Answer, Choice, Question, Shown, Work
from bot.triage.policy import AlertPolicies, AlertPolicy, Factor, Policy

REQUIRED = Policy(
    alerts=AlertPolicies(default=AlertPolicy(factor=Factor.REQUIRED)), provider="login.example.com"
)
IDENTIFIER = a_request().identifier


class Told(NamedTuple):
    """A report as MozDef reads it."""

    outcome: str
    reason: str
    is_note: bool
    slack: str


class Scene:
    def __init__(self, clock: Clock, policy: Policy = REQUIRED, **factor: Any) -> None:
        self.clock = clock
        self.store = MemoryStore()
        self.policy = policy
        self.factor: ScriptedFactor | None = ScriptedFactor(clock=clock, **factor)
        self.messenger = ScriptedMessenger(clock=clock)
        self.restart()

    def restart(self, policy: Policy | None = None) -> None:
        """Start the next process, with nothing but the store."""
        self.policy = policy or self.policy
        parts = wired(
            self.store,
            self.policy,
            clock=self.clock,
            factor=self.factor,
            messenger=instead(self.messenger),
        )
        self.service, self.prover = parts.service, parts.actors.prover
        self._run = asyncio.create_task(self.prover.run(asyncio.Event()))

    async def kill(self) -> None:
        """End the process wherever it is."""
        tasks = [self._run, *self.prover._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def restore(self, shown: Shown | None) -> None:
        """Put the store as it stands in place of a later one, which the question's message may show."""
        await self.kill()
        question, now = await self.question(), self.clock()
        self.messenger.shown = {question.ref: a_message(question, ts=question.ts, shown=shown)}
        await self.store.reset_after_restore(now, since=now, longest=timedelta(hours=24))
        self.restart()

    async def ask(self, identifier: str = IDENTIFIER, *, user: str = "ada@example.com") -> Question:
        self.messenger.people.setdefault(user, replace(ADA, slack_id=f"U0{user}"))
        await self.service.receive([a_request(identifier, user=user)])
        await self.service.work_on(await self.question(identifier), Work.ASK)
        return await self.question(identifier)

    async def question(self, identifier: str = IDENTIFIER) -> Question:
        question = await self.store.find(identifier)
        assert question
        return question

    async def click(self, choice: Choice, identifier: str = IDENTIFIER) -> Question | Refusal:
        question = await self.question(identifier)
        at = self.clock()
        click = Answer(
            ref=question.ref,
            choice=choice,
            slack_id=question.slack_id or ADA.slack_id,
            same_workspace=True,
            message_ref=question.message_ref,
            at=at,
            clicked_at=at,
        )
        return await self.service.answer(click)

    async def pass_time(self, seconds: float) -> None:
        """Advance the clock, and end what has expired."""
        until = self.clock() + timedelta(seconds=seconds)
        while self.clock() < until:
            for question in await self.store.overdue(self.clock(), limit=10):
                await self.service.expire(question)
            await asyncio.sleep(min(1.0, (until - self.clock()).total_seconds()))

    async def work(self) -> None:
        """Do what the sweeper finds due now."""
        for work in Work:
            for question in await self.store.due(work, self.clock(), limit=10):
                await self.service.work_on(question, work)

    async def told(self, identifier: str = IDENTIFIER) -> Sequence[Told]:
        bodies = [json.loads(row.body) for row in await self.store.reports_of(identifier)]
        return [
            Told(
                outcome=body["details"]["triagebot"]["outcome"],
                reason=body["details"]["triagebot"].get("reason", ""),
                is_note=body["category"] == "triagebotnote",
                slack=body["details"].get("user", body["details"])["slack"],
            )
            for body in bodies
        ]

    async def events(self) -> Sequence[str]:
        trail = await self.store.trail_of(IDENTIFIER)
        assert trail
        return [event.kind.value for event in trail.events]

    async def say_yes(self, reaction: Verdict, after: int) -> None:
        """Ask, press *yes*, and do this on the device."""
        assert self.factor
        self.factor.reactions.append((reaction, after))
        await self.ask()
        await self.click(Choice.YES)


def in_scene(
    play: Callable[[Scene], Coroutine[Any, Any, None]], policy: Policy = REQUIRED, **factor: Any
) -> None:
    """Play something in simulated time, with a worker that looks for what is due."""

    async def scenario(clock: Clock) -> None:
        scene = Scene(clock, policy, **factor)
        await play(scene)
        await scene.kill()

    run_simulated(scenario)
