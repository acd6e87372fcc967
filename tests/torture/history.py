"""All that happened in a run, as the outside world saw it: what the checker reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.sandbox.slack import Message

    from .alerts import Alert
    from .sqs_queue import Sent


@dataclass(kw_only=True)
class Press:
    """One press of a button. `honest`: by whoever was asked, where they were asked, on an offered button."""

    number: int
    identifier: str
    choice: str
    honest: bool
    acknowledged: bool = False


@dataclass(frozen=True, kw_only=True)
class End:
    """How a life of the worker ended; `wanted` says what was done to it."""

    wanted: str
    status: str
    seconds: float
    place: str = ""  #: the boundary at which it was killed

    @property
    def is_wrong(self) -> bool:
        """Whether it ended otherwise than it had to."""
        return self.status != {"kill": "SIGKILL", "term": "exit code 0"}[self.wanted] or (
            self.wanted == "term" and self.seconds > 10
        )


@dataclass(kw_only=True)
class History:
    """Everything, oldest first. `deleted` and `received` name requests by their bodies."""

    alerts: Sequence[Alert]
    presses: list[Press] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    messages: Sequence[Message] = ()
    reports: Sequence[Sent] = ()
    dead_letters: Sequence[Sent] = ()
    received: Mapping[str, float] = field(default_factory=dict)
    deleted: Mapping[str, float] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()  #: identifiers whose reports the queue refuses for good
