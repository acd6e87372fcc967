"""Who this app is in Slack: asked once, with `auth.test`, however long Slack takes to answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slack_bolt.authorization import AuthorizeResult

from bot.backoff import retry_delay
from bot.errors import (
    AmbiguousError,
    AppRejected,
    StartRefused,
    TransientError,
    TriageBotError,
    UnknownErrorCode,
)
from bot.slack.errors import classify_error
from bot.slack.received import make_storable
from bot.triage.log_events import log_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

log = logging.getLogger(__name__)

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
    """Finds out who we are in Slack, however long Slack takes to answer."""

    def __init__(
        self,
        client: AsyncWebClient,
        app_token: str,
        identity: Identity,
        *,
        jitter: Callable[[], float],
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._app_token = app_token
        self._identity = identity
        self._jitter = jitter
        self._on_progress = on_progress
        self.on_failure: Callable[[str], None] = lambda _: None  #: told the method that is called again
        self._done = asyncio.Event()

    async def wait(self) -> None:
        """Wait until Slack knows us."""
        await self._done.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Introduce this worker, and try again while Slack cannot be reached.

        `StartRefused` if Slack refuses one of the tokens.
        """
        attempts = 0
        while not stop.is_set() and not self._done.is_set():
            self._on_progress()
            delay = retry_delay(attempts, self._jitter())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay.total_seconds())
            await self.attempt()
            attempts += 1

    async def attempt(self) -> None:
        """Introduce this worker, if Slack can be reached. `StartRefused` as for `run`."""
        self._on_progress()
        try:
            await self._authenticate()
        except (TransientError, AmbiguousError) as error:
            log_event(log.warning, "slack.delayed", "Slack not reached yet: %s", error)

    async def _authenticate(self) -> None:
        try:
            self._identity.learn(await self._client.auth_test())
        except Exception as error:
            raise self._classify("auth.test", "SLACK_BOT_TOKEN", error) from error
        try:
            await self._client.apps_connections_open(app_token=self._app_token)
        except Exception as error:
            raise self._classify("apps.connections.open", "SLACK_APP_TOKEN", error) from error
        self._log_scopes()
        self._done.set()

    def _classify(self, method: str, variable: str, error: Exception) -> Exception:
        judged = _classify_refusal(variable, error)
        if isinstance(judged, TransientError | AmbiguousError):
            self.on_failure(method)
        return judged

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


def _classify_refusal(variable: str, error: Exception) -> Exception:
    judged = error if isinstance(error, TriageBotError) else classify_error(error)
    # Nobody is asked yet, so what Slack may hold against single people it holds against the app.
    if isinstance(judged, AppRejected) or (isinstance(judged, UnknownErrorCode) and judged.remedy):
        return StartRefused(f"Slack refuses {variable} ({judged.code}); `triage-bot check` says what to do")
    return judged
