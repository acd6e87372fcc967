"""The unit judged by systemd's own tools, the worker under its restrictions, and what it tells systemd."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confinement import USER, settings_of
from metrics_world import LISTEN, address_of, fetch, read_samples
from mypy_boto3_sqs import SQSClient
from wording import WORDING
from world import World, until
from world.service_manager import ServiceManager

HERE = Path(__file__).parent
UNITS = HERE.parents[1] / "systemd"
UNIT = UNITS / "triage-bot.service"
DROP_INS = sorted((UNITS / "triage-bot.service.d").iterdir())

#: In seconds: a process is known by now, however busy the machine.
PROBABLE = 600

#: Of systemd's ten: 1.1.
EXPOSURE = "--threshold=11"

#: What the unit allows; megabytes as bytes.
MEMORY_MAX = int(settings_of(UNIT)["MemoryMax"][0].removesuffix("M")) * 2**20
TASKS_MAX = int(settings_of(UNIT)["TasksMax"][0])

#: Tries what the unit forbids, and prints the result of each attempt.
ATTEMPTS = """
import ctypes, errno, json, mmap, os, pathlib, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried(attempt):
    try:
        return attempt() or ""
    except OSError as error:
        return errno.errorcode[error.errno]
def called(name, *values):
    return errno.errorcode[ctypes.get_errno()] if getattr(libc, name)(*values) else ""
print(json.dumps({
    "user": os.getuid(),
    "write here": tried(lambda: pathlib.Path("file").touch()),
    "write elsewhere": tried(lambda: pathlib.Path("/tmp/file").touch()),
    "read the tokens": tried(lambda: pathlib.Path("/etc/shadow").read_text()),
    "see others": tried(lambda: os.listdir("/proc/1")),
    "become root": tried(lambda: os.setuid(0)),
    "mount": called("mount", b"none", b"/mnt", b"tmpfs", 0, b""),
    "unshare": called("unshare", 0x10000000),
    "netlink": tried(lambda: socket.socket(16, socket.SOCK_RAW)),
    "connect": tried(lambda: socket.socket().close()),
    "run what was written": tried(lambda: mmap.mmap(-1, 4096, prot=7).close()),
    "raise a privilege": "0" if "NoNewPrivs:\\t1" in pathlib.Path("/proc/self/status").read_text() else "1",
}))
"""

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze") and "CI" not in os.environ, reason="systemd-analyze is missing"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can confine a process like this")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter: a test's own is open to its user alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def confined(state: Path, *arguments: str) -> tuple[str, ...]:
    """Return what starts Python under the unit's restrictions, with this state folder."""
    os.chown(state, USER, USER)
    state.chmod(0o700)
    return (str(HERE / "confinement.py"), str(UNIT), str(state), *arguments)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the files of this repository
        ["systemd-analyze", *arguments],  # noqa: S607 - wherever it is
        check=False,
        capture_output=True,
        text=True,
    )


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path.stem if path else "none")
def test_its_exposure_is_low_with_each_drop_in(folder: Path, drop_in: Path | None) -> None:
    unit = Path(shutil.copy(UNIT, folder))
    if drop_in:
        (folder / "triage-bot.service.d").mkdir()
        shutil.copy(drop_in, folder / "triage-bot.service.d")

    judged = analyze("security", "--offline=yes", EXPOSURE, "--no-pager", str(unit))

    assert judged.returncode == 0, judged.stdout + judged.stderr


@needs_systemd
def test_systemd_understands_every_line(folder: Path) -> None:
    program = folder / "triage-bot"
    program.touch(mode=0o755)
    text = UNIT.read_text(encoding="utf-8")
    installed = settings_of(UNIT)["ExecStart"][0].split()[0]
    unit = folder / UNIT.name
    unit.write_text(text.replace(installed, str(program)), encoding="utf-8")
    shutil.copytree(UNITS / "triage-bot.service.d", folder / "triage-bot.service.d")

    verified = analyze("verify", "--man=no", str(unit))

    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
@needs_root
def test_the_restrictions_hold(folder: Path) -> None:
    state = folder / "state"
    state.mkdir()

    tried = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-P", *confined(state, "-c", ATTEMPTS)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
    )

    assert tried.returncode == 0, tried.stderr
    assert json.loads(tried.stdout) == {
        "user": USER,
        "write here": "",
        "write elsewhere": "EROFS",
        "read the tokens": "EACCES",
        "see others": "ENOENT",
        "become root": "EPERM",
        "mount": "EPERM",
        "unshare": "EPERM",
        "netlink": "EPERM",
        "connect": "",
        "run what was written": "EPERM",
        "raise a privilege": "0",
    }


