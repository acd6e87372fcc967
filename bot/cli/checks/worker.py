"""Checks the running worker over its control socket, and the store, whose state the worker knows best."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.cli.checks import sqlite as store
from bot.cli.checks.findings import Finding
from bot.cli.files import write_backup
from bot.errors import TriageBotError
from bot.settings.settings import Settings
from bot.store.address import store_path
from bot.worker.control import CallFailed, NoWorker, call
from bot.worker.handlers import CONDITION

SUBJECT = "worker"
TIME = "worker's time"
CHANNEL = "security channel"
PARTS = "store, every part"

#: How long the worker may take to answer: it is on the same machine.
PATIENCE = timedelta(seconds=5)

_REMEDIES = {
    "not_in_channel": "invite the bot: write `/invite @` and its name in the channel",
    "channel_not_found": "correct SECURITY_CHANNEL (the id at the end of the channel's About page); a private"
    " channel needs the bot as a member: write `/invite @` and its name there",
    "is_archived": "unarchive the channel, or name another one in SECURITY_CHANNEL",
    "restricted_action": "allow the bot to post there: the channel's settings > Posting permissions",
}


async def check_store_and_worker(settings: Settings, *, deep: bool = False) -> Sequence[Finding]:
    """Judge the store, the worker and the channel; a worker that has the store open is asked about all three.

    `deep` checks every part of a file; of one that a worker has open, in a copy that the worker makes.
    Raises `ConfigError` if the store's URL is wrong.
    """
    url, channel = settings.store_url, settings.security_channel
    if settings.control_path is None:
        found = await store.check_store(url, region=settings.aws_region)
        return [*found, _not_tried(channel, "workers that share a store cannot be asked")]
    try:
        condition = await asyncio.to_thread(_ask, settings.control_path)
    except NoWorker:
        return [*await store.check_store(url, deep=deep), _not_tried(channel, "no worker is running here")]
    except CallFailed as error:
        skipped = Finding.skipped(CHANNEL, "the worker")
        return [store.perhaps_held_finding(url, str(error)), *store.check_disk(url), skipped]
    trouble, is_replaced = str(condition.get("store") or ""), bool(condition.get("replaced"))
    held = store.held_by_worker_finding(url, trouble, is_replaced=is_replaced)
    card = _check_channel(channel, condition.get("card"))
    parts = [await asyncio.to_thread(_check_copy, settings.control_path, store_path(url))] if deep else []
    disk = store.check_disk(url)
    return [held, *parts, *disk, _check_worker(condition), *_check_time(condition), card]


def _ask(control_path: Path) -> Mapping[str, Any]:
    return next(iter(list(call(control_path, CONDITION, patience=PATIENCE))), {})


def _check_copy(control_path: Path, path: Path) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        try:
            write_backup(copy, call(control_path, "backup"))
        except TriageBotError as error:
            return Finding.failed(PARTS, f"{path} could not be copied: {error}", "try again, or see the log")
        return store.check_copy(PARTS, copy, of=path)


def _check_worker(condition: Mapping[str, Any]) -> Finding:
    if condition.get("starting"):
        detail = f"starting, and waiting for {condition['starting']}: nobody is asked yet"
        remedy = "check again in a moment; if it keeps waiting, see the log (journalctl -u triage-bot)"
        return Finding.failed(SUBJECT, detail, remedy)
    if links := int(condition.get("links") or 0):
        return Finding.ok(SUBJECT, f"running, with {links} connection{'s' if links > 1 else ''} to Slack")
    return Finding.failed(
        SUBJECT,
        "running, but not connected to Slack: no click can reach it",
        "see the Slack lines above; if they are fine, its log says why (journalctl -u triage-bot)",
    )


def _check_time(condition: Mapping[str, Any]) -> Sequence[Finding]:
    """Judge the time that the worker uses; nothing if it does not say, for example while it starts."""
    if trouble := str(condition.get("clock") or ""):
        detail, _, remedy = trouble.partition("; ")
        return [Finding.failed(TIME, detail, remedy)]
    ahead = condition.get("ahead_seconds")
    if ahead is None:
        return []
    return [Finding.ok(TIME, f"Slack's and AWS's; this machine's clock is {float(ahead):+.1f} s off")]


def _not_tried(channel: str, why: str) -> Finding:
    detail = f"{channel}: not tried yet, {why}"
    return Finding.ok(CHANNEL, detail if channel else "not set, so there are no cards (SECURITY_CHANNEL)")


def _check_channel(channel: str, trouble: str | None) -> Finding:
    """Judge the channel by why the last card could not be posted: a code of Slack's, or a sentence.

    Empty: it was posted; None: no card has been due yet.
    """
    if trouble is None or not channel:
        return _not_tried(channel, "no card has been due since the worker started")
    if not trouble:
        return Finding.ok(CHANNEL, f"{channel}: the last card arrived")
    remedy = _REMEDIES.get(trouble, "see the worker's log for card.refused and card.delayed")
    return Finding.failed(CHANNEL, f"{channel}: the last card did not arrive ({trouble})", remedy)
