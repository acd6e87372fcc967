"""The worker's place in Slack: introduced once, then linked for as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from slack_bolt.app.async_app import AsyncApp

from bot.errors import AmbiguousError, CannotGoOn, StartRefused, TransientError
from bot.slack.errors import fault
from bot.triage.asking_rules import retry_delay

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_bolt.authorization import AuthorizeResult
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.slack.identity import Identity

log = logging.getLogger(__name__)


def bolt_app(client: AsyncWebClient, identity: Identity) -> AsyncApp:
    """Return the Bolt app. `client` has no token: Bolt must not call Slack by itself.

    If Bolt's own `auth.test` fails, be it for a moment, a click is acknowledged and lost; so it is told
    whom the app belongs to by `identity`.
    """

    async def authorize() -> AuthorizeResult:
        return identity.authorization()

    return AsyncApp(
        name="triage-bot",  # or Bolt looks for one in the source files of all callers
        client=client,
        authorize=authorize,
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        # These three look at requests over HTTP, of which there are none.
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
    )


class Introduction:
    """Finds out who we are in Slack, however long Slack takes to answer."""

    def __init__(
        self,
        client: AsyncWebClient,
        app_token: str,
        identity: Identity,
        *,
        spread: Callable[[], float],
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._app_token = app_token
        self._identity = identity
        self._spread = spread
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
            delay = retry_delay(attempts, self._spread())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay.total_seconds())
            await self.attempt()
            attempts += 1

    async def attempt(self) -> None:
        """Introduce this worker, if Slack can be reached. `StartRefused` as for `run`."""
        self._on_progress()
        try:
            await self._introduce()
        except (TransientError, AmbiguousError) as error:
            log.warning("Slack not reached yet: %s", error, extra={"event": "slack.delayed", "fields": {}})

    async def _introduce(self) -> None:
        try:
            self._identity.learn(await self._client.auth_test())
        except Exception as error:
            raise self._judged("auth.test", "SLACK_BOT_TOKEN", error) from error
        try:
            await self._client.apps_connections_open(app_token=self._app_token)
        except Exception as error:
            raise self._judged("apps.connections.open", "SLACK_APP_TOKEN", error) from error
        self._tell_scopes()
        self._done.set()

    def _judged(self, method: str, variable: str, error: Exception) -> Exception:
        judged = _refused(variable, error)
        if isinstance(judged, TransientError | AmbiguousError):
            self.on_failure(method)
        return judged

    def _tell_scopes(self) -> None:
        team = self._identity.team_id
        log.info("known to Slack", extra={"event": "slack.introduced", "fields": {"team": team}})
        for scope in self._identity.missing_scopes:
            log.error(
                "scope missing: add it to the app's bot scopes and reinstall the app",
                extra={"event": "scope.missing", "fields": {"scope": scope}},
            )


def _refused(variable: str, error: Exception) -> Exception:
    judged = error if isinstance(error, TransientError) else fault(error)
    if isinstance(judged, CannotGoOn):
        return StartRefused(f"Slack refuses {variable} ({judged.code}); `triage-bot check` says what to do")
    return judged
