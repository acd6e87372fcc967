"""Proofs in a storm: workers that die anywhere, a provider that fails, people who do as drawn; and a judge.

A run is drawn from its seed, in simulated time, on one store. The judge goes by what people and the provider
did, and by the reports: it believes nothing that the program says about proofs.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from random import Random
from typing import Any

from fakes import ADA, ScriptedMessenger, a_request
from memory_store import MemoryStore
from scripted_factor import OnDevice, ScriptedFactor
from simulated_time import run_simulated
from wiring import instead, wired

from bot.clock import Clock
from bot.errors import AmbiguousError, NoDevice, StoreError, TransientError
from bot.sandbox.mozdef import AlertBook
from bot.triage.factor import PollResult, Push, Verdict
from bot.triage.model import Answer, Choice, Work
from bot.triage.policy import AlertPolicies, AlertPolicy, Factor, Policy

POLICY = Policy(
    open_per_person=100,
    alerts=AlertPolicies(default=AlertPolicy(factor=Factor.REQUIRED)),
    provider="login.example.com",
    expire_after=timedelta(minutes=20),
    remind_times=0,
)
SUBJECTS = ("ada@example.com", "bo@example.com", "cy@example.com")
ALERTS = 6
WORKERS = 2
LIVES = 4
REACTIONS = [
    *[Verdict.APPROVED] * 8,
    *[Verdict.REFUSED, Verdict.TIMED_OUT] * 2,
    *(Verdict.OTHER_PERSON, Verdict.UNAVAILABLE, Verdict.FRAUD),
]
CHOICES = [*[Choice.YES] * 8, Choice.NO, Choice.NOT_SURE]

#: How a push may end but well. One that was `made` is on the device, and its id is lost.
PUSH_TROUBLES = ["", "", "", "", "refused", "lost", "made", "no device"]

_SECOND = timedelta(seconds=1)

#: Reports as MozDef gets them, and when each was stored.
Told = list[tuple[datetime, dict[str, Any]]]


@dataclass(kw_only=True)
class Press:
    """A click that the bot may have taken; whether it did is only known if it said so."""

    identifier: str
    choice: Choice
    at: datetime
    is_taken: bool = False


class Life:
    """One life of a worker. Once it is over, whatever it still waits for never comes."""

    def __init__(self, dies_at: int | None) -> None:
        self._dies_at = dies_at
        self._steps = 0
        self.over = asyncio.Event()

    async def step(self) -> None:
        """Pass a boundary: of a write, a read, or a call."""
        self._steps += 1
        if self._steps == self._dies_at:
            self.over.set()
        if self.over.is_set():
            await asyncio.Event().wait()


class Mortal:
    """Passes calls on to what outlives a worker, which may die before and after each."""

    def __init__(self, kept: Any, life: Life) -> None:
        self._kept = kept
        self._life = life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._kept, name)
        if not iscoroutinefunction(found):
            return found

        async def call(*given: Any, **options: Any) -> Any:
            await self._life.step()
            try:
                return await found(*given, **options)
            finally:
                await self._life.step()

        return call


class StormyFactor(ScriptedFactor):
    """A provider whose replies come late, or never. `record` is its own, of what people did."""

    random: Random
    calm = False

    async def push(self, subject: str, code: str) -> Push:
        await asyncio.sleep(self.random.choice((0.0, 0.1, 5.0)))
        trouble = "" if self.calm else self.random.choice(PUSH_TROUBLES)
        if trouble == "refused":
            raise TransientError("429", retry_after=self.random.choice((None, 7 * _SECOND)))
        if trouble == "no device":
            raise NoDevice
        if trouble == "lost":
            raise AmbiguousError("reset")
        self.reactions = [(self.random.choice(REACTIONS), self.random.randint(0, 70))]
        push = await super().push(subject, code)
        if trouble == "made":
            raise AmbiguousError("timed out")
        return push

    async def poll(self, push_id: str, subject: str) -> PollResult:
        await asyncio.sleep(self.random.choice((0.0, 0.1, 3.0)))
        trouble = "" if self.calm else self.random.choice((*[""] * 8, "slow", "away", "lost"))
        if trouble == "away":
            raise TransientError("HTTP 503")
        polled = await super().poll(push_id, subject)
        if trouble == "lost":
            device = self.pushes[int(push_id.removeprefix("push-")) - 1]
            device.is_lost |= polled.verdict is not Verdict.PENDING
            raise TransientError("the reply was lost")
        if trouble == "slow" and polled.verdict is Verdict.PENDING:
            return PollResult(verdict=Verdict.PENDING, slower=5 * _SECOND)
        return polled


@dataclass
class Storm:
    """One run, and all that the judge goes by."""

    seed: int
    presses: list[Press] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)  #: of attempts → the alert about which they are
    devices: list[OnDevice] = field(default_factory=list)
    reports: dict[str, Told] = field(default_factory=lambda: defaultdict(list))
    subjects: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    deaths: list[datetime] = field(default_factory=list)

    def run(self) -> None:
        run_simulated(self._play)

    async def _play(self, clock: Clock) -> None:
        self._clock, self._random = clock, Random(self.seed)
        self._store = _WatchedStore(self, clock)
        self._factor = StormyFactor(clock=clock)
        self._factor.random = Random(self.seed + 1)
        lives = [asyncio.create_task(self._keep_alive()) for _ in range(WORKERS)]
        self._services: list[Any] = []
        await asyncio.sleep(0)
        for number in range(ALERTS):
            identifier, subject = f"alert-{number}", self._random.choice(SUBJECTS)
            self.subjects[identifier] = subject
            await self._ask(identifier, subject)
        self._store.is_raging = True
        await asyncio.gather(*(self._answer(identifier) for identifier in self.subjects))
        self._factor.calm = True
        await asyncio.sleep(1500)
        for life in lives:
            life.cancel()
        self.devices = self._factor.pushes
        for identifier in self.subjects:
            question = await self._store.find(identifier)
            assert question
            if question.proof_code:
                self.unfinished.append(identifier)

    async def _keep_alive(self) -> None:
        """Begin a worker again and again; the last one of them lives on."""
        for number in range(LIVES):
            is_last = number == LIVES - 1
            life = Life(None if is_last else self._random.randint(5, 400))
            parts = self._begin(life)
            run = asyncio.create_task(parts.actors.prover.run(asyncio.Event()))
            sweep = asyncio.create_task(self._expire(parts.service))
            self._services.append(parts.service)
            await life.over.wait()
            self._services.remove(parts.service)
            self.deaths.append(self._clock())
            for task in (run, sweep, *parts.actors.prover._tasks.values()):
                task.cancel()
            await asyncio.sleep(self._random.choice((0.0, 1.0, 60.0)))

    def _begin(self, life: Life) -> Any:
        messenger = ScriptedMessenger(clock=self._clock, people=dict.fromkeys(SUBJECTS, ADA))
        store, factor = Mortal(self._store, life), Mortal(self._factor, life)
        return wired(store, POLICY, clock=self._clock, factor=factor, messenger=instead(messenger))

    async def _expire(self, service: Any) -> None:
        while True:
            for question in await self._store.overdue(self._clock(), limit=10):
                with suppress(StoreError):
                    await service.expire(question)
            await asyncio.sleep(5)

    async def _ask(self, identifier: str, subject: str) -> None:
        service = self._begin(Life(None)).service
        await service.receive([a_request(identifier, user=subject)])
        question = await self._store.find(identifier)
        await service.work_on(question, Work.ASK)

    async def _answer(self, identifier: str) -> None:
        """Press buttons, now and then; a click that nobody takes within three seconds is lost."""
        for _ in range(self._random.randint(1, 8)):
            await asyncio.sleep(self._random.choice((0.0, 1.0, 20.0, 100.0, 950.0)) * self._random.random())
            if not self._services:
                continue
            question = await self._store.find(identifier)
            assert question
            at = self._clock()
            click = Answer(
                ref=question.ref,
                choice=self._random.choice(CHOICES),
                slack_id=ADA.slack_id,
                same_workspace=True,
                message_ref=question.message_ref,
                at=at,
                clicked_at=at,
            )
            press = Press(identifier=identifier, choice=click.choice, at=at)
            self.presses.append(press)  # even if the reply is lost, it may have been stored
            answering = asyncio.create_task(self._random.choice(self._services).answer(click))
            done, _ = await asyncio.wait([answering], timeout=3)
            if not done:
                answering.cancel()
            elif isinstance(answering.exception(), StoreError) or isinstance(answering.result(), str):
                self.presses.remove(press)  # it was not stored, or refused
            else:
                press.is_taken = True


class _WatchedStore(MemoryStore):
    """Notes which code is about which alert, and when each report was stored. Some writes fail."""

    is_raging = False

    def __init__(self, storm: Storm, clock: Clock) -> None:
        super().__init__()
        self._storm, self._clock_of, self._random = storm, clock, Random(storm.seed + 2)

    async def save(self, change: Any) -> bool:
        if self.is_raging and self._random.random() < 0.02:
            raise StoreError("disk full")
        is_saved = await super().save(change)
        if is_saved:
            identifier = change.question.identifier
            if change.question.proof_code:
                self._storm.codes[change.question.proof_code] = identifier
            if change.report:
                told = (self._clock_of(), json.loads(change.report.body))
                self._storm.reports[identifier].append(told)
        return is_saved


def judge(storm: Storm) -> Iterator[str]:
    """Yield what is wrong with a run."""
    for identifier, told in storm.reports.items():
        yield from _unproved(storm, identifier, told)
        yield from _milder(identifier, told)
    by_code: dict[str, int] = defaultdict(int)
    for device in storm.devices:
        by_code[device.code] += 1
        if device.code not in storm.codes:
            yield f"{device.code} was pushed, and nobody had pressed yes"
    yield from (f"{code} was pushed {times} times" for code, times in by_code.items() if times > 1)
    for subject in SUBJECTS:
        yield from _too_many(subject, [device for device in storm.devices if device.subject == subject])
    yield from (f"{identifier} still waits for a proof" for identifier in storm.unfinished)
    yield from _unheard_frauds(storm)


def _unproved(storm: Storm, identifier: str, told: Told) -> Iterator[str]:
    """A yes needs an approval by that person after that click, and no other answer since."""
    for at, body in told:
        if body["details"]["triagebot"]["outcome"] != "yes":
            continue
        presses = [each for each in storm.presses if each.identifier == identifier and each.at <= at]
        approvals = [
            device.at + device.after
            for device in storm.devices
            if storm.codes.get(device.code) == identifier
            and device.subject == storm.subjects[identifier]
            and device.reaction is Verdict.APPROVED
            and device.after < timedelta(seconds=60)
            and device.at + device.after <= at
        ]
        last = next((each.choice for each in reversed(presses) if each.is_taken), Choice.YES)
        if not approvals:
            yield f"{identifier}: yes without an approval"
        elif not any(each.choice is Choice.YES and each.at <= max(approvals) for each in presses):
            yield f"{identifier}: yes, approved before it was pressed"
        elif last is not Choice.YES:
            yield f"{identifier}: yes after {last}"


def _milder(identifier: str, told: Told) -> Iterator[str]:
    """Once MozDef has escalated an alert, it stays so; and nothing that is no proof acknowledges one."""
    book, last = AlertBook([identifier]), ""
    for _, body in told:
        book.receive(json.dumps(body))
        status = book.status(identifier) or ""
        if last == "escalated" and status != last:
            yield f"{identifier}: {status} after {last}"
        if (
            body["details"]["triagebot"]["outcome"] == "unproven"
            and status == "acknowledged"
            and last != status
        ):
            yield f"{identifier}: acknowledged by what was not proved"
        last = status


def _too_many(subject: str, devices: list[OnDevice]) -> Iterator[str]:
    for number, device in enumerate(devices[1:], start=1):
        before = devices[number - 1]
        is_answered = before.is_told and before.reaction is not Verdict.UNAVAILABLE
        dead_at = before.at + (
            min(before.after, timedelta(seconds=60)) if is_answered else timedelta(seconds=60)
        )
        if device.at < dead_at + 29 * _SECOND:
            yield f"{subject}: a push {(device.at - dead_at).total_seconds():g} s after the last was dead"
        if number >= 6 and device.at - devices[number - 6].at < timedelta(minutes=59, seconds=30):
            yield f"{subject}: a seventh push within an hour"


def _unheard_frauds(storm: Storm) -> Iterator[str]:
    for device in storm.devices:
        heard = storm.codes.get(device.code, "")
        told_at = device.told_at
        if device.reaction is not Verdict.FRAUD or told_at is None or device.is_lost:
            continue
        if any(told_at <= at < told_at + 10 * _SECOND for at in storm.deaths):
            continue  # the worker that was told may have been killed
        reasons = [body["details"]["triagebot"].get("reason") for _, body in storm.reports[heard]]
        if "factor_fraud" not in reasons:
            yield f"{heard}: a fraud was reported, and MozDef was not told"
