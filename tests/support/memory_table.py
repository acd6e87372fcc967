"""A DynamoDB table in memory, with as much of DynamoDB's language as the store uses. Indexes follow at once.

The simulation lets them lag, and `table_server` serves such tables to the torture and the bench.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from dynamodb_replies import refusal

from bot.store.dynamodb.schema import PARTITION, SORT

Arguments = Mapping[str, Any]  #: of a call, as boto3 takes them
Answer = dict[str, Any]
Wire = dict[str, dict[str, str]]  #: an item: `{"v": {"N": "3"}}`
Key = tuple[str, str]
Plain = str | int
Place = tuple[Plain, Key]  #: of an item in its partition: the value by which it is sorted, and its key

_PARTS_MAX: Final = 100
_TOKEN: Final = re.compile(r"<=|>=|[=<>(),]|[#:\w]+")
_FIRST: Final = itemgetter(0)


class MemoryTable:
    """A table as `CreateTable` describes it; its keys are those of the schema.

    A page has `page_max` items at the most. `created_at` is of the kind that is wanted in a description.
    """

    def __init__(self, description: Arguments, *, created_at: datetime | float, page_max: int = 1000) -> None:
        arn = f"arn:aws:dynamodb:us-west-2:000000000000:table/{description['TableName']}"
        state = {"TableStatus": "ACTIVE", "TableArn": arn, "CreationDateTime": created_at}
        self.description: Answer = {**description, **state}
        self._page_max = page_max
        self._rows = _Shown(PARTITION, SORT)
        self._indexes = {each["IndexName"]: _index(each) for each in description["GlobalSecondaryIndexes"]}
        self._tokens: set[str] = set()

    def do(self, operation: str, arguments: Arguments) -> Answer:
        """Carry out a call, e.g. `put_item`. `ClientError` as boto3 raises it if a condition does not hold.

        `KeyError` or `NotImplementedError` for what is not understood.
        """
        return _OPERATIONS[operation](self, arguments)

    def find(self, key: Wire) -> Wire | None:
        """Return the item under the key that this item has, too; None if there is none."""
        return self._rows.items.get(_key(key))

    def _follow(self, key: Key, item: Wire | None) -> None:
        """Update the indexes with an item as it is now; None: remove it."""
        for index in self._indexes.values():
            index.put(key, item)

    def _describe(self, _: Arguments) -> Answer:
        return {"Table": self.description}

    def _get(self, arguments: Arguments) -> Answer:
        item = self.find(arguments["Key"])
        return {"Item": item} if item is not None else {}

    def _get_batch(self, arguments: Arguments) -> Answer:
        [(table, wanted)] = arguments["RequestItems"].items()
        found = [item for item in map(self.find, wanted["Keys"]) if item is not None]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def _put(self, arguments: Arguments) -> Answer:
        self._require(arguments, "put_item")
        self._write(_key(arguments["Item"]), arguments["Item"])
        return {}

    def _delete(self, arguments: Arguments) -> Answer:
        self._require(arguments, "delete_item")
        self._write(_key(arguments["Key"]), None)
        return {}

    def _update(self, arguments: Arguments) -> Answer:
        self._require(arguments, "update_item")
        changed = self._change(arguments)
        return {"Attributes": changed} if arguments.get("ReturnValues") == "ALL_NEW" else {}

    def _change(self, arguments: Arguments) -> Wire:
        key, names = _key(arguments["Key"]), arguments.get("ExpressionAttributeNames", {})
        item = {**arguments["Key"], **self._rows.items.get(key, {})}
        sets, removes = _parse_change(arguments["UpdateExpression"])
        for name, value in sets:
            item[names.get(name, name)] = arguments["ExpressionAttributeValues"][value]
        for name in removes:
            item.pop(names.get(name, name), None)
        self._write(key, item)
        return item

    def _transact(self, arguments: Arguments) -> Answer:
        token, operation = arguments.get("ClientRequestToken"), "transact_write_items"
        if token in self._tokens:
            return {}
        parts = [part for each in arguments["TransactItems"] for part in each.items()]
        keys = [_key(part.get("Item") or part["Key"]) for _, part in parts]
        if len(set(keys)) < len(keys) or len(keys) > _PARTS_MAX:
            raise refusal("ValidationException", operation, message="two parts for one item, or too many")
        reasons = [self._judge(part) for _, part in parts]
        codes = [reason["Code"] for reason in reasons]
        if set(codes) != {"None"}:
            message = f"Transaction cancelled, please refer cancellation reasons [{', '.join(codes)}]"
            raise refusal(
                "TransactionCanceledException", operation, message=message, CancellationReasons=reasons
            )
        for key, (kind, part) in zip(keys, parts, strict=True):
            if kind == "Update":
                self._change(part)
            elif kind != "ConditionCheck":
                self._write(key, part.get("Item"))
        if token is not None:
            self._tokens.add(token)
        return {}

    def _require(self, arguments: Arguments, operation: str) -> None:
        """Judge the condition of a write. `ClientError` if it does not hold."""
        reason = self._judge(arguments)
        if reason.pop("Code") != "None":
            message = "The conditional request failed"
            raise refusal("ConditionalCheckFailedException", operation, message=message, **reason)

    def _judge(self, part: Arguments) -> Answer:
        """Return the `CancellationReason` of a write."""
        stands = self.find(part.get("Item") or part["Key"])
        if _holds(part, "ConditionExpression", stands or {}):
            return {"Code": "None"}
        is_wanted = stands and part.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        return {"Code": "ConditionalCheckFailed", **({"Item": stands} if is_wanted else {})}

    def _query(self, arguments: Arguments) -> Answer:
        index = arguments.get("IndexName")
        shown = self._indexes[index] if index else self._rows
        places, start, end = shown.find(arguments)
        last = arguments.get("ExclusiveStartKey")
        after = (_plain(last[shown.sort]), _key(last)) if last else None
        if arguments.get("ScanIndexForward", True):
            start = max(start, bisect_right(places, after)) if after else start
            stop = min(end, start + self._limit(arguments))
            return _page(shown, places[start:stop], arguments, is_last=stop >= end)
        end = min(end, bisect_left(places, after)) if after else end
        begin = max(start, end - self._limit(arguments))
        return _page(shown, places[begin:end][::-1], arguments, is_last=begin <= start)

    def _scan(self, arguments: Arguments) -> Answer:
        keys, last = sorted(self._rows.items), arguments.get("ExclusiveStartKey")
        start = bisect_right(keys, _key(last)) if last else 0
        stop = start + self._limit(arguments)
        found = [("", key) for key in keys[start:stop]]
        return _page(self._rows, found, arguments, is_last=stop >= len(keys))

    def _limit(self, arguments: Arguments) -> int:
        return min(int(arguments.get("Limit", self._page_max)), self._page_max)

    def _write(self, key: Key, item: Wire | None) -> None:
        self._rows.put(key, item)
        self._follow(key, item)


def items_of(arguments: Arguments) -> Sequence[Wire]:
    """Return the items that a call puts."""
    parts = [part for each in arguments.get("TransactItems", ()) for part in each.values()]
    return [part["Item"] for part in (arguments, *parts) if "Item" in part]


class _Shown:
    """What the table or an index shows: its items by their keys, and in each partition their order.

    An index shows the attributes `held` of an item, the table (None) all of them.
    """

    def __init__(self, partition: str, sort: str, held: Sequence[str] | None = None) -> None:
        self.sort = sort
        self.items: dict[Key, Wire] = {}
        self.key_names = dict.fromkeys((PARTITION, SORT, partition, sort))
        self._partition = partition
        self._held = held
        self._placed: dict[Key, tuple[Plain, Place]] = {}
        self._places: defaultdict[Plain, list[Place]] = defaultdict(list)

    def put(self, key: Key, item: Wire | None) -> None:
        """Show an item as it is now; None, or one that lacks a key of the index: not at all."""
        placed = None
        if item is not None and self._partition in item and self.sort in item:
            placed = _plain(item[self._partition]), (_plain(item[self.sort]), key)
            held = self._held
            self.items[key] = item if held is None else {name: item[name] for name in held if name in item}
        before = self._placed.get(key)
        if before == placed:
            return
        if before is not None:
            partition, place = before
            places = self._places[partition]
            del self._placed[key], places[bisect_left(places, place)]
        if placed is None:
            del self.items[key]
        else:
            self._placed[key] = placed
            insort(self._places[placed[0]], placed[1])

    def find(self, arguments: Arguments) -> tuple[Sequence[Place], int, int]:
        """Return the places of the partition that a query names, and between which two it looks."""
        values, names = arguments["ExpressionAttributeValues"], arguments.get("ExpressionAttributeNames", {})
        bounds = {
            names.get(name, name): (operator, [_plain(values[word]) for word in words])
            for operator, (name, *words) in _key_terms(arguments["KeyConditionExpression"])
        }
        _, [partition] = bounds.pop(self._partition)
        places = self._places.get(partition, [])
        if not bounds:
            return places, 0, len(places)
        operator, limits = bounds[self.sort]
        return places, *_SPANS[operator](places, *limits)


def _index(described: Arguments) -> _Shown:
    partition, sort = (key["AttributeName"] for key in described["KeySchema"])
    carried = described["Projection"].get("NonKeyAttributes", ())
    return _Shown(partition, sort, (PARTITION, SORT, partition, sort, *carried))


def _page(shown: _Shown, places: Sequence[Place], arguments: Arguments, *, is_last: bool) -> Answer:
    items = [shown.items[key] for _, key in places]
    page: Answer = {"ScannedCount": len(items)}
    if not is_last:
        page["LastEvaluatedKey"] = {name: items[-1][name] for name in shown.key_names}
    if "FilterExpression" in arguments:
        items = [each for each in items if _holds(arguments, "FilterExpression", each)]
    return {**page, "Items": items, "Count": len(items)}


_OPERATIONS: Final[Mapping[str, Callable[[MemoryTable, Arguments], Answer]]] = {
    "describe_table": MemoryTable._describe,
    "get_item": MemoryTable._get,
    "batch_get_item": MemoryTable._get_batch,
    "put_item": MemoryTable._put,
    "delete_item": MemoryTable._delete,
    "update_item": MemoryTable._update,
    "transact_write_items": MemoryTable._transact,
    "query": MemoryTable._query,
    "scan": MemoryTable._scan,
}
OPERATIONS: Final = tuple(_OPERATIONS)


def _key(item: Wire) -> Key:
    return item[PARTITION]["S"], item[SORT]["S"]


def _plain(value: Mapping[str, str]) -> Plain:
    return int(value["N"]) if "N" in value else value["S"]


def _holds(arguments: Arguments, which: str, item: Wire) -> bool:
    """Tell whether an expression holds for an item; a call without it has none that could fail."""
    if which not in arguments:
        return True
    values = arguments.get("ExpressionAttributeValues", {})
    names = arguments.get("ExpressionAttributeNames", {})

    def read(word: str) -> Plain | None:
        found = values[word] if word.startswith(":") else item.get(names.get(word, word))
        return None if found is None else _plain(found)

    return _is_true(_parse(arguments[which]), read)


#: An operator and the words to which it applies; of AND and OR, the terms that they join.
Term = tuple[str, tuple[Any, ...]]


def _is_true(term: Term, read: Callable[[str], Plain | None]) -> bool:
    operator, parts = term
    if operator == "AND":
        return all(_is_true(each, read) for each in parts)
    if operator == "OR":
        return any(_is_true(each, read) for each in parts)
    return _TESTS[operator](*map(read, parts))


@functools.cache
def _parse(expression: str) -> Term:
    words = _TOKEN.findall(expression)[::-1]  # the next one is the last
    term = _parse_joined(words)
    if words:
        raise NotImplementedError(expression)
    return term


@functools.cache
def _key_terms(expression: str) -> Sequence[Term]:
    term = _parse(expression)
    return term[1] if term[0] == "AND" else (term,)


def _parse_joined(words: list[str], operators: Sequence[str] = ("OR", "AND")) -> Term:
    """Read terms that these operators join; the first of them binds least."""
    if not operators:
        return _parse_term(words)
    operator, *inner = operators
    terms = [_parse_joined(words, inner)]
    while words and words[-1] == operator:
        words.pop()
        terms.append(_parse_joined(words, inner))
    return (operator, tuple(terms)) if len(terms) > 1 else terms[0]


def _parse_term(words: list[str]) -> Term:
    first = words.pop()
    if first == "(":
        term = _parse_joined(words)
        _expect(")", words)
        return term
    operator = words.pop()
    if operator == "(":
        given = [words.pop()]
        while words[-1] == ",":
            words.pop()
            given.append(words.pop())
        _expect(")", words)
        return first, tuple(given)
    second = words.pop()
    if operator != "BETWEEN":
        return operator, (first, second)
    _expect("AND", words)
    return operator, (first, second, words.pop())


def _expect(word: str, words: list[str]) -> None:
    if words.pop() != word:
        raise NotImplementedError(f"an expression without {word}")


@functools.cache
def _parse_change(expression: str) -> tuple[Sequence[tuple[str, str]], Sequence[str]]:
    """Return the attributes that are set, each with the name of its value, and those that are removed."""
    match = re.fullmatch(r"(?:SET ([^()+-]+?))?\s*(?:REMOVE ([^()]+))?", expression)
    if match is None:
        raise NotImplementedError(expression)
    sets, removes = (re.split(r"\s*,\s*", part) if part else [] for part in match.groups())
    pairs = [re.split(r"\s*=\s*", each) for each in sets]
    return [(name, value) for name, value in pairs], removes


_TESTS: Final[Mapping[str, Callable[..., bool]]] = {
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


def _left(places: Sequence[Place], value: Plain) -> int:
    return bisect_left(places, value, key=_FIRST)


def _right(places: Sequence[Place], value: Plain) -> int:
    return bisect_right(places, value, key=_FIRST)


#: Operator of a query's sort key → where what it finds begins and ends among the places of a partition.
_SPANS: Final[Mapping[str, Callable[..., tuple[int, int]]]] = {
    "=": lambda places, value: (_left(places, value), _right(places, value)),
    "<": lambda places, value: (0, _left(places, value)),
    "<=": lambda places, value: (0, _right(places, value)),
    ">": lambda places, value: (_right(places, value), len(places)),
    ">=": lambda places, value: (_left(places, value), len(places)),
    "BETWEEN": lambda places, first, last: (_left(places, first), _right(places, last)),
    "begins_with": lambda places, start: (_left(places, start), _left(places, start + "\U0010ffff")),
}
