"""Builds the parts of a worker from the settings and connects the adapters. Decides nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from random import Random
from urllib.parse import urlsplit

import aiohttp
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.aws.access import Access
from bot.clock import Clock
from bot.settings.parameter_store import Tokens
from bot.settings.settings import Settings
from bot.slack.client import SlackApi, open_session, web_client
from bot.slack.connections import (
    CONNECTIONS,
    LINK_TIMES,
    LinkTimes,
    SocketConnection,
    SocketConnections,
    bolt_app,
)
from bot.slack.home_and_modals import SlackViews
from bot.slack.identity import Authentication, Identity
from bot.slack.link_urls import APPS_CONNECTIONS_OPEN, LinkUrls
from bot.slack.listeners import Listeners
from bot.slack.messenger import SlackMessenger
from bot.slack.render.templates import Wording
from bot.slack.security_channel import SecurityChannel, SlackSecurityTeam
from bot.sqs.clients import Connector
from bot.sqs.poller import Poller
from bot.sqs.publisher import Publisher
from bot.sqs.queues import Queue
from bot.sqs.wire import read_report, write_report
from bot.store import OpenStore, open_store
from bot.store.address import is_shared
from bot.triage.asking import Asker
from bot.triage.bursts import Bursts
from bot.triage.cards import Cards
from bot.triage.inquiring import Inquirer
from bot.triage.people import PeopleRules
from bot.triage.policy import AlertPolicies, Policy
from bot.triage.ports import NO_METER, Messenger, Meter, SecondFactor, SecurityTeam
from bot.triage.proving import Prover
from bot.triage.rate_limits import ConcurrencyLimiter, Pacing, RateLimiter
from bot.triage.recorder import Recorder
from bot.triage.reminding import Reminder
from bot.triage.responders import Responders
from bot.triage.restores import Restores
from bot.triage.retention import Retention
from bot.triage.service import Actors, TriageService
from bot.triage.strangers import Strangers
from bot.triage.sweeper import Sweeper
from bot.worker.watchdog import Progress


class WakeUp:
    """Wakes the loops that sleep until something new is in the store.

    Before any are added it does nothing, which is safe: each loop reads the store when it begins.
    """

    def __init__(self) -> None:
        self._sleepers: list[Callable[[], None]] = []

    def add(self, *sleepers: Callable[[], None]) -> None:
        """Call these as well from now on."""
        self._sleepers.extend(sleepers)

    def __call__(self) -> None:
        """Announce that something new is in the store."""
        for wake in self._sleepers:
            wake()


@dataclass(frozen=True, kw_only=True, slots=True)
class Queues:
    """The queues of one worker; `dead_letters` is None if none is configured."""

    requests: Queue
    responses: Queue
    dead_letters: Queue | None


def open_queues(settings: Settings, access: Access, meter: Meter, stack: AsyncExitStack) -> Queues:
    """Return the queues of the settings without asking SQS anything; `stack` closes them. `ConfigError`."""
    connector = Connector(region=settings.aws_region, access=access, meter=meter)
    stack.callback(connector.close)
    dead_letters = settings.dead_letter_queue_url
    return Queues(
        requests=connector.open(settings.request_queue_url),
        responses=connector.open(settings.response_queue_url),
        dead_letters=connector.open(dead_letters) if dead_letters else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The factories of a worker's parts. Tests and tools replace some of them."""

    clock: Clock = field(default_factory=Clock)
    random: Random = field(default_factory=Random)
    access: Callable[..., Access] = Access
    store: Callable[..., Awaitable[OpenStore]] = open_store
    queues: Callable[[Settings, Access, Meter, AsyncExitStack], Queues] = open_queues
    session: Callable[[], aiohttp.ClientSession] = open_session
    client: Callable[..., AsyncWebClient] = web_client
    link_times: LinkTimes = LINK_TIMES
    connections: Callable[..., SocketConnections] = SocketConnections
    messenger: Callable[..., Messenger] = SlackMessenger
    security_team: Callable[..., SecurityTeam] = SlackSecurityTeam
    recorder: Callable[..., Recorder] = Recorder
    limiter: Callable[..., ConcurrencyLimiter] = ConcurrencyLimiter
    progress: Callable[[str], Progress] = Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What exists before the parts and outlives them. The code that opened it closes it."""

    store: OpenStore
    queues: Queues
    session: aiohttp.ClientSession
    tokens: Tokens
    wake: WakeUp
    factor: SecondFactor | None = None  #: None: there is no provider
    meter: Meter = NO_METER
    on_poll: Callable[[], None] = lambda: None  #: called for each poll that SQS answered


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The parts of one worker, connected. None of them has made a network call yet."""

    authentication: Authentication
    connections: SocketConnections
    listeners: Listeners
    recorder: Recorder
    pacing: Pacing
    actors: Actors
    service: TriageService
    responders: Responders
    sweeper: Sweeper
    retention: Retention
    publisher: Publisher
    poller: Poller
    progress: Sequence[Progress]  #: of the poller, and of each link

    @property
    def rejection_code(self) -> str:
        """The code with which Slack rejects the app when it asks, or looks somebody up; or ""."""
        return self.pacing.limiter.rejection_code or self.actors.asker.finder.limiter.rejection_code


