"""What the stand-ins do to a contestant: whole cycles, floods, and clicks that are timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from .alerts import LABEL, PROVED_LABEL
from .ledger import Cycle, Ledger
from .provider import LeanProvider
from .slack import LeanSlack
from .sqs import LeanSqs

Json = dict[str, Any]

#: Seconds without any progress after which a contestant is given up.
PATIENCE: Final = 20.0

#: Seconds between two clicks that are timed.
CLICK_INTERVAL: Final = 0.02


class Workloads:
    """Each workload returns when all it began is finished, or raises `TimeoutError`."""

    def __init__(self, *, first: int) -> None:
        self.ledger = Ledger(first=first)
        self.slack = LeanSlack(self.ledger)
        self.sqs = LeanSqs(self.ledger)
        self.provider = LeanProvider()
        self._clicks: set[asyncio.Task[float]] = set()

    async def cycles(self, count: int, concurrency: int) -> None:
        """Run this many whole cycles, some of them at a time: each question is answered at once."""
        left = count
        target = self.ledger.whole + count

        def put(_: Cycle | None = None) -> None:
            nonlocal left
            if left:
                left -= 1
                self._put()

        self.ledger.on_asked = self._click
        self.ledger.on_whole = put
        for _ in range(concurrency):
            put()
        await self.ledger.until(lambda: self.ledger.whole >= target, seconds=PATIENCE)
        self.ledger.on_asked = self.ledger.on_whole = lambda _: None

    async def flood(self, count: int, label: str = LABEL) -> Json:
        """Send this many requests at once; return the `seconds` until all are asked. Nobody answers."""
        target = self.ledger.asked + count
        began = time.monotonic()
        for _ in range(count):
            self._put(label)
        await self.ledger.until(lambda: self.ledger.asked >= target, seconds=PATIENCE)
        return {"seconds": time.monotonic() - began}

    async def clicks(self, count: int, interval: float = CLICK_INTERVAL) -> Json:
        """Ask this many, then answer one by one; return how soon each, in seconds, is `acknowledged`."""
        questions = await self._questions(count)
        seconds = []
        for cycle in questions:
            seconds.append(await self.slack.click(cycle))
            await asyncio.sleep(interval)
        await self._until_whole(questions)
        return {"acknowledged": seconds}

    async def clicks_in_flood(self, count: int, flood: int) -> Json:
        """Ask this many, then answer them evenly while a flood is being asked; otherwise as `clicks`."""
        questions = await self._questions(count)
        flooding = asyncio.create_task(self.flood(flood))
        clicks = []
        for cycle in questions:
            if flooding.done():
                break
            clicks.append(asyncio.create_task(self.slack.click(cycle)))
            await asyncio.sleep(CLICK_INTERVAL)
        seconds = await asyncio.gather(*clicks)
        await flooding
        await self._until_whole(questions[: len(clicks)])
        return {"acknowledged": seconds}

    async def clicks_beside_proofs(self, proofs: int, count: int, interval: float) -> Json:
        """Ask `proofs` people who must prove a *yes* and press it together, and `count` others one by one.

        Return how soon the clicks of the others are `acknowledged`, and the `seconds` until nothing is left
        to do for the first.
        """
        proved, others = await self._questions(proofs, PROVED_LABEL), await self._questions(count)
        began = time.monotonic()
        pressed = [asyncio.create_task(self._press(cycle)) for cycle in proved]
        whole = asyncio.create_task(self._until_whole(proved))
        whole.add_done_callback(lambda _: ended.append(time.monotonic()))
        ended: list[float] = []
        acknowledged = []
        for cycle in others:
            acknowledged.append(await self._press(cycle))
            await asyncio.sleep(interval)
        await asyncio.gather(*pressed, whole)
        await self._until_whole(others)
        return {"acknowledged": acknowledged, "seconds": ended[0] - began, "unproven": self.ledger.unproven}

    async def _press(self, cycle: Cycle) -> float:
        """Press *yes*; return how soon that is acknowledged, though it be later than Slack waits."""
        began = time.monotonic()
        try:
            return await self.slack.click(cycle)
        except TimeoutError:
            self.ledger.note(cycle.number, acknowledged=True)
            return time.monotonic() - began

    async def _questions(self, count: int, label: str = LABEL) -> list[Cycle]:
        known = len(self.ledger.cycles)
        await self.flood(count, label)
        questions = list(islice(self.ledger.cycles.values(), known, None))
        await self.ledger.until(lambda: all(each.taken for each in questions), seconds=PATIENCE)
        await asyncio.sleep(0.5)
        return questions

    async def _until_whole(self, cycles: Sequence[Cycle]) -> None:
        patience = PATIENCE + 2 * self.provider.latency
        await self.ledger.until(lambda: all(cycle.is_whole for cycle in cycles), seconds=patience)

    def _put(self, label: str = LABEL) -> None:
        self.sqs.put(self.ledger.open(label).number)

    def _click(self, cycle: Cycle) -> None:
        click = asyncio.create_task(self.slack.click(cycle))
        self._clicks.add(click)
        click.add_done_callback(self._end_click)

    def _end_click(self, click: asyncio.Task[Any]) -> None:
        self._clicks.discard(click)
        if error := click.exception():
            self.ledger.faults.append(f"a click was not acknowledged: {type(error).__name__}")
