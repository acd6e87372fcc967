"""The places of people's open questions in the table: the port `PlaceRecord` of `triage.ports`.

A person's row is an item. Each question that waits has an entry in a collection of its person's, which is
written and removed with it: so what waits is read consistently, in order, and a label at a time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from bot.errors import DamagedRow
from bot.store.dynamodb import items, schema
from bot.store.dynamodb.expiry import WAITS_LONG, Lifetime
from bot.store.dynamodb.leases import query_until
from bot.store.dynamodb.side_items import only_after, select_due
from bot.store.dynamodb.table import Condition, Item, Table, to_wire, value_to_wire
from bot.store.records.damage import log_damaged, reading, skip_damaged
from bot.store.records.place_rows import places_of, places_row
from bot.store.records.rows import microseconds
from bot.triage import restore_rules
from bot.triage.model import Change, Question, State
from bot.triage.places import Places, WaitingCount

#: The sort key of a person's places.
PLACES = "places"

#: The partition, in the index `due`, of bursts to look at. One is enough, because they are few.
BURST = "burst#0"

#: The prefix of the partition key of the entries that wait for a place of one person.
_WAITING = "waiting#"

_LABEL, _REF = "a", "r"

#: A column of `records.place_rows` → its attribute.
_COLUMNS = {"version": items.VERSION, "due_at": schema.DUE_AT, "touched_at": "t", "facts": "f"}


class PlaceItems:
    """The part of the store that is about places; see the port for the methods."""

    _table: Table
    _lifetime: Lifetime

    async def find_places(self, person: str) -> Places | None:
        """See the port."""
        item = await self._table.get(_places_key(person))
        return _places_from(item) if item else None

    async def save_places(self, places: Places) -> bool:
        """See the port."""
        return await self._table.put(*self._guard_places(places))

    async def due_places(self, now: datetime, *, limit: int) -> Sequence[Places]:
        """See the port. The index may lag a moment; the worker that began a burst needs none."""
        found = await self._table.first(limit, **query_until(schema.DUE, BURST, now))
        rows = await self._table.get_many([_key(each) for each in found])
        return select_due(skip_damaged(_places_from, rows), now)

    async def first_waiting(self, person: str) -> Sequence[Question]:
        """See the port. An entry whose question does not wait is one that an older worker has left."""
        found: list[Question] = []
        last = ""
        while page := await self._table.first(1, **_entries_after(person, last)):
            [entry] = page
            try:
                question, ref = await items.find_question(self._table, _key_of(entry)), _ref_of(entry)
            except DamagedRow as error:
                log_damaged(error)
                last = str(entry[schema.SORT])
                continue
            if question is None or question.ref != ref or not _is_unasked(question):
                await self._table.call("delete_item", Key=to_wire(_key(entry)))
                continue
            found.append(question)
            last = f"{_label_digest(question.request.alert)}$"  # sorts behind all entries of the label
        return found

    async def count_waiting(self, person: str, *, limit: int) -> WaitingCount:
        """See the port."""
        entries = [entry async for entry in self._table.query(**_entries_after(person, ""))]
        waiting = sorted(skip_damaged(_waiting_from, entries), key=itemgetter(0))
        return WaitingCount(
            kinds=Counter(label for _, label, _ in waiting),
            first=[identifier for _, _, identifier in waiting[:limit]],
        )

    async def put_lines_in_doubt(self, now: datetime) -> bool:
        """Mark each burst's line that a restored backup had not posted as in doubt: it is looked up first.

        False: another worker has changed one meanwhile.
        """
        found = self._table.scan(
            FilterExpression=f"{schema.SORT} = :places",
            ExpressionAttributeValues={":places": value_to_wire(PLACES)},
            ConsistentRead=True,
        )
        places = skip_damaged(_places_from, [item async for item in found])
        doubted = [restore_rules.put_line_in_doubt(each, now) for each in places]
        return all([await self.save_places(each) for each in doubted if each is not None])

    def _guard_places(self, places: Places) -> tuple[Item, Condition]:
        """Return a row as its item, and the condition under which it may be written."""
        expires = self._lifetime.since(places.touched_at + WAITS_LONG) if places.due_at is None else {}
        return places_item(places) | expires, only_after(places.version - 1)


def places_item(places: Places) -> Item:
    """Return a person's places as an item, with the key of the index `due` while there is a burst."""
    row = places_row(places)
    kept: Item = {name: row[column] for column, name in _COLUMNS.items() if row[column] is not None}
    item = _places_key(places.person) | kept
    if places.due_at is None:
        return item
    return item | {schema.WORK: BURST, schema.MOMENT: row["due_at"]}


def entry_of(question: Question) -> Item:
    """Return the entry of a question that waits."""
    return _entry_key(question, question.waits_for) | {
        schema.ACCEPTED_AT: microseconds(question.accepted_at),
        _LABEL: question.request.alert,
        _REF: question.ref,
        items.IDENTIFIER: question.identifier,
    }


def find_entries(change: Change) -> tuple[list[Item], list[Item]]:
    """Return the entry that a change adds, and the key of the one that it removes; None: none."""
    question, before, places = change.question, change.before, change.places
    was = before.waits_for if before else ""
    if question.waits_for:
        return ([] if was == question.waits_for else [entry_of(question)]), []
    if not was and places is not None and places.burst is not None:
        was = places.person  # an older worker may have written the question since it began to wait
    return [], [_entry_key(question, was)] if was else []


def _places_key(person: str) -> Item:
    return {schema.PARTITION: f"places#{person}", schema.SORT: PLACES}


@reading
def _places_from(item: Mapping[str, Any]) -> Places:
    row = items.to_columns(item, _COLUMNS)
    return places_of({**row, "person": str(item[schema.PARTITION]).partition("#")[2]})


def _entry_key(question: Question, person: str) -> Item:
    digest, moment = _label_digest(question.request.alert), microseconds(question.accepted_at)
    return {
        schema.PARTITION: f"{_WAITING}{person}",
        schema.SORT: f"{digest}#{moment:017}#{items.key_of(question)}",
    }


def _label_digest(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:16]


def _key(item: Item) -> Item:
    return {name: item[name] for name in (schema.PARTITION, schema.SORT)}


def _key_of(entry: Item) -> str:
    """Return the partition key of the question that an entry is about."""
    return str(entry[schema.SORT]).rpartition("#")[2]


@reading
def _ref_of(entry: Mapping[str, Any]) -> str:
    """Return the ref of the question that an entry is about. `DamagedRow`."""
    return str(entry[_REF])


@reading
def _waiting_from(entry: Mapping[str, Any]) -> tuple[int, str, str]:
    """Return accepted (microseconds since 1970), label and identifier of what waits. `DamagedRow`."""
    return int(entry[schema.ACCEPTED_AT]), str(entry[_LABEL]), str(entry[items.IDENTIFIER])


def _is_unasked(question: Question) -> bool:
    return question.state is State.ACCEPTED and question.in_doubt_since is None


def _entries_after(person: str, last: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": f"{schema.PARTITION} = :person AND {schema.SORT} > :last",
        "ExpressionAttributeValues": {
            ":person": value_to_wire(f"{_WAITING}{person}"),
            ":last": value_to_wire(last or " "),
        },
        "ConsistentRead": True,
    }
