"""The store in one DynamoDB table: the ports `Store`, `Outbox`, `Archive` and `Backlog` of `triage.ports`."""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from bot.clock import Clock
from bot.errors import DamagedRow, StoreError
from bot.store.dynamodb import items, restore_items, schema
from bot.store.dynamodb.due_questions import DueQuestions
from bot.store.dynamodb.expiry import LATENESS, Expiry, Lifetime
from bot.store.dynamodb.leases import LOOK_INTERVAL, query_index, read_moment, read_moments
from bot.store.dynamodb.listing import Counting, list_newest
from bot.store.dynamodb.past import TableIdentity, TablePast
from bot.store.dynamodb.places import PlaceItems, find_entries
from bot.store.dynamodb.side_items import SideItems
from bot.store.dynamodb.table import NEW, Condition, Item, Table, Value, to_wire, value_to_wire
from bot.store.dynamodb.trails import Trails, read_trail
from bot.store.dynamodb.unsent_reports import UnsentReports
from bot.store.records.damage import log_damaged, skip_damaged
from bot.store.records.rows import microseconds
from bot.triage import restore_rules
from bot.triage.asking_rules import row_key
from bot.triage.event_kinds import EventKind
from bot.triage.inquiry import Inquiry
from bot.triage.listing import EVERYTHING, Counts, Filter
from bot.triage.log_events import log_event
from bot.triage.model import Change, FoundQuestion, OutboxRow, Question, Restore, State, Trail, Work
from bot.triage.ports import SelectReport, select_all
from bot.triage.statistics import AlertStatistics, Tally

log = logging.getLogger(__name__)

#: The item that is written to test whether the table takes writes; nobody reads it.
_PROBE = "probe"

#: Questions of a scan whose additions are read at a time.
_PAGE = 100

#: Reports of one shard that are searched for the one that has waited the longest.
_OLDEST_AMONG = 100

_UNCHANGED = f"{items.SECRET} = :secret AND {items.VERSION} = :version"
_SENT = f"SET {items.SENT_AT} = :at{{expires}} REMOVE {schema.WORK}, {schema.MOMENT}"
_PARKED = f"SET {items.PARKED_AT} = :at, {schema.WORK} = :parked, {schema.MOMENT} = :at"

#: A report replayed since then counts as another one: this one was not sent.
_SAME_REPLAY = f"{items.REPLAYS} = :replays"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableOptions:
    """How the table is maintained in the background."""

    keep: timedelta | None = None  #: how long ended questions are kept; None: as the workers say
    lateness: timedelta = LATENESS  #: how long DynamoDB may take to remove them before the worker does
    look_interval: timedelta = LOOK_INTERVAL  #: how often to look for work that other workers left


