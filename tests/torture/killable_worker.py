"""The real worker, built to die on cue, and the nursery that brings it to life again and again.

The nursery (`main`) reads one JSON object a line (see `Cue`), lives one life for each, and writes what became
of it. It is a forked process, and so is a life: all modules are loaded already, so it serves at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import aiohttp

from bot.aws.access import Access
from bot.cli.registry import WRONG_CONFIG
from bot.clock import Clock
from bot.errors import StoreUnusable
from bot.factor import calls
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.people import load_people_rules
from bot.settings.settings import Purpose, load_settings, prepare_environment
from bot.slack.connections import LinkTimes
from bot.slack.messenger import SlackMessenger
from bot.slack.security_channel import SlackSecurityTeam
from bot.store import open_store
from bot.store.address import is_shared, parse_address
from bot.store.dynamodb.leases import LOOK_INTERVAL
from bot.store.dynamodb.opening import require_usable
from bot.store.dynamodb.store import DynamoStore, TableOptions
from bot.store.dynamodb.table import Connection, Table
from bot.worker.app import App
from bot.worker.assembly import Dependencies, Queues, Resources, make_policy, open_queues
from bot.worker.lifecycle import run_worker
from bot.worker.log import configure_logging

from .fast_clock import FastClock
from .kill_points import (
    DEAD_LETTER_VERBS,
    FACTOR_VERBS,
    MESSENGER_VERBS,
    REQUEST_VERBS,
    RESPONSE_VERBS,
    STORE_VERBS,
    TEAM_VERBS,
    KillableProxy,
    KillableRecorder,
    KillSwitch,
)
from .sabotage import FACTOR_SABOTAGES, BlindMessenger, CarelessStore
from .slack_faults import WORKER_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AsyncExitStack
    from datetime import timedelta

    from bot.settings.settings import Settings
    from bot.slack.render.templates import Wording
    from bot.store import OpenStore
    from bot.triage.factor import PollResult, Push
    from bot.triage.policy import Policy
    from bot.triage.ports import Messenger, Meter, SecondFactor, SecurityTeam
    from bot.triage.recorder import Recorder
    from bot.worker.lifecycle import Loop

Part = TypeVar("Part")

#: How long a call to Slack may take, and connecting for it, in seconds of the torture's time.
_CALL_TAKES: Final = 15.0
_CONNECT_TAKES: Final = 5.0

#: How often those are woken who sleep by a clock that is slower than theirs, in seconds of ours.
_TICK: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One life: when its clock began, where it dies, and how it is broken."""

    origin: float
    pace: float
    worker: str = "1"
    boundary: str = ""  #: one of `mortality.BOUNDARIES`, or empty
    passings: int = 0  #: it dies when it passes the boundary for the n-th time …
    armed_at: float = 0.0  #: … since then, by our own clock
    steps: float = 0.0  #: by how many seconds its machine's clock is set before and behind the time …
    drift: float = 0.0  #: … and by which share the others run too fast
    restored: bool = False  #: `run --restored`
    without_look_up: bool = False
    outbox_after_ack: bool = False
    sabotage: str = ""  #: one of `FACTOR_SABOTAGES`, or empty


