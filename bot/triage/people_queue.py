"""The order in which strangers are looked up. It holds no tasks, and decides nothing else.

People who were found lately go first. Among all others the labels take turns, so that a flood of one kind of
alert does not delay other kinds. Within a label the newest and the oldest take turns, so that no flood delays
anybody forever. One look-up serves all questions that wait for the same person.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import datetime

#: The most questions in the queue.
QUEUE_MAX = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A question in the queue: its ref, and what its place depends on."""

    ref: str
    wanted: str  #: the address or the Slack id to look up
    label: str  #: the kind of alert
    since: datetime  #: when it was accepted


@dataclass(slots=True)
class _Line:
    """The questions of one label, the oldest first."""

    refs: list[tuple[datetime, str]] = field(default_factory=list)
    newest_next: bool = True

    def add(self, row: Waiting) -> None:
        insort(self.refs, (row.since, row.ref))

    def remove(self, row: Waiting) -> None:
        del self.refs[bisect_left(self.refs, (row.since, row.ref))]

    def next_ref(self) -> str:
        """Return the ref whose turn it is; the next turn is at the other end."""
        self.newest_next = not self.newest_next
        return self.refs[0 if self.newest_next else -1][1]


class LookUpQueue:
    """Questions that wait until it is known whom they are for."""

    def __init__(self, *, limit: int = QUEUE_MAX) -> None:
        self._limit = limit
        self._rows: dict[str, Waiting] = {}
        self._by_wanted: dict[str, dict[str, None]] = {}  #: refs
        self._first: dict[str, None] = {}  #: the refs of people met lately, the longest waiting first
        self._lines: dict[str, _Line] = {}  #: by label; the next turn is that of the first

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Waiting, *, first: bool = False) -> None:
        """Add a question unless it is waiting already; `first` if its person was found lately.

        If too many wait, the one in the middle of the longest line leaves: its turn would have come last.
        """
        if row.ref in self._rows:
            return
        self._rows[row.ref] = row
        self._by_wanted.setdefault(row.wanted, {})[row.ref] = None
        if first:
            self._first[row.ref] = None
        else:
            self._lines.setdefault(row.label, _Line()).add(row)
        if len(self._rows) > self._limit:
            self._drop_one()

    def take(self) -> list[Waiting]:
        """Remove and return the question whose turn it is, and after it all others for the same person.

        Empty if nothing waits.
        """
        ref = self._next_ref()
        if ref is None:
            return []
        refs = {ref: None} | self._by_wanted[self._rows[ref].wanted]
        rows = [self._rows[each] for each in refs]
        for row in rows:
            self._remove(row)
        return rows

    def _next_ref(self) -> str | None:
        if self._first:
            return next(iter(self._first))
        if not self._lines:
            return None
        label = next(iter(self._lines))
        line = self._lines[label] = self._lines.pop(label)  # to the end: another label is next
        return line.next_ref()

    def _drop_one(self) -> None:
        if self._lines:
            longest = max(self._lines.values(), key=lambda line: len(line.refs))
            self._remove(self._rows[longest.refs[len(longest.refs) // 2][1]])
        else:
            self._remove(self._rows[next(reversed(self._first))])

    def _remove(self, row: Waiting) -> None:
        del self._rows[row.ref]
        same = self._by_wanted[row.wanted]
        del same[row.ref]
        if not same:
            del self._by_wanted[row.wanted]
        if row.ref in self._first:
            del self._first[row.ref]
            return
        line = self._lines[row.label]
        line.remove(row)
        if not line.refs:
            del self._lines[row.label]
