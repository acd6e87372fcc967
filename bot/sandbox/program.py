"""What `triage-bot sandbox` runs: the page or the self-test, from start to a clean end."""

from __future__ import annotations

import asyncio
import signal
import sys
import webbrowser
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bot.sandbox.failure import SandboxFailed
from bot.sandbox.page import Page
from bot.sandbox.samples import SAMPLES
from bot.sandbox.self_test import SelfTest
from bot.sandbox.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_sandbox(labels: Mapping[str, str], *, port: int, open_browser: bool) -> int:
    """Serve the page on 127.0.0.1 until it is stopped, and print its URL; port 0 picks any free port.

    `labels` maps the outcomes that the bot reports to the page's names for them. Returns the exit code: 0
    after Ctrl-C, SIGTERM or SIGHUP, 1 when a part failed.
    """
    return asyncio.run(_run_page(labels, port, open_browser=open_browser))


def run_self_test() -> int:
    """Send five alerts, answer four, print a transcript; return 0 if all ended as expected, else 1."""
    return asyncio.run(_run_self_test())


async def _run_page(labels: Mapping[str, str], port: int, *, open_browser: bool) -> int:
    trial = Trial()
    page = Page(trial, labels)
    try:
        address = await page.start(port)
        await _until_stopped(_serve(trial, address, open_browser=open_browser))
    except SandboxFailed as failure:
        page.end(f"The sandbox has failed. {failure.reason}.\n{failure.log}".rstrip(), failed=True)
        return _tell_failure(failure)
    else:
        page.end("The sandbox was stopped.", failed=False)
        _say("Stopped.")
        return 0
    finally:
        await trial.stop()
        await page.stop()


async def _serve(trial: Trial, address: str, *, open_browser: bool) -> None:
    _say(f"Starting a stand-in Slack, a local SQS and the worker; the page is at {address}")
    if open_browser:
        await asyncio.to_thread(webbrowser.open, address)
    await trial.start()
    await _send_samples(trial)
    _say(f"Ready: {address}   (Ctrl-C stops everything)")
    await trial.failure()


async def _send_samples(trial: Trial) -> None:
    """Send each sample about a different person, so that four people have something to read."""
    for sample, user in zip(SAMPLES.values(), trial.askable_addresses(), strict=False):
        await trial.send_alert(
            alert=sample.alert,
            summary=sample.summary,
            user=user,
            confidence=sample.confidence,
            optional=sample.optional(datetime.now(UTC)),
        )


async def _run_self_test() -> int:
    trial = Trial()
    test = SelfTest(trial, say=_say)
    outcome: list[bool] = []

    async def run() -> None:
        outcome.append(await test.run())

    try:
        await _until_stopped(run())
    except SandboxFailed as failure:
        return _tell_failure(failure)
    finally:
        await trial.stop()
    return 0 if outcome == [True] else 1


async def _until_stopped(work: Coroutine[None, None, None]) -> None:
    """Run `work` until it ends or a stop signal arrives. A second signal has no effect."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


def _tell_failure(failure: SandboxFailed) -> int:
    if failure.log:
        sys.stderr.write(f"--- last lines of its log ---\n{failure.log}\n----------------------\n")
    sys.stderr.write(f"The sandbox has failed: {failure.reason}.\n")
    return 1


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
