"""Migration of a SQLite file to a DynamoDB table: check the target, copy, compare. It can be rerun safely.

The table is read before anything is written, each row is written on condition that no worker has changed it,
and at the end the whole table is read back.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.aws.access import Access
from bot.clock import Clock
from bot.errors import TriageBotError
from bot.store.address import parse_address, store_path
from bot.store.dynamodb.opening import mark_finished, mark_unfinished, require_usable
from bot.store.dynamodb.past import mark_as_backup
from bot.store.dynamodb.table import Connection, Retries, Table
from bot.store.migration.copies import Copies, Copy, key_of_row
from bot.store.migration.inventory import Alert, Comparison, Inventory, Row, compare, digest_of
from bot.store.migration.source import SqliteSource
from bot.triage.inquiry import Inquiry
from bot.triage.model import Question, TrailEvent

Tell = Callable[[str], None]

#: How many progress messages a copy prints.
_PARTS = 10


#: A command may take its time: it retries a call for about 40 s; a worker gives up after 5 s.
_ATTEMPTS, _PATIENCE, _SHORTEST_WAIT = 9, 120.0, 0.2

#: How many failures in a row are not reported.
_QUIET = 4


class MigrationRefused(TriageBotError):
    """The table holds rows that must not be overwritten. Nothing was changed in them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrationResult:
    """How two stores compare after the copy. `differs` is the first identifier that does; None if none."""

    comparisons: Sequence[Comparison]
    differs: str | None


async def migrate_store(  # noqa: PLR0913 - from where, to where, and how
    source_url: str,
    target_url: str,
    *,
    region: str | None,
    keep: timedelta,
    tell: Tell,
    restored: bool = False,
) -> MigrationResult:
    """Copy the file at one URL to the table at the other, and compare them.

    `keep` is how long ended questions are kept; `tell` receives progress messages. With `restored` the file
    need not be what it was, and neither is the table then: a worker refuses it without `--restored`. Raises

    - `MigrationRefused` if the table holds rows of another store, or rows that a worker has changed;
    - `StartRefused` if a worker holds the file, or the table is missing or has the wrong schema;
    - `StoreUnusable` if the file is missing, empty, corrupt or not what it was;
    - `ConfigError` for an invalid URL or region;
    - `StoreError` if either store fails. What was copied stays, and another run resumes from there.
    """
    source, clock = await SqliteSource.open(store_path(source_url), restored=restored), Clock()
    try:
        address = parse_address(target_url, region=region)
        table = Table(
            address.table,
            Connection(address, access=Access(clock=clock)),
            random=random.Random(),
            shown=address.shown,
            retries=patient_retries(tell),
        )
        try:
            await require_usable(table)
            if restored:
                await mark_as_backup(table)
            copies = Copies(table, keep=keep, clock=clock)
            return await Migration(source, copies, tell=tell).run()
        finally:
            table.close()
    finally:
        source.close()


def patient_retries(tell: Tell, *, shortest_wait: float = _SHORTEST_WAIT) -> Retries:
    """Return retries of up to two minutes; `tell` gets one message, once they take long."""
    messages = iter(["DynamoDB does not answer or is throttling: retrying for up to two minutes"])

    def report(failures: int) -> None:
        if failures > _QUIET and (message := next(messages, None)):
            tell(message)

    return Retries(attempts=_ATTEMPTS, patience=_PATIENCE, shortest_wait=shortest_wait, on_retry=report)


