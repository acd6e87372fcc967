"""The table's operations as asynchronous calls that raise our own errors. Temporary failures are retried.

A reply may be lost after the write was done; the retry of a conditional write then meets its own result. So
such a write counts as done if the stored item equals, to the last attribute, the one it wrote.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from bot.store.dynamodb.errors import CONDITION_FAILED, codes_of, is_transient, reasons_of, store_error
from bot.store.dynamodb.schema import PARTITION
from bot.store.dynamodb.values import from_wire, to_wire, value_to_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from random import Random

    from bot.store.dynamodb.values import Item, Value

#: The most attempts at a call, and the time in seconds after which no further attempt starts.
ATTEMPTS = 6
PATIENCE = 5.0

#: The ceiling of the wait before the second attempt, in seconds; it doubles from there (full jitter).
FIRST_WAIT = 0.05

#: The most items in one BatchGetItem (DynamoDB quotas, as of 2026-11).
_BATCH = 100


class Caller(Protocol):
    """Makes single attempts at calls: see `connection.Connection`."""

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """See `connection.Connection`."""

    def close(self) -> None:
        """See `connection.Connection`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What must hold for a write: an expression with `#name` for attributes and `:name` for `values`."""

    expression: str
    values: Mapping[str, Value] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """Return the condition as arguments of a DynamoDB call."""
        named = {f"#{name}": name for name in self.names}
        valued = {f":{name}": value_to_wire(value) for name, value in self.values.items()}
        return {
            "ConditionExpression": self.expression,
            **({"ExpressionAttributeNames": named} if named else {}),
            **({"ExpressionAttributeValues": valued} if valued else {}),
        }


NEW = Condition(expression=f"attribute_not_exists({PARTITION})")


class _ConditionFailed(Exception):
    """The condition did not hold. `stands` is the stored item; `repeated` means that this was a retry."""

    def __init__(self, stands: Item, *, repeated: bool) -> None:
        super().__init__(CONDITION_FAILED)
        self.stands = stands
        self.repeated = repeated


class Table:
    """One table. Every method raises `StoreError` if DynamoDB fails, after retries for up to about 5 s."""

    def __init__(self, name: str, caller: Caller, *, random: Random, shown: str = "") -> None:
        self.name = name
        self.shown = shown or name
        self._caller = caller
        self._random = random

    async def put(self, item: Item, condition: Condition) -> bool:
        """Write an item if the condition holds for the stored one; return whether it was written."""
        arguments = {"Item": to_wire(item), **condition.arguments()}
        try:
            await self.call("put_item", **arguments, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except _ConditionFailed as failed:
            return failed.repeated and failed.stands == item
        return True

    async def put_all(self, item: Item, condition: Condition, others: Sequence[Item]) -> bool:
        """Write items in one transaction if the condition holds for the first; return whether it did."""
        if not others:
            return await self.put(item, condition)
        first = {
            "TableName": self.name,
            "Item": to_wire(item),
            **condition.arguments(),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        rest = [{"Put": {"TableName": self.name, "Item": to_wire(other)}} for other in others]
        try:
            await self.transact([{"Put": first}, *rest])
        except _ConditionFailed as failed:
            return failed.repeated and failed.stands == item
        return True

    async def transact(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Do all parts or none. Raises a private error if a condition does not hold: see `try_transact`."""
        # The token lets DynamoDB recognise the retry of a transaction whose reply was lost.
        token = secrets.token_hex(16)
        await self._call("transact_write_items", {"TransactItems": list(parts), "ClientRequestToken": token})

    async def try_transact(self, parts: Sequence[Mapping[str, Any]]) -> bool:
        """Do all parts or none; return whether all conditions held."""
        try:
            await self.transact(parts)
        except _ConditionFailed:
            return False
        return True

    async def update(self, key: Item, change: str, condition: Condition) -> Item | None:
        """Change an item in place; return the changed item, or None if the condition did not hold.

        After a lost reply, None may also be returned for a change that was made.
        """
        arguments = {"Key": to_wire(key), "UpdateExpression": change, **condition.arguments()}
        try:
            answer = await self.call("update_item", **arguments, ReturnValues="ALL_NEW")
        except _ConditionFailed:
            return None
        return from_wire(answer["Attributes"])

    async def get(self, key: Item) -> Item | None:
        """Return an item as it is now (a consistent read); None if there is none."""
        answer = await self.call("get_item", Key=to_wire(key), ConsistentRead=True)
        return from_wire(answer["Item"]) if "Item" in answer else None

    async def get_many(self, keys: Sequence[Item]) -> list[Item]:
        """Return the items that exist under these keys (a consistent read), in no order."""
        found: list[Item] = []
        wanted = [to_wire(key) for key in keys]
        for start in range(0, len(wanted), _BATCH):
            found += await self._get_batch(wanted[start : start + _BATCH])
        return found

    async def query(self, **arguments: Any) -> AsyncIterator[Item]:
        """Yield the items a query finds, page by page; `Limit` applies to one page."""
        async for item in self._pages("query", arguments):
            yield item

    async def first(self, count: int, **arguments: Any) -> list[Item]:
        """Return the first `count` items a query finds."""
        found: list[Item] = []
        async for item in self.query(**arguments, Limit=count):
            found.append(item)
            if len(found) == count:
                break
        return found

    async def scan(self, **arguments: Any) -> AsyncIterator[Item]:
        """Yield the items a scan of the whole table finds, page by page."""
        async for item in self._pages("scan", arguments):
            yield item

    async def scan_pages(self, size: int, **arguments: Any) -> AsyncIterator[Sequence[Item]]:
        """Yield the items a scan of the whole table finds, so many at a time."""
        page: list[Item] = []
        async for item in self.scan(**arguments):
            page.append(item)
            if len(page) == size:
                yield page
                page = []
        if page:
            yield page

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Make a call on this table, retrying temporary failures; return its response."""
        return await self._call(operation, {"TableName": self.name, **arguments})

    async def attempt(self, operation: str, arguments: dict[str, Any]) -> None:
        """Make a call only to find out whether it is permitted; its condition need not hold."""
        about = {} if "RequestItems" in arguments else {"TableName": self.name}
        with contextlib.suppress(_ConditionFailed):
            await self._call(operation, {**about, **arguments})

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()

    async def _pages(self, operation: str, arguments: dict[str, Any]) -> AsyncIterator[Item]:
        while True:
            answer = await self.call(operation, **arguments)
            for item in answer["Items"]:
                yield from_wire(item)
            if "LastEvaluatedKey" not in answer:
                return
            arguments = {**arguments, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _get_batch(self, keys: list[Any]) -> list[Item]:
        found: list[Item] = []
        for attempt in range(ATTEMPTS):
            request = {self.name: {"Keys": keys, "ConsistentRead": True}}
            answer = await self._call("batch_get_item", {"RequestItems": request})
            found += [from_wire(item) for item in answer["Responses"].get(self.name, ())]
            keys = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not keys:
                return found
            await self._wait(attempt)
        raise store_error(_throttling_error("BatchGetItem"), self.shown)

    async def _call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE
        for attempt in range(ATTEMPTS):
            try:
                return await self._caller.call(operation, arguments)
            except (ClientError, BotoCoreError) as error:
                _raise_failed_condition(error, repeated=attempt > 0)
                if attempt + 1 == ATTEMPTS or loop.time() > give_up or not is_transient(error):
                    raise store_error(error, self.shown) from error
            await self._wait(attempt)
        raise AssertionError  # the last attempt returns or raises

    async def _wait(self, attempt: int) -> None:
        await asyncio.sleep(self._random.uniform(0, FIRST_WAIT * 2**attempt))


def _raise_failed_condition(error: ClientError | BotoCoreError, *, repeated: bool) -> None:
    if isinstance(error, ClientError) and CONDITION_FAILED in codes_of(error):
        first = next(iter(reasons_of(error)), {})
        stands: Any = error.response.get("Item") or first.get("Item") or {}
        raise _ConditionFailed(from_wire(stands), repeated=repeated) from error


def _throttling_error(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException"}}, operation)
