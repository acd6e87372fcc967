"""A stand-in for Slack's end of Socket Mode: links, clicks, and how long an acknowledgement takes."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import WSMsgType, web

#: Slack shows the person a warning after this many seconds.
ACKNOWLEDGE_WITHIN: Final = 3.0


class Links:
    """All links of the app. An envelope goes over any one of them, as Slack does it."""

    def __init__(self) -> None:
        self._open: list[web.WebSocketResponse] = []
        self._waiting: dict[str, asyncio.Future[float]] = {}
        self._numbers = itertools.count()
        self.address = ""
        self.linked_at = 0.0  #: when the first link was greeted

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    async def start(self, tls: ssl.SSLContext | None) -> None:
        """Serve on a free port, for as long as the process lives."""
        runner = web.ServerRunner(web.Server(self._serve, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.address = f"ws{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/link/?ticket=bench"

    async def deliver(self, payload: Mapping[str, Any]) -> float:
        """Send a payload; return how many seconds its acknowledgement took. `TimeoutError` as in Slack."""
        envelope_id = f"00000000-0000-4000-a000-{next(self._numbers):012}"
        acknowledged: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = acknowledged
        envelope = {
            "envelope_id": envelope_id,
            "type": "interactive",
            "accepts_response_payload": False,
            "payload": payload,
        }
        text = json.dumps(envelope)
        sent_at = time.perf_counter()
        try:
            await random.choice(self._open).send_str(text)
            return await asyncio.wait_for(acknowledged, ACKNOWLEDGE_WITHIN) - sent_at
        finally:
            del self._waiting[envelope_id]

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        link = web.WebSocketResponse(heartbeat=30.0)
        await link.prepare(request)
        self._open.append(link)
        hello = {
            "type": "hello",
            "num_connections": len(self._open),
            "connection_info": {"app_id": "A0BENCH"},
        }
        await link.send_str(json.dumps(hello))
        self.linked_at = self.linked_at or time.monotonic()
        try:
            async for message in link:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
        finally:
            self._open.remove(link)
        return link

    def _take(self, text: str) -> None:
        arrived_at = time.perf_counter()
        waiting = self._waiting.get(json.loads(text).get("envelope_id", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(arrived_at)
