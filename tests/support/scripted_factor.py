"""A second factor whose people do as a test says; it keeps its own record of what they did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.triage.factor import PollResult, Push, Verdict

SECOND = timedelta(seconds=1)


@dataclass(kw_only=True)
class OnDevice:
    """A push, and its result."""

    subject: str
    code: str
    at: datetime
    reaction: Verdict
    after: timedelta
    is_told: bool = False  #: its result: it is told once
    is_lost: bool = False  #: the reply that told it
    told_at: datetime | None = None


@dataclass(kw_only=True)
class ScriptedFactor:
    """Takes each push as `push_ends` say, one entry a call, and gives people `reactions` in turn."""

    clock: Callable[[], datetime]
    reactions: list[tuple[Verdict, int]] = field(default_factory=list)  #: and after how many seconds
    push_ends: list[Exception | None] = field(default_factory=list)
    poll_ends: list[Exception | None] = field(default_factory=list)
    lasts: timedelta = 60 * SECOND
    interval: timedelta = 5 * SECOND
    takes: Mapping[str, float] = field(default_factory=dict)  #: seconds, by call
    pushes: list[OnDevice] = field(default_factory=list)
    calls: list[tuple[str, datetime]] = field(default_factory=list)

    name = "login.example.com"

    async def push(self, subject: str, code: str) -> Push:
        self.calls.append(("push", self.clock()))
        end = self.push_ends.pop(0) if self.push_ends else None
        if isinstance(end, Exception):
            raise end
        reaction, seconds = self.reactions.pop(0) if self.reactions else (Verdict.TIMED_OUT, 10_000)
        device = OnDevice(
            subject=subject, code=code, at=self.clock(), reaction=reaction, after=seconds * SECOND
        )
        self.pushes.append(device)
        number = len(self.pushes)
        await asyncio.sleep(self.takes.get("push", 0))
        return Push(id=f"push-{number}", lifetime=self.lasts, interval=self.interval)

    async def poll(self, push_id: str, subject: str) -> PollResult:
        self.calls.append(("poll", self.clock()))
        await asyncio.sleep(self.takes.get("poll", 0))
        end = self.poll_ends.pop(0) if self.poll_ends else None
        if isinstance(end, Exception):
            raise end
        device = self.pushes[int(push_id.removeprefix("push-")) - 1]
        assert device.subject == subject
        if device.is_told:
            return PollResult(verdict=Verdict.LOST)
        passed = self.clock() - device.at
        if passed >= device.after and device.after < self.lasts:
            device.is_told, device.told_at = True, self.clock()
            return PollResult(verdict=device.reaction)
        return PollResult(verdict=Verdict.PENDING if passed < self.lasts else Verdict.TIMED_OUT)

    def moments(self, call: str) -> Sequence[float]:
        """Return when a call was made, in seconds since the first call of all."""
        first = self.calls[0][1]
        return [(at - first).total_seconds() for name, at in self.calls if name == call]
