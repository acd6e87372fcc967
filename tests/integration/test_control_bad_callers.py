"""What the worker's socket does with callers that talk nonsense, say nothing, do not read, or leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.worker.control import MAX_REQUEST_BYTES, ControlServer, Handler, call

#: A generous bound for what takes milliseconds.
SECONDS = 20

Answers = list[dict[str, Any]]


async def echo(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
    yield {"echo": dict(arguments)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "triage-bot.db.sock"


@asynccontextmanager
async def listening(
    path: Path, *, patience: float = SECONDS, **handlers: Handler
) -> AsyncIterator[ControlServer]:
    known = {"echo": echo, **handlers}
    server = ControlServer(path, known, patience=timedelta(seconds=patience))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def ask(path: Path, command: str, **arguments: Any) -> Answers:
    return await asyncio.to_thread(lambda: list(call(path, command, **arguments)))


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


async def test_a_caller_that_does_not_read_ends_only_its_own_call(path: Path) -> None:
    closed = asyncio.Event()

    async def endless(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        try:
            while True:
                yield {"text": "x" * 10_000}
        finally:
            closed.set()

    async with listening(path, patience=0.2, endless=endless):
        _, writer = await asyncio.open_unix_connection(str(path), limit=1)
        with closing(writer):
            writer.write(b'{"command": "endless", "arguments": {}}\n')
            async with asyncio.timeout(SECONDS):
                await closed.wait()
            assert await ask(path, "echo") == [{"echo": {}}]


async def test_a_caller_that_leaves_ends_its_own_call(path: Path) -> None:
    closed = asyncio.Event()

    async def endless(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        try:
            while True:
                yield {"text": "x"}
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with listening(path, endless=endless):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"command": "endless", "arguments": {}}\n')
        writer.close()
        async with asyncio.timeout(SECONDS):
            await closed.wait()
