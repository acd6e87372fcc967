"""Between the workers and DynamoDB: throttling, refusals, lost replies and an index that lags."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

import aiohttp
from aiohttp import web
from table_server import TableServer

from .fast_clock import FastClock

#: How often a call of any kind is spoiled, and how.
_SHARE: Final = 0.06
_CALL_FAULTS: Final = {
    "throttled": 6,  # nothing done
    "server error": 2,  # nothing done
    "error after": 2,  # done, and answered with an error of the server's
    "reset before": 3,  # nothing done
    "lost reply": 6,  # done
    "slow": 3,
    "conflict": 2,  # of a transaction: nothing done
    "page before": 1,  # nothing done, and a proxy's page with status 200 for an answer
    "page after": 1,  # done, and such a page
}

#: How often a look into an index sees what the last look at the same place saw.
_LAGGED: Final = "index lagged"
_LAGGING: Final = 0.15

#: How late a slow answer comes, in seconds of ours, at the most. The worker gives up after three.
_SLOW: Final = 0.5

#: Headers of a call that DynamoDB looks at.
_PASSED_ON: Final = (
    "X-Amz-Target",
    "Content-Type",
    "Authorization",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "Host",
)
_CONTENT: Final = "application/x-amz-json-1.0"
_NAMES: Final = "com.amazonaws.dynamodb.v20120810#"


class DynamoProxy:
    """Hands calls on, and spoils some of them while `raging`; `counts` tells how often how.

    They go to the DynamoDB at `upstream`; where that is empty, to tables of its own. What is `planned` comes
    first, one fault a call.
    """

    def __init__(self, upstream: str, random: Random, clock: FastClock) -> None:
        self.raging = False
        self.counts: Counter[str] = Counter()
        self.calls = 0
        self.planned: list[str] = []
        self.address = ""
        self._upstream = upstream
        self._tables = TableServer(on_fault=lambda fault: print(fault, file=sys.stderr, flush=True))
        self._random = random
        self._clock = clock
        self._seen: dict[str, bytes] = {}
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Serve on a free port."""
        connector = aiohttp.TCPConnector(limit=64)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.on_response_prepare.append(self._clock.date)
        application.router.add_post("/{rest:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """End the server."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except ConnectionResetError:  # the caller was killed in the middle of its call
            return _cut(request)
        self.calls += 1
        fault = self.planned.pop(0) if self.planned else self._draw(_action(request))
        if fault and fault != _LAGGED:
            self.counts[f"table {fault}"] += 1
        if fault in _INSTEAD:
            return _INSTEAD[fault](request)
        response = await self._answer(request, body, lagging=fault == _LAGGED)
        if fault == "slow":
            await asyncio.sleep(self._random.uniform(0, _SLOW))
        return _AFTER[fault](request) if fault in _AFTER else response

    def _draw(self, operation: str) -> str:
        if not self.raging:
            return ""
        fault = draw_fault(self._random, operation)
        return fault or (_LAGGED if self._random.random() < _LAGGING else "")

    async def _answer(self, request: web.Request, body: bytes, *, lagging: bool) -> web.Response:
        """Hand a call on, or let an index show what it showed the last time: it follows the table later."""
        place = _place(body)
        if lagging and place in self._seen:
            self.counts[f"table {_LAGGED}"] += 1
            return web.Response(body=self._seen[place], content_type=_CONTENT)
        response = await self._pass_on(request, body)
        if place and response.status == 200 and isinstance(response.body, bytes):
            self._seen[place] = response.body
        return response

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        if not self._upstream:
            reply = self._tables.reply(_action(request), body)
            return web.Response(body=reply.body, status=reply.status, content_type=_CONTENT)
        assert self._session is not None
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        async with self._session.post(self._upstream, data=body, headers=headers) as answer:
            # Without the checksum, which stays right: nothing on this way breaks a body.
            return web.Response(body=await answer.read(), status=answer.status, content_type=_CONTENT)


def _action(request: web.Request) -> str:
    return request.headers.get("X-Amz-Target", "").rpartition(".")[2]


def draw_fault(random: Random, operation: str) -> str:
    """Return how a call is spoiled, "" if it is not."""
    if random.random() >= _SHARE:
        return ""
    fault = random.choices(list(_CALL_FAULTS), weights=list(_CALL_FAULTS.values()))[0]
    return "throttled" if fault == "conflict" and operation != "TransactWriteItems" else fault


def _place(body: bytes) -> str:
    """Return what a query of an index looks at; "" for any other call, and for a later page."""
    query: dict[str, Any] = json.loads(body)
    if "IndexName" not in query or "ExclusiveStartKey" in query:
        return ""
    return f"{query['IndexName']} {query['ExpressionAttributeValues'][':p']['S']} {query.get('Limit')}"


def _refusal(status: int, code: str) -> web.Response:
    answer: dict[str, Any] = {"__type": f"{_NAMES}{code}", "message": "again, please"}
    if code == "TransactionCanceledException":
        answer["CancellationReasons"] = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    return web.json_response(answer, status=status, content_type=_CONTENT)


def _page(_: web.Request) -> web.Response:
    return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


#: Fault → what is answered where nothing is done …
_INSTEAD: Final[Mapping[str, Callable[[web.Request], web.Response]]] = {
    "throttled": lambda _: _refusal(400, "ProvisionedThroughputExceededException"),
    "server error": lambda _: _refusal(500, "InternalServerError"),
    "conflict": lambda _: _refusal(400, "TransactionCanceledException"),
    "reset before": _cut,
    "page before": _page,
}
#: … and in the place of DynamoDB's own answer.
_AFTER: Final[Mapping[str, Callable[[web.Request], web.Response]]] = {
    "error after": _INSTEAD["server error"],
    "lost reply": _cut,
    "page after": _page,
}
