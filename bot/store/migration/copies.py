"""Rows of another store as items of the table, as if written by a worker that stopped long ago.

Each item carries the digest of its source row. A worker that saves a question drops the digest, and a change
in place makes it wrong: so rows that a worker has changed are recognised and left unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.clock import Clock
from bot.errors import StoreError
from bot.store.dynamodb import items, schema
from bot.store.dynamodb.due_questions import find_next_work
from bot.store.dynamodb.expiry import ADDITION_KEPT, WAITS_LONG, Lifetime, ended_at
from bot.store.dynamodb.leases import Key, read_key
from bot.store.dynamodb.places import entry_of, places_item
from bot.store.dynamodb.restore_items import found_item, read_item, restore_item
from bot.store.dynamodb.table import CONCURRENT_CALLS_MAX, NEW, Condition, Item, Table, Value, to_wire
from bot.store.migration.inventory import Alert, Row, digest_of
from bot.store.migration.source import OtherRow
from bot.store.records.rows import EPOCH, microseconds
from bot.triage.asking_rules import row_key
from bot.triage.factor import Attempt
from bot.triage.inquiry import Inquiry
from bot.triage.model import OutboxRow, Question, Restore, TrailEvent
from bot.triage.places import Places

#: The attribute that holds the digest.
COPIED = "cp"

#: Copies expire no sooner than this: they must still be there when the two stores are compared.
_KEPT_AT_LEAST = timedelta(days=1)

#: Copies in memory at a time.
_PAGE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A row as the table holds it. `is_untouched`: no worker has changed it since it was copied."""

    key: Key
    row: Row
    is_untouched: bool


class Copies:
    """The table as the target of a copy. `keep` is how long ended questions are kept.

    Methods raise `StoreError` if DynamoDB fails.
    """

    def __init__(self, table: Table, *, keep: timedelta, clock: Clock) -> None:
        self.table = table
        self._lifetime = Lifetime(keep=keep, clock=clock)
        self._clock = clock

    async def pages(self) -> AsyncIterator[Sequence[Copy]]:
        """Yield all rows of the table's alerts as they are now, up to 100 at a time."""
        async for page in self.table.scan_pages(_PAGE, ConsistentRead=True):
            if copies := await self._read(page):
                yield copies

    async def find(self, alerts: Sequence[Alert]) -> Mapping[Key, Copy]:
        """Return the rows of these alerts that the table holds, as they are now."""
        keys = [_item_key(row, alert.question) for alert in alerts for row in alert.rows]
        found = await self.table.get_many(keys)
        return {copy.key: copy for copy in await self._read(found)}

    async def write(self, alerts: Sequence[Alert], existing: Mapping[Key, Copy]) -> Sequence[Row]:
        """Copy alerts, some rows of which may be `existing`; return the rows that a worker wrote first.

        A row that exists is not written again, and one that a worker has changed since it was copied is not
        overwritten. Raises `StoreError` if a write fails, once no other write is in progress.
        """
        now = self._clock()
        pairs = [pair for alert in alerts for pair in self._items_of(alert, now)]
        left, overtaken, failures = iter(enumerate(pairs)), set[int](), list[StoreError]()

        async def write_remaining() -> None:
            for number, (row, item) in left:
                try:
                    if not await self._write(row, item, existing.get(read_key(item))):
                        overtaken.add(number)
                except StoreError as error:
                    failures.append(error)
                if failures:
                    return

        await asyncio.gather(*(write_remaining() for _ in range(CONCURRENT_CALLS_MAX)))
        if failures:
            raise failures[0]
        return [row for number, (row, _) in enumerate(pairs) if number in overtaken]

    async def write_others(self, rows: Sequence[OtherRow]) -> None:
        """Copy what the source holds besides its alerts."""
        for row in rows:
            if isinstance(row, Restore):
                item = restore_item(row)
            elif isinstance(row, Attempt):
                item = items.attempt_item(row)
            elif isinstance(row, Places):
                item = places_item(row)
            else:
                what, at = row
                kept = read_item(what, at) if isinstance(what, str) else found_item(what)
                item = kept | self._lifetime.since(EPOCH + timedelta(microseconds=at))
            await self.table.call("put_item", Item=to_wire(item))

    async def _write(self, row: Row, item: Item, old: Copy | None) -> bool:
        if _is_copy(old, row):
            return True
        condition = _unchanged_condition(old) if old else NEW
        if await self.table.put_all(item | {COPIED: digest_of(row)}, condition, self._additions_of(row)):
            return True
        found = await self.table.get({name: item[name] for name in (schema.PARTITION, schema.SORT)})
        # The reply to a write may have been lost, or a process that has died since may have sent it.
        return any(_is_copy(copy, row) for copy in await self._read([found] if found else []))

    async def _read(self, found: Sequence[Item]) -> list[Copy]:
        """Return the rows of these items; items that belong to no alert are left out."""
        asked = [item for item in found if item[schema.SORT] == items.QUESTION]
        rows: list[tuple[Item, Row]] = []
        rows += zip(asked, await items.read_questions(self.table, asked), strict=True)
        reported = [item for item in found if str(item[schema.SORT]).startswith(items.REPORT)]
        rows += [(item, items.report_from(item)) for item in reported]
        told = [item for item in found if str(item[schema.SORT]).startswith(items.EVENT)]
        rows += [(item, event) for item in told for event in items.events_from([item])]
        asked_back = [item for item in found if str(item[schema.SORT]).startswith(items.INQUIRY)]
        rows += [(item, items.inquiry_from(item)) for item in asked_back]
        return [
            Copy(key=read_key(item), row=row, is_untouched=item.get(COPIED) == digest_of(row))
            for item, row in rows
        ]

    def _additions_of(self, row: Row) -> Sequence[Item]:
        """Return a question's other items: its addition, who took it, its entry if it waits."""
        if not isinstance(row, Question):
            return ()
        now = self._clock()
        others = [items.addition_item(row) | self._expiry(row.accepted_at + ADDITION_KEPT, now)]
        taking = items.taking_item(row) | self._no_sooner(self._lifetime.of_taking(row), now)
        entries = [entry_of(row)] if row.waits_for else []
        return others[: items.has_addition(row)] + [taking][: bool(row.taken_by)] + entries

    def _items_of(self, alert: Alert, now: datetime) -> list[tuple[Row, Item]]:
        question = items.question_item(alert.question) | self._expiry_of(alert, now)
        if next_work := find_next_work(alert.question, now):
            question |= _place(next_work[0], items.key_of(alert.question), next_work[1])
        return [
            (alert.question, question),
            *((row, self._report_item(row, now)) for row in alert.reports),
            *((event, self._event_item(event, alert.question, now)) for event in alert.events),
            *((inquiry, self._inquiry_item(inquiry, now)) for inquiry in alert.inquiries),
        ]

    def _event_item(self, event: TrailEvent, question: Question, now: datetime) -> Item:
        _, _, secret = question.ref.partition(".")
        expiry = self._no_sooner(self._lifetime.of_event(event, question.deadline), now)
        return items.event_item(event, secret) | expiry

    def _inquiry_item(self, inquiry: Inquiry, now: datetime) -> Item:
        return items.inquiry_item(inquiry) | self._expiry(inquiry.accepted_at + ADDITION_KEPT, now)

    def _report_item(self, row: OutboxRow, now: datetime) -> Item:
        item, key = items.report_item(row), row_key(row.identifier)
        if row.sent_at is not None:
            return item | self._expiry(row.sent_at, now)
        if row.parked_at is not None:
            return item | _place(items.PARKED, key, row.parked_at)
        return item | _place(items.UNSENT, key, row.due_at)

    def _expiry_of(self, alert: Alert, now: datetime) -> Item:
        """Return a question's expiry: after its reports', and none while a report has been waiting long."""
        end = ended_at(alert.question)
        if end is None or any(_holds(row, now) for row in alert.reports):
            return {}
        ends = [end, *(row.sent_at for row in alert.reports if row.sent_at)]
        return self._expiry(max(ends) + WAITS_LONG, now)

    def _expiry(self, end: datetime, now: datetime) -> Item:
        return self._no_sooner(self._lifetime.since(end), now)

    def _no_sooner(self, item: Item, now: datetime) -> Item:
        soonest = int((now + _KEPT_AT_LEAST).timestamp())
        return {name: max(int(value), soonest) for name, value in item.items()}


