"""The stand-in itself: one web server for the Web API, the websockets and the response URLs."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

from aiohttp import web

from bot.sandbox.fake_slack.installation import App, Installation
from bot.sandbox.fake_slack.payloads import (
    Press,
    PressFields,
    app_home_opened,
    block_actions,
    event_callback,
    view_closed,
    view_submission,
)
from bot.sandbox.fake_slack.response_urls import ResponseUrls
from bot.sandbox.fake_slack.socket_mode import DisconnectReason, SocketMode
from bot.sandbox.fake_slack.submissions import WrongReplyError, complete_values, find_mistakes, take_reply
from bot.sandbox.fake_slack.web_api import WebApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aiohttp.typedefs import Handler, Middleware

    from bot.sandbox.fake_slack.workspace import Json, Workspace

#: The scopes that the bot's manifest asks for.
SCOPES: Final = ("users:read", "users:read.email", "im:write", "im:history", "chat:write")
#: How often Slack retries an event that nobody acknowledged.
EVENT_RETRIES: Final = 3
#: What Slack shows next to a button whose press nobody acknowledged, in our words.
WARNING: Final = "Something went wrong, please try again."


@dataclass(frozen=True, kw_only=True)
class Click:
    """The result of a press: `warning` is what Slack shows the person; None if the app acknowledged it.

    `payload` is what was sent (empty: nothing was), and `reply` the payload of the acknowledgement, if any.
    `errors` are what Slack shows next to the inputs of a modal, by block_id; the modal stays open.
    """

    acknowledged: bool
    warning: str | None
    payload: Json
    reply: Json | None = None
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EventDelivery:
    """The result of an event: how often it was sent, and whether the last attempt was acknowledged."""

    acknowledged: bool
    attempts: int


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class SlackStandIn:
    """A Slack with one workspace on 127.0.0.1, for one app with these tokens and scopes.

    Faults are injected by aiohttp middlewares, which see each request and response. It can be stopped and
    started again; the workspace, tokens and open permissions survive that, links do not.

    `history_lag` is how long a post stays hidden from conversations.history and .replies.
    """

    workspace: Workspace
    _: KW_ONLY
    bot_token: str
    app_token: str
    scopes: Iterable[str] = SCOPES
    clock: Callable[[], datetime] = _now
    history_lag: timedelta = timedelta(0)
    acknowledge_within: timedelta = timedelta(seconds=3)
    middlewares: Sequence[Middleware] = ()
    installation: Installation = field(init=False)
    socket_mode: SocketMode = field(init=False)
    _runner: web.AppRunner | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        app = App(
            id="A0TRIAGE001",
            bot_id="B0TRIAGE001",
            bot_token=self.bot_token,
            app_token=self.app_token,
            verification="verification",
            scopes=frozenset(self.scopes),
        )
        self.installation = Installation(
            workspace=self.workspace, app=app, clock=self.clock, history_lag=self.history_lag
        )
        self.socket_mode = SocketMode(self.installation, acknowledge_within=self.acknowledge_within)

    @property
    def api_url(self) -> str:
        """The Web API's URL, with a trailing slash; valid once the server has started."""
        return f"http://{self.installation.address}/api/"

    @property
    def links(self) -> int:
        """How many Socket Mode links are open."""
        return self.socket_mode.links

    def routes(self) -> Mapping[str, Handler]:
        """Return what serves which paths."""
        return {
            "/api/{method}": WebApi(self.installation).handle,
            "/link/": self.socket_mode.serve,
            "/actions/{team}/{secret}": ResponseUrls(self.installation).handle,
        }

    async def start(self, port: int = 0) -> None:
        """Serve on 127.0.0.1; port 0 picks any free one. `OSError` if the port is taken."""
        application = web.Application(middlewares=self.middlewares)
        application.on_response_prepare.append(self._date)
        for path, handler in self.routes().items():
            application.router.add_route("*", path, handler)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.installation.address = f"127.0.0.1:{runner.addresses[0][1]}"

    async def _date(self, _: web.Request, response: web.StreamResponse) -> None:
        """Date an answer by the stand-in's clock, as Slack does by its own."""
        response.headers["Date"] = format_datetime(self.clock(), usegmt=True)

    async def stop(self) -> None:
        """Close every link, then stop the server."""
        await self.socket_mode.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def until_linked(self, count: int = 1) -> None:
        """Wait until at least `count` Socket Mode links are open."""
        await self.socket_mode.until_linked(count)

    async def click(self, **press: Unpack[PressFields]) -> Click:
        """Press a button (see `Press`); wait for the app's acknowledgement, up to `acknowledge_within`.

        `LookupError` if the person, message or App Home does not exist.
        """
        return await self._interact(block_actions(self.installation, Press(**press)))

    async def submit_view(self, *, user: str, view_id: str, values: Json) -> Click:
        """Fill in and submit the modal that a person sees; `values` maps block to action to state.

        Slack's own checks come first, then the app's reply is carried out. `LookupError` if the person does
        not see this modal.
        """
        view = self._modal(user, view_id)
        mistakes = find_mistakes(view, values)
        if mistakes:
            return Click(acknowledged=False, warning=None, payload={}, errors=mistakes)
        filled = complete_values(view, values)
        payload = view_submission(self.installation, user, view=view, values=filled)
        click = await self._interact(payload, accepts_response=True)
        return self._after_reply(user, view, click) if click.acknowledged else click

    async def close_view(self, *, user: str, view_id: str) -> Click | None:
        """Close the modal that a person sees; None if the app did not ask to be notified.

        `LookupError` if the person does not see this modal.
        """
        view = self._modal(user, view_id)
        close = self.workspace.modals.clear if view.get("clear_on_close") else self.workspace.modals.close
        close(user)
        if not view.get("notify_on_close"):
            return None
        return await self._interact(view_closed(self.installation, user, view=view))

    async def open_home(self, user: str, *, tab: Literal["home", "messages"] = "home") -> EventDelivery:
        """Open a tab of the app as this person, which sends `app_home_opened`.

        `LookupError` if the person does not exist, is deactivated or is a bot.
        """
        person = self.workspace.person(user)
        if person is None or person.deleted or person.is_bot:
            raise LookupError(f"{user} cannot sign in to Slack")
        return await self.send_event(app_home_opened(self.installation, user, tab=tab))

    async def send_event(self, event: Json) -> EventDelivery:
        """Send an event; retry up to 3 times, with the same event_id, until it is acknowledged."""
        payload = event_callback(self.installation, event)
        for attempt in range(1 + EVENT_RETRIES):
            retry: dict[str, Any] = {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
            if await self.socket_mode.send("events_api", payload, **retry) is not None:
                return EventDelivery(acknowledged=True, attempts=attempt + 1)
        return EventDelivery(acknowledged=False, attempts=1 + EVENT_RETRIES)

    async def disconnect(self, reason: DisconnectReason) -> None:
        """Tell one link that it will end, or with `link_disabled` end all. See `SocketMode.disconnect`."""
        await self.socket_mode.disconnect(reason)

    def drop_links(self) -> None:
        """Cut every link without notice."""
        self.socket_mode.drop_links()

    def grant(self, scopes: Iterable[str]) -> None:
        """Set the scopes of the bot token to exactly these."""
        self.installation.app = replace(self.installation.app, scopes=frozenset(scopes))

    def _modal(self, user: str, view_id: str) -> Json:
        view = self.workspace.modals.seen_by(user)
        if view is None or view["id"] != view_id:
            raise LookupError(f"{user} does not see the modal {view_id}")
        return view

    def _after_reply(self, user: str, view: Json, click: Click) -> Click:
        try:
            errors = take_reply(self.installation, user, view=view, reply=click.reply)
        except WrongReplyError:
            return replace(click, warning=WARNING)
        return replace(click, errors=errors)

    async def _interact(self, payload: Json, *, accepts_response: bool = False) -> Click:
        taken = await self.socket_mode.send("interactive", payload, accepts_response=accepts_response)
        if taken is None:
            return Click(acknowledged=False, warning=WARNING, payload=payload)
        return Click(acknowledged=True, warning=None, payload=payload, reply=taken.payload)
