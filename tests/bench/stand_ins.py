"""`python -m tests.bench.stand_ins`: Slack, SQS and DynamoDB in one process, led by lines of JSON.

Standard input: `{"do": METHOD, …}`; standard output: one answer a line, `{"failed": WHY}` where nothing came
of it. The first line out holds the variables that lead here. It ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable
from typing import Final

from table_server import TableServer

from bot.slack.connections import CONNECTIONS
from bot.store.dynamodb.schema import table_description

from .slack import MessageLimit
from .workloads import PATIENCE, Json, Workloads

#: The table of several workers.
TABLE: Final = "bench"


class StandIns(Workloads):
    """All stand-ins. Each public coroutine is an order, and returns what is answered."""

    def __init__(self, *, first: int) -> None:
        super().__init__(first=first)
        self._dynamodb = TableServer(on_fault=self.ledger.faults.append)
        self._dynamodb.create(table_description(TABLE))

    async def start(self, tls: ssl.SSLContext | None, *, bare_link: bool, provider: bool) -> Json:
        """Serve; return the variables that lead here."""
        asyncio.get_running_loop().set_exception_handler(self._note_fault)
        await self.slack.links.start(None if bare_link else tls)
        for server in (self.slack.server, self.sqs.server, self._dynamodb.http):
            await server.start(tls)
        if provider:
            await self.provider.server.start(tls)
        return {
            **(self.provider.environment() if provider else {}),
            "SLACK_API_URL": f"{self.slack.server.address}/api/",
            "REQUEST_QUEUE_URL": self.sqs.url("requests"),
            "RESPONSE_QUEUE_URL": self.sqs.url("responses"),
            "AWS_ENDPOINT_URL_SQS": self.sqs.server.address,
            "AWS_ENDPOINT_URL_DYNAMODB": self._dynamodb.http.address,
        }

    async def obey(self, order: Json) -> Json:
        """Carry out an order; return the result, and how much processor time it took here."""
        word = order.pop("do")
        began, used = time.perf_counter(), time.process_time()
        result: Json | None = None
        try:
            result = await getattr(self, word)(**order)
        except (TimeoutError, IndexError) as error:
            self.ledger.faults.append(f"{word}: {error or type(error).__name__}")
        if self.ledger.faults:
            return {"failed": "; ".join(self.ledger.faults[:5])}
        return {**(result or {}), "load": (time.process_time() - used) / (time.perf_counter() - began)}

    def _note_fault(self, _: object, context: Json) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError):  # those are of contestants that were ended
            self.ledger.faults.append(f"the stand-ins: {context['message']} ({error!r})")

    async def await_ready(self) -> Json:
        links, polls = self.slack.links, self.sqs.polls
        await self._until(lambda: bool(links.linked_at and polls))
        return {"ready_at": max(links.linked_at, polls[0])}

    async def await_workers(self, count: int) -> None:
        """Wait until this many workers have all their links, and have nothing to do."""
        await self._until(lambda: self.slack.links.count >= CONNECTIONS * count and self.sqs.waiting >= count)

    async def set_limit(self, messages: int, seconds: float) -> None:
        self.slack.limit = MessageLimit(messages=messages, seconds=seconds)

    async def refused(self) -> Json:
        return {"refused": self.slack.limit.refused if self.slack.limit else 0}

    async def set_latency(self, seconds: float) -> None:
        self.slack.latency = seconds

    async def set_provider_latency(self, seconds: float) -> None:
        self.provider.latency = seconds

    async def calls(self) -> Json:
        return {"calls": self.sqs.calls, "polls": self.sqs.polls}

    async def _until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > until:
                raise TimeoutError(f"{self.slack.links.count} links and {self.sqs.waiting} polls")
            await asyncio.sleep(0.005)


async def serve(options: argparse.Namespace) -> None:
    """Serve and obey until the input ends."""
    stand_ins = StandIns(first=options.first)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if options.certificate else None
    if tls is not None:
        tls.load_cert_chain(options.certificate)
    _say(await stand_ins.start(tls, bare_link=options.bare_link, provider=options.provider))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while line := await orders.readline():
        _say(await stand_ins.obey(json.loads(line)))


def _say(answer: Json) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", help="a file with key and certificate; without, there is no TLS")
    parser.add_argument("--bare-link", action="store_true", help="no TLS for the websocket")
    parser.add_argument("--provider", action="store_true", help="one of a second factor, too")
    parser.add_argument("--first", type=int, default=0, help="the number of the first alert")
    asyncio.run(serve(parser.parse_args()))
