"""What DynamoDB charges for calls, reckoned by its own rules from what really goes over the wire.

The emulators get it wrong. The rules, of AWS's pages on read and write units (read 2026-11): a write
takes a unit for each KiB of the item, before or after it, whichever is larger, and in a transaction two; each
index that the write changes takes units of its own, of the entry that goes and of the one that comes; a read
takes half a unit for each 4 KiB, a consistent one a whole. A write whose condition fails is paid for, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from bot.store.dynamodb.schema import DEADLINES, DUE, INDEXES, PARTITION, SORT, Index
from bot.store.dynamodb.table import Caller

Wire = Mapping[str, Mapping[str, str]]

_READS = {"get_item", "query", "scan", "batch_get_item"}
#: What workers look at all the time, however many alerts there are.
_LOOKED_AT = {DUE.name, DEADLINES.name}
#: Bytes that are charged for each item besides its own, and for each entry of an index.
_OVERHEAD = 100
_WRITES = {"put_item", "update_item", "delete_item", "transact_write_items"}


class Meter:
    """Passes calls on and adds up what they cost."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.written = 0.0
        self.read = 0.0  #: but for the looks
        self.looked = 0.0

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        parts = _parts(operation, arguments)
        before = [await self._item(part) for part in parts]
        try:
            answer = await self._caller.call(operation, arguments)
        finally:
            factor = 2 if operation == "transact_write_items" else 1
            for part, old in zip(parts, before, strict=True):
                self.written += _write_units(old, await self._item(part), factor)
        if operation in _READS:
            units = _read_units(operation, arguments, answer)
            if arguments.get("IndexName") in _LOOKED_AT:
                self.looked += units
            else:
                self.read += units
        return answer

    def close(self) -> None:
        self._caller.close()

    async def _item(self, part: dict[str, Any]) -> Wire:
        item = part.get("Item") or part["Key"]
        key = {name: item[name] for name in (PARTITION, SORT)}
        found = await self._caller.call("get_item", {"TableName": part["TableName"], "Key": key})
        return dict(found.get("Item", {}))


def stored_bytes(items: Sequence[Wire]) -> int:
    entries = [_entry(item, index) for item in items for index in INDEXES]
    kept = [*items, *(entry for entry in entries if entry)]
    return sum(item_bytes(each) + _OVERHEAD for each in kept)


def _parts(operation: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    if operation == "transact_write_items":
        return [part for each in arguments["TransactItems"] for part in each.values()]
    return [arguments] if operation in _WRITES else []


def _write_units(before: Wire, after: Wire, factor: int) -> int:
    own = factor * max(_kibibytes(before), _kibibytes(after), 1)
    entries = [(_entry(before, index), _entry(after, index)) for index in INDEXES]
    return own + sum(_kibibytes(old) + _kibibytes(new) for old, new in entries if old != new)


def _entry(item: Wire, index: Index) -> Wire:
    held = (PARTITION, SORT, index.partition, index.sort)
    if not all(name in item for name in held):
        return {}
    return {name: item[name] for name in (*held, *index.carried) if name in item}


def _read_units(operation: str, arguments: dict[str, Any], answer: dict[str, Any]) -> float:
    if operation == "batch_get_item":
        items = [item for found in answer["Responses"].values() for item in found]
        return float(sum(ceil(item_bytes(item) / 4096) for item in items))
    items = answer.get("Items", [answer.get("Item", {})])
    units = max(1, ceil(sum(item_bytes(item) for item in items) / 4096))
    return units * (1.0 if arguments.get("ConsistentRead") else 0.5)


def _kibibytes(item: Wire) -> int:
    return ceil(item_bytes(item) / 1024)


def item_bytes(item: Wire) -> int:
    """Return the size of an item as DynamoDB reckons it, without what it adds for each."""
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, str]) -> int:
    return len(value["S"].encode()) if "S" in value else ceil(len(value["N"]) / 2) + 1
