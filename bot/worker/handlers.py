"""Handlers of commands: about the store, run by the worker or by the command itself; and about the worker."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bot.clock import Clock
from bot.errors import StoreError, StoreReplaced, TriageBotError
from bot.sqs.wire import read_report
from bot.triage.listing import Filter
from bot.triage.model import OutboxRow
from bot.triage.outcomes import Outcome
from bot.triage.ports import Archive, Probeable
from bot.worker.control import Handler
from bot.worker.export_lines import alert_lines, first_line
from bot.worker.views import question_view, report_view, statistics_view, trail_view

Arguments = Mapping[str, Any]
Answers = AsyncGenerator[Mapping[str, Any], None]


#: How many questions `list` shows by default.
LIST_LIMIT = 50

#: The most characters of a summary that `list` returns; `show` returns all.
LIST_SUMMARY = 500

#: Bytes of a backup in one line of the answer.
CHUNK_BYTES = 256 * 1024

#: How often a copy in progress sends a keep-alive, in seconds, so that the command does not time out.
HEARTBEAT_SECONDS = 2.0

#: The names of the arguments of `export` that limit the period.
_SPAN = ("since", "until")

#: The command that `check` sends over the socket.
CONDITION = "condition"


class UnknownAlert(TriageBotError):
    """The store has no alert with this identifier."""


class BackupRunning(TriageBotError):
    """Another command is copying the store, and only one copy can be made at a time."""


def store_handlers(
    archive: Archive, path: Path | None, *, clock: Clock, wake: Callable[[], None] = lambda: None
) -> Mapping[str, Handler]:
    """Return the handlers of commands about the store, by name; `path` is its file, None for a table."""
    commands = _StoreCommands(archive, path, clock=clock, wake=wake)
    return {
        "list": commands.list_questions,
        "find": commands.list_questions,  # with filters, which a worker of an earlier release would ignore
        "show": commands.show,
        "replay": commands.replay,
        "backup": commands.backup,
        "stats": commands.statistics,
        "export": commands.export,
    }


def condition_handler(store: Probeable, look: Callable[[], Mapping[str, Any]]) -> Handler:
    """Return the handler of `condition`, which yields one object.

    Its key `store` says why the store accepts no writes, and is empty if it does; `replaced` says whether
    that is because its file is gone or another one. `look` returns the other keys: during the start,
    `starting` (what the worker waits for); later, `card` (see `Cards.last_trouble`), `links` (how many are
    up), `clock` (see `Clock.trouble`) and `ahead_seconds` (see `Clock.ahead`).
    """

    async def condition(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        trouble = await _find_store_trouble(store)
        yield {"store": str(trouble), "replaced": isinstance(trouble, StoreReplaced), **look()}

    return condition


class _StoreCommands:
    def __init__(
        self, archive: Archive, path: Path | None, *, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._archive = archive
        self._path = path
        self._clock = clock
        self._wake = wake
        self._copying = asyncio.Lock()

    async def list_questions(self, arguments: Arguments) -> Answers:
        """Yield the views of the newest questions, at most `limit`; of each summary, only its beginning.

        Only those with this `user`, `alert` and `outcome`, that are `open`, whose alert somebody (`taken_by`)
        has taken, and that were accepted in the last `since_seconds`, as far as these are given.
        """
        limit, only = int(arguments.get("limit", LIST_LIMIT)), self._read_filter(arguments)
        behind: dict[str, Sequence[str]] = {}
        for question in await self._archive.list_questions(limit=limit, only=only):
            view = {**question_view(question), "summary": question.request.summary[:LIST_SUMMARY]}
            yield view | {"waitsBehind": await self._find_open(question.waits_for, behind)}

    async def show(self, arguments: Arguments) -> Answers:
        """Yield the view of the question with this `identifier`, if it exists."""
        identifier = str(arguments["identifier"])
        trail = await self._archive.trail_of(identifier)
        if trail is not None:
            view = {**question_view(trail.question, trail.reports), **trail_view(trail)}
            yield view | {"waitsBehind": await self._find_open(trail.question.waits_for, {})}

    async def _find_open(self, person: str, known: dict[str, Sequence[str]]) -> Sequence[str] | None:
        """Return the identifiers that hold this person's places; None: no question waits for one."""
        if person and person not in known:
            places = await self._archive.find_places(person)
            known[person] = [each.identifier for each in places.held] if places else []
        return known.get(person)

    async def export(self, arguments: Arguments) -> Answers:
        """Yield the lines of an export but for the last.

        It is about what happened from `since_seconds` to `until_seconds` ago.
        """
        now = self._clock()
        since, until = (now - timedelta(seconds=float(arguments[f"{name}_seconds"])) for name in _SPAN)
        yield first_line(since, until)
        async for trail in self._archive.trails(since, until):
            for line in alert_lines(trail):
                yield line

    async def statistics(self, arguments: Arguments) -> Answers:
        """Yield each alert's statistics for the questions asked in the last `since_seconds`."""
        since = self._clock() - timedelta(seconds=float(arguments["since_seconds"]))
        for each in await self._archive.statistics(since):
            yield statistics_view(each)

    async def replay(self, arguments: Arguments) -> Answers:
        """Yield the views of the reports to replay; unless `dry_run`, put them into the outbox again.

        They are chosen by `identifiers`, by `since_seconds` (sent within that time), or by `unsent`. A note
        that was sent already has `isLeftOut` in its view, and is not replayed, unless `notes` is given.
        `UnknownAlert` if the store lacks one of the identifiers; then nothing is replayed.
        """
        select = partial(_is_replayed, notes=bool(arguments.get("notes")))
        identifiers = await self._select_identifiers(arguments)
        for identifier in identifiers:
            for report in await self._archive.reports_of(identifier):
                yield {"identifier": identifier, "isLeftOut": not select(report), **report_view(report)}
        if not arguments.get("dry_run"):
            await self._archive.replay(identifiers, self._clock(), select=select)
            self._wake()

    async def backup(self, _: Arguments) -> Answers:
        """Yield a consistent copy of the store in pieces, `{"data": base64}`, or `{}` as a sign of life.

        `BackupRunning` if another copy is in progress; `StoreError` if it fails, or if the store is a table.
        """
        if self._path is None:
            await self._archive.copy_to(Path("a file"))  # raises an error that says what to do instead
            return
        if self._copying.locked():
            raise BackupRunning("another backup is in progress; try again when it has finished")
        copy = self._path.with_name(f".{self._path.name}.backup-in-progress")
        async with self._copying, aclosing(self._stream_copy(copy)) as pieces:
            async for piece in pieces:
                yield piece

    async def _stream_copy(self, copy: Path) -> Answers:
        try:
            await asyncio.to_thread(copy.unlink, missing_ok=True)
        except OSError as error:
            raise StoreError(f"{copy} cannot be removed: {error.strerror}; move it away") from error
        copying = asyncio.create_task(self._archive.copy_to(copy))
        try:
            while not (await asyncio.wait({copying}, timeout=HEARTBEAT_SECONDS))[0]:
                yield {}
            await copying
            with copy.open("rb") as file:
                while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    yield {"data": base64.b64encode(chunk).decode()}
        finally:
            with suppress(Exception):
                await copying
            await asyncio.to_thread(copy.unlink, missing_ok=True)

    def _read_filter(self, arguments: Arguments) -> Filter:
        outcome, seconds = arguments.get("outcome"), arguments.get("since_seconds")
        return Filter(
            is_open=bool(arguments.get("open")),
            user=str(arguments.get("user") or ""),
            alert=str(arguments.get("alert") or ""),
            outcome=Outcome(outcome) if outcome else None,
            taken_by=str(arguments.get("taken_by") or ""),
            since=self._clock() - timedelta(seconds=float(seconds)) if seconds else None,
        )

    async def _select_identifiers(self, arguments: Arguments) -> Sequence[str]:
        if arguments.get("unsent"):
            return await self._archive.identifiers_unsent()
        if "since_seconds" in arguments:
            since = self._clock() - timedelta(seconds=float(arguments["since_seconds"]))
            return await self._archive.identifiers_sent_since(since)
        identifiers = list(dict.fromkeys(str(identifier) for identifier in arguments["identifiers"]))
        for identifier in identifiers:
            if await self._archive.find(identifier) is None:
                raise UnknownAlert(f"there is no alert {identifier!r} in the store; nothing was sent")
        return identifiers


def _is_replayed(row: OutboxRow, *, notes: bool) -> bool:
    """Whether a report goes out again: a note that was sent already does so only with `notes`."""
    return notes or row.sent_at is None or not read_report(row).note


async def _find_store_trouble(store: Probeable) -> StoreError | str:
    try:
        await store.probe()
    except StoreError as error:
        return error
    return ""
