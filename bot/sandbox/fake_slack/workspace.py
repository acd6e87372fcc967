"""A Slack workspace in memory: people, conversations, messages and views. No I/O, no clock."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from bot.sandbox.fake_slack.modals import Modals
from bot.sandbox.fake_slack.timestamps import microseconds, moment_of, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Unpack

Json = dict[str, Any]
ChangeKind = Literal[
    "message_posted", "message_changed", "message_deleted", "home_published", "modal_shown", "modal_closed"
]


@dataclass(frozen=True, kw_only=True)
class Person:
    """A member of the workspace, or somebody of elsewhere who is visible in it.

    `team_id` is None for an ordinary member; `enterprise_teams` lists the teams of an Enterprise Grid user.
    """

    id: str
    name: str
    real_name: str
    email: str | None = None
    tz: str = "Europe/London"
    deleted: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_email_confirmed: bool = True
    team_id: str | None = None
    enterprise_teams: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message as it stands. `text` is kept as it was sent; `ts` is its id within its channel.

    `ephemeral_for` is the only person who sees it, or None; `edited_ts` is the last change, or None.
    """

    channel: str
    ts: str
    user: str
    text: str
    blocks: Sequence[Json] = ()
    metadata: Json | None = None
    thread_ts: str | None = None
    is_broadcast: bool = False
    edited_ts: str | None = None
    ephemeral_for: str | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that the people of the workspace can see now: a message, or a view (`user` sees it)."""

    kind: ChangeKind
    message: Message | None = None
    user: str | None = None
    view: Json | None = None


@dataclass(kw_only=True)
class Conversation:
    """A direct message (`person` is set) or a channel (`name` is set); the bot may be in it or not.

    `members` are the people of a channel, by id.
    """

    id: str
    person: str | None = None
    name: str | None = None
    members: Sequence[str] = ()
    has_bot: bool = True
    is_archived: bool = False
    _moments: list[int] = field(default_factory=list)
    _messages: dict[str, Message] = field(default_factory=dict)
    _replies: dict[str, list[str]] = field(default_factory=dict)

    def message(self, ts: str) -> Message | None:
        """Return the message of that ts, ephemeral ones included."""
        return self._messages.get(ts)

    def keep(self, message: Message) -> None:
        """Store a new message (its ts must be the newest) or the next state of a known one."""
        if message.ts not in self._messages:
            self._moments.append(microseconds(message.ts))
            if message.thread_ts not in (None, message.ts) and message.ephemeral_for is None:
                self._replies.setdefault(str(message.thread_ts), []).append(message.ts)
        self._messages[message.ts] = message

    def remove(self, ts: str) -> None:
        """Forget a message."""
        message = self._messages.pop(ts)
        self._moments.remove(microseconds(ts))
        if ts in self._replies.get(str(message.thread_ts), ()):
            self._replies[str(message.thread_ts)].remove(ts)

    def replies(self, ts: str) -> Sequence[str]:
        """Return the ts of each reply in the thread of a message, oldest first."""
        return self._replies.get(ts, ())

    def newest_first(self, after: int, before: int) -> Iterator[Message]:
        """Yield what everybody in it sees, from `after` to `before`: microseconds, both inclusive."""
        window = slice(bisect_left(self._moments, after), bisect_right(self._moments, before))
        for moment in reversed(self._moments[window]):
            message = self._messages[timestamp(moment)]
            if message.ephemeral_for is None:
                yield message

    def newest(self, count: int) -> list[Message]:
        """Return the newest messages, oldest first, ephemeral ones of whomever included."""
        return list(self._messages.values())[-count:]

    def seen_by(self, user: str) -> list[Message]:
        """Return every message that `user` sees, oldest first."""
        return [each for each in self._messages.values() if each.ephemeral_for in (None, user)]


class ChannelFacts(TypedDict):
    """What a new channel is like. See `Conversation`."""

    name: str
    members: NotRequired[Sequence[str]]
    has_bot: NotRequired[bool]


class Workspace:
    """One workspace with the app installed. Whoever subscribes hears of every change, in order."""

    def __init__(self, *, team_id: str, name: str, bot: Person, people: Iterable[Person]) -> None:
        self.team_id = team_id
        self.name = name
        self.bot = bot
        self.homes: dict[str, Json] = {}
        self.modals = Modals(self._modal_changed)
        self._people = {person.id: person for person in (bot, *people)}
        self._conversations: dict[str, Conversation] = {}
        self._subscribers: list[asyncio.Queue[Change]] = []
        self._last_moment = 0

    @property
    def domain(self) -> str:
        """The first part of the workspace's address."""
        return self.name.lower().replace(" ", "-")

    @property
    def people(self) -> Sequence[Person]:
        """Everybody but the app's own bot, in the order of joining."""
        return [person for person in self._people.values() if person.id != self.bot.id]

    @property
    def conversations(self) -> Sequence[Conversation]:
        """Every conversation that exists so far."""
        return list(self._conversations.values())

    def person(self, user: str) -> Person | None:
        """Return the person of that id."""
        return self._people.get(user)

    def person_of_email(self, email: str) -> Person | None:
        """Return the person with that address, whatever its case; the deactivated included."""
        wanted = email.lower()
        return next((each for each in self._people.values() if (each.email or "").lower() == wanted), None)

    def admit(self, person: Person) -> None:
        """Add a person, or put a known one (same id) into a new state, such as deactivated."""
        self._people[person.id] = person

    def add_channel(self, channel: str, **facts: Unpack[ChannelFacts]) -> Conversation:
        """Add a channel, with the app's bot in it or not."""
        return self._conversations.setdefault(channel, Conversation(id=channel, **facts))

    def direct_message(self, user: str) -> Conversation:
        """Return the direct message of the bot and a person, opening it if need be."""
        channel = f"D{user[1:]}"
        return self._conversations.setdefault(channel, Conversation(id=channel, person=user))

    def conversation(self, channel: str) -> Conversation | None:
        """Return the conversation of that id."""
        return self._conversations.get(channel)

    def message(self, channel: str, ts: str) -> Message | None:
        """Return one message, ephemeral ones included."""
        conversation = self._conversations.get(channel)
        return None if conversation is None else conversation.message(ts)

    def next_ts(self, at: datetime) -> str:
        """Return the ts of something that happens at `at`: strictly later than every one before it."""
        self._last_moment = max(self._last_moment + 1, moment_of(at))
        return timestamp(self._last_moment)

    def post(self, message: Message) -> None:
        """Add a message to its conversation, which must exist."""
        self._conversations[message.channel].keep(message)
        self._emit(Change(kind="message_posted", message=message))

    def change(self, message: Message, **changes: Any) -> Message:
        """Put a message into its next state, and return that."""
        changed = replace(message, **changes)
        self._conversations[message.channel].keep(changed)
        self._emit(Change(kind="message_changed", message=changed))
        return changed

    def delete(self, message: Message) -> None:
        """Remove a message."""
        self._conversations[message.channel].remove(message.ts)
        self._emit(Change(kind="message_deleted", message=message))

    def publish_home(self, user: str, view: Mapping[str, Any]) -> None:
        """Show a view in a person's App Home."""
        self.homes[user] = dict(view)
        self._emit(Change(kind="home_published", user=user, view=self.homes[user]))

    def show_modal(self, user: str, view: Mapping[str, Any]) -> None:
        """Show a person a modal, in place of whatever modal they see."""
        self.modals.open(user, view)

    def subscribe(self) -> asyncio.Queue[Change]:
        """Return a queue without a bound that gets every change from now on; `unsubscribe` it when done."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._subscribers.append(queue)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[Change]) -> None:
        """Stop filling a queue of `subscribe`."""
        self._subscribers.remove(queue)

    def _modal_changed(self, user: str, view: Json | None) -> None:
        self._emit(Change(kind="modal_shown" if view else "modal_closed", user=user, view=view))

    def _emit(self, change: Change) -> None:
        for queue in self._subscribers:
            queue.put_nowait(change)