def make_policy(settings: Settings, alerts: AlertPolicies, people: PeopleRules) -> Policy:
    """Return the settings that the triage needs."""
    return Policy(
        profile=settings.response_profile,
        hold=settings.mozdef_sync,
        remind_after=settings.remind_after,
        remind_times=settings.remind_times,
        expire_after=settings.expire_after,
        hours=settings.working_hours,
        default_zone=settings.default_timezone,
        alerts=alerts,
        security_channel=settings.security_channel,
        responders=settings.responders,
        allow_deescalation=settings.allow_deescalation,
        ask_guests=settings.ask_guests,
        ask_unconfirmed=settings.ask_unconfirmed,
        people=people,
        open_per_person=settings.open_per_person,
        provider=urlsplit(settings.factor_issuer).netloc,
    )


def assemble(
    settings: Settings, wording: Wording, policy: Policy, resources: Resources, dependencies: Dependencies
) -> Parts:
    """Build every part, once. Makes no network calls."""
    clock, random, jitter = dependencies.clock, dependencies.random, dependencies.random.random
    store, meter = resources.store, resources.meter
    slack = _connect_to_slack(settings, resources, dependencies)
    messenger = dependencies.messenger(slack.api, slack.identity, wording, policy)
    channel = SecurityChannel(channel=settings.security_channel, alert_url=settings.mozdef_alert_url)
    team = dependencies.security_team(slack.api, slack.identity, (wording, policy), channel)
    recorder = dependencies.recorder(store, write_report, policy=policy, clock=clock, meter=meter)
    pacing = Pacing(limiter=dependencies.limiter(jitter=jitter), rate_limiter=RateLimiter(), jitter=jitter)
    restores = Restores(messenger, recorder, keep=settings.retain, jitter=jitter)
    bursts = Bursts((messenger, team), recorder, pacing=pacing, restores=restores)
    recorder.on_saved, bursts.on_work = bursts.note, resources.wake
    actors = Actors(
        asker=Asker(messenger, recorder, bursts=bursts, pacing=pacing, restores=restores),
        reminder=Reminder(messenger, recorder, pacing=pacing),
        cards=Cards(team, recorder, pacing=pacing, read_report=read_report),
        inquirer=Inquirer(messenger, recorder, restores=restores, pacing=pacing, on_work=resources.wake),
        bursts=bursts,
        prover=Prover(resources.factor, recorder, restores=restores, jitter=jitter, on_work=resources.wake),
        jitter=jitter,
    )
    service = TriageService(recorder, messenger, actors, on_work=resources.wake)
    responders = Responders(recorder, messenger, actors.asker, actors.inquirer, on_work=resources.wake)
    strangers = Strangers(recorder, actors.asker.finder, jitter=jitter)
    sweeper = Sweeper(store, service, pacing.limiter, strangers, clock=clock)
    publisher = Publisher(store, resources.queues.responses, clock, random=random, meter=meter)
    publisher.judge = partial(restores.judge_report, read_report)
    resources.wake.add(sweeper.wake, publisher.wake)

    polls = dependencies.progress("poller")
    views = SlackViews(slack.api, wording, policy, links=partial(channel.links, slack.identity))
    return Parts(
        authentication=slack.authentication,
        connections=slack.connections,
        listeners=_listen(slack, service, responders, views, clock=clock),
        recorder=recorder,
        pacing=pacing,
        actors=actors,
        service=service,
        responders=responders,
        sweeper=sweeper,
        retention=Retention(store, keep=settings.retain, clock=clock),
        publisher=publisher,
        poller=_make_poller(service, resources, dependencies, polls),
        progress=(polls, *slack.progress),
    )


