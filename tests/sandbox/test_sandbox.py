"""The sandbox and its self-test, started as a person starts them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sandbox_process import SandboxProcess, environment
from wording import WORDING
from world import PATIENCE_SECONDS, until

from bot.sandbox.failure import SandboxFailed
from bot.sandbox.self_test import SelfTest
from bot.sandbox.trial import Trial


def programs_in(folder: Path) -> list[str]:
    """The programs that run below a folder, also after it was removed."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Others start and end meanwhile, and some may not be looked into: none of those is ours.
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(process.name)
    return found


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


def run_sandbox(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 -- the program under test
        [sys.executable, "-P", "-m", "bot", "sandbox", *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_the_self_test_tells_how_each_alert_ended_and_heeds_nothing_of_what_surrounds_it(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("SLACK_BOT_TOKEN=nonsense\nMOZDEF_SYNC_SECONDS=600\n")
    (tmp_path / "bot.py").write_text("raise SystemExit('imported from the current directory')\n")
    nowhere = dict.fromkeys(
        ("SLACK_API_URL", "AWS_ENDPOINT_URL", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9/"
    )
    nonsense = dict.fromkeys(("SLACK_APP_TOKEN", "STORE_URL", "AWS_PROFILE"), "nonsense")

    ended = run_sandbox(tmp_path, "--self-test", MOZDEF_SYNC_SECONDS="600", **nowhere, **nonsense)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 of 5 ended as expected" in ended.stdout
    told = [line.split() for line in ended.stdout.splitlines()]
    statuses = [words[1] for words in told if words[:1] == ["status"]]
    assert statuses == ["acknowledged", "escalated", "manual", "manual", "manual"]
    assert WORDING["answer"]["yes"] in ended.stdout
    assert "undeliverable users_not_found" in ended.stdout


@pytest.mark.slow
def test_ctrl_c_ends_every_part_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        parts = [sandbox.pid_of("Worker"), sandbox.pid_of("SQS")]

        code, output, errors = sandbox.end(signal.SIGINT)

    assert (code, errors) == (0, "")
    assert "Stopped." in output
    assert not any(runs(pid) for pid in parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
def test_a_sandbox_that_is_killed_takes_its_parts_with_it(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        parts = [sandbox.pid_of("Worker"), sandbox.pid_of("SQS")]

        sandbox.end(signal.SIGKILL)

    until(lambda: not any(runs(pid) for pid in parts), what="nothing of the sandbox runs")


@pytest.mark.slow
def test_a_stop_in_the_middle_of_the_start_leaves_nothing_running(tmp_path: Path) -> None:
    sandbox = SandboxProcess(tmp_path)
    sandbox.start()
    until(lambda: list(tmp_path.glob("*/sqs-0.log")), what="the local SQS is being started")

    code, _, errors = sandbox.end(signal.SIGTERM)

    assert (code, errors) == (0, "")
    assert programs_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_sandbox_whose_queues_die_ends_and_says_so(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        parts = [sandbox.pid_of("Worker"), sandbox.pid_of("SQS")]
        os.kill(sandbox.pid_of("SQS"), signal.SIGKILL)

        code, _, errors = sandbox.ended()

    assert code == 1
    assert "The local SQS ended unexpectedly (SIGKILL)" in errors
    assert not any(runs(pid) for pid in parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
async def test_a_worker_that_ends_at_once_fails_the_start_with_its_last_words() -> None:
    trial = Trial(worker=("-c", "raise SystemExit('no such token')"))

    with pytest.raises(SandboxFailed, match="exit code 1") as failed:
        await trial.start()
    await trial.stop()

    assert "no such token" in failed.value.log


@pytest.mark.slow
async def test_a_worker_that_never_links_up_with_slack_fails_the_start() -> None:
    sleeper = "import time; print('asleep', flush=True); time.sleep(600)"
    trial = Trial(worker=("-c", sleeper), ready_within=timedelta(seconds=0.5))

    with pytest.raises(SandboxFailed, match="no link to Slack"):
        await trial.start()
    await trial.stop()

    assert trial.worker is not None
    assert not trial.worker.running


@pytest.mark.slow
async def test_a_self_test_that_waits_in_vain_says_for_what() -> None:
    trial = Trial()
    test = SelfTest(trial, say=lambda _: None, step_limit=timedelta(0))

    with pytest.raises(SandboxFailed, match=r"Waited 0 s for the question to \w+@example\.com"):
        await test.run()
    await trial.stop()


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        ended = run_sandbox(tmp_path, "--port", str(port))

    assert ended.returncode == 1
    assert f"Port {port} cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_four_sample_alerts_wait_in_slack_when_the_page_is_ready(sandbox: SandboxProcess) -> None:
    until(lambda: len(sandbox.state()["messages"]) == 4, what="four people have been asked")

    state = sandbox.state()

    assert len({message["person"] for message in state["messages"]}) == 4
    assert {alert["status"] for alert in state["alerts"]} == {"open"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/api/alerts", {}),
        ("POST", "/api/alerts", {"Origin": "null"}),
        ("POST", "/api/alerts", {"Origin": "https://elsewhere.example"}),
        ("POST", "/api/alerts", {"Origin": "http://elsewhere.example", "Host": "elsewhere.example"}),
        ("GET", "/api/state", {"Host": "elsewhere.example"}),
    ],
)
def test_another_sites_page_or_name_is_refused(
    sandbox: SandboxProcess, method: str, path: str, headers: dict[str, str]
) -> None:
    assert sandbox.request(method, path, **headers)[0] == 403
