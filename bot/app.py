"""The composition root: the only module that names concrete adapters. Decides nothing."""

from __future__ import annotations

import logging
import random
import ssl
from contextlib import AsyncExitStack
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from bot.control import ControlServer
from bot.errors import TransientError
from bot.slack.api import SlackApi, open_session, web_client
from bot.slack.connection import Introduction, bolt_app
from bot.slack.identity import Identity
from bot.slack.links import LINKS, Link, Links
from bot.slack.listeners import Listeners
from bot.slack.messages import check_wording
from bot.slack.messenger import SlackMessenger
from bot.sqs.clients import Connector
from bot.sqs.poller import Poller
from bot.sqs.publisher import Publisher
from bot.sqs.queues import Outgoing
from bot.sqs.wire import write_report
from bot.store import open_store
from bot.store_commands import store_handlers
from bot.triage.asking import Asker
from bot.triage.model import Policy, utc_now
from bot.triage.pacing import Gate
from bot.triage.recorder import Recorder
from bot.triage.retention import Retention
from bot.triage.service import TriageService
from bot.triage.sweeper import Sweeper
from bot.worker import Loop, first_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    import aiohttp
    from slack_bolt.app.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.config import Settings
    from bot.slack.messages import Wording
    from bot.sqs.queues import Queue
    from bot.store.sqlite import SqliteStore
    from bot.triage.ports import Clock, Messenger

log = logging.getLogger(__name__)


