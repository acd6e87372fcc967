"""The composition root of `check`: checks everything that the worker needs, and starts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain

from aiohttp import ClientSession
from slack_sdk.web.async_client import AsyncWebClient

from bot.cli.checks import factor, slack, sqs, texts
from bot.cli.checks import sqlite as store
from bot.cli.checks.findings import CheckStatus, Finding
from bot.cli.checks.machine import check_credentials, check_name_servers
from bot.cli.checks.settings import PEOPLE, WORDING, check_people, check_settings, check_wording
from bot.cli.checks.worker import check_store_and_worker
from bot.errors import TriageBotError
from bot.settings.parameter_store import fetch_secret
from bot.settings.proxies import is_proxy_variable
from bot.settings.settings import Settings
from bot.slack.client import open_session, web_client

Check = Callable[[], Awaitable[Sequence[Finding]]]

#: The time limit of each check. They run concurrently, except for those that need the bot token first: so the
#: command takes about twice as long at most.
PATIENCE = timedelta(seconds=10)


async def check_everything(
    settings: Settings, *, patience: timedelta = PATIENCE, deep: bool = False
) -> Sequence[Finding]:
    """Check everything that the worker needs, from the settings to the store; return the findings in order.

    `settings` are those of `Purpose.CHECK`; `patience` is the time limit of each check, except when every
    part of a store is checked (`deep`). What depends on a wrong setting is skipped. Raises nothing.
    """
    checkup = _Checkup(settings, patience, deep=deep)
    parts = (checkup.check_slack, checkup.check_queues, checkup.check_store, checkup.check_factor)
    outside = await asyncio.gather(*(check() for check in parts))
    own = [*checkup.of_settings, check_credentials(settings.credentials), *checkup.check_wording()]
    return [*own, *check_name_servers(), *chain.from_iterable(outside)]


class _Checkup:
    """One run of the command: each method checks one part, or skips it if a setting it needs is wrong."""

    def __init__(self, settings: Settings, patience: timedelta, *, deep: bool) -> None:
        self._settings = settings
        self._patience = patience
        self._is_deep = deep
        self.of_settings = list(check_settings(settings))
        self._faulty = {each.subject for each in self.of_settings if each.status is CheckStatus.FAILED}
        #: The wrong proxy variables. With them no check would reach the network as the worker does.
        self._proxies = tuple(sorted(filter(is_proxy_variable, self._faulty)))

    def check_wording(self) -> Sequence[Finding]:
        if "CONFIG_DIR" in self._faulty:
            return [Finding.skipped(subject, "CONFIG_DIR") for subject in (WORDING, PEOPLE)]
        folder = self._settings.config_dir
        return [*check_wording(folder), *check_people(folder)]

    async def check_slack(self) -> Sequence[Finding]:
        async with open_session() as session:
            client = web_client(self._settings.slack_api_url, session)
            bot = partial(self._check_bot_token, client)
            app = partial(self._check_app_token, client, session)
            needs = ("SLACK_API_URL", *self._proxies)
            findings = await _run_together(
                self._run_check(slack.BOT_TOKEN, bot, needs=("SLACK_BOT_TOKEN", *needs)),
                self._run_check(slack.APP_TOKEN, app, needs=("SLACK_APP_TOKEN", *needs)),
            )
            is_known = findings[0].status is CheckStatus.OK
            return [
                *findings,
                *await self._check_responders(client, is_known=is_known),
                *await self._check_texts(client, is_known=is_known),
            ]

    async def check_queues(self) -> Sequence[Finding]:
        settings = self._settings
        return await _run_together(
            self._check_queue(sqs.REQUEST_QUEUE, settings.request_queue_url),
            self._check_queue(sqs.RESPONSE_QUEUE, settings.response_queue_url),
            self._check_queue(sqs.DEAD_LETTER_QUEUE, settings.dead_letter_queue_url),
        )

    async def check_store(self) -> Sequence[Finding]:
        check = partial(check_store_and_worker, self._settings, deep=self._is_deep)
        proxies = self._proxies if self._settings.store_path is None else ()
        needs, endless = ("STORE_URL", *proxies), self._is_deep
        return await self._run_check(store.SUBJECT, check, needs=needs, endless=endless)

    async def check_factor(self) -> Sequence[Finding]:
        wrong = [name for name in self._faulty if name.startswith("FACTOR_")]
        needs = ("CONFIG_DIR", *sorted(wrong), *self._proxies)
        if not (self._settings.factor_issuer or wrong) and self._faulty.intersection(needs):
            return []  # as far as is known, it is not used
        return await self._run_check(
            factor.SUBJECT, partial(factor.check_factor, self._settings), needs=needs
        )

    async def _check_bot_token(self, client: AsyncWebClient) -> Sequence[Finding]:
        try:
            token = await fetch_secret(self._settings, "slack_bot_token")
        except TriageBotError as error:
            return [slack.unusable_finding(slack.BOT_TOKEN, str(error)), slack.SCOPES_SKIPPED]
        client.token = token.reveal()
        return await slack.check_bot_token(client)

    async def _check_responders(self, client: AsyncWebClient, *, is_known: bool) -> Sequence[Finding]:
        if not self._settings.responders:
            return []  # everybody in the channel may act, or the setting is wrong and its problem is shown
        if not is_known:
            return [Finding.skipped(slack.RESPONDERS, f"the {slack.BOT_TOKEN}")]
        check = partial(slack.check_responders, client, self._settings.responders)
        return await self._run_check(slack.RESPONDERS, check, needs=())

    async def _check_texts(self, client: AsyncWebClient, *, is_known: bool) -> Sequence[Finding]:
        if not is_known or "CONFIG_DIR" in self._faulty:
            return [Finding.skipped(texts.TEXTS, "CONFIG_DIR" if is_known else f"the {slack.BOT_TOKEN}")]
        return await texts.check_texts(client, self._settings.config_dir, patience=self._patience)

    async def _check_app_token(self, client: AsyncWebClient, session: ClientSession) -> Sequence[Finding]:
        try:
            token = await fetch_secret(self._settings, "slack_app_token")
        except TriageBotError as error:
            return [slack.unusable_finding(slack.APP_TOKEN, str(error))]
        return await slack.check_app_token(client, session, token.reveal())

    async def _check_queue(self, role: sqs.QueueRole, url: str) -> Sequence[Finding]:
        if role is sqs.DEAD_LETTER_QUEUE and not url and role.variable not in self._faulty:
            return [sqs.no_dead_letter_queue_finding()]
        check = partial(sqs.check_queue, role, url, region=self._settings.aws_region)
        return await self._run_check(role.subject, check, needs=(role.variable, "AWS_REGION", *self._proxies))

    async def _run_check(
        self, subject: str, check: Check, *, needs: Sequence[str], endless: bool = False
    ) -> Sequence[Finding]:
        faulty = [name for name in needs if name in self._faulty]
        if faulty:
            return [Finding.skipped(subject, *faulty)]
        try:
            async with asyncio.timeout(None if endless else self._patience.total_seconds()):
                return await check()
        except TimeoutError:
            detail = f"no answer within {self._patience.total_seconds():g} s"
            return [Finding.failed(subject, detail, "check DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY)")]


async def _run_together(*checks: Awaitable[Sequence[Finding]]) -> list[Finding]:
    return list(chain.from_iterable(await asyncio.gather(*checks)))
