"""The table's operations as asynchronous calls that raise our own errors. Temporary failures are retried.

A reply may be lost after the write was done; the retry of a conditional write then meets its own result. So
such a write counts as done if the stored item equals, to the last attribute, the one it wrote.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.access import Access, Client
from bot.backoff import retry_delay
from bot.errors import ConfigError, StoreError
from bot.store.address import Address
from bot.store.dynamodb.errors import CONDITION_FAILED, codes_of, explain_failure, is_transient, reasons_of
from bot.store.dynamodb.schema import PARTITION
from bot.threads import DaemonThreads

Value = str | int
Item = dict[str, Value]  #: strings and integers, by attribute

#: Concurrent calls. Each takes a few milliseconds.
CONCURRENT_CALLS_MAX = 16

#: boto3 makes one attempt only: `Table` retries, because it knows what a lost reply means.
#: Timeouts are in seconds. Slack shows a failure to the person who clicked after three.
_CALLS = Config(
    connect_timeout=2,
    read_timeout=3,
    max_pool_connections=CONCURRENT_CALLS_MAX,
    retries={"mode": "standard", "total_max_attempts": 1},
)

#: The most items in one BatchGetItem (DynamoDB quotas, as of 2026-11).
_BATCH = 100

#: The most parts of one TransactWriteItems (likewise).
TRANSACTION_MAX = 100

#: An item in DynamoDB's JSON: `{"v": {"N": "3"}}`.
WireItem = dict[str, dict[str, str]]


def to_wire(item: Mapping[str, Value]) -> WireItem:
    """Convert an item to DynamoDB's JSON. `StoreError` for invalid text (half a surrogate pair)."""
    return {name: value_to_wire(value) for name, value in item.items()}


def value_to_wire(value: Value) -> dict[str, str]:
    """Convert one value to DynamoDB's JSON. `StoreError` as in `to_wire`."""
    if isinstance(value, int):
        return {"N": str(value)}
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"the store cannot hold this request: {error.reason}") from error
    return {"S": value}


def from_wire(item: Mapping[str, Mapping[str, Any]]) -> Item:
    """Convert an item from DynamoDB's JSON, leaving out attributes of other types, which are not ours.

    A number that is not whole is not ours, either: it stays text.
    """
    return {
        name: _whole(value["N"]) if "N" in value else str(value["S"])
        for name, value in item.items()
        if "N" in value or "S" in value
    }


def _whole(number: str) -> Value:
    try:
        return int(number)
    except ValueError:
        return number


@dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """How temporary failures are retried. The defaults suit a worker: somebody may wait for the click."""

    attempts: int = 6
    patience: float = 5.0  #: seconds after which no further attempt starts
    shortest_wait: float = 0.025  #: seconds; see `backoff.retry_delay`
    on_retry: Callable[[int], None] = lambda _: None  #: receives the number of failed attempts


class Caller(Protocol):
    """Makes single attempts at calls: see `Connection`."""

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """See `Connection`."""

    def close(self) -> None:
        """See `Connection`."""


