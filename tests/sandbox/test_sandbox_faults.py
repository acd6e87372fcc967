"""What a sceptic does to the sandbox: kill, freeze, cut off. Nothing is lost, and nobody is asked twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from trial_waiting import until

from bot.sandbox.failure import SandboxFailed
from bot.sandbox.fake_slack.workspace import Message
from bot.sandbox.page_state import page_state
from bot.sandbox.self_test import texts
from bot.sandbox.supervisor import WorkerState
from bot.sandbox.trial import Trial

pytest_plugins = ["trial_fixtures"]
pytestmark = pytest.mark.slow

#: The worker, whose settings are wrong when it is started again.
RUNS_ONCE = """
import pathlib, runpy, sys
mark = pathlib.Path("ran")
if mark.exists():
    sys.exit(78)
mark.touch()
runpy.run_module("bot", run_name="__main__")
"""

SUMMARY = "A session was opened on prod-7."


def pill(trial: Trial, part: str) -> dict[str, Any]:
    """What the page shows of a part."""
    state = page_state(trial, {}, ended=None, failed=False)
    return next(one for one in state["health"]["parts"] if one["name"] == part)


def questions(trial: Trial) -> Sequence[Message]:
    conversations = trial.workspace.conversations
    return [
        message
        for one in conversations
        for message in one.newest(50)
        if any(SUMMARY in text for text in texts(message))
    ]


async def kill(trial: Trial) -> None:
    trial.kill_worker()
    assert trial.supervisor
    supervisor = trial.supervisor
    await until(trial, lambda: supervisor.state is WorkerState.RESTARTING, what="the worker is restarted")


async def nothing(_trial: Trial) -> None:
    pass


@pytest.mark.parametrize(
    ("break_it", "mend_it", "part", "words"),
    [
        (kill, nothing, "Worker", "restarting"),
        (Trial.cut_slack, Trial.restore_slack, "Slack", "cut off"),
        (Trial.cut_sqs, Trial.restore_sqs, "SQS", "cut off"),
    ],
)
async def test_an_alert_that_is_sent_in_the_middle_of_trouble_is_asked_once(
    trial: Trial,
    break_it: Callable[[Trial], Awaitable[None]],
    mend_it: Callable[[Trial], Awaitable[None]],
    part: str,
    words: str,
) -> None:
    await break_it(trial)
    assert pill(trial, part)["words"] == words
    sent = await trial.send_alert(
        alert="sensitive_host_session", summary=SUMMARY, user="ada@example.com", confidence="high"
    )
    await mend_it(trial)

    await until(trial, lambda: bool(questions(trial)), what="the question")
    (question,) = questions(trial)
    await until(
        trial, lambda: trial.slack.links > 0 and pill(trial, "Worker")["state"] == "up", what="it is up again"
    )
    click = await trial.slack.click(
        user="U0ADALOVE01", channel=question.channel, ts=question.ts, action_id="answer-yes"
    )

    assert click.acknowledged
    await until(
        trial, lambda: trial.ledger.status(sent.identifier) == "acknowledged", what="MozDef has the answer"
    )
    assert len(questions(trial)) == 1
    if break_it is kill:
        assert pill(trial, "Worker")["words"].startswith("back after ")


async def test_a_frozen_worker_shows_as_not_responding_until_it_goes_on(trial: Trial) -> None:
    assert trial.worker is not None
    os.kill(trial.worker.pid, signal.SIGSTOP)
    try:
        await until(trial, lambda: pill(trial, "Worker")["words"] == "not responding", what="it is frozen")
    finally:
        with suppress(ProcessLookupError):
            os.kill(trial.worker.pid, signal.SIGCONT)
    await until(trial, lambda: pill(trial, "Worker")["words"] == "running", what="it goes on")


async def test_a_worker_whose_settings_are_wrong_is_not_started_again() -> None:
    trial = Trial(worker=("-P", "-c", RUNS_ONCE, "run"))
    try:
        await trial.start()
        trial.kill_worker()

        with pytest.raises(SandboxFailed, match="exit code 78"):
            await trial.failure()
    finally:
        await trial.stop()
