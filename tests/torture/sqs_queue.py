"""One queue of the stand-in SQS: what is in it, what was ever sent to it and deleted from it. No I/O."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

#: How long a FIFO queue remembers a deduplication id, in seconds.
_DEDUPLICATION_SECONDS: Final = 300.0

#: A deleted message that comes back does so within this many seconds.
_RESURRECTION_SECONDS: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message that was taken in; `at` is the stand-in's time, `number` its place in the queue's history."""

    number: int
    at: float
    body: str
    group: str
    deduplication: str
    attributes: Mapping[str, str]


@dataclass(kw_only=True)
class Stored:
    """A message in the queue. A ghost was deleted, and comes back all the same."""

    sent: Sent
    message_id: str
    visible_at: float
    handle: str = ""
    receive_count: int = 0
    is_ghost: bool = False


@dataclass(kw_only=True)
class Oddities:
    """How often a queue does what SQS may do: probabilities."""

    duplicate: float = 0.0  #: what was received stays visible
    resurrect: float = 0.0  #: what was deleted comes back, once
    undeleted: float = 0.0  #: deleting succeeds, and the message stays


@dataclass(kw_only=True)
class StandInQueue:
    """A queue, standard or (by its name) FIFO. Times are seconds of the given clock."""

    name: str
    clock: Callable[[], float]
    random: Random
    oddities: Oddities = field(default_factory=Oddities)
    history: list[Sent] = field(default_factory=list)
    first_received: dict[str, float] = field(default_factory=dict)  #: by body
    deleted: dict[str, float] = field(default_factory=dict)  #: by body, when that was first asked for
    counts: Counter[str] = field(default_factory=Counter)
    receives_max: int = 0
    on_change: Callable[[], None] = lambda: None  #: called when something is, or will be, visible sooner
    _live: dict[str, Stored] = field(default_factory=dict)
    _handles: dict[str, str] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _deduplicated: dict[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def is_fifo(self) -> bool:
        """Whether it keeps order within a group, and drops repeats."""
        return self.name.endswith(".fifo")

    def send(
        self, body: str, *, group: str = "", deduplication: str = "", attributes: Mapping[str, str]
    ) -> str:
        """Take a message in; return its id."""
        now = self.clock()
        known_at, known_id = self._deduplicated.get(deduplication, (-_DEDUPLICATION_SECONDS, ""))
        if self.is_fifo and now - known_at < _DEDUPLICATION_SECONDS:
            self.counts["deduplicated"] += 1
            return known_id
        sent = Sent(
            number=next(self._numbers),
            at=now,
            body=body,
            group=group,
            deduplication=deduplication,
            attributes=attributes,
        )
        message = Stored(sent=sent, message_id=str(uuid.uuid4()), visible_at=now)
        self.history.append(sent)
        self._live[message.message_id] = message
        self._deduplicated[deduplication] = (now, message.message_id)
        self.on_change()
        return message.message_id

    def receive(self, limit: int, visibility: float) -> list[Stored]:
        """Hand out what is visible, and hide it for `visibility` seconds."""
        now = self.clock()
        return [self._hand_out(message, now, visibility) for message in self._visible(now)[:limit]]

    def delete(self, handle: str) -> None:
        """Delete by a handle. As in SQS an old one succeeds, and does nothing."""
        message = self._by_handle(handle)
        if message is None:
            return
        self.deleted.setdefault(message.sent.body, self.clock())
        if self.random.random() < self.oddities.undeleted:
            self.counts["undeleted"] += 1
        elif not message.is_ghost and self.random.random() < self.oddities.resurrect:
            self.counts["resurrected"] += 1
            message.is_ghost = True
            message.visible_at = self.clock() + self.random.uniform(0, _RESURRECTION_SECONDS)
            self.on_change()
        else:
            del self._live[message.message_id]

    def change_visibility(self, handle: str, seconds: float) -> None:
        """Hide a message for this long from now; 0 hands it back."""
        message = self._by_handle(handle)
        if message is not None:
            message.visible_at = self.clock() + seconds
            self.on_change()

    @property
    def visible_from(self) -> float:
        """From when there is something to receive, by its clock; infinite if the queue is empty."""
        return min((message.visible_at for message in self._live.values()), default=float("inf"))

    def depth(self) -> tuple[int, int]:
        """Return how many messages are visible, and how many are hidden."""
        now = self.clock()
        visible = sum(message.visible_at <= now for message in self._live.values())
        return visible, len(self._live) - visible

    def _visible(self, now: float) -> list[Stored]:
        visible = [message for message in self._live.values() if message.visible_at <= now]
        if not self.is_fifo:
            self.random.shuffle(visible)
            return visible
        hidden = {message.sent.group for message in self._live.values() if message.visible_at > now}
        return [message for message in visible if message.sent.group not in hidden]

    def _hand_out(self, message: Stored, now: float, visibility: float) -> Stored:
        self.first_received.setdefault(message.sent.body, now)
        message.receive_count += 1
        self.receives_max = max(self.receives_max, message.receive_count)
        message.handle = f"{message.message_id}#{message.receive_count}"
        self._handles[message.handle] = message.message_id
        if self.random.random() < self.oddities.duplicate:
            self.counts["duplicated"] += 1
        else:
            message.visible_at = now + visibility
        return message

    def _by_handle(self, handle: str) -> Stored | None:
        message = self._live.get(self._handles.get(handle, ""))
        return message if message is not None and message.handle == handle else None
