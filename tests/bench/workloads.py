"""What the stand-ins do to a contestant: whole cycles, floods, and clicks that are timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from .ledger import Cycle, Ledger
from .slack import LeanSlack
from .sqs import LeanSqs

#: Seconds without any progress after which a contestant is given up.
PATIENCE: Final = 20.0

#: Seconds between two clicks that are timed.
CLICK_INTERVAL: Final = 0.02


class Workloads:
    """Each workload returns when all it began is finished, or raises `TimeoutError`."""

    def __init__(self, ledger: Ledger, slack: LeanSlack, sqs: LeanSqs) -> None:
        self._ledger = ledger
        self._slack = slack
        self._sqs = sqs
        self._clicks: set[asyncio.Task[float]] = set()

    async def cycles(self, count: int, *, concurrency: int) -> None:
        """Go through so many whole cycles, so many of them at a time: each question is answered at once."""
        left = count
        target = self._ledger.whole + count

        def put(_: Cycle | None = None) -> None:
            nonlocal left
            if left:
                left -= 1
                self._put()

        self._ledger.on_asked = self._click
        self._ledger.on_whole = put
        for _ in range(concurrency):
            put()
        await self._ledger.until(lambda: self._ledger.whole >= target, seconds=PATIENCE)
        self._rest()

    async def flood(self, count: int) -> float:
        """Put so many requests at once; return the seconds until all are asked. Nobody answers."""
        target = self._ledger.asked + count
        began = time.monotonic()
        for _ in range(count):
            self._put()
        await self._ledger.until(lambda: self._ledger.asked >= target, seconds=PATIENCE)
        return time.monotonic() - began

    async def clicks(self, count: int) -> Sequence[float]:
        """Ask so many, then answer one after another; return the acknowledgements' seconds."""
        questions = await self._questions(count)
        seconds = []
        for cycle in questions:
            seconds.append(await self._slack.click(cycle))
            await asyncio.sleep(CLICK_INTERVAL)
        await self._until_whole(questions)
        return seconds

    async def clicks_in_flood(self, count: int, *, flood: int) -> Sequence[float]:
        """Ask so many, then answer them evenly while a flood is being asked; otherwise as `clicks`."""
        questions = await self._questions(count)
        flooding = asyncio.create_task(self.flood(flood))
        clicks = []
        for cycle in questions:
            if flooding.done():
                break
            clicks.append(asyncio.create_task(self._slack.click(cycle)))
            await asyncio.sleep(CLICK_INTERVAL)
        seconds = await asyncio.gather(*clicks)
        await flooding
        await self._until_whole(questions[: len(clicks)])
        return seconds

    async def _questions(self, count: int) -> list[Cycle]:
        known = len(self._ledger.cycles)
        await self.flood(count)
        questions = list(islice(self._ledger.cycles.values(), known, None))
        await self._ledger.until(lambda: all(each.taken for each in questions), seconds=PATIENCE)
        await asyncio.sleep(0.5)
        return questions

    async def _until_whole(self, cycles: Sequence[Cycle]) -> None:
        await self._ledger.until(lambda: all(cycle.is_whole for cycle in cycles), seconds=PATIENCE)

    def _put(self) -> None:
        self._sqs.put(self._ledger.open().number)

    def _click(self, cycle: Cycle) -> None:
        click = asyncio.create_task(self._slack.click(cycle))
        self._clicks.add(click)
        click.add_done_callback(self._end_click)

    def _end_click(self, click: asyncio.Task[Any]) -> None:
        self._clicks.discard(click)
        if error := click.exception():
            self._ledger.faults.append(f"a click was not acknowledged: {type(error).__name__}")

    def _rest(self) -> None:
        self._ledger.on_asked = self._ledger.on_whole = lambda _: None
