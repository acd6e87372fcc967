"""Commands and the running worker, over a real socket; and two commands at a time that need the store."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, SteppedClock, a_request
from memory_store import MemoryStore

from bot.clock import Clock
from bot.errors import StoreError, StoreUnusable
from bot.sqs.wire import write_report
from bot.triage.asking_rules import accept, new_ref
from bot.triage.model import Change, Confidence, Report
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy
from bot.worker.control import MAX_REQUEST_BYTES, CallFailed, ControlServer, Handler, NoWorker, call
from bot.worker.handlers import LIST_SUMMARY, BackupRunning, store_handlers

#: A generous bound for what takes milliseconds.
SECONDS = 20

Answers = list[dict[str, Any]]


async def echo(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
    yield {"echo": dict(arguments)}


async def count(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
    for number in range(int(arguments["upto"])):
        yield {"number": number, "text": "é\n" * 500}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triage-bot.db.sock"


@asynccontextmanager
async def listening(
    path: Path, *, patience: float = SECONDS, **handlers: Handler
) -> AsyncIterator[ControlServer]:
    known = {"echo": echo, "count": count, **handlers}
    server = ControlServer(path, known, patience=timedelta(seconds=patience))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def ask(path: Path, command: str, **arguments: Any) -> Answers:
    return await asyncio.to_thread(lambda: list(call(path, command, **arguments)))


async def test_a_command_is_answered(path: Path) -> None:
    async with listening(path):
        answers = await ask(path, "echo", identifier="ü\n\0", limit=3)

    assert answers == [{"echo": {"identifier": "ü\n\0", "limit": 3}}]


async def test_a_long_answer_is_streamed_line_by_line(path: Path) -> None:
    async with listening(path):
        answers = await ask(path, "count", upto=2000)

    assert [answer["number"] for answer in answers] == list(range(2000))


async def test_callers_are_served_side_by_side(path: Path) -> None:
    arrived = asyncio.Barrier(2)

    async def meet(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        await arrived.wait()
        yield {"met": True}

    async with listening(path, meet=meet), asyncio.timeout(SECONDS):
        answers = await asyncio.gather(ask(path, "meet"), ask(path, "meet"))

    assert list(answers) == [[{"met": True}], [{"met": True}]]


def test_without_a_worker_the_caller_is_told_so(path: Path) -> None:
    with pytest.raises(NoWorker, match="no worker listens"):
        next(call(path, "echo"))

    with pytest.raises(NoWorker):
        next(call(path / "no" / "such" / "folder", "echo"))


async def test_a_socket_that_a_dead_worker_left_behind_is_no_worker_and_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    with pytest.raises(NoWorker):
        next(call(path, "echo"))
    async with listening(path):
        assert await ask(path, "echo") == [{"echo": {}}]


async def test_a_file_that_is_no_socket_is_never_removed_and_a_missing_folder_named(path: Path) -> None:
    path.write_text("precious")

    with pytest.raises(StoreUnusable, match="is not a socket"):
        await ControlServer(path, {}).start()
    with pytest.raises(StoreUnusable, match="No such file or directory"):
        await ControlServer(path.parent / "missing" / path.name, {}).start()

    assert path.read_text() == "precious"


async def test_only_the_workers_own_user_can_connect_and_the_socket_is_gone_after_the_stop(
    path: Path,
) -> None:
    async with listening(path):
        mode = path.stat().st_mode

    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert not path.exists()


async def test_a_store_may_live_deeper_than_a_sockets_path_may_be_long(path: Path) -> None:
    deep = path.parent.joinpath(*["a-folder-with-a-long-name"] * 10)
    deep.mkdir(parents=True)

    async with listening(deep / path.name):
        answers = await ask(deep / path.name, "echo")

    assert answers == [{"echo": {}}]


async def test_a_failure_of_ours_is_told_in_its_own_words(path: Path) -> None:
    async def full(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"number": 1}
        raise StoreError("the disk is full")

    async with listening(path, full=full):
        with pytest.raises(CallFailed, match=r"^the disk is full$"):
            await ask(path, "full")


async def test_any_other_failure_is_logged_and_the_worker_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"not": {"json"}}

    caplog.set_level(logging.ERROR)
    async with listening(path, broken=broken):
        with pytest.raises(CallFailed, match="see its log"):
            await ask(path, "broken")
        assert await ask(path, "echo") == [{"echo": {}}]

    assert "not JSON serializable" in caplog.text


async def test_a_stop_breaks_off_the_calls_in_progress(path: Path) -> None:
    begun = asyncio.Event()

    async def waiting(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        begun.set()
        yield {"number": 1}
        await asyncio.Event().wait()

    async with listening(path, waiting=waiting) as server, asyncio.timeout(SECONDS):
        asked = asyncio.create_task(ask(path, "waiting"))
        await begun.wait()
        await server.stop()

        with pytest.raises(CallFailed, match="before its answer was complete"):
            await asked


async def test_a_worker_that_never_answers_is_given_up(path: Path) -> None:
    async def waiting(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        await asyncio.Event().wait()
        yield {}

    async with listening(path, waiting=waiting):
        with pytest.raises(CallFailed, match=r"did not answer for 0\.1 s"):
            await asyncio.to_thread(lambda: list(call(path, "waiting", patience=timedelta(seconds=0.1))))


@pytest.mark.parametrize(
    "answer",
    [
        b"42\n",
        b"null\n",
        b"[]\n",
        b'["item"]\n',
        b"{}\n",
        b'{"item": 5}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\n",
    ],
)
async def test_an_answer_that_is_none_is_named_and_never_taken_for_a_whole_one(
    path: Path, answer: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer + b'{"end": true}\n')
        writer.close()

    async with await asyncio.start_unix_server(serve, path), asyncio.timeout(SECONDS):
        with pytest.raises(CallFailed, match="the connection to the worker failed"):
            await ask(path, "list")


# Callers that talk nonsense, say nothing, do not read, or leave


async def send_raw(path: Path, content: bytes) -> bytes:
    """Send bytes as they are, and read until the worker hangs up."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    with closing(writer):
        writer.write(content)
        async with asyncio.timeout(SECONDS):
            return await reader.read()


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"garbage\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b'{"command": ["echo"], "arguments": {}}\n',
        b'{"command": "echo", "arguments": []}\n',
        b'{"command": "unknown", "arguments": {}}\n',
        b"[" * (MAX_REQUEST_BYTES - 1) + b"\n",
        b"1" * (MAX_REQUEST_BYTES - 1) + b"\n",
        b"x" * (MAX_REQUEST_BYTES * 2),
    ],
)
async def test_garbage_is_answered_with_an_error_and_the_next_caller_is_served(
    path: Path, content: bytes
) -> None:
    async with listening(path):
        answer = await send_raw(path, content)
        after = await ask(path, "echo")

    assert "does not know this command" in json.loads(answer)["error"]
    assert after == [{"echo": {}}]


