"""A way to DynamoDB on which replies get lost, and calls are refused, as a test wants it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from bot.store.dynamodb.table import Caller

LOST = "lost"  #: the work is done, and nobody learns of it
UNREACHED = "unreached"  #: nothing is done


class Unreliable:
    """Does with the next calls of an operation what `plan` says, one entry a call: a fate, or a code.

    `CODE in OPERATION` is a refusal of another operation, which boto3 calls by itself.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.plan: dict[str, list[str]] = {}
        self.calls: Counter[str] = Counter()

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls[operation] += 1
        fates = self.plan.get(operation, [])
        fate = fates.pop(0) if fates else ""
        if fate == LOST:
            await self._caller.call(operation, arguments)
        if fate in (LOST, UNREACHED):
            raise ReadTimeoutError(endpoint_url="https://dynamodb.example.com")
        if fate:
            code, _, where = fate.partition(" in ")
            raise refusal(code, where or operation)
        return await self._caller.call(operation, arguments)

    def close(self) -> None:
        self._caller.close()


def refusal(
    code: str, operation: str = "", *, message: str = "as the test wants it", **more: Any
) -> ClientError:
    """Return an error as botocore makes it, with `more` of its own, for an operation such as `put_item`."""
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return ClientError(response, action_of(operation))


def action_of(operation: str) -> str:
    """Return what AWS calls an operation: `PutItem` for `put_item`."""
    return "".join(word.title() for word in operation.split("_"))
