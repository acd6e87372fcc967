"""How a command talks to the running worker: a Unix socket next to the store's file.

One request per connection, one JSON object per line. The command sends `{"command": …, "arguments": {…}}`;
the worker answers with any number of `{"item": {…}}`, then `{"end": true}` or `{"error": "sentence"}`. An
answer without one of these last two is incomplete. Only the worker's own user (and root) can connect.

The socket is addressed through its opened folder (`/proc/self/fd/N/NAME`): the kernel allows no socket path
over 107 bytes, and the store's path may be longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.errors import StoreUnusable, TriageBotError
from bot.triage.log_events import log_event
from bot.worker.server_sockets import BACKLOG, Listener, abort

log = logging.getLogger(__name__)

#: Answers one command: takes its arguments, yields JSON-able objects. Closed early if the caller disconnects.
Handler = Callable[[Mapping[str, Any]], AsyncGenerator[Mapping[str, Any], None]]

#: The longest request, in bytes. Commands are short; an identifier has at most 255 characters.
MAX_REQUEST_BYTES = 64 * 1024

#: How long either side waits for the other.
PATIENCE = timedelta(seconds=10)


class NoWorker(TriageBotError):
    """Nothing listens on the socket: no worker holds the store."""


class CallFailed(TriageBotError):
    """The running worker could not be reached, or could not run the command. The message says why."""


class ControlServer:
    """The worker's end. Start it only while holding the store: an existing socket is then a dead worker's."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        patience: timedelta = PATIENCE,
        limit: int | None = None,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._patience = patience.total_seconds()
        self._calls: set[asyncio.Task[None]] = set()
        self._listener = Listener(self._make_protocol, limit=limit)
        self._is_listening = False

    async def start(self) -> None:
        """Listen. `StoreUnusable` if the folder does not allow it, or if something else has that name."""
        try:
            listening = _listen(self._path)
        except OSError as error:
            raise StoreUnusable(f"cannot create {self._path}: {error.strerror or error}") from error
        self._listener.start([listening])
        self._is_listening = True

    async def stop(self) -> None:
        """Stop listening, cancel calls in progress, remove the socket. Call it before closing the store."""
        if not self._is_listening:
            return
        self._is_listening = False
        await self._listener.stop()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        with contextlib.suppress(OSError):  # the next start replaces it, or says what else is there
            self._path.unlink()

    def _make_protocol(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=MAX_REQUEST_BYTES), self._accept)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.create_task(self._serve(reader, writer), name="control call")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
            writer.close()
            async with asyncio.timeout(self._patience):
                await writer.wait_closed()
        except (_CallerLeft, OSError, TimeoutError):
            log_event(log.debug, "control.abandoned", "caller disconnected or timed out")
        finally:
            # Drop whatever the caller has not read by now: a silent caller must not hold memory.
            abort(writer.transport)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience):
                request = await reader.readline()
            self._listener.mark_busy(writer.transport)
            command, arguments = _read_request(request)
            handler = self._handlers[command]
        except (ValueError, KeyError, RecursionError):
            await self._send(
                writer,
                {"error": "the worker does not know this command: if it is an older release, restart it"},
            )
            return
        await self._send(writer, await self._stream(handler(arguments), writer))

    async def _stream(
        self, answers: AsyncGenerator[Mapping[str, Any], None], writer: asyncio.StreamWriter
    ) -> Mapping[str, Any]:
        """Send what the handler yields; return the last line: end or error."""
        try:
            async with contextlib.aclosing(answers):
                async for item in answers:
                    await self._send(writer, {"item": item})
        except _CallerLeft:
            raise
        except TriageBotError as error:
            return {"error": str(error)}
        except Exception:  # noqa: BLE001 - it is logged, with its traceback
            # One call fails here; its error must not end the worker.
            log_event(log.exception, "control.failed", "command failed")
            return {"error": "the worker failed to run this command; see its log for the reason"}
        return {"end": True}

    async def _send(self, writer: asyncio.StreamWriter, line: Mapping[str, Any]) -> None:
        writer.write(json.dumps(line).encode() + b"\n")
        try:
            async with asyncio.timeout(self._patience):
                await writer.drain()
        except (OSError, TimeoutError) as error:
            raise _CallerLeft from error


def call(
    path: Path, command: str, *, patience: timedelta = PATIENCE, **arguments: object
) -> Iterator[dict[str, Any]]:
    """Send a command to the worker that listens on `path`; yield its answers as they come.

    Nothing is sent before the first answer is requested; that request raises `NoWorker` if no worker listens.
    `CallFailed` at any time, e.g. if the worker is silent for `patience`.
    """
    request = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
    with _connect(path, patience) as connection, connection.makefile("rb") as lines:
        try:
            connection.sendall(request)
            for line in lines:
                item = _read_answer(line)
                if item is None:
                    return
                yield item
        except TimeoutError as error:
            raise CallFailed(f"the worker did not answer for {patience.total_seconds():g} s") from error
        except (OSError, ValueError, RecursionError) as error:
            raise CallFailed(f"the connection to the worker failed ({error})") from error
    raise CallFailed("the worker ended before its answer was complete")


class _CallerLeft(Exception):
    """The caller has disconnected, or does not read."""


def _read_request(line: bytes) -> tuple[str, Mapping[str, Any]]:
    """Return command and arguments; `ValueError` if `line` is not a request."""
    match json.loads(line):
        case {"command": str(command), "arguments": dict(arguments)}:
            return command, arguments
    raise ValueError("no command with arguments")


def _read_answer(line: bytes) -> dict[str, Any] | None:
    """Return a line's item, None for the end. `CallFailed` for an error, `ValueError` for anything else."""
    match json.loads(line):
        case {"item": dict(item)}:
            return item
        case {"end": True}:
            return None
        case {"error": str(error)}:
            raise CallFailed(error)
    raise ValueError("its answer cannot be read")


def _listen(path: Path) -> socket.socket:
    with _folder(path) as name:
        _remove_dead_socket(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The socket must never be open to others, not even between bind and a chmod. The umask applies to the
        # whole process, so it is set for this one call only.
        earlier = os.umask(0o177)
        try:
            listener.bind(name)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(earlier)
    return listener


def _remove_dead_socket(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StoreUnusable(f"{path} exists but is not a socket; move it away")
        path.unlink()


def _connect(path: Path, patience: timedelta) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience.total_seconds())
    try:
        with _folder(path) as name:
            connection.connect(name)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise NoWorker(f"no worker listens on {path}") from error
    except OSError as error:
        connection.close()
        raise CallFailed(f"cannot connect to {path}: {error.strerror or error}") from error
    return connection


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[str]:
    """Open the folder of `path`, and yield a short path to the same file through it."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
