"""How each alert of a run ended, as seen by the stand-ins."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .alerts import LABEL, PROVED_LABEL


@dataclass(kw_only=True, slots=True)
class Cycle:
    """One alert on its way."""

    number: int
    label: str = LABEL
    asked: bool = False  #: the post was answered
    acknowledged: bool = False  #: the click was
    redrawn: bool = False  #: the message was updated after the click
    taken: bool = False  #: its request was deleted from the queue
    reported: bool = False  #: the response queue has the answer
    posts: int = 0
    message: Mapping[str, Any] = field(default_factory=dict, repr=False)  #: as it was posted

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.asked and self.acknowledged and self.redrawn and self.taken and self.reported


class Ledger:
    """All alerts of one run. Wakes all waiters when anything changes."""

    def __init__(self, *, first: int = 0) -> None:
        self._numbers = itertools.count(first)
        self.cycles: dict[int, Cycle] = {}
        self.asked = 0  #: alerts that were asked
        self.whole = 0  #: alerts with which nothing is left to do
        self.unproven = 0  #: alerts whose *yes* was not proved in time
        self.faults: list[str] = []  #: what a contestant did that it must not
        self.on_asked: Callable[[Cycle], None] = lambda _: None
        self.on_whole: Callable[[Cycle], None] = lambda _: None
        self._changed = asyncio.Event()

    def open(self, label: str = LABEL) -> Cycle:
        """Return a new alert."""
        cycle = Cycle(number=next(self._numbers), label=label)
        self.cycles[cycle.number] = cycle
        return cycle

    def may_be_unproven(self, number: int) -> bool:
        """Whether the *yes* to this alert may need a proof."""
        return self.cycles[number].label == PROVED_LABEL

    def note_post(self, number: int, message: Mapping[str, Any]) -> None:
        """Note a question that was put."""
        cycle = self.cycles[number]
        cycle.posts += 1
        if cycle.posts > 1:
            self.faults.append(f"alert {number} was asked {cycle.posts} times")
            return
        cycle.message, cycle.asked = message, True
        self.asked += 1
        self._changed.set()
        self.on_asked(cycle)

    def note(self, number: int, **facts: Any) -> None:
        """Note further facts of an alert, by the names of its fields."""
        cycle = self.cycles.get(number)
        if cycle is None:
            return  # of an earlier run in the same folder: a killed worker's reports may come again
        was_whole = cycle.is_whole
        for name, value in facts.items():
            setattr(cycle, name, value)
        if cycle.is_whole and not was_whole:
            self.whole += 1
            cycle.message = {}  # the stand-ins' memory must not grow into the contestant's way
            self.on_whole(cycle)
        self._changed.set()

    async def until(self, holds: Callable[[], bool], *, seconds: float) -> None:
        """Wait until something holds; `TimeoutError` with what is known if nothing happens for this long."""
        while not holds():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                first = next((cycle for cycle in self.cycles.values() if not cycle.is_whole), None)
                known = f"{self.asked} asked, {self.whole} whole of {len(self.cycles)}; the first: {first}"
                raise TimeoutError(f"nothing happened for {seconds:g} s; {known}") from None
