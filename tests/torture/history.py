"""All that happened in a run, as the outside world saw it: what the checker reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.sandbox.fake_slack import Message

from .alerts import Alert
from .sqs_queue import Sent

#: Where a message stands: its channel and its ts.
Place = tuple[str, str]

#: How long after an answer has left Slack its caller has surely stored what it says, in seconds of the
#: torture's time: as long as a call may take, since a busy machine lets a worker wait for its turn.
SETTLED_AFTER: Final = 15.0

#: How much two moments may seem to differ that are the same: a float holds seconds since 1970 no better.
ROUNDING: Final = 1e-6


@dataclass(kw_only=True)
class Press:
    """One press of a button. `honest`: by whoever was asked, where they were asked, on an offered button."""

    number: int
    identifier: str
    choice: str
    honest: bool
    acknowledged: bool = False
    began_at: float = 0.0
    ended_at: float = 0.0  #: when Slack called it taken or failed


@dataclass(kw_only=True)
class Note:
    """What somebody wrote about their answer, sent until it was acknowledged or they gave up."""

    identifier: str
    text: str
    tries: int = 0
    acknowledged: bool = False


@dataclass(frozen=True, kw_only=True)
class Post:
    """One chat.postMessage that Slack did. `spoiled`: its caller may not have got the answer.

    `worker` is its caller's name, empty where that is not known.
    """

    arrived_at: float
    answered_at: float
    spoiled: bool
    worker: str = ""


@dataclass(frozen=True, kw_only=True)
class End:
    """How a life of the worker ended; `wanted` says what was done to it."""

    wanted: str
    status: str
    seconds: float
    place: str = ""  #: the boundary at which it was killed
    worker: str = ""
    at: float = 0.0

    @property
    def is_wrong(self) -> bool:
        """Whether it ended otherwise than it had to."""
        return self.status != {"kill": "SIGKILL", "term": "exit code 0", "refuse": "exit code 78"}[
            self.wanted
        ] or (self.wanted == "term" and self.seconds > 10)


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A start with `--restored`: when, and which answers the messages showed then, by the alerts' keys."""

    at: float
    shown: Mapping[str, str]


@dataclass(kw_only=True)
class History:
    """Everything, oldest first. `deleted` and `received` name requests by their bodies.

    Moments are seconds since 1970 by the torture's clock.
    """

    alerts: Sequence[Alert]
    presses: list[Press] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)  #: identifiers that somebody of the security team took
    ends: list[End] = field(default_factory=list)
    #: The worker, from when and until when it stood still with its machine.
    suspensions: list[tuple[str, float, float]] = field(default_factory=list)
    #: The worker, from when and until when its disk took nothing.
    full_disks: list[tuple[str, float, float]] = field(default_factory=list)
    restores: list[Restored] = field(default_factory=list)  #: of stores that had lost something
    whole_restores: int = 0  #: of stores that had lost nothing, which the worker cannot know
    unnoticed: list[str] = field(
        default_factory=list
    )  #: what the store lost without the worker's refusing it
    unproved: Sequence[str] = ()  #: what `verify` has to say of an export at the end
    messages: Sequence[Message] = ()  #: the questions
    reminders: Sequence[Message] = ()
    cards: Sequence[Message] = ()
    lines: Sequence[Message] = ()  #: in the threads of cards
    posts: Mapping[Place, Post] = field(default_factory=dict)
    reports: Sequence[Sent] = ()
    dead_letters: Sequence[Sent] = ()
    received: Mapping[str, float] = field(default_factory=dict)
    deleted: Mapping[str, float] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()  #: identifiers whose reports the queue refuses for good
    blur: float = ROUNDING  #: how far off a moment may be that the worker reckons by answers' `Date`
    calm_since: float = float("inf")  #: from when on nothing went wrong any more
    surprises: Sequence[str] = ()  #: lines of the worker's log with a traceback
    leaks: Sequence[str] = ()  #: lines of the worker's log that say what no log may

    def post_of(self, message: Message) -> Post:
        """Return how a message was posted."""
        at = float(message.ts)
        return self.posts.get((message.channel, message.ts)) or Post(
            arrived_at=at, answered_at=at, spoiled=False
        )
