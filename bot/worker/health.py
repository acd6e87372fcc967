"""Whether the worker does its job, judged from outside its loops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.clock import Clock
from bot.errors import StoreError, StoreReplaced
from bot.triage.listing import Counts
from bot.triage.ports import Backlog

#: How long SQS may leave polls unanswered. A poll takes 20 s, the longest wait after a failure 30 s.
POLL_SILENCE = timedelta(seconds=120)

#: The store is probed no more often than this: each probe writes to the disk.
LOOK_INTERVAL = timedelta(seconds=5)

#: How long the store may take to answer.
STORE_PATIENCE = timedelta(seconds=3)


class Trouble(StrEnum):
    """What keeps the worker from doing its job. Never change the names: metrics and `/healthz` show them."""

    STARTING = "starting"
    NO_LINK = "no_link"
    LINK_REFUSED = "link_refused"
    LINK_SHARED = "link_shared"
    NOT_POLLING = "not_polling"
    STORE_REFUSES = "store_refuses"
    STORE_REPLACED = "store_replaced"
    HEAD_UNWRITTEN = "head_unwritten"
    ASKING_HALTED = "asking_halted"
    CREDENTIALS = "credentials"
    CLOCK_WRONG = "clock_wrong"
    NO_SECOND_FACTOR = "no_second_factor"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreHealth:
    """The state of the store, and the oldest work in it."""

    trouble: str = ""  #: why it accepts no writes; empty if it does
    is_replaced: bool = False  #: whether that is because its file is gone or was replaced
    head_trouble: str = ""  #: why NAME.head could not be written; empty if it could
    oldest_open: datetime | None = None  #: when the oldest question without an outcome was accepted
    oldest_unsent: datetime | None = None  #: when the oldest report that waits was, or will be, due
    counts: Counts | None = None  #: how many of each kind it holds; None: unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerHealth:
    """The vital signs of a worker at one moment."""

    starting: str = ""  #: what the start waits for; empty once it is complete
    links_up: int
    link_shared: bool  #: whether Slack counts links that are not ours
    rejection_code: str  #: the error code with which Slack rejects the app; empty if it does not
    polled_at: datetime  #: when SQS last answered a poll, or the start of the worker
    store: StoreHealth
    silence: timedelta = timedelta(0)  #: for how long SQS has answered no poll
    link_trouble: str = ""  #: a sentence about why a link cannot be opened; empty if it can
    link_refused: bool = False  #: whether that is a refusal, which lasts until somebody fixes its cause
    aws_refuses_with: str = ""  #: the code with which AWS rejects our credentials; empty if it does not
    clock_trouble: str = ""  #: what is wrong with the time, and the remedy; empty if nothing is
    clock_ahead: timedelta | None = None  #: of the services', if they have told the time
    factor_trouble: str = ""  #: why no *yes* can be proved; empty if one can, or none has to be


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A problem, and a sentence that explains it."""

    trouble: Trouble
    why: str


class StoreWatch:
    """Probes the store at most once every 5 s, and waits for it no longer than `patience`."""

    def __init__(self, store: Backlog, *, clock: Clock, patience: timedelta = STORE_PATIENCE) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience.total_seconds()
        self._seen_at: timedelta | None = None
        self._health = StoreHealth()
        self._looking = asyncio.Lock()

    async def look(self) -> StoreHealth:
        """Return the state of the store, at most 5 s old. Never raises: `trouble` names a `StoreError`."""
        async with self._looking:
            now = self._clock.monotonic()
            if self._seen_at is None or now - self._seen_at >= LOOK_INTERVAL:
                self._health, self._seen_at = await self._ask(), now
        return self._health

    async def _ask(self) -> StoreHealth:
        try:
            async with asyncio.timeout(self._patience):
                await self._store.probe()
                return StoreHealth(
                    head_trouble=self._store.head_trouble,
                    oldest_open=await self._store.oldest_open(),
                    oldest_unsent=await self._store.oldest_unsent(),
                    counts=await self._store.count(),
                )
        except StoreError as error:
            return StoreHealth(trouble=str(error), is_replaced=isinstance(error, StoreReplaced))
        except TimeoutError:
            return StoreHealth(trouble=f"the store has not answered for {self._patience:g} s")


def _find_store_problems(store: StoreHealth) -> Iterator[Problem]:
    if store.trouble:
        trouble = Trouble.STORE_REPLACED if store.is_replaced else Trouble.STORE_REFUSES
        yield Problem(trouble=trouble, why=store.trouble)
    if store.head_trouble:
        yield Problem(trouble=Trouble.HEAD_UNWRITTEN, why=store.head_trouble)


def find_problems(health: WorkerHealth) -> Iterator[Problem]:
    """Yield every problem that keeps the worker from doing its job."""
    if health.starting:
        yield Problem(trouble=Trouble.STARTING, why=f"the worker is starting and waits for {health.starting}")
    if not health.links_up:
        reason = health.link_trouble and f" ({health.link_trouble})"
        yield Problem(trouble=Trouble.NO_LINK, why=f"no Socket Mode link is up: no click can arrive{reason}")
    if health.link_refused:
        yield Problem(trouble=Trouble.LINK_REFUSED, why=health.link_trouble)
    if health.link_shared:
        why = (
            "another program is connected with this app's token and takes some of the clicks, or Slack still"
            " counts a link that is dead; one link is replaced every five minutes to find out"
        )
        yield Problem(trouble=Trouble.LINK_SHARED, why=why)
    if health.silence > POLL_SILENCE:
        why = f"SQS has answered no poll of the request queue for {health.silence.total_seconds():.0f} s"
        yield Problem(trouble=Trouble.NOT_POLLING, why=why)
    yield from _find_store_problems(health.store)
    if health.rejection_code:
        why = f"asking is halted, because Slack rejects this app with {health.rejection_code}"
        yield Problem(trouble=Trouble.ASKING_HALTED, why=why)
    if health.aws_refuses_with:
        why = f"AWS does not accept the worker's credentials ({health.aws_refuses_with}): renew them"
        yield Problem(trouble=Trouble.CREDENTIALS, why=why)
    if health.clock_trouble:
        yield Problem(trouble=Trouble.CLOCK_WRONG, why=health.clock_trouble)
    if health.factor_trouble:
        why = f"answers yes that need a proof end as unproven: {health.factor_trouble}"
        yield Problem(trouble=Trouble.NO_SECOND_FACTOR, why=why)
