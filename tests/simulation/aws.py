"""AWS without sockets: boto3 as it is, down to botocore's `before-send`, from where the stand-in answers."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final, cast

import boto3
from aiohttp import web
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from torture.orders import ACCESS_KEY, REGION, SECRET_KEY

from .machines import LIFE
from .network import Network, Request, Transport
from .virtual_threads import Threads

#: As the worker's own clients wait for an answer, in seconds: a poll, and any other call.
_POLL_TAKES: Final = 30.0
_CALL_TAKES: Final = 5.0


class Wire:
    """Where all requests of a run to AWS go: `current` is that of the run."""

    current: Wire

    def __init__(self, network: Network, threads: Threads) -> None:
        self._network = network
        self._threads = threads

    def send(self, request: Any) -> AWSResponse:
        """Answer a request. Called on a thread of the program's; raises botocore's errors."""
        life = LIFE.get()
        if life is not None:
            life.require_alive()
        headers = {name: _read(value) for name, value in request.headers.items()}
        asked = Request(
            method="POST",
            path="/sqs/",
            headers=headers,
            body=_read(request.body),
            transport=Transport(life=life),
        )
        longest = _POLL_TAKES if headers["X-Amz-Target"].endswith("ReceiveMessage") else _CALL_TAKES
        try:
            response = self._threads.wait_for(_within(longest, self._network.ask(asked)))
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        if response is None:
            raise ConnectionClosedError(endpoint_url=request.url, error="it was closed")
        assert isinstance(response, web.Response)
        body = response.text or ""
        headers = {"Content-Type": response.headers.get("Content-Type", ""), **response.headers}
        made: Any = AWSResponse  # its types want headers of its own
        return cast("AWSResponse", made(request.url, response.status, headers, _Body(body.encode())))


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> list[bytes]:
        return [self._content]


async def _within(seconds: float, work: Any) -> Any:
    async with asyncio.timeout(seconds):
        return await work


def _read(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@functools.cache
def session() -> boto3.Session:
    """Return the session of this process: it holds no state of a life, and takes long to make."""
    made = boto3.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION)
    events: Any = made.events
    # Last: the program notes when it sends before it does.
    events.register_last("before-send", lambda request, **_: Wire.current.send(request))
    return made
