"""Tests whether the worker has the permissions it needs on the table, with calls that change nothing.

Writes carry a condition that cannot hold, and reads ask for a row that does not exist: DynamoDB checks
permissions first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from bot.aws.errors import DENIED, code_of
from bot.errors import StoreError
from bot.store.dynamodb import schema
from bot.store.dynamodb.leases import query_index
from bot.store.dynamodb.table import Condition, Item, Table, to_wire, value_to_wire

_NOWHERE: Item = {schema.PARTITION: "check", schema.SORT: "check"}
_NEVER = Condition(
    expression=f"attribute_exists({schema.PARTITION}) AND attribute_not_exists({schema.PARTITION})"
)


async def denied_actions(table: Table) -> Sequence[str]:
    """Return the actions denied to the worker, by their IAM names. `StoreError` if a call fails otherwise."""
    key, item = {"Key": to_wire(_NOWHERE)}, {"Item": to_wire(_NOWHERE)}
    none = {
        "KeyConditionExpression": f"{schema.PARTITION} = :none",
        "ExpressionAttributeValues": {":none": value_to_wire("check")},
    }
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        ("GetItem", "get_item", key),
        ("BatchGetItem", "batch_get_item", {"RequestItems": {table.name: {"Keys": [key["Key"]]}}}),
        ("Query", "query", none),
        ("Scan", "scan", {"Limit": 1}),
        *(
            (f"Query on the index {index.name}", "query", {**query_index(index, "check"), "Limit": 1})
            for index in schema.INDEXES
        ),
        ("PutItem", "put_item", {**item, **_NEVER.arguments()}),
        ("UpdateItem", "update_item", {**key, **_NEVER.arguments()}),
        ("DeleteItem", "delete_item", {**key, **_NEVER.arguments()}),
    ]
    return [
        f"dynamodb:{action}"
        for action, operation, arguments in attempts
        if await _is_denied(table, operation, arguments)
    ]


async def _is_denied(table: Table, operation: str, arguments: dict[str, Any]) -> bool:
    try:
        await table.attempt(operation, arguments)
    except StoreError as error:
        if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in DENIED:
            return True
        raise
    return False