def key_of_row(row: Row, question: Question) -> Key:
    """Return the partition key and sort key of the item of a row, which belongs to this question."""
    return read_key(_item_key(row, question))


def _item_key(row: Row, question: Question) -> Item:
    if isinstance(row, Question):
        return items.question_key(items.key_of(row))
    if isinstance(row, TrailEvent):
        key, _, secret = question.ref.partition(".")
        return items.event_key(key, secret, row.version)
    if isinstance(row, Inquiry):
        return items.inquiry_key(row.key, row.number)
    return items.report_key(row_key(row.identifier), row.sequence)


def _is_copy(copy: Copy | None, row: Row) -> bool:
    return copy is not None and copy.is_untouched and digest_of(copy.row) == digest_of(row)


def _unchanged_condition(old: Copy) -> Condition:
    """Return the condition that no worker has changed a copy since it was read."""
    was: dict[str, Value] = {COPIED: digest_of(old.row)}
    gone: list[str] = []
    if isinstance(old.row, OutboxRow):
        was[items.REPLAYS] = old.row.replays
        for name, at in ((items.SENT_AT, old.row.sent_at), (items.PARKED_AT, old.row.parked_at)):
            if (stored := microseconds(at)) is None:
                gone.append(f"attribute_not_exists({name})")
            else:
                was[name] = stored
    return Condition(expression=" AND ".join([*(f"{name} = :{name}" for name in was), *gone]), values=was)


def _place(word: str, key: str, moment: datetime) -> Item:
    """Return the key attributes, in the index `due`, of a row that is not leased."""
    return {schema.WORK: schema.in_shard(word, key), schema.MOMENT: microseconds(moment)}


def _holds(row: OutboxRow, now: datetime) -> bool:
    """Whether a report keeps its question from expiring, by the rules of `expiry.Expiry`."""
    if row.sent_at is not None:
        return False
    return row.parked_at is not None or row.replays > 0 or now - row.due_at > WAITS_LONG
