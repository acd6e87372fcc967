"""One run: everything is set up, tortured, left in peace until nothing is left to do, and then judged."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from bot.sandbox.slack import SlackStandIn

from .alerts import Kind, make_alerts, make_workspace
from .checker import judge
from .crowd import Crowd
from .feeder import Feeder
from .haste import PACE, FastClock
from .history import History
from .lives import Lives
from .log_rules import leaks, unexpected
from .mortality import BOUNDARIES
from .orders import APP_TOKEN, BOT_TOKEN, EXPIRE_AFTER_SECONDS, environment, write_policies
from .promises import CURABLE, Violation
from .slack_faults import SlackFaults
from .slack_record import record_messages
from .sqs import SqsStandIn
from .sqs_knobs import CALM, STORMY
from .victim import Cue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path
    from typing import Any

    from .history import End

_PEOPLE: Final = 120
#: Identifiers whose reports the queue refuses for good, so that the worker must park them.
_REFUSED_SHARE: Final = 0.003
#: Seconds without any change, and without a deadline to come, after which a run waits for no cure any more.
_HOPELESS: Final = 15.0
#: Seconds in peace at the end, in which what was posted twice or comes late shows: longer than any lease.
_AFTERMATH: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a run is to be."""

    kills: int
    alerts: int
    seed: int
    minutes: float | None = None  #: end the killing after so many
    fifo: bool = False  #: the response queue keeps order
    without_look_up: bool = False
    outbox_after_ack: bool = False
    log_level: str = "INFO"


@dataclass(kw_only=True)
class Result:
    """What a run was, and what is wrong."""

    history: History
    violations: list[Violation]
    seconds: float
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        """How many lives ended with SIGKILL."""
        return sum(end.status == "SIGKILL" for end in self.history.ends)


