"""The stand-in's state besides the workspace: tickets, triggers and response URLs, and the clock."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from bot.sandbox.fake_slack.timestamps import moment_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.sandbox.fake_slack.workspace import Message, Workspace

#: How long a trigger_id can open a view.
TRIGGER_LIFETIME: Final = timedelta(seconds=3)
#: How often, and for how long, a response_url may be used.
RESPONSE_URL_USES: Final = 5
RESPONSE_URL_LIFETIME: Final = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class App:
    """The installed app: its ids, its tokens, the scopes of the bot token.

    `verification` is the deprecated verification token in each payload; it grants nothing.
    """

    id: str
    bot_id: str
    bot_token: str
    app_token: str
    verification: str
    scopes: frozenset[str]


@dataclass(kw_only=True)
class Trigger:
    """A click's permission to open one view."""

    user: str
    expires_at: datetime
    is_used: bool = False


@dataclass(kw_only=True)
class ResponseUrl:
    """A click's permission to answer; `message` is the clicked message."""

    user: str
    message: Message
    expires_at: datetime
    uses_left: int = RESPONSE_URL_USES


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A rate limit: the most calls of a method within any span of a given length."""

    calls: int
    per: timedelta


@dataclass(kw_only=True)
class Quirks:
    """How this Slack differs from the simplest one. Each may be changed while it runs."""

    #: The app is installed for an organisation: auth.test names no workspace, or the organisation as one.
    org_wide: Literal["", "unnamed", "named"] = ""
    #: A post to a person opens the conversation with them; else it is refused with channel_not_found.
    opens_by_posting: bool = True
    #: A message that is replaced over a response_url keeps its metadata, has what it is given, or loses it.
    replaced_metadata: Literal["kept", "given", "lost"] = "kept"
    #: A reply to a message that was deleted is refused, or becomes a message of its own.
    replies_to_deleted: Literal["refused", "alone"] = "refused"
    #: The address of a message that was deleted is still given out.
    links_to_deleted: bool = False
    #: A click on a message carries an address at which it is answered, at which the message may be replaced.
    gives_response_urls: bool = True
    replaces_originals: bool = True
    #: The most blocks in a Home.
    home_blocks: int = 100
    #: The methods that are refused, each with its code.
    refusals: dict[str, str] = field(default_factory=dict)
    #: The methods that may not be called at will. Who calls too often is told how long to wait.
    limits: dict[str, Rate] = field(default_factory=dict)
    #: The most messages on a page of conversations.history.
    history_page: int = 1000
    #: A ping over a link is answered so late, in seconds of the machine's clock.
    pong_delay: timedelta = timedelta(0)
    #: How long a link that was cut still counts as open.
    ghost_lifetime: timedelta = timedelta(0)


@dataclass(kw_only=True)
class Installation:
    """The workspace and the permissions issued for it. `address` is `127.0.0.1:PORT` once it is known."""

    workspace: Workspace
    app: App
    clock: Callable[[], datetime]
    history_lag: timedelta = timedelta(0)
    quirks: Quirks = field(default_factory=Quirks)
    called_at: dict[str, deque[datetime]] = field(default_factory=dict)  #: of each method that has a limit
    address: str = ""
    tickets: set[str] = field(default_factory=set)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)

    def count_call(self, method: str) -> timedelta:
        """Count a call if the method's limit allows it; else return how long to wait before it does."""
        rate, now = self.quirks.limits.get(method), self.clock()
        if rate is None:
            return timedelta(0)
        calls = self.called_at.setdefault(method, deque())
        while calls and now - calls[0] >= rate.per:
            calls.popleft()
        if len(calls) >= rate.calls:
            return calls[-rate.calls] + rate.per - now
        calls.append(now)
        return timedelta(0)

    def next_ts(self) -> str:
        """Return a new, unique ts for something that happens now."""
        return self.workspace.next_ts(self.clock())

    def newest_visible(self) -> int:
        """Return the newest moment that the history already shows, in microseconds since 1970."""
        return moment_of(self.clock()) - self.history_lag // timedelta(microseconds=1)

    def new_ticket(self) -> str:
        """Return a ticket that opens one websocket, once."""
        ticket = secrets.token_hex(16)
        self.tickets.add(ticket)
        return ticket

    def redeem_ticket(self, ticket: str) -> bool:
        """Return whether the ticket was valid, and invalidate it."""
        if ticket not in self.tickets:
            return False
        self.tickets.remove(ticket)
        return True

    def new_trigger(self, user: str) -> str:
        """Return a trigger_id for a press by `user`; it is valid once, for 3 s."""
        trigger = f"{self.next_ts()}.{secrets.token_hex(16)}"
        self.triggers[trigger] = Trigger(user=user, expires_at=self.clock() + TRIGGER_LIFETIME)
        return trigger

    def new_response_url(self, user: str, message: Message) -> str:
        """Return a URL for answers to a click of `user` on `message`: up to 5, within 30 minutes."""
        secret = secrets.token_urlsafe(18)
        self.response_urls[secret] = ResponseUrl(
            user=user, message=message, expires_at=self.clock() + RESPONSE_URL_LIFETIME
        )
        return f"http://{self.address}/actions/{self.workspace.team_id}/{secret}"
