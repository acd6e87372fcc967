"""Who the app is in Slack: asked with `auth.test` at the start, until Slack answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.backoff import countdown, retry_delay, until_stopped, wait_out
from bot.errors import (
    AmbiguousError,
    AppRejected,
    StartRefused,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.slack.client import SlackAnswer, SlackApi
from bot.slack.input_cleaning import make_storable, read_header, read_text
from bot.slack.link_urls import LinkUrls
from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

AUTH_TEST = "auth.test"

#: The scopes that the bot needs. Without the last one, a post in doubt cannot be looked up.
SCOPES = ("users:read", "users:read.email", "im:write", "chat:write", "im:history")


class OrgWideInstallation(StartRefused):
    """The app is installed for a whole organisation: it could not tell a workspace's people from others."""

    remedy = (
        "install the app in the one workspace whose people it asks, and put that installation's bot token"
        " into SLACK_BOT_TOKEN"
    )

    def __init__(self) -> None:
        super().__init__(f"the app is installed for a whole organisation: {self.remedy}")


@dataclass(slots=True)
class Identity:
    """The app's identity in Slack. Empty until Slack has answered `auth.test`."""

    team_id: str = ""
    workspace_url: str = ""  #: https, without a trailing slash; empty if Slack did not tell
    enterprise_id: str = ""
    bot_id: str = ""
    bot_user_id: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)

    def learn(self, response: SlackAnswer | AsyncSlackResponse) -> None:
        """Read the answer to `auth.test`.

        `TransientError` if it is not Slack's; `OrgWideInstallation` if the token is an organisation's.
        """
        data: Mapping[str, Any] = make_storable(response.data) if isinstance(response.data, dict) else {}
        team_id = data.get("team_id", False)
        if not isinstance(team_id, str | None):
            raise TransientError("Slack's answer to auth.test names no workspace")
        # Slack says so, or it names the organisation, or no workspace.
        if data.get("is_enterprise_install") is True or not team_id or team_id.startswith("E"):
            raise OrgWideInstallation
        self.team_id = team_id
        url = read_text(data.get("url"))
        self.workspace_url = url.rstrip("/") if url.startswith("https://") else ""
        self.enterprise_id = read_text(data.get("enterprise_id"))
        self.bot_id = read_text(data.get("bot_id"))
        self.bot_user_id = read_text(data.get("user_id"))
        self.scopes = _read_scopes(response.headers)

    @property
    def missing_scopes(self) -> tuple[str, ...]:
        """The scopes that the app should have but lacks."""
        return tuple(scope for scope in SCOPES if scope not in self.scopes)

    def is_home_of(self, payload: Mapping[str, Any]) -> bool:
        """Whether a payload comes from this workspace, or from the organisation that it belongs to."""
        same_workspace = bool(self.team_id) and _id_in(payload.get("team")) == self.team_id
        return same_workspace or (
            bool(self.enterprise_id) and _id_in(payload.get("enterprise")) == self.enterprise_id
        )

    def is_home_of_clicker(self, payload: Mapping[str, Any]) -> bool:
        """Whether the person who clicked belongs to this workspace or its organisation.

        Where a channel is shared with another organisation, the payload's own team does not tell.
        """
        user = payload.get("user")
        home = user.get("team_id") if isinstance(user, dict) else None
        if home is None or (isinstance(home, str) and home in {self.team_id, self.enterprise_id} - {""}):
            return self.is_home_of(payload)
        is_of_payload = home == _id_in(payload.get("team"))  # the organisation is that workspace's
        return (
            is_of_payload
            and bool(self.enterprise_id)
            and (_id_in(payload.get("enterprise")) == self.enterprise_id)
        )

    def is_author_of(self, message: Mapping[str, Any]) -> bool:
        """Whether this app posted a message of the history, as far as that is told.

        A person can post what looks like a question, metadata included, with another app.
        """
        told = ((message.get("user"), self.bot_user_id), (message.get("bot_id"), self.bot_id))
        known = [author == ours for author, ours in told if author and ours]
        return any(known) or not known

    def authorization(self) -> AuthorizeResult:
        """Return what Bolt needs to know of the installation, without a token: our calls use another
        client.
        """
        return AuthorizeResult(
            enterprise_id=self.enterprise_id or None,
            team_id=self.team_id,
            bot_id=self.bot_id,
            bot_user_id=self.bot_user_id,
            bot_token=None,
        )


class Authentication:
    """Authenticates both tokens with Slack, and retries until Slack answers.

    `api` calls Slack with the bot token. A token that was accepted is not tried again, and the URL that Slack
    gave for the app-level token is kept for the first link.
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
        self.trouble: TriageBotError | None = None  #: why the last attempt failed; None if it did not
        self._is_known = False
        self._done = asyncio.Event()

    async def wait(self) -> None:
        """Wait until Slack has accepted both tokens."""
        await self._done.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Authenticate; retry while Slack cannot be reached or asks to wait.

        `StartRefused` if Slack rejects one of the tokens.
        """
        attempts = 0
        while not stop.is_set() and not self._done.is_set():
            await self._wait(stop, retry_delay(attempts, self._jitter()))
            if not stop.is_set():
                await until_stopped(stop, self.attempt())
            attempts += 1

    async def attempt(self) -> None:
        """Try once to authenticate; log it if Slack cannot be reached. `StartRefused` as for `run`."""
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
        log_event(log.info, "slack.authenticated", team=team)
        for scope in self._identity.missing_scopes:
            log_event(
                log.error,
                "scope.missing",
                "scope missing: add it to the app's bot scopes and reinstall the app",
                scope=scope,
            )


def _id_in(value: object) -> object:
    return value.get("id") if isinstance(value, dict) else None


def _read_scopes(headers: Mapping[str, Any]) -> frozenset[str]:
    scopes = read_header(headers, "x-oauth-scopes").split(",")
    return frozenset(scope.strip() for scope in scopes if scope.strip())


def _classify_refusal(variable: str, error: TriageBotError) -> TriageBotError:
    # Nobody has been asked yet, so even a code that may concern one person concerns the app.
    if isinstance(error, Undeliverable):
        code = error.reason
    elif isinstance(error, AppRejected) or (isinstance(error, UnknownErrorCode) and error.remedy):
        code = error.code
    else:
        return error
    return StartRefused(f"Slack refuses {variable} ({code}); `triage-bot check` says what to do")