class KillableWorker(App):
    """The worker as it is, with a fast clock, shorter time-outs and mortal parts."""

    def __init__(self, settings: Settings, words: tuple[Wording, Policy], cue: Cue) -> None:
        self._cue = cue
        self._kill_switch = KillSwitch(cue.boundary, cue.passings, cue.armed_at)
        assert calls.TIMEOUT.total is not None
        quick = aiohttp.ClientTimeout(total=calls.TIMEOUT.total / cue.pace)
        vars(calls)["TIMEOUT"] = quick  # this process lives one life, and has one provider
        if cue.sabotage:
            for (owner, name), broken in FACTOR_SABOTAGES[cue.sabotage]().items():
                setattr(owner, name, broken)
        dependencies = Dependencies(
            clock=Clock(
                FastClock(origin=cue.origin, pace=cue.pace).machine(steps=cue.steps, drift=cue.drift)
            ),
            store=self._killable_store,
            queues=self._killable_queues,
            link_times=_quick_links(cue.pace),
            session=self._quick_session,
            messenger=self._killable_messenger,
            security_team=self._killable_team,
            recorder=self._killable_recorder,
        )
        super().__init__(settings, *words, restored=cue.restored, dependencies=dependencies)

    def stages(self) -> Sequence[Mapping[str, Loop]]:
        first, *others = super().stages()
        return ({**first, "tick": self._tick}, *others)

    async def _tick(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.wake()
            await asyncio.sleep(_TICK)

    async def _killable_store(self, url: str, **options: Any) -> OpenStore:
        store: Any = await (self._shared_store if is_shared(url) else open_store)(url, **options)
        store = CarelessStore(store) if self._cue.outbox_after_ack else store
        killable: OpenStore = self._killable(store, STORE_VERBS)
        return killable

    async def _shared_store(
        self, url: str, *, region: str | None, keep: timedelta, on_found: Callable[[], None], **_: object
    ) -> OpenStore:
        """Open a table as `bot.store` does, but by the fast clock, and look at it as often by that."""
        address = parse_address(url, region=region)
        clock = self._dependencies.clock
        connection = Connection(address, access=Access(clock=clock))
        table = Table(address.table, connection, random=self._dependencies.random)
        await require_usable(table)
        upkeep = TableOptions(keep=keep, look_interval=LOOK_INTERVAL / self._cue.pace)
        store = DynamoStore(table, clock=clock, upkeep=upkeep)
        store.on_found = on_found
        return store

    def _killable_queues(
        self, settings: Settings, access: Access, meter: Meter, stack: AsyncExitStack
    ) -> Queues:
        queues = open_queues(settings, access, meter, stack)
        return Queues(
            requests=self._killable(queues.requests, REQUEST_VERBS),
            responses=self._killable(queues.responses, RESPONSE_VERBS),
            dead_letters=self._killable(queues.dead_letters, DEAD_LETTER_VERBS),
        )

    def _quick_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=256, keepalive_timeout=60)
        pace = self._cue.pace
        timeout = aiohttp.ClientTimeout(total=_CALL_TAKES / pace, connect=_CONNECT_TAKES / pace)
        headers = {WORKER_HEADER: self._cue.worker}
        return aiohttp.ClientSession(timeout=timeout, connector=connector, headers=headers)

    async def _open_resources(self, *given: Any) -> Resources:
        resources = await super()._open_resources(*given)
        if resources.factor is None:
            return resources
        factor: SecondFactor = QuickFactor(resources.factor, self._cue.pace)
        return replace(resources, factor=self._killable(factor, FACTOR_VERBS))

    def _killable_messenger(self, *given: Any, **options: Any) -> Messenger:
        messenger: Any = SlackMessenger(*given, **options)
        messenger = BlindMessenger(messenger) if self._cue.without_look_up else messenger
        killable: Messenger = self._killable(messenger, MESSENGER_VERBS)
        return killable

    def _killable_team(self, *given: Any) -> SecurityTeam:
        return self._killable(SlackSecurityTeam(*given), TEAM_VERBS)

    def _killable_recorder(self, *given: Any, **options: Any) -> Recorder:
        recorder = KillableRecorder(*given, **options)
        recorder.kill_switch = self._kill_switch
        return recorder

    def _killable(self, part: Part, verbs: Mapping[str, str]) -> Part:
        return cast("Part", KillableProxy(part, verbs, self._kill_switch))


class QuickFactor:
    """Waits between two polls by the fast clock."""

    def __init__(self, inner: SecondFactor, pace: float) -> None:
        self._inner = inner
        self._pace = pace
        self.name = inner.name

    async def push(self, subject: str, code: str) -> Push:
        """See `triage.ports.SecondFactor`."""
        push = await self._inner.push(subject, code)
        return replace(push, interval=push.interval / self._pace)

    async def poll(self, push_id: str, subject: str) -> PollResult:
        """See `triage.ports.SecondFactor`."""
        polled = await self._inner.poll(push_id, subject)
        return replace(polled, slower=polled.slower / self._pace)


def _quick_links(pace: float) -> LinkTimes:
    """Return the times of links by the fast clock; but a hello takes as long as it does."""
    usual = LinkTimes()
    waits = ("served_after", "broken_max", "refused_max", "steady_after", "look_interval", "ping_interval")
    return replace(usual, **{name: getattr(usual, name) / pace for name in waits})


def main() -> None:
    """Live one life for each line of standard input."""
    os.setsid()
    warnings.simplefilter("error")
    settings = load_settings(Purpose.RUN)
    prepare_environment(settings)
    configure_logging(settings.log_level, sys.stderr, journal_stream="", secrets=[])
    policy = make_policy(
        settings, load_alert_policies(settings.config_dir), load_people_rules(settings.config_dir)
    )
    words = load_messages(settings.config_dir), policy
    child = 0
    for line in sys.stdin:
        if child:
            # Not before: until the last line was read, its pid must not become another process's.
            os.waitpid(child, 0)
        cue = Cue(**json.loads(line))
        child = os.fork()
        if child == 0:
            os._exit(_live(KillableWorker(settings, words, cue)))
        _say(born=child)
        _say(died=_end_of(child))


def _end_of(child: int) -> int:
    """Wait for a process's end without reaping it; return its exit code, or minus the signal's number."""
    end = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert end is not None
    return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status


def _live(worker: KillableWorker) -> int:
    try:
        asyncio.run(run_worker(worker))
    except StoreUnusable as error:
        print(f"refused: {error}", file=sys.stderr)
        return WRONG_CONFIG
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here and says why
        traceback.print_exc()
        return 1
    return 0


def _say(**facts: object) -> None:
    os.write(sys.stdout.fileno(), json.dumps(facts).encode() + b"\n")