class App:
    """The parts of one worker, each made when it is first needed: what `bot.worker.run_worker` runs."""

    store: SqliteStore
    session: aiohttp.ClientSession
    clock: Clock = staticmethod(utc_now)

    def __init__(self, settings: Settings, wording: Wording, *, restored: bool = False) -> None:
        self.settings = settings
        self.restored = restored
        self.wording = wording
        self.random = random.Random()
        self.identity = Identity()
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Take the store, then ask SQS and Slack whether they know us. `ConfigError`, `StartRefused`."""
        await self._open()
        await self._meet_others()

    def stages(self) -> Sequence[Mapping[str, Loop]]:
        """Return the loops in the order in which they stop.

        No new work, then no more clicks, and last the reports of what was done meanwhile.
        """
        return (
            {"poller": self.poller.run, "sweeper": self._sweep, "retention": self.retention.run},
            {"links": self._listen},
            {"publisher": self._publish},
        )

    async def close(self) -> None:
        """Give everything back, the last taken first."""
        await self._stack.aclose()

    def wake(self) -> None:
        """Tell whoever sleeps that there is something new in the store."""
        self.sweeper.wake()
        self.publisher.wake()

    async def _open(self) -> None:
        check_wording(self.wording)
        self.store = await open_store(self.settings.store_url, create=True)
        self._stack.push_async_callback(self.store.close)
        if self.restored:
            await self._restore()
        handlers = store_handlers(self.store, self.settings.store_path, clock=self.clock, wake=self.wake)
        control = ControlServer(self.settings.control_path, handlers)
        await control.start()
        self._stack.push_async_callback(control.stop)
        self.session = await self._stack.enter_async_context(open_session(self.tls))

    async def _restore(self) -> None:
        now, expire_after = self.clock(), self.settings.expire_after
        await self.store.treat_as_restored(now, deadline=now + expire_after if expire_after else None)
        log.warning("the store is a restored backup", extra={"event": "store.restored", "fields": {}})

    async def _meet_others(self) -> None:
        """Silence is no refusal: whoever cannot be reached now may be later."""
        for queue in (self.request_queue, self.response_queue, self.dead_letter_queue):
            try:
                if queue is not None:
                    await queue.describe()
            except TransientError as error:
                log.warning(
                    "queue not reached yet: %s", error, extra={"event": "queue.delayed", "fields": {}}
                )
        await self.introduction.attempt()

    async def _sweep(self, stop: asyncio.Event) -> None:
        await first_of(self.introduction.wait(), stop.wait())
        await self.sweeper.run(stop)

    async def _listen(self, stop: asyncio.Event) -> None:
        await self.introduction.run(stop)
        self.listeners.register(self.bolt)
        await self.links.run(stop, drain=self.listeners.drain)

    async def _publish(self, stop: asyncio.Event) -> None:
        await self.publisher.run(stop)
        await self.publisher.flush()

    @cached_property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    @cached_property
    def connector(self) -> Connector:
        connector = Connector(region=self.settings.aws_region)
        self._stack.callback(connector.close)
        return connector

    @cached_property
    def request_queue(self) -> Queue:
        return self.connector.open(self.settings.request_queue_url)

    @cached_property
    def response_queue(self) -> Queue:
        return self.connector.open(self.settings.response_queue_url)

    @cached_property
    def dead_letter_queue(self) -> Queue | None:
        url = self.settings.dead_letter_queue_url
        return self.connector.open(url) if url else None

    @cached_property
    def policy(self) -> Policy:
        return Policy(
            profile=self.settings.response_profile,
            hold=self.settings.mozdef_sync,
            expire_after=self.settings.expire_after,
            allow_deescalation=self.settings.allow_deescalation,
            ask_guests=self.settings.ask_guests,
        )

    @cached_property
    def client(self) -> AsyncWebClient:
        token = self.settings.slack_bot_token.reveal()
        return web_client(self.settings.slack_api_url, self.session, self.tls, token=token)

    @cached_property
    def introduction(self) -> Introduction:
        app_token = self.settings.slack_app_token.reveal()
        return Introduction(self.client, app_token, self.identity, spread=self.random.random)

    @cached_property
    def messenger(self) -> Messenger:
        api = SlackApi(self.client, self.session, clock=self.clock)
        return SlackMessenger(api, self.identity, self.wording, clock=self.clock)

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(self.store, write_report, policy=self.policy, clock=self.clock)

    @cached_property
    def service(self) -> TriageService:
        asker = Asker(self.messenger, self.recorder, gate=self.gate, spread=self.random.random)
        return TriageService(self.recorder, self.messenger, asker, on_work=self.wake)

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.store, self.service, self.gate, clock=self.clock)

    @cached_property
    def gate(self) -> Gate:
        return Gate(spread=self.random.random)

    @cached_property
    def retention(self) -> Retention:
        return Retention(self.store, keep=self.settings.retain, clock=self.clock)

    @cached_property
    def poller(self) -> Poller:
        return Poller(
            self.request_queue,
            self.dead_letter_queue,
            self.service.receive,
            random=self.random,
            probe=self.store.probe,
        )

    @cached_property
    def publisher(self) -> Publisher:
        return Publisher(self.store, self.response_queue, self.clock, random=self.random)

    @cached_property
    def bolt(self) -> AsyncApp:
        # Without a token: Bolt must not call Slack by itself.
        return bolt_app(web_client(self.settings.slack_api_url, self.session, self.tls), self.identity)

    @cached_property
    def links(self) -> Links:
        app_token = self.settings.slack_app_token.reveal()
        client = web_client(self.settings.slack_api_url, self.session, self.tls)
        links = [Link(self.bolt, app_token, client, spread=self.random.random) for _ in range(LINKS)]
        return Links(links, clock=self.clock)

    @cached_property
    def listeners(self) -> Listeners:
        return Listeners(
            self.service, self.identity, clock=self.clock, others_listen=self.links.others_listen
        )


async def send_request(settings: Settings, body: str) -> str:
    """Put a body into the request queue; return the id that SQS gave it. `StartRefused`, `TransientError`."""
    connector = Connector(region=settings.aws_region)
    try:
        queue = connector.open(settings.request_queue_url)
        digest = sha256(body.encode()).hexdigest()
        return await queue.send(Outgoing(body=body, group="send", deduplication=digest))
    finally:
        connector.close()
