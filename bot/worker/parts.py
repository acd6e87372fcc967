"""The parts of one worker, each made when it is first needed: here concrete adapters meet what they serve.

Nothing is decided here. Whoever wants a worker with other parts overrides them.
"""

from __future__ import annotations

import random
import ssl
from contextlib import AsyncExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING

from bot import __version__
from bot.aws.access import Access
from bot.slack.client import SlackApi, web_client
from bot.slack.connections import LINKS, Link, Links, bolt_app
from bot.slack.home_and_windows import SlackViews
from bot.slack.identity import Identity, Introduction
from bot.slack.listeners import Listeners
from bot.slack.messenger import SlackMessenger
from bot.slack.security_channel import SecurityChannel, SlackSecurityTeam
from bot.sqs.clients import Connector
from bot.sqs.poller import Poller
from bot.sqs.publisher import Publisher
from bot.sqs.wire import read_report, write_report
from bot.store.address import is_shared
from bot.triage.asking import Asker
from bot.triage.cards import Cards
from bot.triage.model import utc_now
from bot.triage.policy import Policy
from bot.triage.ports import NO_METER
from bot.triage.rate_limits import Gate, Pace, Pacing
from bot.triage.recorder import Recorder
from bot.triage.reminding import Reminder
from bot.triage.retention import Retention
from bot.triage.service import TriageService, Workers
from bot.triage.sweeper import Sweeper
from bot.worker.health import StoreWatch, Vitals
from bot.worker.watchdog import Notifier, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp
    from slack_bolt.app.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.settings.settings import Settings
    from bot.slack.render.templates import Wording
    from bot.sqs.queues import Queue
    from bot.store import OpenStore
    from bot.triage.policy import AlertPolicies
    from bot.triage.ports import Clock, Messenger, Meter, SecurityTeam
    from bot.worker.metrics import Metrics