class DynamoStore(SideItems, PlaceItems):
    """Questions and their reports in a table that other workers use at the same time.

    See the ports for the methods. They raise `StoreError` if DynamoDB fails. `on_found` is called when other
    workers have left work.
    """

    def __init__(
        self,
        table: Table,
        *,
        clock: Clock,
        upkeep: TableOptions | None = None,
        rng: random.Random | None = None,
        verify_identity: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        rng, upkeep = rng or random.Random(), upkeep or TableOptions()
        super().__init__(table, Lifetime(keep=upkeep.keep, clock=clock))
        self._clock = clock
        self._due = DueQuestions(table, clock=clock, random=rng)
        self._unsent = UnsentReports(table, clock=clock, random=rng)
        self._trails = Trails(table, expiry=self._lifetime.of_event, on_event=self._due.note_event)
        self._expiry = Expiry(table, self._lifetime, lateness=upkeep.lateness)
        self._counting = Counting(table, clock=clock)
        self._look_interval = upkeep.look_interval.total_seconds()
        self._watch_task: asyncio.Task[None] | None = None
        self.on_found: Callable[[], None] = lambda: None
        self.is_known = verify_identity is None  #: that the table is what it was
        self._verify_identity = verify_identity
        self.head_trouble = ""
        self.written_at: datetime | None = None

    async def confirm(self) -> bool:
        """See `OpenStore`."""
        if not self.is_known and self._verify_identity:
            self.is_known = await self._verify_identity()
        return self.is_known

    async def watch(self, stop: asyncio.Event) -> None:
        """See `OpenStore`. A table cannot be replaced unnoticed: its name determines its ARN."""
        await stop.wait()

    async def close(self) -> None:
        """Stop looking and close the connections. Leases are not returned, but expire."""
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.gather(self._watch_task, return_exceptions=True)
        self._table.close()

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        # Of two changes with the same identifier, the first must be the one that counts as new.
        turns: dict[str, list[Change]] = {}
        for change in changes:
            turns.setdefault(items.key_of(change.question), []).append(change)
        verdicts = dict(
            zip(turns, await asyncio.gather(*map(self._add_in_turn, turns.values())), strict=True)
        )
        return [verdicts[items.key_of(change.question)].pop(0) for change in changes]

    async def save(self, change: Change) -> bool:
        question = change.question
        _, _, secret = (change.before or question).ref.partition(".")
        before = Condition(expression=_UNCHANGED, values={"secret": secret, "version": question.version - 1})
        is_written = await self._write(change, before)
        if not is_written:
            self._due.forget(question)  # the worker that saved first has the lease
        return is_written

    async def load(self, ref: str) -> Question | None:
        key, _, _ = ref.partition(".")
        question = await self._question(key) if key else None
        return question if question and hmac.compare_digest(question.ref.encode(), ref.encode()) else None

    async def load_by_key(self, key: str) -> Question | None:
        return await self._question(key) if key else None

    async def find(self, identifier: str) -> Question | None:
        return await self._question(row_key(identifier))

    async def due(
        self, work: Work, now: datetime, *, limit: int, exclude: frozenset[str] = frozenset()
    ) -> Sequence[Question]:
        self._watch()
        return await self._due.due(work, now, limit=limit, exclude=exclude)

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        self._watch()
        return await self._due.overdue(now, limit=limit)

    async def next_due(self, after: datetime) -> datetime | None:
        """See `Store`; rows of other workers are announced by `on_found`."""
        return self._due.next_due(after)

    async def open_for(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        rows = await self._find_questions_of(slack_id, items.open_sort_key(0), "open$", limit)
        still_open = [row for row in rows if row.answered_at is None and row.state is State.ASKED]
        return sorted(still_open, key=lambda row: row.asked_at or row.accepted_at, reverse=True)

    async def asked_as(self, other_slack_id: str) -> str:
        rows = await self._find_questions_of(other_slack_id, items.OTHER, items.OTHER, 5)
        return next((row.slack_id for row in rows if row.other_slack_id == other_slack_id), "")

    async def answered_by(self, slack_id: str, since: datetime, *, limit: int) -> Sequence[Question]:
        rows = await self._find_questions_of(
            slack_id, items.answered_sort_key(microseconds(since)), "answered$", limit
        )
        answered = [row for row in rows if row.answered_at is not None and row.answered_at >= since]
        return sorted(answered, key=lambda row: row.answered_at or since, reverse=True)

    async def taken_by(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        rows = await self._find_by_person(slack_id, items.taken_sort_key(0), "taken$", limit)
        taken = [row for row in rows if row.taken_by == slack_id]
        return sorted(taken, key=lambda row: row.accepted_at, reverse=True)

    async def probe(self) -> None:
        now = microseconds(self._clock())
        item: Item = {schema.PARTITION: _PROBE, schema.SORT: _PROBE, "t": now}
        await self._table.call("put_item", Item=to_wire(item))

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """See `Store`. Normally finds none: DynamoDB removes expired items."""
        return await self._expiry.remove_ended(before, limit=limit)

    async def reset_after_restore(
        self, now: datetime, *, longest: timedelta | None = None, since: datetime | None = None
    ) -> None:
        """See `OpenStore`. Reads the whole table."""
        restore = restore_rules.restore_window(await self.restored(), since, now)
        # First, so that a restore that breaks off half-way is known to the next process.
        await self._table.call("put_item", Item=to_wire(restore_items.restore_item(restore)))
        async for row in self.all_questions():
            changed = restore_rules.reset(row, now, longest=longest)
            if changed != row and not await self.save(
                Change(question=replace(changed, version=row.version + 1))
            ):
                raise StoreError("another worker is using the restored table: stop it, then try again")
        async for inquiry in self.all_inquiries():
            doubted = restore_rules.put_inquiry_in_doubt(inquiry, now)
            if doubted is not None and not await self.save_inquiry(doubted):
                raise StoreError("another worker is using the restored table: stop it, then try again")
        if not await self.put_lines_in_doubt(now):
            raise StoreError("another worker is using the restored table: stop it, then try again")
        described = (await self._table.call("describe_table"))["Table"]
        await TablePast(self._table, TableIdentity.of(described)).restore(now)

    async def restored(self) -> Restore | None:
        item = await self._table.get(restore_items.RESTORE_KEY)
        return restore_items.restore_from(item) if item else None

    async def conversation_read_at(self, slack_id: str) -> datetime | None:
        item = await self._table.get(restore_items.conversation_key(slack_id))
        return read_moment(item, restore_items.READ_AT) if item else None

    async def keep_conversation(self, slack_id: str, found: Sequence[FoundQuestion], at: datetime) -> None:
        expires = self._lifetime.since(at)
        for each in found:
            await self._table.call("put_item", Item=to_wire(restore_items.found_item(each) | expires))
        # Written last, so that a conversation noted as read always has its finds.
        read = restore_items.read_item(slack_id, microseconds(at)) | expires
        await self._table.call("put_item", Item=to_wire(read))

    async def found_question(self, key: str) -> FoundQuestion | None:
        item = await self._table.get(restore_items.found_key(key))
        return restore_items.found_question_from(item) if item else None

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        return await self._unsent.sendable(now, limit=limit)

    async def next_sendable(self, now: datetime) -> datetime | None:
        """See `Outbox`; reports of other workers are announced by `on_found`."""
        return self._unsent.next_sendable(now)

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        await asyncio.gather(*(self._mark_sent(row, at) for row in rows))

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        await asyncio.gather(*(self._mark_parked(row, at) for row in rows))

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        return await items.reports_of(self._table, row_key(identifier))

    async def list_questions(self, *, limit: int, only: Filter = EVERYTHING) -> Sequence[Question]:
        return await list_newest(self._table, only, limit)

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        """See `Archive`. Reads the whole table, for a command that is rarely used."""
        sent = self._table.scan(
            FilterExpression="#sent >= :since",
            ExpressionAttributeNames={"#sent": items.SENT_AT},
            ExpressionAttributeValues={":since": value_to_wire(microseconds(since))},
            ConsistentRead=True,
        )
        return await self._identifiers([str(item[schema.PARTITION]) async for item in sent])

    async def identifiers_unsent(self) -> Sequence[str]:
        shards = schema.shards(items.UNSENT) + schema.shards(items.PARKED)
        queries = [self._table.query(**query_index(schema.DUE, shard)) for shard in shards]
        return await self._identifiers(
            [str(item[schema.PARTITION]) for query in queries async for item in query]
        )

    async def replay(
        self, identifiers: Sequence[str], now: datetime, *, select: SelectReport = select_all
    ) -> None:
        for identifier in identifiers:
            await self._replay(identifier, now, select)

    async def trail_of(self, identifier: str) -> Trail | None:
        return await read_trail(self._table, row_key(identifier))

    async def trails(self, since: datetime, until: datetime) -> AsyncIterator[Trail]:
        """See `Archive`. Reads the whole table."""
        async for trail in self._trails.between(since, until):
            yield trail

    async def copy_to(self, path: Path) -> None:
        """Raise `StoreError`, which names the backups that DynamoDB offers instead."""
        raise StoreError(
            f"the table {self._table.shown} cannot be copied to {path}: use its point-in-time recovery or"
            " `aws dynamodb create-backup`"
        )

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        """See `Archive`. Reads the whole table."""
        tally = Tally()
        async for row in self.all_questions():
            if row.asked_at is not None and row.asked_at >= since:
                taken = row.first_answered_at - row.asked_at if row.first_answered_at else None
                tally.add(row.request.alert, standing=row.standing, answer_time=taken)
        return tally.result()

    async def oldest_open(self) -> datetime | None:
        queries = [query_index(schema.LIST, shard) for shard in schema.shards(items.OPEN)]
        pages = await asyncio.gather(*(self._table.first(1, **query) for query in queries))
        return min(read_moments(chain.from_iterable(pages), schema.ACCEPTED_AT), default=None)

    async def oldest_unsent(self) -> datetime | None:
        queries = [query_index(schema.DUE, shard) for shard in schema.shards(items.UNSENT)]
        pages = await asyncio.gather(*(self._table.first(_OLDEST_AMONG, **query) for query in queries))
        return min(read_moments(chain.from_iterable(pages), schema.DUE_AT), default=None)

    async def count(self) -> Counts:
        return await self._counting.count()

    async def all_questions(self) -> AsyncIterator[Question]:
        """Yield all questions of the table that can be read, in no order. `StoreError` if DynamoDB fails."""
        pages = self._table.scan_pages(
            _PAGE,
            FilterExpression=f"{schema.SORT} = :question",
            ExpressionAttributeValues={":question": value_to_wire(items.QUESTION)},
            ConsistentRead=True,
        )
        async for page in pages:
            for question in await items.read_undamaged(self._table, page):
                yield question

    async def all_inquiries(self) -> AsyncIterator[Inquiry]:
        """Yield all inquiries of the table that can be read, in no order. `StoreError` if DynamoDB fails."""
        found = self._table.scan(
            FilterExpression=f"begins_with({schema.SORT}, :inquiry)",
            ExpressionAttributeValues={":inquiry": value_to_wire(items.INQUIRY)},
            ConsistentRead=True,
        )
        async for item in found:
            for inquiry in skip_damaged(items.inquiry_from, [item]):
                yield inquiry

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
        item = items.question_item(question) | self._lifetime.of_question(question)
        if place is not None:
            item |= place.attributes()
        others = self._changed_addition(change) + self._changed_taking(change)
        if report is not None:
            waiting = self._unsent.place(report, now)
            others.append(items.report_item(report) | waiting.attributes())
        if change.event is not None:
            others.append(self._trails.event_item(change.event, question))
        guarded = self.guarded_by(change)
        guarded += [self._guard_places(change.places)] if change.places else []
        waits, gone = find_entries(change)
        is_written = await self._table.put_all(item, condition, others + waits, guarded=guarded, gone=gone)
        if is_written:
            self._due.note_written(question, place, now)
            if report is not None:
                self._unsent.note_written(report, waiting)
        return is_written

    def _changed_addition(self, change: Change) -> list[Item]:
        """Return what is added to a question, if it has to be written: it rarely changes."""
        question, before = change.question, change.before
        added = items.addition_item(question)
        if added == items.addition_item(before) if before else not items.has_addition(question):
            return []
        return [added | self._lifetime.of_addition(question)]

    def _changed_taking(self, change: Change) -> list[Item]:
        """Return who has a question's alert, if that is somebody else than before."""
        question, before = change.question, change.before
        if question.taken_by == (before.taken_by if before else ""):
            return []
        return [items.taking_item(question) | self._lifetime.of_taking(question)]

    async def _question(self, key: str) -> Question | None:
        question = await items.find_question(self._table, key)
        if question is not None:
            self._due.note_read(question)
        return question

    async def _find_questions_of(self, slack_id: str, first: str, last: str, limit: int) -> list[Question]:
        """Return a person's questions between two sort keys of the index, at most the last `limit`."""
        rows = await self._find_by_person(slack_id, first, last, limit)
        return [row for row in rows if row.is_for(slack_id)]

    async def _find_by_person(self, slack_id: str, first: str, last: str, limit: int) -> list[Question]:
        if not slack_id:
            return []
        query = query_index(schema.PERSON, slack_id, "#s BETWEEN :first AND :last", first=first, last=last)
        found = await self._table.first(limit, **query, ScanIndexForward=False)
        return await items.questions_of(self._table, [str(item[schema.PARTITION]) for item in found])

    async def _mark_sent(self, row: OutboxRow, at: datetime) -> None:
        expires = self._lifetime.since(at)
        values: dict[str, Value] = {f"{name}_expires": value for name, value in expires.items()}
        setting = "".join(f", {name} = :{name}_expires" for name in expires)
        values["at"] = microseconds(at)
        await self._mark(row, _SENT.format(expires=setting), values, EventKind.SENT, at)
        await self._expiry.release(row, at)
        self._unsent.note_gone(row, at)

    async def _mark_parked(self, row: OutboxRow, at: datetime) -> None:
        parked = schema.in_shard(items.PARKED, row_key(row.identifier))
        values: dict[str, Value] = {"at": microseconds(at), "parked": parked}
        await self._mark(row, _PARKED, values, EventKind.PARKED, at)
        await self._expiry.hold(row_key(row.identifier))
        self._unsent.note_gone(row, None)

    async def _mark(
        self, row: OutboxRow, change: str, values: dict[str, Value], kind: EventKind, at: datetime
    ) -> None:
        """Change a report in place, unless it was replayed, and tell the trail in the same transaction."""
        key = items.report_key(row_key(row.identifier), row.sequence)
        same = Condition(expression=_SAME_REPLAY, values={"replays": row.replays, **values})
        mark = {"Update": self._table.about(key) | {"UpdateExpression": change} | same.arguments()}
        try:
            while question := await self._trails.find_question(row.identifier):
                if await self._trails.tell(question, kind, {"sequence": row.sequence}, at, [mark]):
                    return
                stored = await self._table.get(key)
                if stored is None or stored.get(items.REPLAYS) != row.replays:
                    return
        except DamagedRow as error:
            log_damaged(error)
        await self._table.update(key, change, same)  # its question was removed, or cannot be read

    async def _replay(self, identifier: str, now: datetime, select: SelectReport) -> None:
        """Put back the reports of an identifier in one transaction; retry if one changed meanwhile."""
        while trail := await self.trail_of(identifier):
            selected = list(filter(select, trail.reports))
            if not selected or await self._put_back(trail, selected, now):
                return

    async def _put_back(self, trail: Trail, selected: Sequence[OutboxRow], now: datetime) -> bool:
        again = [
            replace(row, sent_at=None, parked_at=None, due_at=max(row.due_at, now), replays=row.replays + 1)
            for row in selected
        ]
        places = [self._unsent.place(row, now) for row in again]
        pairs = zip(selected, again, places, strict=True)
        puts = [self._make_put(items.report_item(new) | place.attributes(), old) for old, new, place in pairs]
        facts = {"reports": len(again)}
        held = f" REMOVE {schema.EXPIRES}"  # by `release`, once they are sent
        if not await self._trails.tell(trail.question, EventKind.REPLAYED, facts, now, puts, held):
            return False
        for row, place in zip(again, places, strict=True):
            self._unsent.note_written(row, place)
        return True

    def _make_put(self, item: Any, old: OutboxRow) -> dict[str, Any]:
        condition = Condition(expression=_SAME_REPLAY, values={"replays": old.replays})
        return {"Put": {"TableName": self._table.name, "Item": to_wire(item), **condition.arguments()}}

    async def _identifiers(self, keys: Iterable[str]) -> Sequence[str]:
        rows = await items.questions_of(self._table, keys)
        return [row.request.identifier for row in sorted(rows, key=lambda row: row.accepted_at)]

    def _watch(self) -> None:
        """Start looking for work that others leave. The first query for due rows starts it."""
        if self._watch_task is None:
            self._watch_task = asyncio.create_task(
                self._keep_looking(), name="look for work that others left"
            )

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_interval)
            try:
                await self._look()
            except StoreError:
                continue  # the next query for due rows raises it
            except Exception:  # noqa: BLE001 - it is logged, with its traceback
                # Nobody awaits this task: if it ended, work that others leave would go unnoticed.
                log_event(log.exception, "sweep.failed", "cannot look for work that others left")

    async def _look(self) -> None:
        now = self._clock()
        found = await asyncio.gather(self._due.look(now), self._unsent.look(now))
        if any(found):
            self.on_found()
