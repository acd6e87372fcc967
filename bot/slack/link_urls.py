"""Fetches the URLs of websockets: the only caller of `apps.connections.open` in a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from bot.backoff import retry_delay
from bot.clock import Clock
from bot.errors import AmbiguousError, TransientError, TriageBotError
from bot.slack.client import SlackApi
from bot.slack.errors import classify_link_refusal, was_answered
from bot.slack.input_cleaning import read_text

APPS_CONNECTIONS_OPEN = "apps.connections.open"

#: How long a URL is kept. It opens one websocket, and expires after about 30 s.
KEEP = timedelta(seconds=15)

#: The longest wait after a call that Slack refused: it allows about one a minute.
REFUSED_MAX = timedelta(minutes=2)

#: The longest wait after a call that did not reach Slack: it counts towards no limit, and clicks are waiting.
UNREACHED_MAX = timedelta(seconds=8)


class LinkUrls:
    """Gets URLs for all links of a worker. After a failure, no link gets one until the pause is over.

    `api` calls Slack with the app-level token.
    """

    def __init__(self, api: SlackApi, *, clock: Clock, jitter: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._calling = asyncio.Lock()
        self._kept: tuple[str, timedelta] | None = None  #: and `Clock.boottime` when it was fetched

    @property
    def pause(self) -> timedelta:
        """How much longer no URL may be fetched; zero if there is no pause."""
        return self._api.pause_of(APPS_CONNECTIONS_OPEN)

    def delay(self, span: timedelta) -> None:
        """Fetch no URL for this long, because Slack refused a websocket and asked to wait."""
        self._api.pause(APPS_CONNECTIONS_OPEN, span)

    async def fetch(self) -> str | None:
        """Return a URL, which opens one websocket and has to be used at once; None during a pause.

        Raises the errors of `errors.classify_link_refusal`.
        """
        async with self._calling:  # otherwise two links could be refused before either knows of the pause
            kept, self._kept = self._kept, None
            if kept and self._clock.boottime() - kept[1] <= KEEP:
                return kept[0]
            if self.pause:
                return None
            try:
                url = await self._call()
            except TriageBotError as error:
                self._pause_after(error)
                raise classify_link_refusal(error) from error.__cause__
            self._failures = 0
            return url

    async def prepare(self) -> bool:
        """Fetch a URL for the link that opens next; return whether there is one. Raises as `fetch` does."""
        url = await self.fetch()
        self._kept = (url, self._clock.boottime()) if url else None
        return bool(url)

    async def _call(self) -> str:
        url = read_text((await self._api.call(APPS_CONNECTIONS_OPEN)).data.get("url"))
        if not url:
            raise AmbiguousError(f"Slack's answer to {APPS_CONNECTIONS_OPEN} has no URL")
        return url

    def _pause_after(self, error: TriageBotError) -> None:
        """Begin a pause: what Slack asks for, and a growing, jittered wait, so that workers do not retry in
        step.
        """
        longest = REFUSED_MAX if was_answered(error) else UNREACHED_MAX
        wait = retry_delay(self._failures, self._jitter(), longest=longest)
        self._failures += 1
        asked = error.retry_after if isinstance(error, TransientError) else None
        self._api.pause(APPS_CONNECTIONS_OPEN, (asked or timedelta(0)) + wait)