class Connection:
    """Makes DynamoDB calls by name.

    Credentials, unless `access` is given, and the endpoint, unless `endpoint_url` is given, come from boto3's
    own chain. `ConfigError` if there is no region, or if the profile, region or endpoint is invalid.
    """

    def __init__(
        self,
        address: Address,
        *,
        access: Access | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self._client = _client(address, access or Access(), endpoint_url)
        self._threads = DaemonThreads("dynamodb", count=CONCURRENT_CALLS_MAX)

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make one attempt at a call, e.g. `get_item`; return its answer."""
        answer: dict[str, Any] = await self._threads.run(self._client.call, operation, **arguments)
        return answer

    def close(self) -> None:
        """End the threads and close the connections, without waiting for calls in progress."""
        self._threads.close()
        self._client.close()


def _client(address: Address, access: Access, endpoint_url: str | None) -> Client:
    region = address.region or access.session.region_name
    if not region:
        raise ConfigError(
            ["the store has no AWS region: set AWS_REGION, e.g. us-west-2, or name it in STORE_URL"]
        )
    return access.client("dynamodb", region=region, config=_CALLS, endpoint_url=endpoint_url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What must hold for a write: an expression, with `:name` for each of the `values`."""

    expression: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return the condition as arguments of a DynamoDB call."""
        named = {f":{name}": value_to_wire(value) for name, value in self.values.items()}
        values = {"ExpressionAttributeValues": named} if named else {}
        return {"ConditionExpression": self.expression, **values}


NEW = Condition(expression=f"attribute_not_exists({PARTITION})")


class _ConditionFailed(Exception):
    """The condition did not hold. `stands` is the stored item; `repeated` means that this was a retry."""

    def __init__(self, stands: Item, *, repeated: bool) -> None:
        super().__init__(CONDITION_FAILED)
        self.stands = stands
        self.repeated = repeated


class Table:
    """One table. Every method raises `StoreError` if DynamoDB still fails after the `retries`."""

    def __init__(
        self,
        name: str,
        caller: Caller,
        *,
        random: Random,
        shown: str = "",
        retries: Retries = Retries(),
    ) -> None:
        self.name = name
        self.shown = shown or name
        self._caller = caller
        self._random = random
        self._retries = retries

    def about(self, key: Item) -> dict[str, Any]:
        """Return the arguments of a part of a transaction that name the item under this key."""
        return {"TableName": self.name, "Key": to_wire(key)}

    async def put(self, item: Item, condition: Condition) -> bool:
        """Write an item if the condition holds for the stored one; return whether it was written."""
        arguments = {"Item": to_wire(item), **condition.arguments()}
        try:
            await self.call("put_item", **arguments, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except _ConditionFailed as failed:
            return failed.repeated and failed.stands == item
        return True

    async def put_all(
        self,
        item: Item,
        condition: Condition,
        others: Sequence[Item],
        *,
        guarded: Sequence[tuple[Item, Condition]] = (),
        gone: Sequence[Item] = (),
    ) -> bool:
        """Write items in one transaction if the condition holds for the first, and that of each guarded one;
        return whether they did. Those under the keys `gone` are removed with it.
        """
        if not others and not guarded and not gone:
            return await self.put(item, condition)
        first = {
            "TableName": self.name,
            "Item": to_wire(item),
            **condition.arguments(),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        rest = [{"Put": {"TableName": self.name, "Item": to_wire(other)}} for other in others]
        rest += [
            {"Put": {"TableName": self.name, "Item": to_wire(other), **its.arguments()}}
            for other, its in guarded
        ]
        rest += [{"Delete": self.about(key)} for key in gone]
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
        """Yield the items of the whole table in lists of `size`; the last may be shorter."""
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
        for failures in range(1, self._retries.attempts + 1):
            request = {self.name: {"Keys": keys, "ConsistentRead": True}}
            answer = await self._call("batch_get_item", {"RequestItems": request})
            found += [from_wire(item) for item in answer["Responses"].get(self.name, ())]
            keys = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not keys:
                return found
            await self._wait(failures)
        raise StoreError(f"DynamoDB throttles BatchGetItem on the table {self.shown}")

    async def _call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._retries.patience
        failures = 0
        while True:
            try:
                return await self._caller.call(operation, arguments)
            except (ClientError, BotoCoreError) as error:
                _raise_failed_condition(error, repeated=failures > 0)
                failures += 1
                is_last = failures == self._retries.attempts or loop.time() > give_up
                if is_last or not is_transient(error):
                    raise StoreError(explain_failure(error, self.shown)) from error
            await self._wait(failures)

    async def _wait(self, failures: int) -> None:
        self._retries.on_retry(failures)
        shortest = timedelta(seconds=self._retries.shortest_wait)
        wait = retry_delay(failures - 1, self._random.random(), first=2 * shortest, shortest=shortest)
        await asyncio.sleep(wait.total_seconds())


def _raise_failed_condition(error: ClientError | BotoCoreError, *, repeated: bool) -> None:
    if isinstance(error, ClientError) and CONDITION_FAILED in codes_of(error):
        first = next(iter(reasons_of(error)), {})
        stands: Any = error.response.get("Item") or first.get("Item") or {}
        raise _ConditionFailed(from_wire(stands), repeated=repeated) from error
