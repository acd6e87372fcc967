"""Who this app is in Slack: asked once, with `auth.test`, however long Slack takes to answer."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slack_bolt.authorization import AuthorizeResult

from bot.backoff import countdown, retry_delay, until_stopped, wait_out
from bot.errors import (
    AmbiguousError,
    AppRejected,
    StartRefused,
    TransientError,
    TriageBotError,
    UnknownErrorCode,
)
from bot.slack.received import make_storable
from bot.triage.log_events import log_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from typing import Any

    from slack_sdk.web.async_slack_response import AsyncSlackResponse

    from bot.slack.client import SlackApi
    from bot.slack.link_urls import LinkUrls

log = logging.getLogger(__name__)

AUTH_TEST = "auth.test"

#: Scopes that the bot cannot do without, and the one without which a post in doubt cannot be looked up.
SCOPES = ("users:read", "users:read.email", "im:write", "chat:write", "im:history")


class OrgWideInstallation(StartRefused):
    """The app is installed for an organisation: nobody could tell its workspace's people from others."""

    remedy = (
        "install the app in the one workspace whose people it asks, and put that installation's bot token"
        " into SLACK_BOT_TOKEN"
    )

    def __init__(self) -> None:
        super().__init__(f"the app is installed for a whole organisation: {self.remedy}")


@dataclass(slots=True)
class Identity:
    """The app's place in Slack. Empty until Slack was reached for the first time."""

    team_id: str = ""
    workspace_url: str = ""  #: https, without a trailing slash; empty if Slack did not tell
    enterprise_id: str = ""
    bot_id: str = ""
    bot_user_id: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)

    def learn(self, response: AsyncSlackResponse) -> None:
        """Take over what `auth.test` answered.

        `TransientError` if that is no answer of Slack's, `OrgWideInstallation` if it names no workspace.
        """
        data: Mapping[str, Any] = make_storable(response.data) if isinstance(response.data, dict) else {}
        if "team_id" not in data:
            raise TransientError("Slack's answer to auth.test says nothing of a workspace")
        if _is_org_wide(data):
            raise OrgWideInstallation
        self.team_id = str(data["team_id"])
        url = str(data.get("url") or "")
        self.workspace_url = url.rstrip("/") if url.startswith("https://") else ""
        self.enterprise_id = str(data.get("enterprise_id") or "")
        self.bot_id = str(data.get("bot_id") or "")
        self.bot_user_id = str(data.get("user_id") or "")
        self.scopes = _read_scopes(response.headers)

    @property
    def missing_scopes(self) -> tuple[str, ...]:
        """Scopes that the app should have and has not."""
        return tuple(scope for scope in SCOPES if scope not in self.scopes)

    def is_home_of(self, payload: Mapping[str, Any]) -> bool:
        """Whether a payload comes from this workspace, or from the organisation that it belongs to."""
        same_workspace = bool(self.team_id) and _id_in(payload.get("team")) == self.team_id
        return same_workspace or (
            bool(self.enterprise_id) and _id_in(payload.get("enterprise")) == self.enterprise_id
        )

    def authorization(self) -> AuthorizeResult:
        """Return what Bolt wants to know of an installation. No token: our calls have their own client."""
        return AuthorizeResult(
            enterprise_id=self.enterprise_id or None,
            team_id=self.team_id,
            bot_id=self.bot_id,
            bot_user_id=self.bot_user_id,
            bot_token=None,
        )


class Authentication:
    """Finds out who we are in Slack, however long Slack takes to answer.

    `api` calls Slack with the bot's token. What Slack has accepted is not asked again, and a URL that it gave
    is kept for the first link.
    """

    def __init__(
        self,
        api: SlackApi,
        urls: LinkUrls,
        identity: Identity,
        *,
        jitter: Callable[[], float],
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._urls = urls
        self._identity = identity
        self._jitter = jitter
        self._on_progress = on_progress
        self.trouble: TriageBotError | None = None  #: what keeps Slack from knowing us; None: nothing does
        self._is_known = False
        self._done = asyncio.Event()

    async def wait(self) -> None:
        """Wait until Slack knows us."""
        await self._done.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Introduce this worker, and try again while Slack cannot be reached, or asks to wait.

        `StartRefused` if Slack refuses one of the tokens.
        """
        attempts = 0
        while not stop.is_set() and not self._done.is_set():
            await self._wait(stop, retry_delay(attempts, self._jitter()))
            if not stop.is_set():
                await until_stopped(stop, self.attempt())
            attempts += 1

    async def attempt(self) -> None:
        """Introduce this worker, if Slack can be reached. `StartRefused` as for `run`."""
        self._on_progress()
        try:
            await self._authenticate()
        except (TransientError, AmbiguousError) as error:
            self.trouble = error
            log_event(log.warning, "slack.delayed", "Slack not reached yet: %s", error)

    async def _wait(self, stop: asyncio.Event, delay: timedelta) -> None:
        left = countdown(delay)

        def remaining() -> timedelta:
            paused = self._urls.pause if self._is_known else self._api.pause_of(AUTH_TEST)
            return max(paused, left())

        await wait_out(stop, remaining, on_progress=self._on_progress)

    async def _authenticate(self) -> None:
        if not self._is_known:
            try:
                self._identity.learn(await self._api.call(AUTH_TEST))
            except TriageBotError as error:
                raise _classify_refusal("SLACK_BOT_TOKEN", error) from error
            self._is_known = True
        try:
            is_prepared = await self._urls.prepare()
        except TriageBotError as error:
            raise _classify_refusal("SLACK_APP_TOKEN", error) from error
        if is_prepared:
            self.trouble = None
            self._log_scopes()
            self._done.set()

    def _log_scopes(self) -> None:
        team = self._identity.team_id
        log_event(log.info, "slack.authenticated", "known to Slack", team=team)
        for scope in self._identity.missing_scopes:
            log_event(
                log.error,
                "scope.missing",
                "scope missing: add it to the app's bot scopes and reinstall the app",
                scope=scope,
            )


def _id_in(value: object) -> object:
    return value.get("id") if isinstance(value, dict) else None


def _is_org_wide(data: Mapping[str, Any]) -> bool:
    """Whether a token is an organisation's: Slack says so, or names the organisation, or no workspace."""
    team_id = str(data["team_id"] or "")
    return bool(data.get("is_enterprise_install")) or not team_id or team_id.startswith("E")


def _read_scopes(headers: Mapping[str, Any]) -> frozenset[str]:
    value = next((each for name, each in headers.items() if name.lower() == "x-oauth-scopes"), "")
    text = ",".join(value) if isinstance(value, list) else str(value)
    return frozenset(scope.strip() for scope in text.split(",") if scope.strip())


def _classify_refusal(variable: str, error: TriageBotError) -> TriageBotError:
    # Nobody is asked yet, so what Slack may hold against single people it holds against the app.
    if isinstance(error, AppRejected) or (isinstance(error, UnknownErrorCode) and error.remedy):
        return StartRefused(f"Slack refuses {variable} ({error.code}); `triage-bot check` says what to do")
    return error
