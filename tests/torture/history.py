"""All that happened in a run, as the outside world saw it: what the checker reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.sandbox.fake_slack import Message

from .alerts import Alert
from .orders import OPEN_PER_PERSON
from .sqs_queue import Sent

#: Where a message is: its channel and its ts.
Place = tuple[str, str]

#: How long after an answer has left Slack its caller has surely stored what it says, in seconds of the
#: torture's time: as long as a call may take, since a busy machine lets a worker wait for its turn.
SETTLED_AFTER: Final = 15.0

#: The same on a machine that has other work.
SETTLED_AFTER_BUSY: Final = 45.0

#: How much two moments may seem to differ that are the same: a float holds seconds since 1970 no better.
ROUNDING: Final = 1e-6


@dataclass(kw_only=True)
class Press:
    """One press of a button. `honest`: by the person asked, where they were asked, on an offered button."""

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


@dataclass(kw_only=True)
class Exchange:
    """A follow-up question, or a reply: sent until it was acknowledged or they gave up."""

    identifier: str
    text: str
    acknowledged: bool = False


@dataclass(kw_only=True)
class CardAction:
    """What somebody did with an alert on its card, pressed until it was acknowledged or they gave up.

    `honest`: by somebody who may.
    """

    identifier: str
    kind: str  #: take, hand over or release
    by: str  #: an id
    to: str = ""  #: of a hand-over
    honest: bool = True
    at: float = 0.0  #: when somebody first pressed
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
class Pushed:
    """One push that the provider of the second factor took. `action`: what was done about it; "": nothing."""

    subject: str
    code: str
    at: float
    action: str
    done_at: float  #: when that was done, or when it ran out
    dead_at: float  #: from when on it asked nobody any more

    @property
    def approved(self) -> bool:
        """Whether the person approved it: in time, too late, or twice."""
        return self.action in ("approve", "late", "double")


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
        """Whether it ended in the wrong way."""
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
    card_actions: list[CardAction] = field(default_factory=list)  #: on cards
    inquiries: list[Exchange] = field(default_factory=list)  #: what was asked back
    replies: list[Exchange] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    #: The worker, from when and until when its machine was suspended.
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
    asked_back: Sequence[Message] = ()
    cards: Sequence[Message] = ()
    lines: Sequence[Message] = ()  #: in the threads of cards
    open_per_person: int = OPEN_PER_PERSON
    burst_lines: Sequence[Message] = ()  #: about waiting questions
    burst_cards: Sequence[Message] = ()
    posts: Mapping[Place, Post] = field(default_factory=dict)
    reports: Sequence[Sent] = ()
    dead_letters: Sequence[Sent] = ()
    received: Mapping[str, float] = field(default_factory=dict)
    deleted: Mapping[str, float] = field(default_factory=dict)
    pushes: Sequence[Pushed] = ()
    codes: dict[str, str] = field(default_factory=dict)  #: of proofs, as messages showed them → identifiers
    factored: frozenset[str] = frozenset()  #: identifiers of alerts that need a proof
    refused: frozenset[str] = frozenset()  #: identifiers whose reports the queue refuses for good
    blur: float = ROUNDING  #: how far off a moment may be that the worker reckons by answers' `Date`
    calm_since: float = float("inf")  #: from when on nothing went wrong any more
    settled_after: float = SETTLED_AFTER
    surprises: Sequence[str] = ()  #: lines of the worker's log with a traceback
    #: identifiers of alerts about which a post timed out, by the worker's log: this machine may be slow
    timed_out: frozenset[str] = frozenset()
    leaks: Sequence[str] = ()  #: lines of the worker's log that say what no log may

    @property
    def was_restored(self) -> bool:
        """Whether the store ever lost what it knew."""
        return bool(self.restores or self.whole_restores)

    def post_of(self, message: Message) -> Post:
        """Return how a message was posted."""
        at = float(message.ts)
        return self.posts.get((message.channel, message.ts)) or Post(
            arrived_at=at, answered_at=at, spoiled=False
        )