async def test_a_caller_that_says_nothing_is_dropped_while_others_are_served(path: Path) -> None:
    async with listening(path, patience=0.2):
        silent = asyncio.create_task(send_raw(path, b'{"command": '))
        answers = await ask(path, "echo")

        assert answers == [{"echo": {}}]
        assert await silent == b""


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_caller_that_leaves_or_does_not_read_ends_only_its_own_call(
    path: Path, *, leaves: bool
) -> None:
    closed = asyncio.Event()

    async def endless(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        try:
            while True:
                yield {"text": "x" * (1 if leaves else 10_000)}
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with listening(path, patience=SECONDS if leaves else 0.2, endless=endless):
        _, writer = await asyncio.open_unix_connection(str(path), limit=1)
        with closing(writer):
            writer.write(b'{"command": "endless", "arguments": {}}\n')
            if leaves:
                writer.close()
            async with asyncio.timeout(SECONDS):
                await closed.wait()
            assert await ask(path, "echo") == [{"echo": {}}]


# Two commands at a time that need the store


class PausingStore(MemoryStore):
    """Its copy is done when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def copy_to(self, path: Path) -> None:
        self.begun.set()
        await self.go_on.wait()
        await asyncio.to_thread(path.write_bytes, b"a copy")


async def taken(backup: Handler) -> list[Mapping[str, Any]]:
    return [piece async for piece in backup({})]


async def test_a_list_costs_no_more_than_the_beginning_of_each_text() -> None:
    store = MemoryStore()
    question = accept(a_request(summary="é" * 50_000), "0.1", NOON, Policy()).question
    await store.add([Change(question=question)])

    listed = [view async for view in store_handlers(store, None, clock=Clock())["list"]({})]

    assert [len(view["summary"]) for view in listed] == [LIST_SUMMARY]
    assert len(json.dumps(listed)) < 10_000


A_NOTE = Report(
    identifier=a_request().identifier,
    sequence=1,
    outcome=Outcome.NO,
    response="no",
    note=True,
    at=NOON,
    email="ada@example.com",
    slack_id="U0ADA",
    slack_name="ada",
    confidence=Confidence.LOWEST,
    alert="duo",
)


@pytest.mark.parametrize(("notes", "again"), [(False, [True, False, True, True]), (True, [True] * 4)])
async def test_a_note_is_left_out_of_a_replay_once_it_was_sent_unless_notes_are_wanted(
    *, notes: bool, again: list[bool]
) -> None:
    store = MemoryStore()
    question = accept(a_request(), new_ref(a_request().identifier, "1" * 32), NOON, Policy()).question
    answer, sent, waiting, parked = (
        write_report(replace(A_NOTE, sequence=number, note=number > 0), NOON) for number in range(4)
    )
    await store.add([Change(question=question, report=answer)])
    store.reports[question.identifier] += [sent, waiting, parked]
    await store.mark_sent([answer, sent], NOON)
    await store.mark_parked([parked], NOON)
    replay = store_handlers(store, None, clock=SteppedClock())["replay"]

    which = {"identifiers": [question.identifier], "notes": notes}
    views = [view async for view in replay(which)]

    assert [not view["isLeftOut"] for view in views] == again
    reports = await store.reports_of(question.identifier)
    assert [bool(row.replays) for row in reports] == again
    assert not any(row.sent_at for row, is_again in zip(reports, again, strict=True) if is_again)


async def test_a_second_backup_is_refused_in_words_while_the_first_is_being_made(tmp_path: Path) -> None:
    store = PausingStore()
    backup = store_handlers(store, tmp_path / "store.db", clock=Clock())["backup"]
    first = asyncio.create_task(taken(backup))
    await store.begun.wait()

    with pytest.raises(BackupRunning, match="another backup is in progress"):
        await taken(backup)

    store.go_on.set()
    assert [piece for piece in await first if piece] == await taken(backup)


async def test_a_backup_names_what_is_in_the_way_of_its_copy(tmp_path: Path) -> None:
    (tmp_path / ".store.db.backup-in-progress").mkdir()
    backup = store_handlers(PausingStore(), tmp_path / "store.db", clock=Clock())["backup"]

    with pytest.raises(
        StoreError, match=r"\.store\.db\.backup-in-progress cannot be removed: Is a directory"
    ):
        await taken(backup)


async def test_a_socket_that_cannot_be_removed_does_not_keep_the_worker_from_stopping(path: Path) -> None:
    async with listening(path) as server:
        path.unlink()
        path.mkdir()

        await server.stop()

    assert path.is_dir()
