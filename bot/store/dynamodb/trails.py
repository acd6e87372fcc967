"""The trails in a table: reads of whole alerts, and events that are not part of a save."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.store.dynamodb import items, schema
from bot.store.dynamodb.table import Condition, Item, Table, to_wire, value_to_wire
from bot.store.records.rows import microseconds
from bot.triage.asking_rules import row_key
from bot.triage.event_kinds import EventFacts, EventKind
from bot.triage.model import Question, Trail, TrailEvent
from bot.triage.trail import find_breaks, make_event

#: How often an alert is read again whose items do not belong together.
_READ_AGAIN_MAX = 3

#: An event by itself takes the next version of its question.
_NEXT_EVENT = f"SET {items.VERSION} = :next, {items.TRAIL_HASH} = :hash"
_UNCHANGED = f"{items.SECRET} = :secret AND {items.VERSION} = :version"

#: The events and the questions of a period, as a filter of a scan.
_BETWEEN = (
    f"(begins_with({schema.SORT}, :event) AND #event BETWEEN :since AND :until)"
    f" OR ({schema.SORT} = :question AND #accepted BETWEEN :since AND :until)"
)


class Trails:
    """The trails of a table. Methods raise `StoreError` if DynamoDB fails.

    `expiry` returns the expiry attribute of an event, given its question's deadline; `on_event` is called for
    each event that `tell` has stored.
    """

    def __init__(
        self,
        table: Table,
        *,
        expiry: Callable[[TrailEvent, datetime | None], Item],
        on_event: Callable[[TrailEvent], None],
    ) -> None:
        self._table = table
        self._expiry = expiry
        self._on_event = on_event

    def event_item(self, event: TrailEvent, question: Question) -> Item:
        """Return an event of a question as its item, with its expiry."""
        _, _, secret = question.ref.partition(".")
        return items.event_item(event, secret) | self._expiry(event, question.deadline)

    async def find_question(self, identifier: str) -> Question | None:
        """Return a question as it is now, without its addition: enough to add an event to its trail."""
        item = await self._table.get(items.question_key(row_key(identifier)))
        return items.question_from(item, {}) if item else None

    async def tell(  # noqa: PLR0913, PLR0917 - an event, and what it tells
        self,
        question: Question,
        kind: EventKind,
        facts: EventFacts,
        at: datetime,
        parts: Sequence[Mapping[str, Any]],
        also: str = "",
    ) -> bool:
        """Add an event to a trail in one transaction with `parts`; `also` is applied to the question as well.

        Return whether all conditions held: those of the parts, and that nobody has written the question.
        """
        key, _, secret = question.ref.partition(".")
        event = make_event(
            question.identifier, question.version + 1, question.trail_hash, kind=kind, facts=facts, at=at
        )
        unchanged = Condition(
            expression=_UNCHANGED,
            values={"secret": secret, "version": question.version, "next": event.version, "hash": event.hash},
        )
        head = self._table.about(items.question_key(key))
        head |= {"UpdateExpression": _NEXT_EVENT + also} | unchanged.arguments()
        put = {"TableName": self._table.name, "Item": to_wire(self.event_item(event, question))}
        if not await self._table.try_transact([{"Update": head}, {"Put": put}, *parts]):
            return False
        self._on_event(event)
        return True

    async def between(self, since: datetime, until: datetime) -> AsyncIterator[Trail]:
        """See `Archive.trails`. Reads the whole table."""
        found = self._table.scan(
            FilterExpression=_BETWEEN,
            ExpressionAttributeNames={"#event": items.EVENT_AT, "#accepted": schema.ACCEPTED_AT},
            ExpressionAttributeValues={
                ":event": value_to_wire(items.EVENT),
                ":question": value_to_wire(items.QUESTION),
                ":since": value_to_wire(microseconds(since)),
                ":until": value_to_wire(microseconds(until - timedelta(microseconds=1))),
            },
            ConsistentRead=True,
        )
        last = ""  # a scan finds the items of an alert one after the other
        async for item in found:
            if (key := str(item[schema.PARTITION])) != last:
                last = key
                if trail := await read_trail(self._table, key):
                    yield trail


async def read_trail(table: Table, key: str) -> Trail | None:
    """Return the alert under this key with its events and reports; None if there is none. `StoreError`.

    It is read again if a worker has written some of its items meanwhile.
    """
    trail = await _read_once(table, key)
    for _ in range(_READ_AGAIN_MAX):
        if trail is None or not any(find_breaks(trail)):
            break
        trail = await _read_once(table, key)
    return trail


async def _read_once(table: Table, key: str) -> Trail | None:
    query = table.query(
        KeyConditionExpression=f"{schema.PARTITION} = :key",
        ExpressionAttributeValues={":key": value_to_wire(key)},
        ConsistentRead=True,
    )
    found = {str(item[schema.SORT]): item async for item in query}
    if items.QUESTION not in found:
        return None
    question = items.question_from(found[items.QUESTION], found.get(items.ADDITION, {}))
    events = items.event_prefix(str(found[items.QUESTION][items.SECRET]))
    return Trail(
        question=question,
        events=items.events_from([item for name, item in found.items() if name.startswith(events)]),
        reports=[items.report_from(item) for name, item in found.items() if name.startswith(items.REPORT)],
        inquiries=[
            items.inquiry_from(item) for name, item in found.items() if name.startswith(items.INQUIRY)
        ],
    )
