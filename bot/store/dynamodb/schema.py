"""The table's schema: its keys, its indexes, the attributes they need; and a check of an existing table.

One item collection per alert: `pk` is the first part of the ref, `sk` tells the question from its reports.
Names are short because every write pays for their bytes. The indexes are sparse and hold keys only, so that a
write that leaves those unchanged costs nothing extra.

Items have no version. A release may add attributes, but changes none, and works without those that are
missing: during a rolling upgrade, workers of the previous release write whole items without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTITION = "pk"
SORT = "sk"

WORK = "w"  #: the work that is due, and the shard: `ask#2`
MOMENT = "m"  #: from when other workers may see it, in microseconds since 1970
SHARD = "h"  #: the shard of a question, for its deadline
DEADLINE = "dl"
LISTED = "l"  #: `open` or `ended`, and the shard
ACCEPTED_AT = "at"
SLACK_ID = "p"
#: `open` or `answered` of the person asked, `taken` of the person who has the alert; and when.
PERSON_SORT = "k"
DUE_AT = "d"
EXPIRES = "x"  #: from when DynamoDB may remove the item, in whole seconds since 1970

#: Partitions per kind of work: DynamoDB allows a thousand writes a second to one of them.
SHARDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """A global secondary index; `carried` are the attributes that it holds besides its keys."""

    name: str
    partition: str
    sort: str
    sort_type: str = "N"
    carried: tuple[str, ...] = ()


DUE = Index(name="due", partition=WORK, sort=MOMENT, carried=(DUE_AT,))
DEADLINES = Index(name="deadline", partition=SHARD, sort=DEADLINE)
PERSON = Index(name="person", partition=SLACK_ID, sort=PERSON_SORT, sort_type="S")
LIST = Index(name="listed", partition=LISTED, sort=ACCEPTED_AT)
INDEXES = (DUE, DEADLINES, PERSON, LIST)


def shard_of(key: str) -> int:
    """Return the shard, 0 to 3, of a row's key, which begins with hex digits of a hash."""
    return int(key[:2], 16) % SHARDS


def in_shard(word: str, key: str) -> str:
    """Return the partition of an index that holds rows of this key, e.g. `ask#2`."""
    return f"{word}#{shard_of(key)}"


def shards(word: str) -> list[str]:
    """Return the names of all partitions of this word: `ask#0` to `ask#3`."""
    return [f"{word}#{number}" for number in range(SHARDS)]


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
        "KeySchema": _key_schema(PARTITION, SORT),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index.name,
                "KeySchema": _key_schema(index.partition, index.sort),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.carried)}
                if index.carried
                else {"ProjectionType": "KEYS_ONLY"},
            }
            for index in INDEXES
        ],
    }


def _key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    """Return a DynamoDB `KeySchema`."""
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def find_faults(table: Mapping[str, Any]) -> Sequence[str]:
    """Return, as clauses, what is wrong with a table that `DescribeTable` described; empty if nothing."""
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
    missing = set(index.carried) - set(carried.get("NonKeyAttributes", ()))
    if missing and carried.get("ProjectionType") != "ALL":
        yield f"the index {index.name} does not hold {', '.join(sorted(missing))}"
    if _types(table).get(index.sort, index.sort_type) != index.sort_type:
        yield _type_fault(f"the index {index.name}", index.sort, _types(table))


def _keys(described: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(each["AttributeName"] for each in described["KeySchema"])


def _types(table: Mapping[str, Any]) -> dict[str, str]:
    return {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}


def _type_fault(what: str, name: str, types: Mapping[str, str]) -> str:
    return f"{what} sorts by {name} as {types[name]}"
