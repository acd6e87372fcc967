"""A stand-in for SQS with two queues, `requests` and `responses`; speaks AWS JSON 1.0, as boto3 does."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lean_http import LeanServer, Reply, Request, aws_reply

from .alerts import address, number_in, request_body
from .ledger import Ledger

Answer = Callable[[Reply], None]
Json = dict[str, Any]


@dataclass(slots=True)
class _Poll:
    """A long poll that waits for its messages."""

    limit: int
    answer: Answer
    timer: asyncio.TimerHandle | None = None


class LeanSqs:
    """Keeps what was received hidden for ever: no contestant may die here."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._visible: deque[int] = deque()
        self._hidden: dict[str, int] = {}
        self._receipts = itertools.count()
        self._waiting: deque[_Poll] = deque()
        self.server = LeanServer(self._serve)
        self.polls: list[float] = []  #: when each poll came
        self.calls: Counter[str] = Counter()  #: by queue and action

    @property
    def waiting(self) -> int:
        """How many long polls wait for a message."""
        return len(self._waiting)

    def url(self, queue: str) -> str:
        return f"{self.server.address}/000000000000/{queue}"

    def put(self, number: int) -> None:
        """Put the request of an alert into the queue."""
        self._visible.append(number)
        # Only when this turn of the loop is over: what was put together comes together.
        asyncio.get_running_loop().call_soon(self._wake)

    def _serve(self, request: Request, answer: Answer) -> None:
        action = request.aws_action
        parameters = json.loads(request.body)
        queue = str(parameters.get("QueueUrl", "")).rpartition("/")[2] or parameters.get("QueueName", "")
        self.calls[f"{queue} {action}"] += 1
        if action == "ReceiveMessage":
            self._receive(parameters, answer)
        elif action in _ACTIONS:
            answer(aws_reply(_ACTIONS[action](self, parameters, queue)))
        else:
            self._ledger.faults.append(f"SQS does not know {action}")
            answer(aws_reply({"__type": "UnsupportedOperation"}, status=400))

    def _receive(self, parameters: Json, answer: Answer) -> None:
        self.polls.append(time.monotonic())
        poll = _Poll(int(parameters.get("MaxNumberOfMessages", 1)), answer)
        self._waiting.append(poll)
        if self._visible:
            self._end(poll)
        else:
            seconds = float(parameters["WaitTimeSeconds"])
            poll.timer = asyncio.get_running_loop().call_later(seconds, self._end, poll)

    def _wake(self) -> None:
        while self._visible and self._waiting:
            self._end(self._waiting[0])

    def _end(self, poll: _Poll) -> None:
        self._waiting.remove(poll)
        if poll.timer is not None:
            poll.timer.cancel()
        numbers = [self._visible.popleft() for _ in range(min(poll.limit, len(self._visible)))]
        poll.answer(aws_reply({"Messages": [self._message(number) for number in numbers]} if numbers else {}))

    def _message(self, number: int) -> Json:
        # As long as SQS's own.
        handle = f"{next(self._receipts):0180}"
        self._hidden[handle] = number
        body = request_body(number, self._ledger.cycles[number].label)
        message_id = f"00000000-0000-4000-8000-{number:012}"
        return {"MessageId": message_id, "ReceiptHandle": handle, "Body": body, "MD5OfBody": _md5(body)}

    def _delete(self, parameters: Json, _: str) -> Json:
        handle = parameters["ReceiptHandle"]
        if handle in self._hidden:
            self._ledger.note(self._hidden.pop(handle), taken=True)
        return {}

    def _delete_batch(self, parameters: Json, _: str) -> Json:
        return _done(parameters, lambda entry: self._delete(entry, ""))

    def _hand_back(self, parameters: Json, _: str) -> Json:
        return _done(parameters, lambda _: {})

    def _send(self, parameters: Json, queue: str) -> Json:
        return self._take_in(queue, parameters["MessageBody"])

    def _send_batch(self, parameters: Json, queue: str) -> Json:
        return _done(parameters, lambda entry: self._take_in(queue, entry["MessageBody"]))

    def _take_in(self, queue: str, body: str) -> Json:
        details = json.loads(body)["details"]
        number = number_in(details["identifier"])
        told = (queue, details["response"], details["user"]["email"])
        if told == ("responses", "wrongUser", address(number)) and self._ledger.may_be_unproven(number):
            self._ledger.unproven += 1
        elif told != ("responses", "yes", address(number)):
            self._ledger.faults.append(f"alert {number} was reported as {told}")
        self._ledger.note(number, reported=True)
        return {"MessageId": f"00000000-0000-4000-9000-{number:012}", "MD5OfMessageBody": _md5(body)}

    def _attributes(self, _: Json, queue: str) -> Json:
        attributes = {
            "QueueArn": f"arn:aws:sqs:us-west-2:000000000000:{queue}",
            "ApproximateNumberOfMessages": str(len(self._visible)),
            "ApproximateNumberOfMessagesNotVisible": str(len(self._hidden)),
            "ApproximateNumberOfMessagesDelayed": "0",
        }
        return {"Attributes": attributes}

    def _queue_url(self, _: Json, queue: str) -> Json:
        return {"QueueUrl": self.url(queue)}


_ACTIONS: Final[dict[str, Callable[[LeanSqs, Json, str], Json]]] = {
    "DeleteMessage": LeanSqs._delete,
    "DeleteMessageBatch": LeanSqs._delete_batch,
    "ChangeMessageVisibilityBatch": LeanSqs._hand_back,
    "SendMessage": LeanSqs._send,
    "SendMessageBatch": LeanSqs._send_batch,
    "GetQueueAttributes": LeanSqs._attributes,
    "GetQueueUrl": LeanSqs._queue_url,
}


def _done(parameters: Json, work: Callable[[Json], Json]) -> Json:
    """Do a batch entry by entry; none fails."""
    return {"Successful": [{"Id": each["Id"], **work(each)} for each in parameters["Entries"]], "Failed": []}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
