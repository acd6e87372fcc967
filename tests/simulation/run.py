"""One run: a world, the lives of the program in it, what is drawn to go wrong, and the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import hashlib
import json
import logging
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGTERM
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
from torture.alerts import FACTORED_LABEL, Kind, make_alerts, make_workspace
from torture.checker import judge
from torture.crowd import Crowd
from torture.history import ROUNDING, End, History, Restored
from torture.log_rules import leaks, unexpected
from torture.messages import key_of, text_of
from torture.orders import (
    APP_TOKEN,
    BOT_TOKEN,
    EXPIRE_AFTER_SECONDS,
    OPEN_IN_A_FLOOD,
    environment,
    write_policies,
)
from torture.promises import CURABLE, Violation
from torture.provider import Provider, factor_environment
from torture.slack_faults import WORKER_HEADER, SlackFaults
from torture.slack_record import record_messages
from torture.sqs import FaultySqs
from torture.sqs_knobs import CALM, STORMY
from torture.sqs_queue import StandInQueue

from bot.aws.access import Access
from bot.clock import Clock
from bot.clock import Machine as Clocks
from bot.sandbox.fake_slack import SlackStandIn
from bot.sandbox.fake_slack.installation import Quirks
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.people import load_people_rules
from bot.settings.settings import Purpose, load_settings
from bot.store.dynamodb import opening
from bot.worker.app import App
from bot.worker.assembly import Dependencies, make_policy
from bot.worker.lifecycle import run_worker
from bot.worker.log import LIBRARIES, LineFormatter

from .aws import Wire, session
from .disk import Disk
from .losses import BROKEN_OFF, Loss, Losses
from .machines import BEGINNING, LIFE, Died, Life, Machine
from .network import Network, Session
from .replaced import TRUE, replaced
from .table import SharedTable, SimulatedCaller
from .trails import verify_store
from .virtual_loop import VirtualLoop, reset_numbers
from .virtual_threads import Threads

_PEOPLE: Final = 12
_FLOODED: Final = 2
_ACKNOWLEDGED_WITHIN: Final = 15.0

#: Seconds for which nothing may change before nobody waits for a cure.
_HOPELESS: Final = 700.0

#: Those of the peace at the end, in which what was posted twice shows: on a table, longer than any lease.
_AFTERMATH: Final = {"sqlite": 30.0, "dynamodb": 70.0}
_LOOK: Final = 15.0

_SLACK: Final = "slack.simulated"
_SQS: Final = "http://sqs.simulated"
_FACTOR: Final = "https://login.simulated/factor"
_QUEUES: Final = ("requests", "responses", "dead-letters")

#: How long a worker is waited for that was told to stop: longer than it may take.
_STOP_SECONDS: Final = 30

#: What happens to machines, and by how many seconds a clock may be set: it is found that wrong in the field.
_TROUBLES: Final = {
    "sqlite": ("clock set", "suspended", "disk full"),
    "dynamodb": ("clock set", "suspended", "suspended"),
}
_STEPS: Final = (2.0, 60.0, 7200.0, 40 * 86400.0)
_DRIFT: Final = 200e-6

#: How often it counts what a clock has drifted since an answer: where a span begins, and at its end.
_DRIFTS: Final = 2

#: How often a machine is suspended in the moment of a commit, and how long that is waited for.
_AT_COMMIT_SHARE: Final = 0.7
_COMMIT_WITHIN: Final = 30.0
_COMMITS: Final = {"sqlite": ("committed",), "dynamodb": ("committed", "claimed")}

_REPEATED_SHARE: Final = 0.05
_STOPPED_SHARE: Final = 0.15
_POWER_SHARE: Final = 0.3

#: How often a worker begins before its machine has a network, and for how many seconds at the most.
_OFFLINE_SHARE: Final = 0.5
_OFFLINE: Final = 60.0

#: How often something happens to the store's files after a death.
_LOSS_SHARE: Final = 0.15

#: Where Linux keeps files in memory.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a run. `alerts` and `faults` are those that are left of it; None: all that are drawn."""

    seed: int
    store: str = "sqlite"
    count: int = 30
    lives: int = 3
    alerts: frozenset[int] | None = None
    faults: frozenset[int] | None = None
    sabotage: str = ""
    factor: bool = False  #: whether some alerts need a proof with the second factor
    flood: bool = False  #: whether few people get all alerts, and may have few questions open


