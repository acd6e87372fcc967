"""Reading rows whose keys an index has told: as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.store.dynamodb import layout
from bot.store.dynamodb.items import REPORT, question_from, question_key, report_from
from bot.store.dynamodb.values import value_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.store.dynamodb.table import Table
    from bot.triage.model import OutboxRow, Question


async def questions_of(table: Table, keys: Iterable[str]) -> list[Question]:
    """Return those of the questions that are there, in no order; each key once."""
    items = await table.get_many([question_key(key) for key in dict.fromkeys(keys)])
    return [question_from(item) for item in items]


async def reports_of(table: Table, key: str) -> Sequence[OutboxRow]:
    """Return all reports of a question, in order."""
    found = table.query(
        KeyConditionExpression=f"{layout.PARTITION} = :key AND begins_with({layout.SORT}, :report)",
        ExpressionAttributeValues={":key": value_to_wire(key), ":report": value_to_wire(REPORT)},
        ConsistentRead=True,
    )
    return [report_from(item) async for item in found]
