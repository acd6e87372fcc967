"""Slack, the queues, MozDef's judgement and the real worker, put together through its variables alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from uuid import uuid4

from mypy_boto3_sqs import SQSClient

from bot.sandbox.fake_slack.workspace import Message
from bot.sandbox.mozdef import AlertBook, Assessment
from bot.worker.control import call
from world.queues import Letter, Mailbox
from world.slack import SlackSide
from world.waiting import until
from world.worker import WorkerProcess, bare_environment


def alert(**fields: Any) -> dict[str, Any]:
    """Return a request that is right, with an identifier that no other has, but for the given fields."""
    return {
        "identifier": uuid4().hex,
        "alert": "sensitive_host_session",
        "summary": "A session was opened on a sensitive host.",
        "user": "ada@example.com",
        "identityConfidence": "low",
        **fields,
    }


class World:
    """One worker and all that it deals with. Slack runs once it is entered; `start` starts the worker.

    `aws` is the environment that leads to SQS, `variables` are further ones, which win over all others.
    """

    def __init__(
        self,
        folder: Path,
        sqs: SQSClient,
        aws: Mapping[str, str],
        *,
        fifo: bool = False,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.sqs = sqs
        self.slack = SlackSide()
        self.requests = self._create_queue("requests")
        self.responses = Mailbox(sqs, self._create_queue("responses", fifo=fifo))
        self.dead_letters = Mailbox(sqs, self._create_queue("dead-letters"))
        self.slack.start()
        self.settings = {**self._settings(), **aws, **variables}
        home = folder / "worker"
        home.mkdir()
        self.worker = WorkerProcess(home, {**bare_environment(folder), **self.settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.close()
        self.slack.close()

    def start(self, *options: str) -> None:
        self.worker.start(*options)
        self.slack.until_linked()
        self.worker.until_logged("worker.started")

    def another_worker(self) -> WorkerProcess:
        """Return a worker of the same folder and settings, with a log of its own."""
        first = self.worker
        return WorkerProcess(first.folder, first.environment, log="another.log", program=first.program)

    def send(self, **fields: Any) -> str:
        """Send a request as MozDef does, right but for the given fields; return its identifier."""
        request = alert(**fields)
        self.send_body(json.dumps(request))
        return str(request["identifier"])

    def ask(self, **fields: Any) -> tuple[str, Message]:
        """Send a request, and wait until its question was asked; return the identifier and the message."""
        identifier = self.send(**fields)
        return identifier, self.slack.question(identifier)

    def send_body(self, body: str) -> None:
        """Put any text into the request queue."""
        self.sqs.send_message(QueueUrl=self.requests, MessageBody=body)

    def send_many(self, users: Sequence[str]) -> Sequence[str]:
        """Send a request for each of these addresses; return the identifiers in order."""
        requests = [alert(user=user) for user in users]
        self.send_requests(requests)
        return [str(request["identifier"]) for request in requests]

    def send_requests(self, requests: Sequence[dict[str, Any]]) -> None:
        """Send all of them, ten at a time."""
        for first in range(0, len(requests), 10):
            entries: list[Any] = [
                {"Id": str(index), "MessageBody": json.dumps(request)}
                for index, request in enumerate(requests[first : first + 10])
            ]
            self.sqs.send_message_batch(QueueUrl=self.requests, Entries=entries)

    def until_taken(self) -> None:
        """Wait until nothing is left in the request queue, not even hidden."""
        until(lambda: self.waiting(self.requests) == (0, 0), what="the request queue is empty")

    def waiting(self, url: str) -> tuple[int, int]:
        """Return how many messages of a queue are visible, and how many are hidden."""
        facts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        visible = facts["ApproximateNumberOfMessages"]
        return int(visible), int(facts["ApproximateNumberOfMessagesNotVisible"])

    def row(self, identifier: str) -> dict[str, Any] | None:
        """Return what the running worker's `show` tells of a question; None if it knows none."""
        path = self.worker.folder / "triage-bot.db.sock"
        return next(iter(list(call(path, "show", identifier=identifier))), None)

    def known_row(self, identifier: str) -> dict[str, Any]:
        """Return `row` of a question that is there."""
        row = self.row(identifier)
        assert row is not None
        return row

    def accepted_at(self, identifier: str) -> float:
        """Return when the worker accepted a request, in seconds since 1970."""
        return datetime.fromisoformat(self.known_row(identifier)["acceptedAt"]).timestamp()

    def until_asked(self, identifier: str) -> dict[str, Any]:
        """Wait until the worker knows that a question was asked; return its row."""

        def look() -> dict[str, Any] | None:
            row = self.row(identifier)
            return row if row and row["state"] == "asked" else None

        return until(look, what=f"{identifier} is known to be asked")

    def reports(self, identifier: str, count: int = 1) -> Sequence[Letter]:
        """Wait for this many reports of an identifier, and return all that have come, in order."""

        def look() -> list[Letter]:
            letters = self.responses.letters()
            found = [one for one in letters if one.details["identifier"] == identifier]
            return found if len(found) >= count else []

        return until(look, what=f"{count} reports of {identifier}")

    def verdicts(self, identifier: str, count: int = 1) -> tuple[str | None, Sequence[Assessment]]:
        """Have a stock MozDef judge the reports of an alert that it knows.

        Return the alert's status in the end, and what MozDef did with each report.
        """
        book = AlertBook([identifier])
        verdicts = [book.receive(one.body) for one in self.reports(identifier, count)]
        return book.status(identifier), verdicts

    def status(self, identifier: str, count: int = 1) -> str | None:
        """Return the status that a stock MozDef gives the alert after this many reports."""
        return self.verdicts(identifier, count)[0]

    def assert_clean_log(self) -> None:
        """Assert that nothing went wrong unnoticed, and that no token was written down."""
        log = self.worker.log
        assert "Traceback" not in log, log
        assert "Warning:" not in log, log
        assert self.slack.bot_token not in log
        assert self.slack.app_token not in log

    def _settings(self) -> dict[str, str]:
        return {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "REQUEST_QUEUE_URL": self.requests,
            "RESPONSE_QUEUE_URL": self.responses.url,
            "DEAD_LETTER_QUEUE_URL": self.dead_letters.url,
            "MOZDEF_SYNC_SECONDS": "0",
            "OPEN_PER_PERSON": "100",  # a shared world asks one person many questions
        }

    def _create_queue(self, name: str, *, fifo: bool = False) -> str:
        attributes: Any = {"FifoQueue": "true"} if fifo else {}
        suffix = ".fifo" if fifo else ""
        answer = self.sqs.create_queue(QueueName=f"{name}-{uuid4().hex}{suffix}", Attributes=attributes)
        return answer["QueueUrl"]
