"""Questions in the table: written on a condition, read as they are now."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Any

from bot.errors import StoreError
from bot.store.dynamodb import layout
from bot.store.dynamodb.items import (
    SECRET,
    VERSION,
    key_of,
    question_from,
    question_item,
    question_key,
    report_item,
    told_answered,
    told_open,
)
from bot.store.dynamodb.reading import questions_of
from bot.store.dynamodb.table import NEW, Condition
from bot.store.dynamodb.values import value_to_wire
from bot.store.records.rows import microseconds
from bot.triage.asking_rules import row_key
from bot.triage.model import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.store.dynamodb.due import DueQuestions
    from bot.store.dynamodb.expiry import Lifetime
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.unsent import UnsentReports
    from bot.triage.model import Change, Question
    from bot.triage.ports import Clock

_STANDS = f"{SECRET} = :secret AND {VERSION} = :version"


class DynamoQuestions:
    """The part of `DynamoStore` that writes and reads questions."""

    _table: Table
    _clock: Clock
    _due: DueQuestions
    _unsent: UnsentReports
    _lifetime: Lifetime

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        """See `triage.ports.Store`."""
        # Of two with one identifier the first is to be the one that is new.
        turns: dict[str, list[Change]] = {}
        for change in changes:
            turns.setdefault(key_of(change.question), []).append(change)
        verdicts = dict(
            zip(turns, await asyncio.gather(*map(self._add_in_turn, turns.values())), strict=True)
        )
        return [verdicts[key_of(change.question)].pop(0) for change in changes]

    async def save(self, change: Change) -> bool:
        """See `triage.ports.Store`."""
        question = change.question
        _, _, secret = question.ref.partition(".")
        before = Condition(expression=_STANDS, values={"secret": secret, "version": question.version - 1})
        is_written = await self._write(change, before)
        if not is_written:
            self._due.forget(question)  # whoever was first has the lease
        return is_written

    async def load(self, ref: str) -> Question | None:
        """See `triage.ports.Store`."""
        key, _, _ = ref.partition(".")
        question = await self._question(key) if key else None
        return question if question and hmac.compare_digest(question.ref.encode(), ref.encode()) else None

    async def find(self, identifier: str) -> Question | None:
        """See `triage.ports.Store`."""
        return await self._question(row_key(identifier))

    async def open_for(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Store`."""
        rows = await self._told(slack_id, told_open(0), "open$", limit)
        still_open = [row for row in rows if row.answered_at is None and row.state is State.ASKED]
        return sorted(still_open, key=lambda row: microseconds(row.asked_at) or 0, reverse=True)

    async def answered_by(self, slack_id: str, since: datetime, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Store`."""
        rows = await self._told(slack_id, told_answered(microseconds(since) or 0), "answered$", limit)
        answered = [row for row in rows if row.answered_at is not None and row.answered_at >= since]
        return sorted(answered, key=lambda row: microseconds(row.answered_at) or 0, reverse=True)

    async def _add_in_turn(self, changes: Sequence[Change]) -> list[bool | StoreError]:
        return [await self._add(change) for change in changes]

    async def _add(self, change: Change) -> bool | StoreError:
        try:
            return await self._write(change, NEW)
        except StoreError as error:
            return error

    async def _write(self, change: Change, condition: Condition) -> bool:
        question, report, now = change.question, change.report, self._clock()
        place = self._due.place(question, now)
        item = question_item(question) | self._lifetime.of_question(question)
        if place is not None:
            item |= place.attributes()
        if report is None:
            is_written = await self._table.put(item, condition)
        else:
            waiting = self._unsent.place(report, now)
            both = report_item(report) | waiting.attributes()
            is_written = await self._table.put_both(item, condition, both)
        if is_written:
            self._due.note_written(question, place, now)
            if report is not None:
                self._unsent.note_written(report, waiting)
        return is_written

    async def _question(self, key: str) -> Question | None:
        item = await self._table.get(question_key(key))
        question = question_from(item) if item else None
        if question is not None:
            self._due.note_read(question)
        return question

    async def _told(self, slack_id: str, first: str, last: str, limit: int) -> list[Question]:
        """Return a person's questions between two points of the index, of the last `limit` there."""
        if not slack_id:
            return []
        found = await self._table.first(limit, **_between(slack_id, first, last))
        rows = await questions_of(self._table, [str(item[layout.PARTITION]) for item in found])
        return [row for row in rows if row.slack_id == slack_id]


def _between(slack_id: str, first: str, last: str) -> dict[str, Any]:
    values = {":p": slack_id, ":first": first, ":last": last}
    return {
        "IndexName": layout.PERSON.name,
        "KeyConditionExpression": "#p = :p AND #s BETWEEN :first AND :last",
        "ExpressionAttributeNames": {"#p": layout.PERSON.partition, "#s": layout.PERSON.sort},
        "ExpressionAttributeValues": {name: value_to_wire(value) for name, value in values.items()},
        "ScanIndexForward": False,
    }
