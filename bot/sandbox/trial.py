"""The parts of the sandbox, from start to stop: stand-in Slack, local SQS, MozDef's ledger, real worker."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bot.sandbox.changes import Changes
from bot.sandbox.failure import SandboxFailed
from bot.sandbox.fake_slack import SlackStandIn, default_workspace
from bot.sandbox.ledger import Ledger, SentAlert
from bot.sandbox.phone import Phone
from bot.sandbox.queue_reader import QueueReader
from bot.sandbox.queues import LocalQueues, free_port
from bot.sandbox.relay import Relay
from bot.sandbox.slack_state import unreachable_because
from bot.sandbox.supervisor import Supervisor
from bot.sandbox.worker_process import (
    WORKER,
    SlackAccess,
    factor_environment,
    start_worker,
    worker_environment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from bot.sandbox.child_process import ChildProcess

#: The limit from a worker's start to its first Socket Mode link; on an idle machine it takes about a second.
READY_LIMIT: Final = timedelta(seconds=60)
#: How often the number of Socket Mode links is polled; the stand-in does not announce changes.
_LINK_LOOK_SECONDS: Final = 0.1


class Trial:
    """One trial. `changes` announces every visible change; `ready` means that the worker is linked to Slack.

    `worker` holds the arguments with which Python runs the worker; `ready_within` limits its start.
    """

    def __init__(self, *, worker: Sequence[str] = WORKER, ready_within: timedelta = READY_LIMIT) -> None:
        self.id = secrets.token_hex(8)  #: no other trial has it
        self.changes = Changes()
        self.ledger = Ledger(self.changes.mark)
        self.workspace = default_workspace()
        self.slack = SlackStandIn(
            self.workspace,
            bot_token=f"xoxb-{secrets.token_hex(8)}",
            app_token=f"xapp-{secrets.token_hex(8)}",
        )
        self.phone = Phone(self.changes.mark)
        self.queues: LocalQueues | None = None
        self.sqs_relay: Relay | None = None  #: the worker's way to SQS
        self.supervisor: Supervisor | None = None  #: keeps the worker running
        self.slack_is_cut = False
        self.ready = False
        self._command = worker
        self._ready_within = ready_within
        self._parts = AsyncExitStack()

    async def start(self) -> None:
        """Start every part; return when the worker is linked to Slack.

        :raises SandboxFailed: when a part does not start, ends, or is too slow.
        """
        folder = Path(self._parts.enter_context(tempfile.TemporaryDirectory(prefix="triage-bot-sandbox-")))
        await self.slack.start()
        self._parts.push_async_callback(self.slack.stop)
        certificate = await self.phone.start(folder)
        self._parts.push_async_callback(self.phone.stop)
        self._follow_slack()
        queues = await self._start_queues(folder)
        self.sqs_relay = Relay(queues.endpoint, on_lost=queues.show_again)
        await self.sqs_relay.start()
        self._parts.callback(self.sqs_relay.cut)
        self.supervisor = await self._start_worker(folder, queues, self.sqs_relay, certificate)
        self._parts.push_async_callback(self.supervisor.stop)
        self.changes.mark()
        await self._until_linked()
        self.supervisor.watch()

    async def stop(self) -> None:
        """Stop every part, the worker first, and delete all of their files."""
        self.ready = False
        await self._parts.aclose()
        self.changes.mark()

    async def failure(self) -> NoReturn:
        """Wait until a part ends unexpectedly; never returns.

        :raises SandboxFailed: when one does.
        """
        watches = []
        if self.supervisor:
            watches.append(asyncio.create_task(self.supervisor.failure()))
        if self.queues:
            watches.append(asyncio.create_task(_watch(self.queues.process)))
        try:
            await asyncio.wait(watches, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for watch in watches:
                watch.cancel()
            ends = await asyncio.gather(*watches, return_exceptions=True)
        raise next(end for end in ends if isinstance(end, SandboxFailed))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()` is true; it is called after each change.

        :raises SandboxFailed: when a part ends in the meantime.
        """
        waiting = asyncio.create_task(self.changes.until(holds))
        failing = asyncio.create_task(self.failure())
        try:
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            await (waiting if waiting.done() else failing)
        finally:
            waiting.cancel()
            failing.cancel()
            await asyncio.gather(waiting, failing, return_exceptions=True)

    async def send_alert(
        self,
        *,
        alert: str,
        summary: str,
        user: str,
        confidence: str,
        optional: Mapping[str, Any] | None = None,
    ) -> SentAlert:
        """Record an alert and send its request to the queue, as MozDef does.

        `optional` has `occurredAt` and `facts`, as the request is to have them: the bot judges them.

        :raises SandboxFailed: before the queues have been started.
        """
        if self.queues is None:
            raise SandboxFailed("The queues have not started yet")
        sent = SentAlert(
            # As long as the ids that Elasticsearch assigns.
            identifier=secrets.token_urlsafe(15),
            alert=alert,
            summary=summary,
            user=user,
            confidence=confidence,
            sent_at=datetime.now(UTC),
            optional=optional or {},
        )
        self.ledger.raise_alert(sent)
        await self.queues.send_request(request_body(sent))
        return sent

    def kill_worker(self) -> None:
        """End the worker as `kill -9` does; it is started again."""
        if self.supervisor:
            self.supervisor.kill()

    async def cut_slack(self) -> None:
        """Break the worker's connections to Slack, and refuse new ones."""
        if not self.slack_is_cut:
            self.slack_is_cut = True
            self.changes.mark()
            await self.slack.stop()

    async def restore_slack(self) -> None:
        """Restore the worker's connection to Slack. `OSError` if another program has taken the port."""
        if self.slack_is_cut:
            await self.slack.start(int(self.slack.installation.address.rpartition(":")[2]))
            self.slack_is_cut = False
            self.changes.mark()

    async def cut_sqs(self) -> None:
        """Break the worker's connections to SQS, and refuse new ones."""
        if self.sqs_relay:
            self.sqs_relay.cut()
            self.changes.mark()

    async def restore_sqs(self) -> None:
        """Restore the worker's connection to SQS. `OSError` if another program has taken the port."""
        if self.sqs_relay and self.sqs_relay.is_cut:
            await self.sqs_relay.start()
            self.changes.mark()

    def askable_addresses(self) -> list[str]:
        """Return the addresses of the people whom the bot can ask, in the order of the cast."""
        askable = [person for person in self.workspace.people if unreachable_because(person) is None]
        return [person.email for person in askable if person.email]

    def worker_log(self) -> str:
        """Return the last lines of the worker's log; "" before it is started."""
        return self.worker.log_tail() if self.worker else ""

    @property
    def worker(self) -> ChildProcess | None:
        """The worker's process; None before it is started."""
        return self.supervisor.process if self.supervisor else None

    async def _start_worker(
        self, folder: Path, queues: LocalQueues, relay: Relay, certificate: Path
    ) -> Supervisor:
        metrics = f"127.0.0.1:{free_port()}"
        environment = worker_environment(
            folder, slack=self._access(), local=queues, endpoint=relay.endpoint, metrics=metrics
        ) | factor_environment(self.phone, certificate)
        start = partial(start_worker, self._command, folder, environment)
        return Supervisor(
            await start(),
            start,
            f"http://{metrics}/healthz",
            has_link=lambda: self.slack.links > 0 or self.slack_is_cut,
            mark=self.changes.mark,
        )

    async def _start_queues(self, folder: Path) -> LocalQueues:
        self.queues = await LocalQueues.start(folder)
        client, urls = self.queues.client, self.queues.urls
        readers = [
            QueueReader(client, urls.response, self._take_response),
            QueueReader(client, urls.dead_letter, self._take_dead_letter),
        ]
        # These run in reverse order: tell the readers to stop, stop the server to wake them, await them.
        for reader in readers:
            self._parts.push_async_callback(reader.wait_for_end)
        self._parts.push_async_callback(self.queues.stop)
        for reader in readers:
            self._parts.callback(reader.stop)
            reader.start()
        return self.queues

    def _access(self) -> SlackAccess:
        return SlackAccess(
            api_url=self.slack.api_url, bot_token=self.slack.bot_token, app_token=self.slack.app_token
        )

    def _follow_slack(self) -> None:
        task = asyncio.gather(self._follow_workspace(), self._follow_links())

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._parts.push_async_callback(end)

    async def _follow_workspace(self) -> None:
        seen = self.workspace.subscribe()
        while True:
            await seen.get()
            self.changes.mark()

    async def _follow_links(self) -> None:
        known = self.slack.links
        while True:
            await asyncio.sleep(_LINK_LOOK_SECONDS)
            if self.slack.links != known:
                known = self.slack.links
                self.changes.mark()

    async def _until_linked(self) -> None:
        try:
            async with asyncio.timeout(self._ready_within.total_seconds()):
                await self.until(lambda: self.slack.links > 0)
        except TimeoutError as error:
            reason = f"The worker had no link to Slack within {self._ready_within.total_seconds():g} s"
            raise SandboxFailed(reason, log=self.worker_log()) from error
        self.ready = True
        self.changes.mark()

    def _take_response(self, message: MessageTypeDef) -> None:
        self.ledger.take_response(message["Body"])

    def _take_dead_letter(self, message: MessageTypeDef) -> None:
        reason = message.get("MessageAttributes", {}).get("reason")
        self.ledger.take_dead_letter(message["Body"], reason.get("StringValue") if reason else None)


def request_body(sent: SentAlert) -> str:
    """Return the request as JSON, as MozDef writes it: five fields, and what is optional."""
    fields = {
        "identifier": sent.identifier,
        "alert": sent.alert,
        "summary": sent.summary,
        "user": sent.user,
        "identityConfidence": sent.confidence,
    }
    return json.dumps({**fields, **sent.optional})


async def _watch(part: ChildProcess) -> NoReturn:
    how = await part.wait_for_end()
    raise SandboxFailed(f"The {part.name} ended unexpectedly ({how})", log=part.log_tail())
