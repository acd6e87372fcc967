"""Whether the worker does its job, judged by what can be seen beside its loops."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from bot.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from bot.triage.ports import Backlog, Clock

#: How long SQS may leave polls unanswered. One takes 20 s, and the longest wait after a failure 30 s.
POLL_SILENCE = timedelta(seconds=120)

#: The store is asked no more often, whoever looks: each look writes to the disk.
LOOK_INTERVAL = timedelta(seconds=5)

#: How long the store may take to answer.
STORE_PATIENCE = timedelta(seconds=3)


class Trouble(StrEnum):
    """What keeps the worker from doing its job. Names of metrics and of `/healthz`: they never change."""

    STARTING = "starting"
    NO_LINK = "no_link"
    LINK_SHARED = "link_shared"
    NOT_POLLING = "not_polling"
    STORE_REFUSES = "store_refuses"
    ASKING_HALTED = "asking_halted"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSigns:
    """What the store says of itself, and of what waits in it."""

    trouble: str = ""  #: why it takes no writes; empty: it takes them
    oldest_open: datetime | None = None  #: when the oldest question without an outcome was accepted
    oldest_unsent: datetime | None = None  #: when the oldest report that waits was, or will be, due


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """What there is to see of a worker at one moment."""

    starting: str = ""  #: what the start waits for; empty: it is over
    links_up: int
    link_shared: bool  #: another program takes some of the clicks
    halted_by: str  #: the code with which Slack refuses the worker itself; empty: it does not
    polled_at: datetime  #: the last poll that SQS answered, or the start
    store: StoreSigns


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong, and a sentence about it."""

    trouble: Trouble
    why: str


class StoreWatch:
    """Looks at the store, at most once in five seconds, and never waits long for it."""

    def __init__(self, store: Backlog, *, clock: Clock, patience: timedelta = STORE_PATIENCE) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience.total_seconds()
        self._seen_at: datetime | None = None
        self._signs = StoreSigns()
        self._looking = asyncio.Lock()

    async def look(self) -> StoreSigns:
        """Return what the store says, now or a moment ago. Never raises."""
        async with self._looking:
            now = self._clock()
            if self._seen_at is None or now - self._seen_at >= LOOK_INTERVAL:
                self._signs, self._seen_at = await self._ask(), now
        return self._signs

    async def _ask(self) -> StoreSigns:
        try:
            async with asyncio.timeout(self._patience):
                await self._store.probe()
                return StoreSigns(
                    oldest_open=await self._store.oldest_open(),
                    oldest_unsent=await self._store.oldest_unsent(),
                )
        except StoreError as error:
            return StoreSigns(trouble=str(error))
        except TimeoutError:
            return StoreSigns(trouble=f"the store has not answered for {self._patience:g} s")


def problems_of(vitals: Vitals, now: datetime) -> Iterator[Problem]:
    """Yield all that keeps the worker from doing its job."""
    if vitals.starting:
        why = f"the worker starts, and waits for {vitals.starting}"
        yield Problem(trouble=Trouble.STARTING, why=why)
    if not vitals.links_up:
        yield Problem(trouble=Trouble.NO_LINK, why="no Socket Mode link is up: no click can arrive")
    if vitals.link_shared:
        why = "another program listens with this app's token and takes some of the clicks"
        yield Problem(trouble=Trouble.LINK_SHARED, why=why)
    silence = now - vitals.polled_at
    if silence > POLL_SILENCE:
        why = f"SQS has answered no poll of the request queue for {silence.total_seconds():.0f} s"
        yield Problem(trouble=Trouble.NOT_POLLING, why=why)
    if vitals.store.trouble:
        yield Problem(trouble=Trouble.STORE_REFUSES, why=vitals.store.trouble)
    if vitals.halted_by:
        why = f"nobody is asked: Slack refuses this app with {vitals.halted_by}"
        yield Problem(trouble=Trouble.ASKING_HALTED, why=why)
