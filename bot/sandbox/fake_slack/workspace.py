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
WorkspaceEventKind = Literal[
    "message_posted", "message_changed", "message_deleted", "home_published", "modal_shown", "modal_closed"
]


@dataclass(frozen=True, kw_only=True)
class Person:
    """A member of the workspace, or somebody from another one who is visible in it.

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
    """The current state of a message. `text` is stored as sent; `ts` is its id within its channel.

    `ephemeral_for` is the only person who sees it, or None; `edited_ts` is when it was last changed, or None.
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
class WorkspaceEvent:
    """A visible change in the workspace: of a message, or of a view that `user` sees."""

    kind: WorkspaceEventKind
    message: Message | None = None
    user: str | None = None
    view: Json | None = None


@dataclass(kw_only=True)
class Conversation:
    """A direct message (`person` is set) or a channel (`name` is set), with or without the bot.

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
        """Return the message with that ts, even an ephemeral one; None if there is none."""
        return self._messages.get(ts)

    def keep(self, message: Message) -> None:
        """Store a new message (its ts must be the newest) or a new state of a known one."""
        if message.ts not in self._messages:
            self._moments.append(microseconds(message.ts))
            if message.thread_ts not in (None, message.ts) and message.ephemeral_for is None:
                self._replies.setdefault(str(message.thread_ts), []).append(message.ts)
        self._messages[message.ts] = message

    def remove(self, ts: str) -> None:
        """Remove a message; `KeyError` if there is none with that ts."""
        message = self._messages.pop(ts)
        self._moments.remove(microseconds(ts))
        if ts in self._replies.get(str(message.thread_ts), ()):
            self._replies[str(message.thread_ts)].remove(ts)

    def replies(self, ts: str) -> Sequence[str]:
        """Return the ts of each reply in the thread of a message, oldest first."""
        return self._replies.get(ts, ())

    def newest_first(self, after: int, before: int) -> Iterator[Message]:
        """Yield what all members see, newest first, from `after` to `before` (microseconds, inclusive)."""
        window = slice(bisect_left(self._moments, after), bisect_right(self._moments, before))
        for moment in reversed(self._moments[window]):
            message = self._messages[timestamp(moment)]
            if message.ephemeral_for is None:
                yield message

    def newest(self, count: int) -> list[Message]:
        """Return the newest `count` messages, oldest first, including everybody's ephemeral ones."""
        return list(self._messages.values())[-count:]

    def seen_by(self, user: str) -> list[Message]:
        """Return every message that `user` sees, oldest first."""
        return [each for each in self._messages.values() if each.ephemeral_for in (None, user)]


class ChannelFacts(TypedDict):
    """The keyword arguments of `Workspace.add_channel`. See `Conversation`."""

    name: str
    members: NotRequired[Sequence[str]]
    has_bot: NotRequired[bool]


class Workspace:
    """One workspace with the app installed. Subscribers receive every change, in order."""

    def __init__(self, *, team_id: str, name: str, bot: Person, people: Iterable[Person]) -> None:
        self.team_id = team_id
        self.name = name
        self.bot = bot
        self.homes: dict[str, Json] = {}
        self.modals = Modals(self._modal_changed)
        self._people = {person.id: person for person in (bot, *people)}
        self._conversations: dict[str, Conversation] = {}
        self._subscribers: list[asyncio.Queue[WorkspaceEvent]] = []
        self._last_moment = 0

    @property
    def domain(self) -> str:
        """The subdomain of the workspace's URL."""
        return self.name.lower().replace(" ", "-")

    @property
    def people(self) -> Sequence[Person]:
        """Everybody except the app's own bot, in the order of joining."""
        return [person for person in self._people.values() if person.id != self.bot.id]

    @property
    def conversations(self) -> Sequence[Conversation]:
        """Every conversation that exists so far."""
        return list(self._conversations.values())

    def person(self, user: str) -> Person | None:
        """Return the person with that id, or None."""
        return self._people.get(user)

    def person_of_email(self, email: str) -> Person | None:
        """Return the person with that e-mail address, ignoring case, even a deactivated one; else None."""
        wanted = email.lower()
        return next((each for each in self._people.values() if (each.email or "").lower() == wanted), None)

    def admit(self, person: Person) -> None:
        """Add a person, or replace the one with the same id, e.g. by a deactivated one."""
        self._people[person.id] = person

    def add_channel(self, channel: str, **facts: Unpack[ChannelFacts]) -> Conversation:
        """Add a channel, unless it exists; return it."""
        return self._conversations.setdefault(channel, Conversation(id=channel, **facts))

    def direct_message(self, user: str) -> Conversation:
        """Return the direct message between the bot and a person, opening it if necessary."""
        channel = f"D{user[1:]}"
        return self._conversations.setdefault(channel, Conversation(id=channel, person=user))

    def conversation(self, channel: str) -> Conversation | None:
        """Return the conversation with that id, or None."""
        return self._conversations.get(channel)

    def message(self, channel: str, ts: str) -> Message | None:
        """Return one message, even an ephemeral one; None if there is none."""
        conversation = self._conversations.get(channel)
        return None if conversation is None else conversation.message(ts)

    def next_ts(self, at: datetime) -> str:
        """Return a ts for something that happens at `at`, at least a microsecond after every earlier one."""
        self._last_moment = max(self._last_moment + 1, moment_of(at))
        return timestamp(self._last_moment)

    def post(self, message: Message) -> None:
        """Add a message to its conversation; `KeyError` if that does not exist."""
        self._conversations[message.channel].keep(message)
        self._emit(WorkspaceEvent(kind="message_posted", message=message))

    def change(self, message: Message, **changes: Any) -> Message:
        """Change fields of a message, and return its new state."""
        changed = replace(message, **changes)
        self._conversations[message.channel].keep(changed)
        self._emit(WorkspaceEvent(kind="message_changed", message=changed))
        return changed

    def delete(self, message: Message) -> None:
        """Remove a message; `KeyError` if it does not exist."""
        self._conversations[message.channel].remove(message.ts)
        self._emit(WorkspaceEvent(kind="message_deleted", message=message))

    def publish_home(self, user: str, view: Mapping[str, Any]) -> None:
        """Show a view in a person's App Home."""
        self.homes[user] = dict(view)
        self._emit(WorkspaceEvent(kind="home_published", user=user, view=self.homes[user]))

    def show_modal(self, user: str, view: Mapping[str, Any]) -> None:
        """Show a person a modal, replacing any that they have open."""
        self.modals.open(user, view)

    def subscribe(self) -> asyncio.Queue[WorkspaceEvent]:
        """Return an unbounded queue that receives every change from now on; `unsubscribe` it when done."""
        queue: asyncio.Queue[WorkspaceEvent] = asyncio.Queue()
        self._subscribers.append(queue)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[WorkspaceEvent]) -> None:
        """Stop filling a queue returned by `subscribe`; `ValueError` if it is not subscribed."""
        self._subscribers.remove(queue)

    def _modal_changed(self, user: str, view: Json | None) -> None:
        self._emit(WorkspaceEvent(kind="modal_shown" if view else "modal_closed", user=user, view=view))

    def _emit(self, change: WorkspaceEvent) -> None:
        for queue in self._subscribers:
            queue.put_nowait(change)