class Migration:
    """One run of a migration."""

    def __init__(self, source: SqliteSource, copies: Copies, *, tell: Tell) -> None:
        self._source = source
        self._copies = copies
        self._table = copies.table
        self._tell = tell
        self._has_begun = False  #: an earlier run has copied some rows

    async def run(self) -> MigrationResult:
        """Check, copy and compare; the source is open and the table's schema checked.

        `MigrationRefused` and `StoreError` as in `migrate_store`.
        """
        await self._require_untouched()
        await mark_unfinished(self._table, str(self._source.path))
        copied = await self._copy()
        await self._copies.write_others(await self._source.others())
        self._tell("reading the table back")
        comparisons = compare(copied, await self._read_back())
        if all(each.is_equal for each in comparisons):
            await mark_finished(self._table)
            return MigrationResult(comparisons=comparisons, differs=None)
        return MigrationResult(comparisons=comparisons, differs=await self._find_first_difference())

    async def _require_untouched(self) -> None:
        """Refuse a table with rows of another store, or with rows that a worker has changed."""
        questions = 0
        async for copy, alert in self._copies_with_source():
            self._judge(copy, alert)
            questions += isinstance(copy.row, Question)
            self._has_begun = True
        if self._has_begun:
            self._tell(f"the table has {questions:,} questions of an earlier run: resuming from there")

    def _judge(self, copy: Copy, alert: Alert | None) -> None:
        name = _identifier_of(copy.row)
        if alert is None or (isinstance(copy.row, Question) and copy.row.ref != alert.question.ref):
            raise MigrationRefused(
                f"the table {self._table.shown} holds rows that are not from {self._source.path}, such as the"
                f" alert {name!r}; nothing was written. Copy to an empty table"
            )
        if not copy.is_untouched or _is_newer(copy, alert):
            raise self._overtaken_error(name)

    async def _copy(self) -> Inventory:
        inventory, total, done = Inventory(), await self._source.size(), 0
        self._tell(f"copying {total:,} questions, reports and trails to the table {self._table.shown}")
        async for page in self._source.pages():
            await self._write(page)
            for row in (row for alert in page for row in alert.rows):
                inventory.add(row)
            if (done + len(page)) * _PARTS // total > done * _PARTS // total:
                self._tell(f"{done + len(page):,} of {total:,} questions copied")
            done += len(page)
        return inventory

    async def _write(self, page: Sequence[Alert]) -> None:
        there = await self._copies.find(page) if self._has_begun else {}
        overtaken = await self._copies.write(page, there)
        if overtaken:
            raise self._overtaken_error(_identifier_of(overtaken[0]))

    async def _read_back(self) -> Inventory:
        inventory = Inventory()
        async for page in self._copies.pages():
            for copy in page:
                inventory.add(copy.row)
        return inventory

    async def _find_first_difference(self) -> str:
        """Return the identifier of the first alert that differs between the stores."""
        async for page in self._source.pages():
            there = await self._copies.find(page)
            for alert, row in ((each, row) for each in page for row in each.rows):
                copy = there.get(key_of_row(row, alert.question))
                if copy is None or digest_of(copy.row) != digest_of(row):
                    return _identifier_of(row)
        return await self._find_first_stranger()

    async def _find_first_stranger(self) -> str:
        async for copy, alert in self._copies_with_source():
            if alert is None or copy.key not in {key_of_row(row, alert.question) for row in alert.rows}:
                return _identifier_of(copy.row)
        return ""

    async def _copies_with_source(self) -> AsyncIterator[tuple[Copy, Alert | None]]:
        async for page in self._copies.pages():
            alerts = await self._source.alerts(list({copy.key[0] for copy in page}))
            for copy in page:
                yield copy, alerts.get(copy.key[0])

    def _overtaken_error(self, name: str) -> MigrationRefused:
        return MigrationRefused(
            f"a worker has used the table {self._table.shown} since it was copied: the alert {name!r} has"
            " changed there, and is not overwritten. Keep using that table, or copy to an empty one"
        )


def _is_newer(copy: Copy, alert: Alert) -> bool:
    """Whether the source is older than the copy, e.g. because it is a restored backup."""
    if isinstance(copy.row, Question):
        return copy.row.version > alert.question.version
    if isinstance(copy.row, TrailEvent):
        return copy.row.version not in {event.version for event in alert.events}
    if isinstance(copy.row, Inquiry):
        return copy.row.number not in {inquiry.number for inquiry in alert.inquiries}
    return copy.row.sequence not in {row.sequence for row in alert.reports}


def _identifier_of(row: Row) -> str:
    return row.request.identifier if isinstance(row, Question) else row.identifier