@pytest.mark.slow
@needs_systemd
@needs_root
def test_the_whole_loop_works_under_the_restrictions(
    folder: Path, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> None:
    with World(folder, sqs, aws_environment, variables=LISTEN) as world:
        world.worker.program = confined(world.worker.folder, "-m", "bot")
        world.start()
        started_at = time.time()

        identifier = world.send()
        click = world.slack.press(world.slack.question(identifier), "no")

        assert click.acknowledged
        world.slack.redrawn(identifier, WORDING["answer"]["no"])
        assert world.status(identifier) == "escalated"
        assert identifier in world.worker.command("list").stdout
        # The unit hides /proc/stat, by which the library would date the process.
        meters = read_samples(fetch(address_of(world.worker), "/metrics")[1])
        assert meters["triage_process_resident_memory_bytes", ()] > 0
        assert meters["triage_process_cpu_seconds_total", ()] > 0
        assert abs(meters["triage_process_start_time_seconds", ()] - started_at) < PROBABLE
        assert meters["triage_process_resident_memory_bytes", ()] < MEMORY_MAX / 4
        assert world.worker.count_threads() < TASKS_MAX / 4
        assert world.worker.stop() == 0
        assert "ERROR" not in world.worker.log, world.worker.log


QUICK_WATCHDOG_WORKER = (str(Path(__file__).with_name("quick_watchdog_worker.py")),)

#: This many of the watchdog's pings in a row span more time than the hasty worker's patience.
INTERVAL_SECONDS = 2
MORE_THAN_PATIENCE = 12


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    manager = ServiceManager(tmp_path)
    yield manager
    manager.close()


@pytest.fixture
def world(create_world: Callable[..., World], manager: ServiceManager) -> World:
    return create_world(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC=str(INTERVAL_SECONDS * 1_000_000))


@pytest.fixture
def hasty(world: World, manager: ServiceManager) -> World:
    """The same with a worker that is quick to say that it is stuck, and is ready."""
    world.worker.program = QUICK_WATCHDOG_WORKER
    world.start()
    manager.until_told("READY", "1")
    return world


@pytest.mark.slow
def test_it_asks_for_time_until_slack_has_opened_a_link_and_says_when_it_stops(
    world: World, manager: ServiceManager
) -> None:
    world.slack.stop()
    world.worker.start()

    waiting = manager.until_told("STATUS", "waiting for Slack")
    until(lambda: manager.pings() >= 4, what="it asks again and again")
    ready_before = [facts for facts in manager.told() if "READY" in facts]
    world.slack.start()
    ready = manager.until_told("READY", "1")
    world.worker.stop()

    assert int(waiting["EXTEND_TIMEOUT_USEC"]) >= 30_000_000
    assert ready_before == []
    assert ready["STATUS"] == "serving"
    assert manager.told()[-1]["STOPPING"] == "1"


def test_while_the_queues_cannot_be_reached_it_is_not_ready(world: World, manager: ServiceManager) -> None:
    world.worker.environment["AWS_ENDPOINT_URL_SQS"] = "http://127.0.0.1:9"
    world.worker.start()

    world.slack.until_linked()
    waiting = manager.until_told("STATUS", "waiting for the queues")

    assert int(waiting["EXTEND_TIMEOUT_USEC"]) >= 30_000_000
    assert not any("READY" in facts for facts in manager.told())


@pytest.mark.slow
def test_an_outage_that_is_retried_counts_as_progress(hasty: World, manager: ServiceManager) -> None:
    hasty.slack.stop()
    manager.until_told("STATUS", "waiting for Slack")
    before = manager.pings()
    until(lambda: manager.pings() >= before + MORE_THAN_PATIENCE, what="pings go on")
    so_far = len(manager.told())
    hasty.slack.start()
    manager.until_told("STATUS", "serving", after=so_far)

    assert not any(facts.get("WATCHDOG") == "trigger" for facts in manager.told())
    assert hasty.worker.is_running()


@pytest.mark.slow
def test_a_poller_that_is_stuck_ends_the_pings_and_asks_for_the_end(
    hasty: World, manager: ServiceManager
) -> None:
    (hasty.worker.folder / "poller").touch()
    manager.until_told("WATCHDOG", "trigger")
    hasty.worker.stop()

    # All that follows is the closing handshake.
    assert [facts.get("WATCHDOG") for facts in manager.told()[-2:]] == ["trigger", None]
    assert "loops=poller" in hasty.worker.until_logged("worker.stalled")


@pytest.mark.slow
def test_an_event_loop_that_is_stuck_is_silent(hasty: World, manager: ServiceManager) -> None:
    (hasty.worker.folder / "loop").touch()
    until((hasty.worker.folder / "held").exists, what="the event loop is held up")
    before = manager.pings()
    # Several pings would fall into this time.
    time.sleep(INTERVAL_SECONDS)
    hasty.worker.kill()

    assert manager.pings() == before


def test_a_worker_that_the_watchdog_ends_says_where_it_was(world: World) -> None:
    world.start()

    world.worker.signal(signal.SIGABRT)
    exit_code = world.worker.exit_code()

    assert exit_code == -signal.SIGABRT
    assert "in run_worker" in world.worker.log or "in run_forever" in world.worker.log
    assert "Fatal Python error: Aborted" in world.worker.log


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda unit: unit.write_text("[Service]\n"), id="a file"),
        pytest.param(lambda unit: unit.symlink_to("/opt/gone.service"), id="a link to nothing"),
    ],
)
def test_the_package_warns_of_an_older_unit_that_hides_its_own(
    tmp_path: Path, leave: Callable[[Path], object]
) -> None:
    script = (HERE.parents[1] / "scripts/debian/postinst").read_text(encoding="utf-8")
    for folder in ("/etc/", "/run/", "/usr/"):
        script = script.replace(folder, f"{tmp_path}{folder}")
    unit = tmp_path / "etc/systemd/system/triage-bot.service"
    unit.parent.mkdir(parents=True)
    leave(unit)
    (tmp_path / "etc/triage-bot.env").touch()

    done = subprocess.run(  # noqa: S603 - the package's script, on folders of the test's
        ["/bin/sh", "-c", script, "postinst", "configure"], capture_output=True, text=True, check=True
    )

    assert f"sudo rm {unit}" in done.stderr
