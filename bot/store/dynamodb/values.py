"""Items, of texts and whole numbers, as Python has them and as DynamoDB's own JSON writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Value = str | int
    Item = dict[str, Value]

#: How an item is written on the wire: `{"v": {"N": "3"}}`.
WireItem = dict[str, dict[str, str]]


def to_wire(item: Mapping[str, Value]) -> WireItem:
    """Write an item. `StoreError` for a text that no store can hold (half a surrogate pair)."""
    return {name: value_to_wire(value) for name, value in item.items()}


def value_to_wire(value: Value) -> dict[str, str]:
    """Write one value; errors as `to_wire`."""
    if isinstance(value, int):
        return {"N": str(value)}
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"the store cannot hold this request: {error.reason}") from error
    return {"S": value}


def from_wire(item: Mapping[str, Mapping[str, Any]]) -> Item:
    """Read an item; attributes of other types, which are not ours, are left out."""
    return {
        name: int(value["N"]) if "N" in value else str(value["S"])
        for name, value in item.items()
        if "N" in value or "S" in value
    }
