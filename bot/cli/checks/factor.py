"""Checks the second factor: its provider, and on request a real proof."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from bot.cli.checks.findings import CheckStatus, Finding, is_sound
from bot.cli.checks.machine import check_clock
from bot.cli.checks.settings import check_settings
from bot.clock import Clock, utc_now
from bot.errors import AmbiguousError, ConfigError, NoDevice, PermanentError, TransientError, TriageBotError
from bot.factor.ciba import Ciba, Client
from bot.settings.alerts import load_alert_policies
from bot.settings.people import load_people_rules
from bot.settings.proxies import is_proxy_variable
from bot.settings.settings import Settings
from bot.triage.factor import PollResult, Push, Verdict, draw_code
from bot.triage.factor_rules import POLL_GRACE, PUSH_LIFETIME_MAX
from bot.triage.policy import Factor
from bot.worker.second_factor import make_client, open_ciba

SUBJECT = "second factor"
KEYS = "keys of the second factor"
PROOF = "proof"

_NETWORK = (
    "check FACTOR_ISSUER, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; SSL_CERT_FILE for a private CA)"
)
_PROVIDER = "correct this at the provider: it must offer CIBA in poll mode, and have a client for this bot"

_MOST = f"{PUSH_LIFETIME_MAX.total_seconds():.0f}"
_SHORTEN = f"let requests of this client expire after at most {_MOST} s at the provider"

#: The remedies for a proof that failed.
_REMEDIES = {
    Verdict.REFUSED: "the person refused on their device: there is nothing to correct",
    Verdict.FRAUD: "the person reported a fraud: find out whether they expected this check",
    Verdict.TIMED_OUT: "the person did not respond: ask them to have their device at hand, and try again",
    Verdict.LOST: _PROVIDER,
    Verdict.UNAVAILABLE: "correct this at the provider, or change FACTOR_SUBJECT_CLAIM and FACTOR_SCOPE",
}


async def check_factor(settings: Settings) -> Sequence[Finding]:
    """Judge the provider; no findings if none is set and none is needed. Raises nothing."""
    needed = _list_labels(settings)
    if not settings.factor_issuer and not needed:
        return []
    async with AsyncExitStack() as stack:
        try:
            factor = await open_ciba(
                await make_client(settings), ssl.create_default_context(), stack, Clock()
            )
        except TriageBotError as error:
            why = f"{error}; alerts.toml requires it of {', '.join(needed)}" if needed else str(error)
            return [Finding.failed(SUBJECT, why, "correct the settings FACTOR_… (docs/reference.md)")]
        return await _check_provider(factor)


async def _check_provider(factor: Ciba) -> Sequence[Finding]:
    try:
        provider = await factor.discover()
    except TriageBotError as error:
        remedy = _NETWORK if isinstance(error, TransientError) else _PROVIDER
        return [Finding.failed(SUBJECT, str(error), remedy)]
    found = Finding.ok(SUBJECT, f"{factor.name} offers CIBA and can be polled")
    clock = check_clock(factor.name, provider.date, utc_now())
    try:
        keys = await factor.keys()
    except TriageBotError as error:
        return [found, Finding.failed(KEYS, str(error), _PROVIDER), *clock]
    return [found, Finding.ok(KEYS, f"{len(keys.keys)} of {factor.name}"), *clock]


async def check_proof(settings: Settings, address: str, tell: Callable[[str], None]) -> Sequence[Finding]:
    """Ask the person with this address for one real proof; `tell` says what they have to do. Raises nothing.

    Problems of the settings come first. If one of them concerns the proof, it is skipped.
    """
    of_settings = [each for each in check_settings(settings) if _concerns_factor(each)]
    if not is_sound(of_settings):
        wrong = [each.subject for each in of_settings if each.status is CheckStatus.FAILED]
        return [*of_settings, Finding.skipped(PROOF, *wrong)]
    return [*of_settings, await _prove(settings, address, tell)]


def _concerns_factor(finding: Finding) -> bool:
    is_shared = finding.subject == "CONFIG_DIR" or is_proxy_variable(finding.subject)
    return is_shared or "FACTOR_" in f"{finding.subject} {finding.detail}"


async def _prove(settings: Settings, address: str, tell: Callable[[str], None]) -> Finding:
    try:
        subject = load_people_rules(settings.config_dir).subject(address)
        async with AsyncExitStack() as stack:
            client = await make_client(settings)
            factor = await open_ciba(client, ssl.create_default_context(), stack, Clock())
            code = draw_code()
            push = await factor.push(subject, code)
            if push.lifetime > PUSH_LIFETIME_MAX:
                lasts = f"{push.lifetime.total_seconds():,.0f} s"
                detail = f"{factor.name} lets a push last {lasts}, and the worker accepts none over {_MOST} s"
                return Finding.failed(PROOF, detail, _SHORTEN)
            tell(f"{factor.name} asks {subject} to confirm; the device must show the code {code}")
            return _judge(await _wait_for(factor, push, subject), client, address, subject)
    except NoDevice:
        remedy = "enrol a device there, or put the provider's name for them under [factor] in people.toml"
        return Finding.failed(PROOF, f"the provider knows no device of {subject}", remedy)
    except ConfigError as error:
        return Finding.failed(PROOF, str(error), "correct the settings FACTOR_…, or people.toml")
    except TriageBotError as error:
        remedy = _PROVIDER if isinstance(error, PermanentError) else _NETWORK
        return Finding.failed(PROOF, str(error), remedy)


async def _wait_for(factor: Ciba, push: Push, subject: str) -> PollResult:
    """Poll until the provider gives the result of a push, or the push must have expired."""
    interval, left = push.interval, min(push.lifetime, PUSH_LIFETIME_MAX) + POLL_GRACE
    polled = PollResult(verdict=Verdict.UNAVAILABLE, detail="the provider cannot be reached any more")
    while left > timedelta(0):
        await asyncio.sleep(interval.total_seconds())
        left -= interval
        try:
            polled = await factor.poll(push.id, subject)
        except (TransientError, AmbiguousError):
            continue
        if polled.verdict is not Verdict.PENDING:
            return polled
        interval += polled.slower
    return polled


def _judge(polled: PollResult, client: Client, address: str, subject: str) -> Finding:
    if polled.verdict is Verdict.APPROVED:
        return Finding.ok(PROOF, f"given by {polled.who}, the provider's name for {address}")
    if polled.verdict is Verdict.OTHER_PERSON:
        detail = f"{subject} was asked, and the claim {client.subject_claim} says that {polled.who} approved"
        entry = f'"{address.lower()}" = "{polled.who}"'
        same = f"if that is the same person, put {entry} under [factor] in people.toml"
        return Finding.failed(
            PROOF, detail, f"{same}; if not, correct the device that the provider has for them"
        )
    why = f": {polled.detail}" if polled.detail else ""
    remedy = _REMEDIES.get(polled.verdict, "try again")
    return Finding.failed(PROOF, f"not given ({polled.verdict.value.replace('_', ' ')}{why})", remedy)


def _list_labels(settings: Settings) -> Sequence[str]:
    """Return the labels that need a proof; none if alerts.toml is invalid, which another check reports."""
    try:
        alerts = load_alert_policies(settings.config_dir)
    except ConfigError:
        return []
    required = [label for label, own in alerts.by_label.items() if own.factor is Factor.REQUIRED]
    return ["[default]", *required] if alerts.default.factor is Factor.REQUIRED else required