@dataclass(kw_only=True)
class Outcome:
    """The result of a run."""

    plan: Plan
    violations: Sequence[Violation]
    log: list[str]
    kills: int
    faults: Sequence[tuple[int, str]]  #: those that happened, each with its number
    steps: int
    seconds: float  #: of virtual time

    @property
    def digest(self) -> str:
        """A hash of all that happened, in its order."""
        return hashlib.sha256("\n".join(self.log).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class WorldClock:
    """The true time, in the form that the torture's stand-ins expect."""

    loop: VirtualLoop
    pace: float = 1.0

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def seconds(self) -> float:
        return BEGINNING + self.loop.now


class SimulatedApp(App):
    """The worker as it is, without the socket for commands and the watch over descriptors."""

    async def _listen_to_commands(self, _: Any) -> None:
        life = LIFE.get()
        if life is not None and life.opened is not None:
            life.opened.set()

    def stages(self) -> Any:
        """See `App.stages`."""
        first, *others = super().stages()
        return ({name: loop for name, loop in first.items() if name != "descriptors"}, *others)


class Gate:
    """Lets drawn faults happen, or only those that are left of them."""

    def __init__(self, left: frozenset[int] | None) -> None:
        self._left = left
        self._number = 0
        self.happened: list[tuple[int, str]] = []

    def __call__(self, name: str) -> bool:
        self._number += 1
        if self._left is not None and self._number not in self._left:
            return False
        self.happened.append((self._number, name))
        return True


@dataclass(kw_only=True, eq=False)
class Worker:
    """One worker, on a machine of its own, in its present life."""

    name: str
    machine: Machine
    lives: int = 0
    loss: Loss | None = None  #: what its store may have lost, which it has to refuse
    life: Life = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    ended: asyncio.Event = field(init=False)


class Run:
    """The parts of one run. `run` may be called once."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.loop = VirtualLoop()
        self.clock: Any = WorldClock(loop=self.loop)
        self.gate = Gate(plan.faults)
        self.log: list[str] = []
        self._worker_log: list[str] = []
        self._random = self._draw_from("run")
        self.network = Network(self.loop, self._draw_from("network"))
        self.network.note = self.note
        self.network.date = lambda: _date(int(self.clock.seconds()))
        self.threads = Threads(self.loop, self._draw_from("threads"))
        workspace = make_workspace(_FLOODED if plan.flood else _PEOPLE)
        alerts = make_alerts(plan.count, workspace, self._draw_from("alerts"))
        kept = range(plan.count) if plan.alerts is None else sorted(plan.alerts)
        self.history = History(alerts=[alerts[number] for number in kept])
        refused = [each.identifier for each in self.history.alerts if _is_refused_for_good(plan.seed, each)]
        self.history.refused = frozenset(refused)
        self.provider = Provider(self.clock.seconds, self._draw_from("factor"))
        self.provider.gate, self.provider.address = self.gate, _FACTOR
        if plan.factor:
            needing = (each for each in self.history.alerts if each.label == FACTORED_LABEL)
            self.history.factored = frozenset(each.identifier for each in needing)
        self._faults = _GatedSlackFaults(self._draw_from("slack"), cast("Any", self.clock))
        self._faults.gate = self.gate
        self.slack = SlackStandIn(
            workspace,
            bot_token=BOT_TOKEN,
            app_token=APP_TOKEN,
            clock=self.clock,
            acknowledge_within=timedelta(seconds=_ACKNOWLEDGED_WITHIN),
        )
        self.slack.installation.address = _SLACK
        self.slack.socket_mode.make_websocket = lambda request: cast("Any", request).websocket
        self.sqs = _GatedSqs(
            clock=cast("Any", self.clock), random=self._draw_from("sqs"), refuses_for_good=self._is_refused
        )
        self.sqs.gate, self.sqs.address = self.gate, _SQS
        self._serve()
        self.disk = Disk(folder / "disk")
        self.disk.folder.mkdir()
        self._losses = Losses(self.disk.folder, self._draw_from("losses"))
        self.disk.on_commit = lambda moment: self._pass_commit(LIFE.get(), moment)
        self.table: SharedTable | None = None
        store_url = f"sqlite:///{self.disk.folder / 'store.db'}"
        if plan.store == "dynamodb":
            store_url = "dynamodb://simulated"
            self.table = SharedTable(self.loop, self._draw_from("table"))
            self.table.gate, self.table.on_write = self.gate, self._pass_commit
        settings, *self._words = _prepare(factor=plan.factor, flood=plan.flood)
        self.history.open_per_person = settings.open_per_person
        self._settings = replace(settings, store_url=store_url)
        self.loop.on_step_limit = self._kill
        count = self._random.randint(1, 4) if self.table is not None else 1
        self._workers = [self._make_worker(str(number)) for number in range(1, count + 1)]

    def run(self) -> Outcome:
        """Do it all."""
        try:
            self.loop.run_until_complete(self._live())
        finally:
            self.loop.close()
        lines = self._worker_log
        self.history.surprises = [*unexpected(lines), *self.loop.strays]
        self.history.leaks = leaks(lines, level="INFO")
        return Outcome(
            plan=self.plan,
            violations=judge(self.history),
            log=self.log,
            kills=sum(end.status == "SIGKILL" for end in self.history.ends),
            faults=self.gate.happened,
            steps=self.loop.steps,
            seconds=self.loop.now,
        )

    def connect_to_table(self, *_: Any, **__: Any) -> SimulatedCaller:
        """Return a worker's connection to the table that they share."""
        assert self.table is not None
        return SimulatedCaller(self.table)

    def note(self, what: str) -> None:
        """Write a line of the run's log."""
        self.log.append(f"{self.loop.now:.6f} {what}")

    def _draw_from(self, name: str) -> Random:
        return Random(f"{self.plan.seed} {name}")

    def _make_worker(self, name: str) -> Worker:
        drift = self._random.uniform(-_DRIFT, _DRIFT)
        offset = self._random.choice((0.0, 0.0, *_STEPS)) * self._random.uniform(-1, 1)
        return Worker(name=name, machine=Machine(name=name, offset=offset, drift=drift))

    def _serve(self) -> None:
        routes = self.slack.routes()

        async def api(request: Any) -> Any:
            request.match_info = {"method": request.path.rpartition("/")[2]}
            return await self._faults.middleware(request, routes["/api/{method}"])

        async def link(request: Any) -> Any:
            return await self._faults.middleware(request, routes["/link/"])

        async def action(request: Any) -> Any:
            request.match_info = {"secret": request.path.rpartition("/")[2]}
            return await self._faults.middleware(request, routes["/actions/{team}/{secret}"])

        self.network.handlers = {"/api/": api, "/link/": link, "/actions/": action, "/sqs/": self.sqs._handle}
        self.network.handlers["/factor/"] = self.provider.handle

    async def _live(self) -> None:
        for name in _QUEUES:
            self.sqs.create(name)
        self._crowd = Crowd(self.slack, self.history, seed=self.plan.seed, pace=1.0)
        world = [asyncio.create_task(self._crowd.run()), asyncio.create_task(self._feed())]
        self.sqs.turn(STORMY)
        storm = [self._faults.weather(self.slack), self._trouble_machines()]
        weather = [asyncio.create_task(work) for work in storm]
        for worker in self._workers:
            self._begin(worker)
        copying = asyncio.create_task(self._copy_store())
        for _ in range(self.plan.lives - 1):
            worker = self._random.choice(self._workers)
            power = await self._live_and_die(worker)
            worker.loss = worker.loss or self._lose(power=power)
            await asyncio.sleep(
                self._random.choice((0.0, self._random.random(), self._random.uniform(0, 60)))
            )
            self._begin(worker)
            if worker.loss is not None:
                await self._see_whether_refused(worker, worker.loss)
        copying.cancel()
        await asyncio.sleep(self._random.uniform(0, 60))
        for work in weather:
            work.cancel()
        await self._leave_in_peace(world[1])
        await asyncio.gather(*map(self._stop, self._workers))
        self._look()
        await self._verify()
        for each in world:
            each.cancel()

    async def _copy_store(self) -> None:
        """Copy the store's files, now and then. Never returns."""
        random = self._draw_from("copies")
        while True:
            await asyncio.sleep(random.uniform(0, 60))
            self._losses.copy()

    def _lose(self, *, power: bool) -> Loss | None:
        """Damage the files of a dead worker's store."""
        random = self._draw_from(f"loss {len(self.history.ends)}")
        if self.table is not None or random.random() >= _LOSS_SHARE or not self.gate("store"):
            return None
        loss = self._losses.strike(power=power)
        self.note(f"the store: {loss}")
        return loss

    async def _see_whether_refused(self, worker: Worker, loss: Loss) -> None:
        """Start a worker on what is left of its store; if it refuses that, with --restored."""
        opened = worker.life.opened = asyncio.Event()
        await _first_of(worker.task, opened)
        if opened.is_set():
            worker.loss = None
            if loss.must_be_refused:
                self.history.unnoticed.append(str(loss))
            return
        worker.loss = Loss(kind=BROKEN_OFF, missing=0, has_head=False)
        status = _status_of(worker.task)
        if not loss.may_be_refused or "StoreUnusable" not in status:
            self._note_end(
                End(wanted="kill", status=status, seconds=0.0, worker=worker.name, place=str(loss))
            )
        worker.life.die()
        self._bury(worker.life, power=False)
        await asyncio.sleep(self._random.uniform(0, 60))
        self._look()
        shown = {key_of(each): text_of(each, "answer") for each in self.history.messages}
        self.history.restores.append(Restored(at=self.clock.seconds(), shown=shown))
        self._begin(worker, restored=True)

    async def _verify(self) -> None:
        """Have the program verify the store, also against MozDef's reports if nothing was lost."""
        told = [json.loads(sent.body)["details"]["triagebot"] for sent in self.history.reports]
        hashes = None if self.history.restores else {each["hash"] for each in told}
        names = [alert.identifier for alert in self.history.alerts]
        access, clock = Access(session, clock=Clock(self._clocks_of(TRUE))), Clock(self._clocks_of(TRUE))
        self.history.unproved = await verify_store(
            self._settings.store_url, access, clock, names, hashes=hashes
        )

    async def _feed(self) -> None:
        """Be MozDef: send each request, and some twice, over a while, often several at once."""
        for alert in self.history.alerts:
            draw = Random(f"{self.plan.seed} feed {alert.identifier}")
            await asyncio.sleep(draw.choice((0.0, draw.random(), draw.uniform(0, 10))))
            for _ in range(2 if draw.random() < _REPEATED_SHARE else 1):
                self.sqs.queues["requests"].send(alert.body, attributes={})

    async def _trouble_machines(self) -> None:
        """Set clocks, suspend machines, and fill the disk, now and then. Never returns."""
        random = self._draw_from("machines")
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(random.uniform(1, 40))
                worker, trouble = random.choice(self._workers), random.choice(_TROUBLES[self.plan.store])
                if not worker.life.is_over and worker.life.held is None and self.gate(trouble):
                    self.note(f"worker {worker.name}: {trouble}")
                    group.create_task(self._trouble(worker, trouble, random))

    async def _trouble(self, worker: Worker, trouble: str, random: Random) -> None:
        if trouble == "clock set":
            worker.machine.offset = random.choice(_STEPS) * random.uniform(-1, 1)
        elif trouble == "suspended":
            # For a moment, or for longer than any claim holds.
            seconds = random.uniform(*random.choice(((0, 10), (60, 200))))
            if random.random() < _AT_COMMIT_SHARE:  # before it can act on what it has stored
                await _wait_for_commit(worker.life, random.choice(_COMMITS[self.plan.store]))
            if worker.life.held is None:
                await self._suspend(worker.life, seconds)
        else:
            began = self.clock.seconds()
            self.disk.fill(full=True)
            try:
                await asyncio.sleep(random.uniform(0, 20))
            finally:
                self.disk.fill(full=False)
                self.history.full_disks.append((worker.name, began, self.clock.seconds()))

    async def _suspend(self, life: Life, seconds: float) -> None:
        life.held = deque()
        began = self.loop.now
        try:
            await asyncio.sleep(seconds)
        finally:
            span = BEGINNING + began, BEGINNING + self.loop.now
            self.history.suspensions.append((life.machine.name, *span))
            if not life.is_over:
                self.loop.resume(life, self.loop.now - began)

    def _begin(self, worker: Worker, *, restored: bool = False) -> None:
        worker.lives += 1
        life = worker.life = Life(machine=worker.machine, number=worker.lives)
        worker.ended = asyncio.Event()
        life.on_death.append(worker.ended.set)
        self.note(f"worker {worker.name} begins life {life.number}{' restored' * restored}")
        random = self._draw_from(f"network of {worker.name} {life.number}")
        if random.random() < _OFFLINE_SHARE and self.gate("offline"):
            life.offline_until = self.loop.now + random.choice(
                (random.uniform(0, 5), random.uniform(0, _OFFLINE))
            )
        context = contextvars.copy_context()
        context.run(LIFE.set, life)
        app = context.run(self._make_app, life, restored=restored)
        worker.task = self.loop.create_task(run_worker(app), context=context)

    def _clocks_of(self, machine: Machine) -> Clocks:
        loop = self.loop
        return Clocks(
            wall=lambda: machine.wall(loop.now),
            monotonic=lambda: machine.monotonic(loop.now),
            boottime=lambda: machine.boottime(loop.now),
        )

    def _make_app(self, life: Life, *, restored: bool) -> App:
        machine = life.machine
        dependencies = Dependencies(
            clock=Clock(self._clocks_of(machine)),
            random=Random(f"{self.plan.seed} worker {machine.name} life {life.number}"),
            access=partial(Access, session),
            session=lambda: aiohttp.ClientSession(headers={WORKER_HEADER: machine.name}),
        )
        return SimulatedApp(self._settings, *self._words, restored=restored, dependencies=dependencies)

    async def _live_and_die(self, worker: Worker) -> bool:
        """Run a worker until it dies; return whether the power failed."""
        random, life, task = self._random, worker.life, worker.task
        how = random.choice(("step", "step", "before", "after", "time"))
        if how == "step":
            life.dies_after = life.steps + int(random.choice((200, 1000, 4000, 10000)) * random.random()) + 1
        elif how in ("before", "after"):
            life.dies_at_commit = life.commits + random.choice((1, 2, 3, 5, 8, random.randint(1, 60)))
            life.dies_before_commit = how == "before"
        elif random.random() < _STOPPED_SHARE:
            await asyncio.wait({task}, timeout=random.uniform(0, 30))
            if not task.done() and life.on_signal:
                await self._stop(worker)
                return False
        ended = asyncio.create_task(worker.ended.wait())
        await asyncio.wait({task, ended}, timeout=random.uniform(1, 150), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        status = "SIGKILL"
        if task.done() and not _had_no_room(worker):
            status = _status_of(task)
        elif life.exit_code is not None:
            status = f"exit code {life.exit_code}"
        if not life.is_over:
            self._kill(life)
        power = random.random() < _POWER_SHARE
        self._bury(life, power=power)
        self._note_end(End(wanted="kill", status=status, seconds=0.0, worker=worker.name, place=how))
        return power

    async def _stop(self, worker: Worker) -> None:
        life, task = worker.life, worker.task
        began = self.loop.now - life.machine.suspended
        self.note(f"worker {worker.name} is told to stop")
        if SIGTERM in life.on_signal:
            life.on_signal[SIGTERM]()
        ended = asyncio.create_task(worker.ended.wait())
        # Not counting while its machine is suspended.
        while self.loop.now - life.machine.suspended - began < _STOP_SECONDS or life.held is not None:
            await asyncio.wait({task, ended}, timeout=_STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if task.done() or ended.done():
                break
        ended.cancel()
        status = _status_of(task) if task.done() else f"exit code {life.exit_code}"
        if not life.is_over:
            life.die()
        self._bury(life, power=False)
        took = self.loop.now - life.machine.suspended - began
        self._note_end(End(wanted="term", status=status, seconds=max(0.0, took), worker=worker.name))

    def _note_end(self, end: End) -> None:
        self.history.ends.append(replace(end, at=self.clock.seconds()))
        self.note(f"worker {end.worker} ends: {end.wanted} {end.status} {end.place}")

    def _kill(self, life: Life) -> None:
        self.note(f"worker {life.machine.name} is killed")
        life.die()

    def _pass_commit(self, life: Life | None, moment: str) -> None:
        if life is None or life.is_over:
            return
        if moment == "before":
            life.commits += 1
        elif life.committed is not None:
            life.committed.set()
        if life.commits == life.dies_at_commit and life.dies_before_commit == (moment == "before"):
            self._kill(life)
            raise Died

    def _bury(self, life: Life, *, power: bool) -> None:
        """Remove everything of a dead life but what is on the disk."""
        if self.table is None:
            self.disk.end(power=power)
        self.threads.end(life)
        for task in life.tasks:
            if task.done():
                continue
            cast("Any", task)._log_destroy_pending = False
            with contextlib.suppress(BaseException):
                cast("Any", task.get_coro()).close()

    async def _leave_in_peace(self, feed: asyncio.Task[None]) -> None:
        self._faults.raging = self.provider.raging = False
        if self.table is not None:
            self.table.raging = False
        self.history.calm_since = self.clock.seconds()
        self.slack.installation.history_lag = timedelta(0)
        self.slack.installation.quirks = Quirks()
        self.sqs.turn(CALM)
        for worker in filter(_had_no_room, self._workers):
            worker.life.die()
            self._bury(worker.life, power=False)
            self._begin(worker, restored=True)
        seen, since = "", self.loop.now
        while self.loop.now - since < _HOPELESS:
            await asyncio.sleep(_LOOK)
            if any(worker.life.is_over or worker.task.done() for worker in self._workers):
                break
            self._crowd.hurry()
            self._look()
            now = self._signature()
            if now != seen or self._deadline_to_come:
                seen, since = now, self.loop.now
            elif not self._crowd.is_busy and feed.done() and not self._curable():
                break
        await asyncio.sleep(_AFTERMATH[self.plan.store])

    @property
    def _deadline_to_come(self) -> bool:
        """Whether a question may still be open; after a restore the time of each starts again."""
        asked = max((float(question.ts) for question in self.history.messages), default=0.0)
        restored = max((each.at + _OFFLINE for each in self.history.restores), default=0.0)
        return bool(self.clock.seconds() < max(asked, restored) + EXPIRE_AFTER_SECONDS + 1)

    def _curable(self) -> bool:
        return any(each.promise in CURABLE for each in judge(self.history))

    def _signature(self) -> str:
        history = self.history
        shown = [message.edited_ts for message in (*history.messages, *history.cards)]
        done = [history.presses, history.reports, history.reminders, history.deleted, history.card_actions]
        done += [history.inquiries, history.replies, history.asked_back]
        return f"{shown} {[len(each) for each in done]}"

    def _look(self) -> None:
        requests = self.sqs.queues["requests"]
        self.history.received, self.history.deleted = requests.first_received, requests.deleted
        self.history.reports = self.sqs.queues["responses"].history
        self.history.dead_letters = self.sqs.queues["dead-letters"].history
        self.history.posts = self._faults.posts
        self.history.pushes = self.provider.pushes
        most = max(abs(worker.machine.drift) for worker in self._workers)
        self.history.blur = ROUNDING + _DRIFTS * most * self.loop.now
        record_messages(self.slack.workspace, self.history)

    def _is_refused(self, body: str) -> bool:
        return any(f'"identifier":"{each}"' in body for each in self.history.refused)


class _GatedSlackFaults(SlackFaults):
    gate: Gate

    def _draw(self, path: str) -> str:
        name = super()._draw(path)
        return name if name and self.gate(f"slack {name}") else ""


class _GatedSqs(FaultySqs):
    gate: Gate

    def _draw(self) -> str:
        name = super()._draw()
        return name if name and self.gate(f"sqs {name}") else ""

    async def _wait(self, queue: StandInQueue, until: float) -> None:
        """Sleep until it is worth a look: looking again and again would take most of a run's time."""
        changed = asyncio.Event()
        queue.on_change = changed.set
        soonest = min(until - cast("Any", self.clock).loop.now, queue.visible_from - self.clock.seconds())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(soonest, 1e-6)):
                await changed.wait()


class _Lines(logging.StreamHandler[Any]):
    """Writes the program's log into the run's."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", "") == "store.opened":
            return  # it tells when the file was written, which is the time of the real machine
        lines = self.format(record).splitlines()
        self._run._worker_log.extend(lines)
        for line in lines:
            self._run.note(f"log {line}")


def simulate(plan: Plan) -> Outcome:
    """Carry out one run."""
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_MEMORY if _MEMORY.is_dir() else None))
    session()  # made before its time stands still, as what is prepared
    _prepare(factor=plan.factor, flood=plan.flood)
    _leave_out_of_collections()
    reset_numbers()
    run = Run(plan, folder)
    Wire.current = Wire(run.network, run.threads)
    others: dict[tuple[Any, str], Any] = {
        **run.disk.replacements(),
        (aiohttp, "ClientSession"): type("Session", (Session,), {"network": run.network}),
        (opening, "Connection"): run.connect_to_table,
    }
    if plan.sabotage:
        from .sabotages import SABOTAGES

        others |= SABOTAGES[plan.sabotage].break_it()
    try:
        with (
            _logging_into(_Lines(run)),
            replaced(run.loop, run.threads, Random(f"{plan.seed} entropy"), others),
        ):
            return run.run()
    finally:
        run.disk.remove()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _logging_into(handler: logging.Handler) -> Iterator[None]:
    """Log as the program does, but into a run."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, LIBRARIES)]
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]
    for logger in loggers:
        logger.setLevel(logging.INFO if logger is root else logging.WARNING)
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


async def _first_of(task: asyncio.Task[None], opened: asyncio.Event) -> None:
    waiting = asyncio.create_task(opened.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _wait_for_commit(life: Life, which: str) -> None:
    committed = asyncio.Event()
    setattr(life, which, committed)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_COMMIT_WITHIN):
            await committed.wait()


def _had_no_room(worker: Worker) -> bool:
    """Whether a start with --restored has failed because the disk was full: systemd starts it again."""
    return worker.loss is not None and worker.task.done() and "disk is full" in _status_of(worker.task)


def _status_of(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return "exit code 0" if error is None else f"exit code 1 ({error!r})"


@functools.lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    """Return a `Date` header."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def _is_refused_for_good(seed: int, alert: Any) -> bool:
    return alert.kind is Kind.ASKABLE and Random(f"{seed} refused {alert.identifier}").random() < 0.003


@functools.cache
def _leave_out_of_collections() -> None:
    """Exclude permanent objects from garbage collection, which happens between runs."""
    gc.collect()
    gc.freeze()


@functools.cache
def _prepare(*, factor: bool, flood: bool) -> tuple[Any, Any, Any]:
    """Return what no run changes: the settings, but for the store, and the words and the policy."""
    slack: Any = SimpleNamespace(bot_token=BOT_TOKEN, app_token=APP_TOKEN, api_url=f"http://{_SLACK}/api/")
    addresses = [person.email for person in make_workspace(_PEOPLE).people if person.email]
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        variables = {
            **environment(slack, _SQS, [f"{_SQS}/000000000000/{name}" for name in _QUEUES], log_level="INFO"),
            **write_policies(Path(folder), factored=FACTORED_LABEL if factor else "", addresses=addresses),
            **(factor_environment(_FACTOR) if factor else {}),
            **({"OPEN_PER_PERSON": str(OPEN_IN_A_FLOOD)} if flood else {}),
            "STORE_URL": "sqlite:///of-each-run.db",
        }
        settings = load_settings(Purpose.RUN, environ=variables, directory=Path(folder))
        policy = make_policy(
            settings, load_alert_policies(settings.config_dir), load_people_rules(settings.config_dir)
        )
        return settings, load_messages(settings.config_dir), policy
