"""Items of strings and integers: conversion between Python and DynamoDB's own JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Value = str | int
    Item = dict[str, Value]

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
    """Convert an item from DynamoDB's JSON, leaving out attributes of other types, which are not ours."""
    return {
        name: int(value["N"]) if "N" in value else str(value["S"])
        for name, value in item.items()
        if "N" in value or "S" in value
    }
