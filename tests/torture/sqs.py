"""A stand-in for SQS on 127.0.0.1, with faults that emulators lack. Speaks AWS JSON 1.0, as boto3 does."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from aiohttp import web

from .fast_clock import FastClock
from .sqs_knobs import CALM, Knobs
from .sqs_queue import StandInQueue, Stored

Json = dict[str, Any]

#: How often a long poll looks, in seconds of ours.
_LOOK: Final = 0.02
_CONTENT: Final = "application/x-amz-json-1.0"
#: Codes with which an entry is refused for now; SQS blames the sender for the second and third.
_PASSING: Final = (("InternalError", False), ("KmsThrottled", True), ("AccessDenied", True))


class _RefusedError(Exception):
    """The call is answered with an error of SQS's own."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(eq=False, kw_only=True)
class FaultySqs:
    """Queues, and the web server before them. `refuses_for_good` picks bodies that no queue ever takes."""

    clock: FastClock
    random: Random
    refuses_for_good: Callable[[str], bool] = lambda _: False
    queues: dict[str, StandInQueue] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    address: str = ""
    _knobs: Knobs = CALM
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application(client_max_size=4 * 1024 * 1024)
        application.on_response_prepare.append(self.clock.date)
        application.router.add_post("/{rest:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """End the server; the queues keep their history."""
        if self._runner is not None:
            await self._runner.cleanup()

    def create(self, name: str) -> str:
        """Create a queue (FIFO by its name); return its URL."""
        self.queues[name] = StandInQueue(name=name, clock=self.clock.seconds, random=self.random)
        self.turn(self._knobs)
        return f"{self.address}/000000000000/{name}"

    def turn(self, knobs: Knobs) -> None:
        """Turn all knobs, of the queues too."""
        self._knobs = knobs
        for queue in self.queues.values():
            queue.oddities = replace(knobs.oddities)

    async def _handle(self, request: web.Request) -> web.Response:
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        try:
            parameters = json.loads(await request.text())
        except ConnectionResetError:  # the caller was killed in the middle of its request
            return cut(request)
        fault = self._draw()
        if fault:
            self.counts[fault] += 1
        if fault in {"reset", "hang_before"}:
            await self._hang(fault)
            return cut(request)
        if fault == "empty" and action != "ReceiveMessage":
            fault = ""
        if fault in _INSTEAD:
            return _INSTEAD[fault](request)
        answer = await self._answer(request, action, parameters)
        if fault == "lost_reply":
            return cut(request)
        await self._hang(fault)
        return page(request) if fault == "page_after" else answer

    def _draw(self) -> str:
        names = ("error", "reset", "lost_reply", "hang_before", "hang_after", "page", "page_after", "empty")
        lot = self.random.random()
        for name in names:
            lot -= getattr(self._knobs, name)
            if lot < 0:
                return name
        return ""

    async def _hang(self, fault: str) -> None:
        if fault.startswith("hang"):
            await asyncio.sleep(self.random.uniform(0, self._knobs.hang_seconds))

    async def _answer(self, request: web.Request, action: str, parameters: Json) -> web.Response:
        try:
            queue = self._queue(action, parameters)
            return _answer(await _ACTIONS[action](self, request, queue, parameters))
        except _RefusedError as refusal:
            return _answer({"__type": f"com.amazonaws.sqs#{refusal.code}", "message": "refused"}, status=400)

    def _queue(self, action: str, parameters: Json) -> StandInQueue:
        """Return the queue that is meant. `_RefusedError` if there is no such action, or no such queue."""
        if action not in _ACTIONS:
            raise _RefusedError("UnsupportedOperation")
        if action == "CreateQueue":
            self.create(parameters["QueueName"])
        name = parameters.get("QueueName") or str(parameters.get("QueueUrl", "")).rpartition("/")[2]
        if name not in self.queues:
            raise _RefusedError("QueueDoesNotExist")
        return self.queues[name]

    async def _receive(self, request: web.Request, queue: StandInQueue, parameters: Json) -> Json:
        until = asyncio.get_running_loop().time() + float(parameters.get("WaitTimeSeconds", 0))
        limit = int(parameters.get("MaxNumberOfMessages", 1))
        # Nobody is served who has hung up: a killed worker must not swallow batches for twenty seconds.
        while request.transport is not None and not request.transport.is_closing():
            messages = queue.receive(limit, float(parameters.get("VisibilityTimeout", 30)))
            if messages or asyncio.get_running_loop().time() >= until:
                return {"Messages": [_received(message) for message in messages]} if messages else {}
            await self._wait(queue, until)
        return {}

    async def _wait(self, _: StandInQueue, __: float) -> None:
        """Wait until there may be something in a queue, or until then by the loop's time."""
        await asyncio.sleep(_LOOK)

    async def _send(self, _: web.Request, queue: StandInQueue, parameters: Json) -> Json:
        if self.refuses_for_good(parameters["MessageBody"]):
            raise _RefusedError("InvalidMessageContents")
        return _take_in(queue, parameters)

    async def _send_batch(self, _: web.Request, queue: StandInQueue, parameters: Json) -> Json:
        return self._each(parameters, lambda entry: _take_in(queue, entry))

    async def _delete(self, _: web.Request, queue: StandInQueue, parameters: Json) -> Json:
        queue.delete(parameters["ReceiptHandle"])
        return {}

    async def _delete_batch(self, _: web.Request, queue: StandInQueue, parameters: Json) -> Json:
        return self._each(parameters, lambda entry: queue.delete(entry["ReceiptHandle"]))

    async def _change(self, _: web.Request, queue: StandInQueue, parameters: Json) -> Json:
        queue.change_visibility(parameters["ReceiptHandle"], float(parameters["VisibilityTimeout"]))
        return {}

    async def _change_batch(self, _: web.Request, queue: StandInQueue, parameters: Json) -> Json:
        return self._each(
            parameters,
            lambda entry: queue.change_visibility(entry["ReceiptHandle"], float(entry["VisibilityTimeout"])),
        )

    async def _url(self, _: web.Request, queue: StandInQueue, __: Json) -> Json:
        return {"QueueUrl": f"{self.address}/000000000000/{queue.name}"}

    async def _attributes(self, _: web.Request, queue: StandInQueue, __: Json) -> Json:
        visible, hidden = queue.depth()
        attributes = {
            "QueueArn": f"arn:aws:sqs:us-west-2:000000000000:{queue.name}",
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "ApproximateNumberOfMessagesDelayed": "0",
        }
        return {"Attributes": attributes | ({"FifoQueue": "true"} if queue.is_fifo else {})}

    def _each(self, parameters: Json, work: Callable[[Json], Json | None]) -> Json:
        """Do a batch entry by entry; some fail, as the knobs want it."""
        answer: dict[str, list[Json]] = {"Successful": [], "Failed": []}
        for entry in parameters["Entries"]:
            refusal = self._refusal(entry)
            if refusal is None:
                answer["Successful"].append({"Id": entry["Id"], **(work(entry) or {})})
            else:
                code, blames_sender = refusal
                self.counts["entry_failed"] += 1
                answer["Failed"].append({"Id": entry["Id"], "Code": code, "SenderFault": blames_sender})
        return answer

    def _refusal(self, entry: Json) -> tuple[str, bool] | None:
        if self.refuses_for_good(entry.get("MessageBody", "")):
            return "InvalidMessageContents", True
        return self.random.choice(_PASSING) if self.random.random() < self._knobs.entry_failed else None


_ACTIONS: Final[Mapping[str, Callable[[FaultySqs, web.Request, StandInQueue, Json], Awaitable[Json]]]] = {
    "ReceiveMessage": FaultySqs._receive,
    "SendMessage": FaultySqs._send,
    "SendMessageBatch": FaultySqs._send_batch,
    "DeleteMessage": FaultySqs._delete,
    "DeleteMessageBatch": FaultySqs._delete_batch,
    "ChangeMessageVisibility": FaultySqs._change,
    "ChangeMessageVisibilityBatch": FaultySqs._change_batch,
    "CreateQueue": FaultySqs._url,
    "GetQueueAttributes": FaultySqs._attributes,
    "GetQueueUrl": FaultySqs._url,
}


def _take_in(queue: StandInQueue, entry: Json) -> Json:
    body = entry["MessageBody"]
    attributes = entry.get("MessageAttributes") or {}
    message_id = queue.send(
        body,
        group=entry.get("MessageGroupId", ""),
        deduplication=entry.get("MessageDeduplicationId", ""),
        attributes={name: value.get("StringValue", "") for name, value in attributes.items()},
    )
    return {"MessageId": message_id, "MD5OfMessageBody": _md5(body)}


def _received(message: Stored) -> Json:
    body, ids = message.sent.body, {"MessageId": message.message_id, "ReceiptHandle": message.handle}
    return {**ids, "Body": body, "MD5OfBody": _md5(body)}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _answer(body: Json, *, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type=_CONTENT)


def page(_: web.Request) -> web.Response:
    """Return what a proxy answers that wants somebody to log in."""
    return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")


def cut(request: web.Request) -> web.Response:
    """Break the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


#: Fault → what is answered where nothing is done.
_INSTEAD: Final[Mapping[str, Callable[[web.Request], web.Response]]] = {
    "error": lambda _: _answer({"__type": "InternalFailure", "message": "again, please"}, status=500),
    "page": page,
    "empty": lambda _: _answer({}),
}
