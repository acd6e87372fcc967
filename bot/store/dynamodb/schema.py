"""The table: its keys, its indexes, what the attributes are called that they need; and whether it is so.

One item collection an alert: `pk` is the first part of the ref, `sk` tells the question from its reports.
Names are short, since their bytes are paid for in every write. The indexes are sparse and hold keys, so that
a write that changes nothing they sort by costs nothing more.

Items have no version. A release may add attributes, changes none, and does without those that are not there:
while workers are upgraded one after the other, those of the release before write whole items without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PARTITION = "pk"
SORT = "sk"

WORK = "w"  #: what is to be done, and the shard: `ask#2`
MOMENT = "m"  #: from when on others may see that it is to be done
SHARD = "h"  #: of a question, for its deadline
DEADLINE = "dl"
LISTED = "l"  #: `open` or `ended`, and the shard
ACCEPTED_AT = "at"
SLACK_ID = "p"
TOLD = "k"  #: `open` or `answered`, and when: a question that was put to the person
DUE_AT = "d"
EXPIRES = "x"  #: from when on DynamoDB may remove the item, in whole seconds

#: Partitions that each kind of work is spread over: one takes a thousand writes a second.
SHARDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """A global secondary index; `carried` are attributes that it holds beside its keys."""

    name: str
    partition: str
    sort: str
    sort_type: str = "N"
    carried: tuple[str, ...] = ()


DUE = Index(name="due", partition=WORK, sort=MOMENT, carried=(DUE_AT,))
DEADLINES = Index(name="deadline", partition=SHARD, sort=DEADLINE)
PERSON = Index(name="person", partition=SLACK_ID, sort=TOLD, sort_type="S")
LIST = Index(name="listed", partition=LISTED, sort=ACCEPTED_AT)
INDEXES = (DUE, DEADLINES, PERSON, LIST)


#: What the worker does with the table, as IAM names it. Transactions need the actions of their parts.
OPERATIONS = (
    "DescribeTable",
    "DescribeTimeToLive",
    "DescribeContinuousBackups",
    "GetItem",
    "BatchGetItem",
    "Query",
    "Scan",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
)


def shard_of(key: str) -> int:
    """Return the shard of a row's key, which begins with hex digits of a hash."""
    return int(key[:2], 16) % SHARDS


def in_shard(word: str, key: str) -> str:
    """Return the partition of an index that holds rows of this key."""
    return f"{word}#{shard_of(key)}"


def shards(word: str) -> list[str]:
    """Return all partitions of this word."""
    return [f"{word}#{number}" for number in range(SHARDS)]


def table_description(name: str) -> Mapping[str, Any]:
    """Return the arguments of `CreateTable`; what they cannot say is in the template that ships."""
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
    """Return keys as DynamoDB writes them."""
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def projection(index: Index) -> dict[str, Any]:
    """Return what an index holds as DynamoDB writes it."""
    if index.carried:
        return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.carried)}
    return {"ProjectionType": "KEYS_ONLY"}


def faults_of(table: Mapping[str, Any]) -> Sequence[str]:
    """Return what keeps the table that `DescribeTable` describes from being used, as clauses."""
    return [
        *_table_faults(table),
        *(fault for index in INDEXES for fault in _index_faults(table, index)),
    ]


def _table_faults(table: Mapping[str, Any]) -> Iterator[str]:
    status = table["TableStatus"]
    if status not in ("ACTIVE", "UPDATING"):
        yield f"it is {status}"
    wanted = (PARTITION, SORT)
    if _keys(table) != wanted:
        yield f"its keys are {', '.join(_keys(table))}, not {', '.join(wanted)}"
    types = _types(table)
    yield from (_type_fault("it", name, types) for name in wanted if types.get(name, "S") != "S")


def _index_faults(table: Mapping[str, Any], index: Index) -> Iterator[str]:
    found = {each["IndexName"]: each for each in table.get("GlobalSecondaryIndexes", ())}.get(index.name)
    if found is None:
        yield f"the index {index.name} is missing"
        return
    if found.get("IndexStatus", "ACTIVE") not in ("ACTIVE", "UPDATING"):
        yield f"the index {index.name} is {found['IndexStatus']}"
    if _keys(found) != (index.partition, index.sort):
        yield f"the index {index.name} has the keys {', '.join(_keys(found))}"
    carried = found.get("Projection", {})
    lacking = set(index.carried) - set(carried.get("NonKeyAttributes", ()))
    if lacking and carried.get("ProjectionType") != "ALL":
        yield f"the index {index.name} does not hold {', '.join(sorted(lacking))}"
    if _types(table).get(index.sort, index.sort_type) != index.sort_type:
        yield _type_fault(f"the index {index.name}", index.sort, _types(table))


def _keys(described: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(each["AttributeName"] for each in described["KeySchema"])


def _types(table: Mapping[str, Any]) -> dict[str, str]:
    return {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}


def _type_fault(what: str, name: str, types: Mapping[str, str]) -> str:
    return f"{what} sorts by {name} as {types[name]}"
