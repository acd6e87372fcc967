"""A stand-in for DynamoDB: one table as the worker wants it, and as much of its language as a question needs.

moto would be what is measured: it takes 3.4 ms of processor for a write and 10 ms for a query of a thousand
rows, one after the other. What this one does not understand is a fault of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from bot.store.dynamodb.schema import INDEXES, PARTITION, SORT, table_description

from .lean_http import LeanServer, Reply, Request, aws_reply
from .ledger import Ledger

Json = dict[str, Any]

#: One attribute as it is written on the wire: `{"N": "3"}`.
Value = dict[str, str]
Item = dict[str, Value]

TABLE: Final = "bench"

_CLAUSE: Final = re.compile(r"([\w#]+) (=|<=) (:\w+)")
_EXISTS: Final = re.compile(r"attribute_(not_)?exists\((\w+)\)")
_FAILED: Final = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"


_IDENTITY = {
    "TableArn": f"arn:aws:dynamodb:us-west-2:123456789012:table/{TABLE}",
    "CreationDateTime": 1_764_000_000,
}


class _NotUnderstood(Exception):
    """Something that is not needed to ask a question."""


class _ConditionFailed(Exception):
    """The condition of a write did not hold."""


class DynamoStandIn:
    """One table, in memory. Its indexes are up to date at once, as DynamoDB's are not."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._items: dict[tuple[str, str], Item] = {}
        self._indexed: dict[tuple[str, str], dict[tuple[str, str], Item]] = {}
        self.server = LeanServer(self._serve)

    def _serve(self, request: Request, answer: Callable[[Reply], None]) -> None:
        operation = request.aws_action
        try:
            answer(aws_reply(_OPERATIONS[operation](self, json.loads(request.body))))
        except _ConditionFailed:
            answer(aws_reply({"__type": _FAILED, "message": "The conditional request failed"}, status=400))
        except (KeyError, _NotUnderstood) as error:
            self._ledger.faults.append(f"DynamoDB does not know {operation}: {error!r}")
            answer(aws_reply({"__type": "ValidationException"}, status=400))

    def _describe(self, _: Json) -> Json:
        return {"Table": {**table_description(TABLE), **_IDENTITY, "TableStatus": "ACTIVE"}}

    def _get(self, call: Json) -> Json:
        item = self._items.get(_key(call["Key"]))
        return {"Item": item} if item else {}

    def _get_batch(self, call: Json) -> Json:
        keys = [_key(key) for key in call["RequestItems"][TABLE]["Keys"]]
        return {"Responses": {TABLE: [self._items[key] for key in keys if key in self._items]}}

    def _put(self, call: Json) -> Json:
        key = _key(call["Item"])
        _require(call, self._items.get(key, {}))
        self._write(key, call["Item"])
        return {}

    def _update(self, call: Json) -> Json:
        key = _key(call["Key"])
        item = self._items.get(key, {})
        _require(call, item)
        word, _, assignments = call["UpdateExpression"].partition(" ")
        if word != "SET" or "REMOVE" in assignments:
            raise _NotUnderstood(call["UpdateExpression"])
        changes = (each.split(" = ") for each in assignments.split(", "))
        changed = {**item, **{name: _value(call, value) for name, value in changes}}
        self._write(key, changed)
        return {"Attributes": changed}

    def _transact(self, call: Json) -> Json:
        """Make several writes, or none."""
        parts = [next(iter(part.items())) for part in call["TransactItems"]]
        for _, part in parts:
            _require(part, self._items.get(_key(part.get("Item") or part["Key"]), {}))
        writes: Mapping[str, Callable[[Json], Json]] = {"Put": self._put, "Update": self._update}
        for kind, part in parts:
            if kind != "ConditionCheck":
                writes[kind](part)
        return {}

    def _query(self, call: Json) -> Json:
        index = next(each for each in INDEXES if each.name == call["IndexName"])
        clauses = dict.fromkeys(call["KeyConditionExpression"].split(" AND "))
        partition = call["ExpressionAttributeValues"][":p"]["S"]
        if not set(clauses) <= {"#p = :p", "#s <= :last"}:
            raise _NotUnderstood(call["KeyConditionExpression"])
        rows = self._indexed.get((index.name, partition), {}).values()
        last = int(_value(call, ":last")["N"]) if "#s <= :last" in clauses else None
        found = sorted((row for row in rows), key=lambda row: int(row[index.sort]["N"]))
        shown = [row for row in found if last is None or int(row[index.sort]["N"]) <= last]
        page = shown[: call.get("Limit")]
        return {"Items": page, "Count": len(page)}

    def _write(self, key: tuple[str, str], item: Item) -> None:
        for place in _places(self._items.get(key, {})):
            del self._indexed[place][key]
        self._items[key] = item
        for place in _places(item):
            self._indexed.setdefault(place, {})[key] = item


_OPERATIONS: Final[Mapping[str, Callable[[DynamoStandIn, Json], Json]]] = {
    "DescribeTable": DynamoStandIn._describe,
    "GetItem": DynamoStandIn._get,
    "BatchGetItem": DynamoStandIn._get_batch,
    "PutItem": DynamoStandIn._put,
    "UpdateItem": DynamoStandIn._update,
    "TransactWriteItems": DynamoStandIn._transact,
    "Query": DynamoStandIn._query,
}


def _places(item: Item) -> Iterator[tuple[str, str]]:
    """Yield each index that shows an item, and the partition in which it does."""
    for index in INDEXES:
        if index.partition in item and index.sort in item:
            yield index.name, item[index.partition]["S"]


def _require(call: Json, item: Item) -> None:
    """Judge the condition of a write by what is there. `_ConditionFailed`."""
    expression = call.get("ConditionExpression")
    if expression and not all(_holds(clause, call, item) for clause in expression.split(" AND ")):
        raise _ConditionFailed


def _holds(clause: str, call: Json, item: Item) -> bool:
    if match := _EXISTS.fullmatch(clause):
        is_not, name = match.groups()
        return (name in item) is not bool(is_not)
    if (match := _CLAUSE.fullmatch(clause)) and match[2] == "=":
        return item.get(match[1]) == _value(call, match[3])
    raise _NotUnderstood(clause)


def _value(call: Json, name: str) -> Value:
    value: Value = call["ExpressionAttributeValues"][name]
    return value


def _key(item: Item) -> tuple[str, str]:
    return item[PARTITION]["S"], item[SORT]["S"]