def _make_poller(
    service: TriageService, resources: Resources, dependencies: Dependencies, progress: Progress
) -> Poller:
    queues, store = resources.queues, resources.store
    random = dependencies.random
    poller = Poller(queues.requests, queues.dead_letters, service.receive, random=random, probe=store.probe)
    poller.clock, poller.meter, poller.on_poll = dependencies.clock, resources.meter, resources.on_poll
    poller.on_progress = progress.mark
    return poller


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slack:
    """The worker's connection to Slack: client, identity and Socket Mode links."""

    identity: Identity
    api: SlackApi
    authentication: Authentication
    bolt: AsyncApp
    connections: SocketConnections
    progress: Sequence[Progress]  #: of each link


def _connect_to_slack(settings: Settings, resources: Resources, dependencies: Dependencies) -> _Slack:
    clock, jitter, meter = dependencies.clock, dependencies.random.random, resources.meter
    connect = partial(dependencies.client, settings.slack_api_url, resources.session)
    open_api = partial(SlackApi, session=resources.session, clock=clock, meter=meter)
    api = open_api(connect(token=resources.tokens.bot.reveal()))
    tokenless = connect()  # without a token, Bolt cannot call Slack by itself
    progress = [dependencies.progress(f"link {number}") for number in range(1, CONNECTIONS + 1)]

    identity = Identity()
    urls = LinkUrls(open_api(connect(token=resources.tokens.app.reveal())), clock=clock, jitter=jitter)
    authentication = Authentication(
        api, urls, identity, jitter=jitter, on_progress=partial(_mark_all, progress)
    )
    bolt, times = bolt_app(tokenless, identity), dependencies.link_times
    connections = [SocketConnection(bolt, urls, tokenless, jitter=jitter, times=times) for _ in progress]
    for link, each in zip(connections, progress, strict=True):
        link.on_progress = each.mark
        link.on_failure = partial(meter.count_retried, APPS_CONNECTIONS_OPEN)
    return _Slack(
        identity=identity,
        api=api,
        authentication=authentication,
        bolt=bolt,
        connections=dependencies.connections(connections, clock=clock, shared=is_shared(settings.store_url)),
        progress=progress,
    )


def _listen(
    slack: _Slack, service: TriageService, responders: Responders, views: SlackViews, *, clock: Clock
) -> Listeners:
    others = slack.connections.is_app_shared
    listeners = Listeners(
        service, views, slack.identity, responders=responders, clock=clock, is_app_shared=others
    )
    listeners.register(slack.bolt)
    return listeners


def _mark_all(progress: Sequence[Progress]) -> None:
    """Mark progress for all links while authentication, which they wait for, makes progress."""
    for each in progress:
        each.mark()
