"""A table in memory, at the port `Caller`: conditions, transactions, and indexes that follow later."""

from __future__ import annotations

import asyncio
import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from torture.dynamodb_faults import draw_fault

from bot.aws.responses import NotAnAnswer
from bot.store.dynamodb.schema import INDEXES, PARTITION, SORT, table_description

from .machines import BEGINNING, LIFE, Died, Life
from .virtual_loop import VirtualLoop

Wire = dict[str, dict[str, str]]
Key = tuple[str, str]

#: How much later an index follows, in seconds; often at once.
_LAGS: Final = (0.0, 0.0, 0.0, 0.01, 0.3, 2.0, 6.0)

#: How long a call may take that is slow. The worker gives up after three seconds.
_SLOW: Final = 4.0
_TIMEOUT: Final = 3.0

#: The most items on one page.
_PAGE: Final = 25

_WRITES: Final = frozenset({"put_item", "update_item", "delete_item", "transact_write_items"})
_TOKEN: Final = re.compile(r"\s*(<=|>=|[=<>(),]|[#:\w]+)")
_PLACE: Final = "http://dynamodb.simulated"


class SharedTable:
    """The table of a run. `on_write` is told before and after each write of a life."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.raging = True
        self.gate: Callable[[str], bool] = lambda _: True
        self.on_write: Callable[[Life | None, str], None] = lambda *_: None
        self._items: dict[Key, Wire] = {}
        self._sorted = _Shown(PARTITION, SORT)
        self._indexes = {index.name: _Shown(index.partition, index.sort) for index in INDEXES}
        self._follows_at: dict[Key, float] = {}
        self._tokens: set[str] = set()

    def do(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a call. `ClientError` if a condition does not hold."""
        return _OPERATIONS[operation](self, arguments)

    def is_claim(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a write says that a question or a reminder is about to be posted."""
        parts = [part for each in arguments.get("TransactItems", ()) for part in each.values()]
        for item in (part["Item"] for part in (arguments, *parts) if "Item" in part):
            stands = self._items.get(_key(item), {})
            if item.get("st") == {"S": "posting"} or item.get("rm") != stands.get("rm", item.get("rm")):
                return True
        return False

    def _describe(self, _: Mapping[str, Any]) -> dict[str, Any]:
        arn = "arn:aws:dynamodb:us-west-2:000000000000:table/simulated"
        created = datetime.fromtimestamp(BEGINNING, UTC)
        state = {"TableStatus": "ACTIVE", "TableArn": arn, "CreationDateTime": created}
        return {"Table": {**table_description("simulated"), **state}}

    def _get(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        item = self._items.get(_key(arguments["Key"]))
        return {"Item": item} if item is not None else {}

    def _get_batch(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        [(table, wanted)] = arguments["RequestItems"].items()
        found = [self._items[key] for key in map(_key, wanted["Keys"]) if key in self._items]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def _put(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._require(arguments, arguments["Item"], "PutItem")
        self._write(_key(arguments["Item"]), arguments["Item"])
        return {}

    def _delete(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._require(arguments, arguments["Key"], "DeleteItem")
        self._write(_key(arguments["Key"]), None)
        return {}

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._require(arguments, arguments["Key"], "UpdateItem")
        return {"Attributes": self._change(arguments)}

    def _change(self, arguments: Mapping[str, Any]) -> Wire:
        key = _key(arguments["Key"])
        item = {**arguments["Key"], **self._items.get(key, {})}
        sets, _, removes = arguments["UpdateExpression"].partition("REMOVE ")
        for each in filter(None, map(str.strip, sets.removeprefix("SET ").split(","))):
            name, value = map(str.strip, each.split("="))
            item[name] = arguments["ExpressionAttributeValues"][value]
        for name in filter(None, map(str.strip, removes.split(","))):
            item.pop(name, None)
        self._write(key, item)
        return item

    def _transact(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if arguments["ClientRequestToken"] in self._tokens:
            return {}
        parts = [part for each in arguments["TransactItems"] for part in each.items()]
        reasons = [self._judge(part) for _, part in parts]
        if any(reason["Code"] != "None" for reason in reasons):
            raise _refusal("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
        for kind, part in parts:
            if kind == "Update":
                self._change(part)
            elif kind != "ConditionCheck":
                self._write(_key(part.get("Item") or part["Key"]), part.get("Item"))
        self._tokens.add(arguments["ClientRequestToken"])
        return {}

    def _judge(self, part: Mapping[str, Any]) -> dict[str, Any]:
        stands = self._items.get(_key(part.get("Item") or part["Key"]))
        if _holds(part, "ConditionExpression", stands or {}):
            return {"Code": "None"}
        return {"Code": "ConditionalCheckFailed", **({"Item": stands} if stands else {})}

    def _require(self, arguments: Mapping[str, Any], place: Wire, operation: str) -> None:
        stands = self._items.get(_key(place))
        if not _holds(arguments, "ConditionExpression", stands or {}):
            raise _refusal(
                "ConditionalCheckFailedException", operation, **({"Item": stands} if stands else {})
            )

    def _query(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        index = arguments.get("IndexName")
        shown = self._indexes[index] if index else self._sorted
        found = [item for item in shown.of(arguments) if _holds(arguments, "KeyConditionExpression", item)]
        found.sort(
            key=lambda item: (_plain(item[shown.sort]), *_key(item)),
            reverse=not arguments.get("ScanIndexForward", True),
        )
        return self._page(found, arguments)

    def _scan(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        page = self._page(sorted(self._items.values(), key=_key), arguments)
        return {
            **page,
            "Items": [each for each in page["Items"] if _holds(arguments, "FilterExpression", each)],
        }

    def _page(self, found: Sequence[Wire], arguments: Mapping[str, Any]) -> dict[str, Any]:
        last = arguments.get("ExclusiveStartKey")
        keys = [_key(item) for item in found]
        start = keys.index(_key(last)) + 1 if last and _key(last) in keys else 0
        end = start + min(arguments.get("Limit", _PAGE), _PAGE)
        shown = list(found[start:end])
        page: dict[str, Any] = {"Items": shown, "Count": len(shown)}
        if end < len(found):
            page["LastEvaluatedKey"] = {name: found[end - 1][name] for name in (PARTITION, SORT)}
        return page

    def _write(self, key: Key, item: Wire | None) -> None:
        if item is None:
            self._items.pop(key, None)
        else:
            self._items[key] = item
        self._sorted.put(key, item)
        moment = self.loop.now + (self.random.choice(_LAGS) if self.raging else 0.0)
        # An index shows the writes of an item in their order: no two at one moment.
        self._follows_at[key] = moment = max(moment, self._follows_at.get(key, -1.0) + 1e-6)
        if moment == self.loop.now:
            self._follow(key, item)
        else:
            self.loop.call_in_world(moment - self.loop.now, self._follow, key, item)

    def _follow(self, key: Key, item: Wire | None) -> None:
        for index in self._indexes.values():
            index.put(key, item)


class _Shown:
    """What the table or an index shows, by the value of its partition key."""

    def __init__(self, partition: str, sort: str) -> None:
        self.sort = sort
        self._partition = partition
        self._items: defaultdict[str | int, dict[Key, Wire]] = defaultdict(dict)
        self._places: dict[Key, str | int] = {}

    def put(self, key: Key, item: Wire | None) -> None:
        """Show an item as it is now; None, or one that lacks a key of the index: not at all."""
        if key in self._places:
            del self._items[self._places.pop(key)][key]
        if item is not None and self._partition in item and self.sort in item:
            place = self._places[key] = _plain(item[self._partition])
            self._items[place][key] = item

    def of(self, arguments: Mapping[str, Any]) -> Iterable[Wire]:
        """Return the items of the partition that a query names."""
        names = arguments.get("ExpressionAttributeNames", {})
        terms = _terms(arguments["KeyConditionExpression"])
        of_partition = (words for _, words in terms if names.get(words[0], words[0]) == self._partition)
        _, value = next(of_partition)
        return self._items[_plain(arguments["ExpressionAttributeValues"][value])].values()


_OPERATIONS: Final[Mapping[str, Callable[[SharedTable, Mapping[str, Any]], dict[str, Any]]]] = {
    "describe_table": SharedTable._describe,
    "get_item": SharedTable._get,
    "batch_get_item": SharedTable._get_batch,
    "put_item": SharedTable._put,
    "delete_item": SharedTable._delete,
    "update_item": SharedTable._update,
    "transact_write_items": SharedTable._transact,
    "query": SharedTable._query,
    "scan": SharedTable._scan,
}


#: Operation → what AWS calls it.
_NAMES: Final = {name: "".join(word.title() for word in name.split("_")) for name in _OPERATIONS}

#: How often a call that was under way when its sender died does not arrive.
_NEVER_LEFT: Final = 0.5


class SimulatedCaller:
    """One worker's way to the table, with the torture's faults on it."""

    def __init__(self, table: SharedTable) -> None:
        self._table = table

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """See `bot.store.dynamodb.table.Caller`."""
        life = LIFE.get()
        if life is not None:
            life.require_alive()
        loop, answered = self._table.loop, asyncio.get_running_loop().create_future()
        loop.call_in_world(_draw(self._table.random), self._arrive, life, operation, arguments, answered)
        timer = loop.call_later(_TIMEOUT, _give_up, answered)
        try:
            done: dict[str, Any] | Exception = await answered
        finally:
            timer.cancel()
        if isinstance(done, Exception):
            raise done
        return done

    def close(self) -> None:
        """See `bot.store.dynamodb.table.Caller`."""

    def _arrive(
        self, life: Life | None, operation: str, arguments: dict[str, Any], answered: asyncio.Future[Any]
    ) -> None:
        table, random = self._table, self._table.random
        fault = draw_fault(random, _NAMES[operation]) if table.raging else ""
        if fault and not table.gate(f"table {fault}"):
            fault = ""
        done = self._do(life, operation, arguments, fault)
        takes = random.uniform(0, _SLOW) if fault == "slow" else _draw(random)
        table.loop.call_in_world(takes, _answer, answered, _AFTER[fault]() if fault in _AFTER else done)

    def _do(
        self, life: Life | None, operation: str, arguments: dict[str, Any], fault: str
    ) -> dict[str, Any] | Exception:
        table = self._table
        if life is not None and life.is_over and table.random.random() < _NEVER_LEFT:
            return _closed()
        if life is not None and table.loop.now < life.offline_until:
            return _closed()
        if fault in _INSTEAD:
            return _INSTEAD[fault]()
        try:
            if operation in _WRITES:
                table.on_write(life, "before")
            if life is not None and life.claimed is not None and table.is_claim(arguments):
                life.claimed.set()
            done = table.do(operation, arguments)
            if operation in _WRITES:
                table.on_write(life, "after")
        except ClientError as error:
            return error
        except Died:
            return _closed()
        return done


def _give_up(answered: asyncio.Future[Any]) -> None:
    _answer(answered, ReadTimeoutError(endpoint_url=_PLACE))


def _answer(answered: asyncio.Future[Any], done: dict[str, Any] | Exception) -> None:
    if not answered.done():
        answered.set_result(done)


def _draw(random: Random) -> float:
    return random.choice((0.0, 0.0, 0.002, random.random() * 0.02, random.random() * 0.2))


def _refusal(code: str, operation: str = "", **more: Any) -> ClientError:
    status = 500 if code == "InternalServerError" else 400
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    answer.update(more)
    return ClientError(answer, operation)


def _conflict() -> ClientError:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    return _refusal("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)


def _closed() -> Exception:
    return ConnectionClosedError(endpoint_url=_PLACE)


def _no_answer() -> Exception:
    return NotAnAnswer(what="something answered with text/html")


def _server_error() -> Exception:
    return _refusal("InternalServerError")


_INSTEAD: Final[Mapping[str, Callable[[], Exception]]] = {
    "throttled": lambda: _refusal("ProvisionedThroughputExceededException"),
    "server error": _server_error,
    "conflict": _conflict,
    "reset before": _closed,
    "page before": _no_answer,
}
_AFTER: Final[Mapping[str, Callable[[], Exception]]] = {
    "error after": _server_error,
    "lost reply": _closed,
    "page after": _no_answer,
}


def _key(item: Wire) -> Key:
    return item[PARTITION]["S"], item[SORT]["S"]


def _plain(value: Mapping[str, str]) -> str | int:
    return int(value["N"]) if "N" in value else value["S"]


def _holds(arguments: Mapping[str, Any], which: str, item: Wire) -> bool:
    """Tell whether an expression holds: terms joined by AND, such as those that the store uses."""
    values = arguments.get("ExpressionAttributeValues", {})
    names = arguments.get("ExpressionAttributeNames", {})

    def read(word: str) -> str | int | None:
        found = values[word] if word.startswith(":") else item.get(names.get(word, word))
        return None if found is None else _plain(found)

    return all(_TERMS[kind](*map(read, words)) for kind, words in _terms(arguments.get(which, "")))


@functools.cache
def _terms(expression: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(_parse(iter(_TOKEN.findall(expression))))


def _parse(words: Iterator[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for word in words:
        operator = next(words)
        if operator == "(":
            inside = []
            while (each := next(words)) != ")":
                inside.append(each)
            yield word, tuple(each for each in inside if each != ",")
        elif operator == "BETWEEN":
            first, _, last = next(words), next(words), next(words)
            yield "BETWEEN", (word, first, last)
        else:
            yield operator, (word, next(words))
        if next(words, "AND") != "AND":
            raise NotImplementedError("only AND joins terms here")


_TERMS: Final[Mapping[str, Callable[..., bool]]] = {
    "=": lambda left, right: left is not None and left == right,
    "<": lambda left, right: left is not None and left < right,
    "<=": lambda left, right: left is not None and left <= right,
    ">": lambda left, right: left is not None and left > right,
    ">=": lambda left, right: left is not None and left >= right,
    "BETWEEN": lambda value, first, last: value is not None and first <= value <= last,
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
    "begins_with": lambda value, start: value is not None and value.startswith(start),
}