class Trial:
    """The parts of one run, made at once and started by `run`."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._random = Random(f"{options.seed} trial")
        self._boundaries = self._random.sample(BOUNDARIES, k=len(BOUNDARIES))
        self._clock = FastClock.start()
        workspace = make_workspace(_PEOPLE)
        alerts = make_alerts(options.alerts, workspace, Random(f"{options.seed} alerts"))
        refused = [each for each in alerts if self._random.random() < _REFUSED_SHARE]
        self._history = History(
            alerts=alerts, refused=frozenset(each.identifier for each in refused if each.kind is Kind.ASKABLE)
        )
        self._faults = SlackFaults(Random(f"{options.seed} slack"), seconds=self._clock.seconds)
        self._slack = SlackStandIn(
            workspace,
            bot_token=BOT_TOKEN,
            app_token=APP_TOKEN,
            clock=self._clock,
            acknowledge_within=timedelta(seconds=1.5),
            middlewares=[self._faults.middleware],
        )
        self._crowd = Crowd(self._slack, self._history, seed=options.seed)
        self._sqs = SqsStandIn(
            clock=self._clock, random=Random(f"{options.seed} sqs"), refuses_for_good=self._is_refused
        )

    async def run(self) -> Result:
        """Do it all. RuntimeError if the worker cannot even be started."""
        began = time.monotonic()
        async with contextlib.AsyncExitStack() as stack:
            lives = await self._set_up(stack)
            await self._torture(lives)
            await self._leave_in_peace(lives)
        self._look()
        self._read_log(self._folder / "worker.log")
        return Result(
            history=self._history,
            violations=judge(self._history),
            seconds=time.monotonic() - began,
            faults=sum(self._counts(), Counter()),
        )

    def _read_log(self, log: Path) -> None:
        self._history.surprises = unexpected(log)
        self._history.leaks = leaks(log, level=self._options.log_level)

    async def _set_up(self, stack: contextlib.AsyncExitStack) -> Lives:
        await self._slack.start()
        stack.push_async_callback(self._slack.stop)
        await self._sqs.start()
        stack.push_async_callback(self._sqs.stop)
        response = "responses.fifo" if self._options.fifo else "responses"
        urls = [self._sqs.create(name) for name in ("requests", response, "dead-letters")]
        self._responses = self._sqs.queues[response]
        variables = environment(self._slack, self._sqs.address, urls, log_level=self._options.log_level)
        lives = await Lives.start(self._folder, variables | write_policies(self._folder))
        stack.push_async_callback(lives.stop)
        self._feeder = Feeder(self._sqs.queues["requests"], self._history.alerts, self._random)
        for work in (self._crowd.run(), self._feeder.run(self._share_sent)):
            await stack.enter_async_context(_alongside(work))
        return lives

    async def _torture(self, lives: Lives) -> None:
        """Live and die until there were enough deaths, with everything failing."""
        self._sqs.turn(STORMY)
        async with _alongside(self._faults.weather(self._slack)):
            until = time.monotonic() + 60 * (self._options.minutes or 1e6)
            while self._deaths < self._options.kills and time.monotonic() < until:
                self._note_end(await self._live(lives, len(self._history.ends)))

    async def _live(self, lives: Lives, number: int) -> End:
        random = self._random
        boundary = self._boundaries[number % len(BOUNDARIES)] if random.random() < 0.75 else ""
        cue = self._cue(boundary, passings=random.choice([1, 1, 2, 3, 5, 8]))
        if number % 25 == 24:  # now and then one lives long enough to see every lease end
            return await lives.live(cue, seconds=random.uniform(6, 10))
        if random.random() < 0.03:
            return await lives.live(self._cue(), seconds=random.uniform(0.1, 2), wanted="term")
        return await lives.live(cue, seconds=2 if boundary else random.uniform(0.05, 2))

    async def _leave_in_peace(self, lives: Lives) -> None:
        """Let a worker that nothing happens to finish everything; then end it as systemd would."""
        self._faults.raging = False
        self._slack.installation.history_lag = timedelta(0)
        self._sqs.turn(CALM)
        await lives.begin(self._cue())
        await self._until_cured()
        await asyncio.sleep(_AFTERMATH)
        self._note_end(await lives.end("term"))

    def _note_end(self, end: End) -> None:
        self._history.ends.append(replace(end, at=self._clock.seconds()))

    async def _until_cured(self) -> None:
        seen, since = "", time.monotonic()
        while time.monotonic() - since < _HOPELESS:
            await asyncio.sleep(1)
            self._crowd.hurry()
            self._look()
            now = self._signature()
            if now != seen or self._deadline_to_come:
                # Who is still busy has no need to be judged, which would only hold everybody up.
                seen, since = now, time.monotonic()
            elif not self._crowd.is_busy and self._feeder.is_done and not self._curable():
                return

    @property
    def _deadline_to_come(self) -> bool:
        asked = max((float(question.ts) for question in self._history.messages), default=0.0)
        return self._clock.seconds() < asked + EXPIRE_AFTER_SECONDS + PACE

    def _curable(self) -> bool:
        return any(each.promise in CURABLE for each in judge(self._history))

    def _signature(self) -> str:
        """Sum up what everybody has done so far."""
        history = self._history
        shown = [message.edited_ts for message in (*history.messages, *history.cards)]
        done = [history.presses, history.reports, history.reminders, history.deleted, history.taken]
        return f"{hash(tuple(shown))} {[len(each) for each in done]}"

    def _cue(self, boundary: str = "", passings: int = 0) -> Cue:
        return Cue(
            origin=self._clock.origin,
            boundary=boundary,
            passings=passings,
            without_look_up=self._options.without_look_up,
            outbox_after_ack=self._options.outbox_after_ack,
        )

    def _share_sent(self) -> float:
        """Tell how many of the alerts must be sent by now: all of them when nine deaths in ten are over."""
        kills = self._options.kills
        return min(1.0, (self._deaths + 1) / (0.9 * kills)) if kills and self._faults.raging else 1.0

    @property
    def _deaths(self) -> int:
        return sum(end.status == "SIGKILL" for end in self._history.ends)

    def _counts(self) -> list[Counter[str]]:
        return [self._faults.counts, self._sqs.counts, *(each.counts for each in self._sqs.queues.values())]

    def _look(self) -> None:
        """Bring the history up to date with what Slack and the queues have seen."""
        requests = self._sqs.queues["requests"]
        self._history.received, self._history.deleted = requests.first_received, requests.deleted
        self._history.reports = self._responses.history
        self._history.dead_letters = self._sqs.queues["dead-letters"].history
        self._history.posts = self._faults.posts
        record_messages(self._slack.workspace, self._history)

    def _is_refused(self, body: str) -> bool:
        found = re.search(r'"identifier":"(alert-\d+)"', body)
        return found is not None and found[1] in self._history.refused


@contextlib.asynccontextmanager
async def _alongside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run work that never returns while the block runs; what it raises is raised at the block's end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
