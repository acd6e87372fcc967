"""`python -m tests.bench.stand_ins`: Slack, SQS and DynamoDB in one process, led by lines of JSON.

Standard input: `{"do": WORD, …}`; standard output: one answer a line, `{"failed": WHY}` where nothing came
of it. The first line out holds the addresses. It ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bot.slack.connections import CONNECTIONS

from .dynamodb import DynamoStandIn
from .ledger import Ledger
from .limit import MessageLimit
from .slack import LeanSlack
from .sqs import LeanSqs
from .workloads import PATIENCE, Workloads

Json = dict[str, Any]


class StandIns:
    """All stand-ins, and the words that they understand."""

    def __init__(self, *, first: int) -> None:
        self.ledger = Ledger(first=first)
        self.slack = LeanSlack(self.ledger)
        self.sqs = LeanSqs(self.ledger)
        self.dynamodb = DynamoStandIn(self.ledger)
        self.workloads = Workloads(self.ledger, self.slack, self.sqs)

    async def start(self, tls: ssl.SSLContext | None, *, bare_link: bool) -> Json:
        """Serve; return the addresses."""
        asyncio.get_running_loop().set_exception_handler(self._note_fault)
        await self.slack.server.start(tls)
        await self.slack.links.start(None if bare_link else tls)
        await self.sqs.server.start(tls)
        await self.dynamodb.server.start(tls)
        queues = {name: self.sqs.url(name) for name in ("requests", "responses")}
        aws = {"sqs": self.sqs.server.address, "dynamodb": self.dynamodb.server.address}
        return {"slack": f"{self.slack.server.address}/api/", **aws, **queues}

    async def obey(self, order: Json) -> Json:
        """Do what is ordered; tell how it went, and how much of a processor that took here."""
        word = order.pop("do")
        began, used = time.perf_counter(), time.process_time()
        result: Json = {}
        try:
            result = await _WORDS[word](self, **order)
        except (TimeoutError, IndexError) as error:
            self.ledger.faults.append(f"{word}: {error or type(error).__name__}")
        if self.ledger.faults:
            return {"failed": "; ".join(self.ledger.faults[:5])}
        return {**result, "load": (time.process_time() - used) / (time.perf_counter() - began)}

    def _note_fault(self, _: object, context: Json) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError):  # those are of contestants that were ended
            self.ledger.faults.append(f"the stand-ins: {context['message']} ({error!r})")

    async def _await_ready(self) -> Json:
        until = time.monotonic() + PATIENCE
        while not (self.slack.links.linked_at and self.sqs.polls):
            if time.monotonic() > until:
                raise TimeoutError("no link, or no poll")
            await asyncio.sleep(0.005)
        return {"ready_at": max(self.slack.links.linked_at, self.sqs.polls[0])}

    async def _await_workers(self, count: int) -> Json:
        """Wait until so many workers have all their links, and have nothing to do."""
        until = time.monotonic() + PATIENCE
        while self.slack.links.count < CONNECTIONS * count or self.sqs.waiting < count:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.slack.links.count} links and {self.sqs.waiting} polls")
            await asyncio.sleep(0.005)
        return {}

    async def _set_limit(self, messages: int, seconds: float) -> Json:
        self.slack.limit = MessageLimit(messages=messages, seconds=seconds)
        return {}

    async def _refused(self) -> Json:
        return {"refused": self.slack.limit.refused if self.slack.limit else 0}

    async def _set_latency(self, seconds: float) -> Json:
        self.slack.latency = seconds
        return {}

    async def _cycles(self, count: int, concurrency: int) -> Json:
        await self.workloads.cycles(count, concurrency=concurrency)
        return {}

    async def _flood(self, count: int) -> Json:
        return {"seconds": await self.workloads.flood(count)}

    async def _clicks(self, count: int) -> Json:
        return {"acknowledged": await self.workloads.clicks(count)}

    async def _clicks_in_flood(self, count: int, flood: int) -> Json:
        return {"acknowledged": await self.workloads.clicks_in_flood(count, flood=flood)}

    async def _calls(self) -> Json:
        return {"calls": dict(self.sqs.calls), "polls": self.sqs.polls}


_WORDS: Final[dict[str, Callable[..., Awaitable[Json]]]] = {
    "await ready": StandIns._await_ready,
    "await workers": StandIns._await_workers,
    "set latency": StandIns._set_latency,
    "set limit": StandIns._set_limit,
    "refused": StandIns._refused,
    "cycles": StandIns._cycles,
    "flood": StandIns._flood,
    "clicks": StandIns._clicks,
    "clicks in flood": StandIns._clicks_in_flood,
    "calls": StandIns._calls,
}


async def serve(options: argparse.Namespace) -> None:
    """Serve and obey until the input ends."""
    stand_ins = StandIns(first=options.first)
    tls = _context(options.certificate) if options.certificate else None
    _say(await stand_ins.start(tls, bare_link=options.bare_link))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while line := await orders.readline():
        _say(await stand_ins.obey(json.loads(line)))


def main() -> None:
    """Run as the options say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", help="a file with key and certificate; without, there is no TLS")
    parser.add_argument("--bare-link", action="store_true", help="no TLS for the websocket")
    parser.add_argument("--first", type=int, default=0, help="the number of the first alert")
    asyncio.run(serve(parser.parse_args()))


def _context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _say(answer: Json) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
