"""One run: everything is set up, tortured, left in peace until nothing is left to do, and then judged."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from certificate import make_certificate, show

from bot.sandbox.fake_slack import SlackStandIn
from bot.sandbox.fake_slack.installation import Quirks

from .alerts import FACTORED_LABEL, Kind, make_alerts, make_workspace
from .checker import judge
from .crowd import Crowd
from .dynamodb_proxy import RemoteProxy, create_table, remote_proxy
from .fast_clock import FastClock
from .feeder import Feeder
from .history import SETTLED_AFTER_BUSY, History
from .killing import Killing
from .lives import Lives, log_name
from .log_rules import leaks, timed_out, unexpected
from .options import Options
from .orders import APP_TOKEN, BOT_TOKEN, EXPIRE_AFTER_SECONDS, OPEN_IN_A_FLOOD, environment, write_policies
from .promises import CURABLE, Violation
from .provider import Provider, factor_environment
from .slack_faults import SlackFaults
from .slack_record import record_messages
from .sqs import FaultySqs
from .sqs_knobs import CALM, STORMY
from .store_damage import Damage, StoreDamage

_PEOPLE: Final = 120
#: Seconds of the torture's time in which Slack wants a click acknowledged.
_ACKNOWLEDGED_WITHIN: Final = 15.0
#: Alerts that are looked through in a second: in peace nobody must be held up by being watched.
_SEEN_THROUGH: Final = 2500
#: Identifiers whose reports the queue refuses for good, so that the worker must park them.
_REFUSED_SHARE: Final = 0.003
#: How long nothing may change, with no deadline to come, before a run waits for no cure any more; in seconds
#: of the torture's time, as the next one. The questions of strangers that a killed worker had put off on a
#: table are met by another one after as much as twice their age.
_HOPELESS: Final = 700.0
#: The same for a worker that is broken on purpose: longer than any report is held back.
_FOUND_OUT: Final = 200.0
#: The quiet time at the end, in which late or repeated posts show: longer than any lease.
_AFTERMATH: Final = 100.0


@dataclass(kw_only=True)
class Result:
    """What a run was, and what is wrong."""

    options: Options
    history: History
    violations: list[Violation]
    seconds: float
    table_calls: int = 0  #: to the table that several workers share
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return sum(end.status == "SIGKILL" for end in self.history.ends)


class Trial:
    """The parts of one run, made at once and started by `run`."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._random = Random(f"{options.seed} trial")
        self._clock = FastClock.start(options.pace)
        self._killing = Killing(options=options, clock=self._clock, random=self._random)
        workspace = make_workspace(_PEOPLE)
        alerts = make_alerts(options.alerts, workspace, Random(f"{options.seed} alerts"))
        refused = [each for each in alerts if self._random.random() < _REFUSED_SHARE]
        self._history = History(
            alerts=alerts, refused=frozenset(each.identifier for each in refused if each.kind is Kind.ASKABLE)
        )
        if options.busy:
            self._history.settled_after = SETTLED_AFTER_BUSY
        if options.factor:
            needing = (each.identifier for each in alerts if each.label == FACTORED_LABEL)
            self._history.factored = frozenset(needing)
        self._provider = Provider(
            self._clock.seconds, Random(f"{options.seed} factor"), pace=self._clock.pace
        )
        self._faults = SlackFaults(Random(f"{options.seed} slack"), self._clock)
        self._slack = SlackStandIn(
            workspace,
            bot_token=BOT_TOKEN,
            app_token=APP_TOKEN,
            clock=self._clock,
            acknowledge_within=timedelta(seconds=_ACKNOWLEDGED_WITHIN / options.pace),
            middlewares=[self._faults.middleware],
        )
        self._proxy: RemoteProxy | None = None
        self._crowd = Crowd(self._slack, self._history, seed=options.seed, pace=self._clock.pace)
        self._sqs = FaultySqs(
            clock=self._clock, random=Random(f"{options.seed} sqs"), refuses_for_good=self._is_refused
        )

    async def run(self) -> Result:
        """Do it all. RuntimeError if the worker cannot even be started."""
        began = time.monotonic()
        async with contextlib.AsyncExitStack() as stack:
            workers = await self._set_up(stack)
            await self._torture(workers)
            await self._leave_in_peace(workers)
        self._look()
        for lives in workers:
            self._read_log(self._folder / log_name(lives.name))
        return Result(
            options=self._options,
            history=self._history,
            violations=judge(self._history),
            seconds=time.monotonic() - began,
            table_calls=self._proxy.calls if self._proxy is not None else 0,
            faults=sum(self._counts(), Counter()),
        )

    def _read_log(self, log: Path) -> None:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        self._history.surprises = [*self._history.surprises, *unexpected(lines)]
        self._history.timed_out |= timed_out(lines)
        self._history.leaks = [*self._history.leaks, *leaks(lines, level=self._options.log_level)]

    async def _set_up(self, stack: contextlib.AsyncExitStack) -> Sequence[Lives]:
        await self._slack.start()
        stack.push_async_callback(self._slack.stop)
        await self._sqs.start()
        stack.push_async_callback(self._sqs.stop)
        response = "responses.fifo" if self._options.fifo else "responses"
        urls = [self._sqs.create(name) for name in ("requests", response, "dead-letters")]
        self._responses = self._sqs.queues[response]
        variables = environment(self._slack, self._sqs.address, urls, log_level=self._options.log_level)
        variables |= {**await self._make_factor(stack), **await self._make_store(stack)}
        if self._options.flood:
            self._history.open_per_person = OPEN_IN_A_FLOOD
            variables["OPEN_PER_PERSON"] = str(OPEN_IN_A_FLOOD)
        workers = []
        for number in range(1, self._options.workers + 1):
            workers.append(await Lives.start(str(number), self._folder, variables))
            stack.push_async_callback(workers[-1].stop)
        self._feeder = Feeder(self._sqs.queues["requests"], self._history.alerts, self._random)
        for work in (self._crowd.run(), self._feeder.run(self._share_sent)):
            await stack.enter_async_context(_alongside(work))
        return workers

    async def _make_factor(self, stack: contextlib.AsyncExitStack) -> Mapping[str, str]:
        """Write how alerts are handled; return the variables that say so, and lead to the second factor."""
        if not self._options.factor:
            return write_policies(self._folder)
        certificate = make_certificate(self._folder)
        await self._provider.start(show(certificate), on_response=self._clock.date)
        stack.push_async_callback(self._provider.stop)
        addresses = [person.email for person in self._slack.workspace.people if person.email]
        told = write_policies(self._folder, factored=FACTORED_LABEL, addresses=addresses)
        return {**told, **factor_environment(self._provider.address), "SSL_CERT_FILE": str(certificate)}

    async def _make_store(self, stack: contextlib.AsyncExitStack) -> Mapping[str, str]:
        """Return the variables that lead the workers to their store."""
        if self._options.store == "sqlite":
            store = self._folder / "torture.db"
            self._killing.damage = StoreDamage(store, Random(f"{self._options.seed} store"))
            return {"STORE_URL": f"sqlite:///{store}"}
        options = self._options
        proxy = remote_proxy(options.dynamodb, f"{options.seed} table", self._folder, clock=self._clock)
        self._proxy = await stack.enter_async_context(proxy)
        return {
            "STORE_URL": f"dynamodb://{await create_table(self._proxy.address)}",
            "AWS_ENDPOINT_URL_DYNAMODB": self._proxy.address,
        }

    async def _torture(self, workers: Sequence[Lives]) -> None:
        """Live and die until there were enough deaths, with everything failing."""
        self._sqs.turn(STORMY)
        await self._rage(raging=True)
        async with _alongside(self._faults.weather(self._slack)):
            await self._killing.run(workers)

    async def _leave_in_peace(self, workers: Sequence[Lives]) -> None:
        """Have undisturbed workers finish everything; then end them as systemd would."""
        await self._rage(raging=False)
        self._slack.installation.history_lag = timedelta(0)
        self._slack.installation.quirks = Quirks()
        self._sqs.turn(CALM)
        for lives in workers:
            await lives.begin(self._killing.cue(lives))
        await self._until_cured()
        if not self._options.is_broken:
            await asyncio.sleep(_AFTERMATH / self._clock.pace)
        for end in await asyncio.gather(*(lives.end("term") for lives in workers)):
            self._killing.note(end)
        await self._rage(raging=False)  # to hear all that was done

    async def _rage(self, *, raging: bool) -> None:
        self._faults.raging = self._provider.raging = raging
        if self._proxy is not None:
            await self._proxy.tell(raging=raging)

    async def _until_cured(self) -> None:
        seen, since = "", time.monotonic()
        hopeless = (_FOUND_OUT if self._options.is_broken else _HOPELESS) / self._clock.pace
        while time.monotonic() - since < hopeless:
            await asyncio.sleep(max(1.0, len(self._history.alerts) / _SEEN_THROUGH))
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
        return self._clock.seconds() < asked + EXPIRE_AFTER_SECONDS + self._clock.pace

    def _curable(self) -> bool:
        return any(each.promise in CURABLE for each in judge(self._history))

    def _signature(self) -> str:
        """Sum up what everybody has done so far."""
        history = self._history
        shown = [message.edited_ts for message in (*history.messages, *history.cards)]
        done = [history.presses, history.reports, history.reminders, history.deleted, history.card_actions]
        done += [history.inquiries, history.replies, history.asked_back]
        return f"{hash(tuple(shown))} {[len(each) for each in done]}"

    def _share_sent(self) -> float:
        """Tell how many of the alerts must be sent by now: all of them when nine deaths in ten are over."""
        kills = self._options.kills
        return min(1.0, (self._killing.deaths + 1) / (0.9 * kills)) if kills and self._faults.raging else 1.0

    def _counts(self) -> list[Counter[str]]:
        queues = [each.counts for each in self._sqs.queues.values()]
        table = [self._proxy.counts] if self._proxy is not None else []
        world = [self._faults.counts, self._provider.counts, self._sqs.counts, self._killing.counts]
        return [*world, *queues, *table]

    def _look(self) -> None:
        """Bring the history up to date with what Slack and the queues have seen."""
        requests = self._sqs.queues["requests"]
        self._history.received, self._history.deleted = requests.first_received, requests.deleted
        self._history.reports = self._responses.history
        self._history.dead_letters = self._sqs.queues["dead-letters"].history
        self._history.pushes = self._provider.pushes
        self._history.whole_restores = self._killing.counts[Damage.REMOVED]
        self._history.posts, self._history.ends = self._faults.posts, self._killing.ends
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
