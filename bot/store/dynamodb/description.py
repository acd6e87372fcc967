"""What DynamoDB says of a table, compared with what `layout` wants. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.store.dynamodb import layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bot.store.dynamodb.layout import Index


def faults_of(table: Mapping[str, Any]) -> Sequence[str]:
    """Return what keeps the table that `DescribeTable` describes from being used, as clauses."""
    return [
        *_table_faults(table),
        *(fault for index in layout.INDEXES for fault in _index_faults(table, index)),
    ]


def _table_faults(table: Mapping[str, Any]) -> Iterator[str]:
    status = table["TableStatus"]
    if status not in ("ACTIVE", "UPDATING"):
        yield f"it is {status}"
    wanted = (layout.PARTITION, layout.SORT)
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
