"""Which life ends when, where and how: drawn by lot, until there were enough deaths."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, Literal

from .fast_clock import FastClock
from .history import End
from .kill_points import boundaries
from .killable_worker import Cue
from .lives import Lives
from .options import Options
from .store_damage import StoreDamage

#: Real seconds between two kills, if there are several workers.
EVERY: Final = 1.0

#: From so long before its turn on until so long after it one dies as soon as it passes the boundary that it
#: is to die at.
_READY: Final = 3.0
_RESPITE: Final = 1.0

#: At which passing of its boundary a life ends; a worker of several has not time for many.
_PASSINGS: Final = (1, 1, 2, 3, 5, 8)
_FEW_PASSINGS: Final = (1, 1, 1, 2)

#: By how many seconds the clock of a life's machine is set, and how fast its other clocks run at the most.
_STEPS: Final = (0.0, 60.0, 7200.0)
_DRIFT: Final = 200e-6

_BOUNDARY_SHARE: Final = 0.75
_TERM_SHARE: Final = 0.03

#: After which share of the kills of a worker that is alone the files of its store are damaged.
_DAMAGE_SHARE: Final = 0.1
#: Seconds within which it has to refuse such a store.
_REFUSED_WITHIN: Final = 15.0


@dataclass(kw_only=True)
class Killing:
    """Begins and ends lives; `ends` are all that have ended so far."""

    options: Options
    clock: FastClock
    random: Random
    damage: StoreDamage | None = None  #: of the store that one worker has for itself
    counts: Counter[str] = field(default_factory=Counter)  #: of damages
    ends: list[End] = field(default_factory=list)
    _boundaries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Put the boundaries in an order of this run's own."""
        # Those of the second factor come twice in a round: only some alerts lead there.
        known = [*boundaries(factor=self.options.factor, flood=self.options.flood)]
        known += [each for each in known if each not in boundaries(factor=False)]
        self._boundaries = self.random.sample(known, k=len(known))

    @property
    def deaths(self) -> int:
        return sum(end.status == "SIGKILL" for end in self.ends)

    async def run(self, workers: Sequence[Lives]) -> None:
        """Kill until there were enough deaths, or the minutes are over."""
        began = time.time()
        until = began + 60 * (self.options.minutes or 1e6)
        if len(workers) == 1:
            while not self._is_over(until):
                self.note(await self._live(workers[0]))
                await self._damage_store(workers[0])
            return
        async with asyncio.TaskGroup() as group:
            for lives in workers:
                group.create_task(self._live_in_turn(lives, began, until))

    def cue(self, lives: Lives, boundary: str = "", *, armed_at: float = 0.0) -> Cue:
        """Return one life of a worker, in which it dies at a boundary if there is one."""
        return Cue(
            origin=self.clock.origin,
            pace=self.clock.pace,
            worker=lives.name,
            boundary=boundary,
            passings=self.random.choice(_FEW_PASSINGS if armed_at else _PASSINGS) if boundary else 0,
            armed_at=armed_at,
            steps=self.random.choice(_STEPS),
            drift=self.random.uniform(-_DRIFT, _DRIFT),
            restored=self.damage is not None and self.damage.is_backup,
            without_look_up=self.options.without_look_up,
            outbox_after_ack=self.options.outbox_after_ack,
            sabotage=self.options.sabotage,
        )

    def note(self, end: End) -> None:
        self.ends.append(replace(end, at=self.clock.seconds()))

    def _is_over(self, until: float) -> bool:
        return self.deaths >= self.options.kills or time.time() >= until

    async def _live(self, lives: Lives) -> End:
        """Live one life of a worker that is alone."""
        random = self.random
        boundary = self._draw_boundary()
        if len(self.ends) % 25 == 24:  # now and then one lives long enough to see every lease end
            return await lives.live(self.cue(lives, boundary), seconds=random.uniform(6, 10))
        if random.random() < _TERM_SHARE:
            return await lives.live(self.cue(lives), seconds=random.uniform(0.1, 2), wanted="term")
        return await lives.live(self.cue(lives, boundary), seconds=2 if boundary else random.uniform(0.05, 2))

    async def _damage_store(self, lives: Lives) -> None:
        """Now and then damage the store after a kill: the next life must refuse it. Then mend it."""
        if not self.damage or self.ends[-1].wanted != "kill" or self.random.random() >= _DAMAGE_SHARE:
            return
        if done := self.damage.harm():
            self.counts[done] += 1
            cue = replace(self.cue(lives), restored=False)
            self.note(await lives.live(cue, seconds=_REFUSED_WITHIN, wanted="refuse"))
            self.damage.mend()

    async def _live_in_turn(self, lives: Lives, began: float, until: float) -> None:
        """Live one life after another, each until it is this worker's turn to be killed."""
        number = int(lives.name) - 1
        while not self._is_over(until):
            now = time.time()
            turn = int((now - began) / EVERY) + 1
            while self._whose_turn(turn) != number:
                turn += 1
            at = began + turn * EVERY
            wanted: Literal["kill", "term"] = "term" if self.random.random() < _TERM_SHARE else "kill"
            boundary = self._draw_boundary() if wanted == "kill" else ""
            respite = _RESPITE if boundary else 0.0
            cue = self.cue(lives, boundary, armed_at=at - _READY)
            self.note(await lives.live(cue, seconds=at - now + respite, wanted=wanted))

    def _whose_turn(self, turn: int) -> int:
        return Random(f"{self.options.seed} turn {turn}").randrange(self.options.workers)

    def _draw_boundary(self) -> str:
        """Return one boundary after another, or none."""
        drawn = self._boundaries[len(self.ends) % len(self._boundaries)]
        return drawn if self.random.random() < _BOUNDARY_SHARE else ""
