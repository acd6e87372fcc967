"""Asks Slack whether it accepts each message, window and Home with the texts of this site."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.cli.checks.findings import CheckStatus, Finding
from bot.errors import ConfigError, TriageBotError
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.slack.errors import classify_error
from bot.slack.input_cleaning import read_name
from bot.slack.render.samples import Sample, samples_of

TEXTS = "texts in Slack"

#: The most calls of one check: Slack has a special rate limit for this method, and does not publish it.
CALLS_MAX = 50

#: The codes by which Slack says that it would not accept a sample.
_FAULTS = frozenset({"invalid_blocks", "invalid_message", "invalid_view"})


async def check_texts(
    client: AsyncWebClient, folder: Path | None, *, patience: timedelta
) -> Sequence[Finding]:
    """Ask Slack about a sample of each template as the files in `folder` word it. Raises nothing.

    What Slack is not asked about within `patience`, or after it asked to wait, is skipped.
    """
    try:
        samples = samples_of(load_messages(folder), load_alert_policies(folder))
    except ConfigError:
        return [Finding.skipped(TEXTS, "the wording")]
    faults: dict[str, Finding] = {}  #: by what they say: many templates share a text
    asked, why = 0, f"one check asks about {CALLS_MAX} at most"
    try:
        async with asyncio.timeout(patience.total_seconds()):
            for sample in samples[:CALLS_MAX]:
                answer = await _find_faults(client, sample)
                faults |= {each.detail: each for each in _explain(answer, sample, folder)}
                asked += 1
    except TimeoutError:
        why = f"no answer within {patience.total_seconds():g} s"
    except TriageBotError as error:
        why = str(error)
    findings = list(faults.values())
    if asked and not findings:
        findings.append(
            Finding.ok(TEXTS, f"Slack accepts all {asked} messages, windows and Homes it was asked about")
        )
    if missed := len(samples) - asked:
        detail = f"not checked: {missed} of {len(samples)} messages, windows and Homes ({why})"
        findings.append(Finding(subject=TEXTS, status=CheckStatus.SKIPPED, detail=detail))
    return findings


async def _find_faults(client: AsyncWebClient, sample: Sample) -> Sequence[Mapping[str, Any]]:
    """Return what Slack finds wrong with a sample. Raises the error of a call that does not say."""
    try:
        await client.api_call("blocks.validate", json={sample.kind: json.dumps(sample.content)})
    except Exception as error:
        answer = error.response.data if isinstance(error, SlackApiError) else None
        if not isinstance(answer, dict) or answer.get("error") not in _FAULTS:
            raise classify_error(error) from error
        told = answer.get("errors")
        found = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
        return found or [{"message": answer["error"]}]
    return ()


def _explain(faults: Sequence[Mapping[str, Any]], sample: Sample, folder: Path | None) -> Iterator[Finding]:
    for fault in faults:
        says = read_name(fault.get("message")) or read_name(fault.get("code")) or "nothing more"
        place = sample.place_of(read_name(fault.get("pointer")))
        where = f"{_path_of(place.file, folder)}: {place}" if place else sample.name
        detail = f"{where} is refused: Slack says {says}"
        yield Finding.failed(
            TEXTS, detail, "change this text so that Slack accepts it with the longest values"
        )


def _path_of(file: str, folder: Path | None) -> str:
    own = folder / file if folder else None
    return str(own) if own and own.exists() else f"{file} as it ships"
