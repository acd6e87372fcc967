from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.store.dynamodb.schema import INDEXES, PARTITION, SORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.store.dynamodb.schema import Index


def table_description(name: str) -> Mapping[str, Any]:
    """Return the arguments of `CreateTable`; TTL and backups are set in `config/cloudformation.yaml`."""
    types = {PARTITION: "S", SORT: "S"}
    for index in INDEXES:
        types |= {index.partition: "S", index.sort: index.sort_type}
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": kind} for attribute, kind in types.items()
        ],
        "KeySchema": key_schema(PARTITION, SORT),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index.name,
                "KeySchema": key_schema(index.partition, index.sort),
                "Projection": projection(index),
            }
            for index in INDEXES
        ],
    }


def key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    """Return a DynamoDB `KeySchema`."""
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def projection(index: Index) -> dict[str, Any]:
    """Return the DynamoDB `Projection` of an index."""
    if index.carried:
        return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.carried)}
    return {"ProjectionType": "KEYS_ONLY"}
