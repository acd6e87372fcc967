"""Retries for a command that may take its time: about a minute, where a worker would give up sooner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from bot.store.dynamodb.errors import is_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from bot.store.dynamodb.table import Caller

#: Seconds before each further attempt. Jitter shortens each wait, so that retries do not come all at once.
PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6)

#: How many failed attempts are not reported.
_QUIET = 4


class RetryingCaller:
    """Passes calls on and retries temporary failures. `tell` gets one message, once it takes long."""

    def __init__(
        self,
        caller: Caller,
        *,
        tell: Callable[[str], None],
        random: Random,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._caller = caller
        self._tell = tell
        self._random = random
        self._pauses = pauses
        self._has_told = False

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """See `connection.Connection`; raises the error of the last attempt, after up to about 50 s."""
        for attempt, pause in enumerate(self._pauses):
            try:
                return await self._caller.call(operation, arguments)
            except (ClientError, BotoCoreError) as error:
                if not is_transient(error):
                    raise
            if attempt >= _QUIET:
                self._tell_once()
            await asyncio.sleep(self._random.uniform(pause / 2, pause))
        return await self._caller.call(operation, arguments)

    def close(self) -> None:
        """See `connection.Connection`."""
        self._caller.close()

    def _tell_once(self) -> None:
        if not self._has_told:
            self._has_told = True
            self._tell("DynamoDB does not answer or is throttling: retrying for up to a minute")