class Parts:
    """All parts of one worker. `store` and `session` must be there before the parts that use them."""

    store: OpenStore
    session: aiohttp.ClientSession
    clock: Clock = staticmethod(utc_now)

    def __init__(self, settings: Settings, wording: Wording, alerts: AlertPolicies) -> None:
        self.settings = settings
        self.wording = wording
        self.alerts = alerts
        self.random = random.Random()
        self.identity = Identity()
        self.stack = AsyncExitStack()
        self.polled_at = self.clock()

    def wake(self) -> None:
        """Tell whoever sleeps that there is something new in the store."""
        self.sweeper.wake()
        self.publisher.wake()

    async def vitals(self) -> Vitals:
        """Return what there is to see of this worker now."""
        return Vitals(
            links_up=self.links.up,
            link_shared=self.links.others_listen(),
            halted_by=self.pacing.gate.halted_by,
            polled_at=self.polled_at,
            store=await self.store_watch.look(),
            aws_refuses_with=self.access.refused_with,
        )

    def note_poll(self) -> None:
        """Note that SQS answered a poll."""
        self.polled_at = self.clock()

    @cached_property
    def metrics(self) -> Metrics | None:
        if self.settings.metrics_listen is None:
            return None
        # It takes a tenth of a second, which a start without it is spared.
        from bot.worker.metrics import Metrics

        return Metrics(alerts=self.alerts.by_label, version=__version__)

    @cached_property
    def meter(self) -> Meter:
        return self.metrics or NO_METER

    @cached_property
    def store_watch(self) -> StoreWatch:
        return StoreWatch(self.store, clock=self.clock)

    @cached_property
    def poll_progress(self) -> Progress:
        return Progress("poller")

    @cached_property
    def link_progress(self) -> Sequence[Progress]:
        return [Progress(f"link {number}") for number in range(1, LINKS + 1)]

    def mark_links(self) -> None:
        """Note that whoever the links wait for gets on."""
        for progress in self.link_progress:
            progress.mark()

    @cached_property
    def notifier(self) -> Notifier:
        return Notifier(self.settings.notify_socket)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    @cached_property
    def access(self) -> Access:
        return Access()

    @cached_property
    def connector(self) -> Connector:
        connector = Connector(region=self.settings.aws_region, access=self.access, meter=self.meter)
        self.stack.callback(connector.close)
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
            remind_after=self.settings.remind_after,
            remind_times=self.settings.remind_times,
            expire_after=self.settings.expire_after,
            hours=self.settings.working_hours,
            default_zone=self.settings.default_timezone,
            alerts=self.alerts,
            has_channel=bool(self.settings.security_channel),
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
        introduction = Introduction(
            self.client,
            app_token,
            self.identity,
            spread=self.random.random,
            on_progress=self.mark_links,
        )
        introduction.on_failure = self.meter.retried
        return introduction

    @cached_property
    def messenger(self) -> Messenger:
        return SlackMessenger(self.api, self.identity, self.wording, self.policy, clock=self.clock)

    @cached_property
    def api(self) -> SlackApi:
        return SlackApi(self.client, self.session, clock=self.clock, meter=self.meter)

    @cached_property
    def views(self) -> SlackViews:
        return SlackViews(self.api, self.wording, self.policy)

    @cached_property
    def security_team(self) -> SecurityTeam:
        channel = SecurityChannel(
            channel=self.settings.security_channel, alert_url=self.settings.mozdef_alert_url
        )
        return SlackSecurityTeam(self.api, self.identity, (self.wording, self.policy), channel)

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(self.store, write_report, policy=self.policy, clock=self.clock, meter=self.meter)

    @cached_property
    def cards(self) -> Cards:
        return Cards(self.security_team, self.recorder, pacing=self.pacing, read_report=read_report)

    @cached_property
    def service(self) -> TriageService:
        workers = Workers(
            asker=Asker(self.messenger, self.recorder, pacing=self.pacing),
            reminder=Reminder(self.messenger, self.recorder, pacing=self.pacing),
            cards=self.cards,
            spread=self.random.random,
        )
        return TriageService(self.recorder, self.messenger, workers, on_work=self.wake)

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.store, self.service, self.pacing.gate, clock=self.clock)

    @cached_property
    def pacing(self) -> Pacing:
        gate = Gate(spread=self.random.random)
        return Pacing(gate=gate, pace=Pace(), spread=self.random.random)

    @cached_property
    def retention(self) -> Retention:
        return Retention(self.store, keep=self.settings.retain, clock=self.clock)

    @cached_property
    def poller(self) -> Poller:
        poller = Poller(
            self.request_queue,
            self.dead_letter_queue,
            self.service.receive,
            random=self.random,
            probe=self.store.probe,
        )
        poller.clock = self.clock
        poller.on_progress = self.poll_progress.mark
        poller.on_poll = self.note_poll
        return poller

    @cached_property
    def publisher(self) -> Publisher:
        return Publisher(self.store, self.response_queue, self.clock, random=self.random, meter=self.meter)

    @cached_property
    def bolt(self) -> AsyncApp:
        # Without a token: Bolt must not call Slack by itself.
        return bolt_app(web_client(self.settings.slack_api_url, self.session, self.tls), self.identity)

    @cached_property
    def links(self) -> Links:
        app_token = self.settings.slack_app_token.reveal()
        client = web_client(self.settings.slack_api_url, self.session, self.tls)
        spread = self.random.random
        links = [Link(self.bolt, app_token, client, spread=spread) for _ in self.link_progress]
        for link, progress in zip(links, self.link_progress, strict=True):
            link.on_progress = progress.mark
            link.on_failure = partial(self.meter.retried, "apps.connections.open")
        return Links(links, clock=self.clock, shared=is_shared(self.settings.store_url))

    @cached_property
    def listeners(self) -> Listeners:
        return Listeners(
            self.service, self.views, self.identity, clock=self.clock, others_listen=self.links.others_listen
        )
