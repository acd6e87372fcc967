"""What holds a worker together: its threads, its wiring, its watchdog, and whether it is healthy."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakes import NOON, SteppedClock, a_request
from memory_store import MemoryStore
from slack_sdk.web.async_client import AsyncWebClient
from wiring import SETTINGS, wired
from world import eventually
from world.service_manager import ServiceManager

from bot.backoff import seconds_to_beat
from bot.errors import StoreError, StoreReplaced
from bot.redaction import Secret
from bot.settings.settings import Purpose, load_settings
from bot.threads import DaemonThreads
from bot.worker.assembly import WakeUp
from bot.worker.health import (
    LOOK_INTERVAL,
    POLL_SILENCE,
    StoreHealth,
    StoreWatch,
    Trouble,
    WorkerHealth,
    find_problems,
)
from bot.worker.http_server import health_view
from bot.worker.watchdog import Notifier, Progress


@pytest.fixture
def thread() -> Iterator[DaemonThreads]:
    thread = DaemonThreads("under-test")
    yield thread
    thread.close()


async def test_a_call_runs_on_the_thread_and_its_result_comes_back(thread: DaemonThreads) -> None:
    assert await thread.run(divmod, 7, 2) == (3, 1)
    assert (await thread.run(threading.current_thread)).name == "under-test"
    assert (await thread.run(threading.current_thread)).daemon


async def test_an_exception_comes_back_and_the_thread_lives_on(thread: DaemonThreads) -> None:
    with pytest.raises(ZeroDivisionError):
        await thread.run(divmod, 1, 0)
    with pytest.raises(SystemExit):
        await thread.run(sys.exit)

    assert await thread.run(int, "5", base=8) == 5


async def test_calls_run_in_the_order_in_which_they_were_handed_over(thread: DaemonThreads) -> None:
    order: list[int] = []

    await asyncio.gather(*(thread.run(order.append, number) for number in range(100)))

    assert order == list(range(100))


async def test_as_many_calls_go_on_at_a_time_as_there_are_threads() -> None:
    threads = DaemonThreads("several", count=3)
    all_there = threading.Barrier(3)

    # None of them ends before all three have begun: on fewer threads the barrier breaks.
    places = await asyncio.gather(*(threads.run(all_there.wait, timeout=10) for _ in range(3)))
    threads.close()

    assert sorted(places) == [0, 1, 2]


async def test_a_cancelled_wait_breaks_neither_the_call_nor_the_thread(thread: DaemonThreads) -> None:
    begun, release = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow() -> None:
        begun.set()
        release.wait(timeout=10)
        calls.append("slow")

    running = asyncio.create_task(thread.run(slow))
    await eventually(begun.is_set)
    waiting = asyncio.create_task(thread.run(calls.append, "never"))
    await asyncio.sleep(0)
    running.cancel()
    waiting.cancel()
    await asyncio.wait({running, waiting})
    release.set()
    await thread.run(calls.append, "last")

    assert calls == ["slow", "last"]


def test_a_call_without_end_does_not_keep_the_program_from_ending() -> None:
    program = """
import asyncio, threading
from bot.threads import DaemonThreads

async def main():
    begun, forever = threading.Event(), threading.Event()
    task = asyncio.create_task(DaemonThreads("stuck").run(lambda: (begun.set(), forever.wait())))
    while not begun.is_set():
        await asyncio.sleep(0.01)

asyncio.run(main())
print("ended")
"""
    command = [sys.executable, "-W", "error", "-c", program]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - our own text

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")


NOTHING = {"STORE_URL": "sqlite:///bot.db"}


def test_facts_go_out_in_one_datagram_a_line_each(tmp_path: Path) -> None:
    manager = ServiceManager(tmp_path)

    Notifier(manager.address).tell(READY=1, STATUS="serving, as it should")

    assert manager.told() == [{"READY": "1", "STATUS": "serving, as it should"}]
    manager.close()


def test_an_abstract_address_is_understood_and_a_manager_that_is_gone_no_trouble(tmp_path: Path) -> None:
    name = uuid4().hex
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        Notifier(f"@{name}").tell(WATCHDOG=1)
        assert manager.recv(100) == b"WATCHDOG=1"

    for nobody in ("", str(tmp_path / "nobody"), f"@{name}"):
        Notifier(nobody).tell(READY=1)
    assert list(tmp_path.iterdir()) == []


def test_a_loop_is_stalled_only_when_its_time_is_over() -> None:
    progress = Progress("poller")

    fresh = progress.stalled
    progress.mark(timedelta(seconds=-1))

    assert not fresh
    assert progress.stalled


def test_the_watchdog_s_time_counts_only_for_the_process_that_it_is_meant_for(tmp_path: Path) -> None:
    given = {**NOTHING, "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "60000000"}

    ours = load_settings(Purpose.STORE, environ=given, directory=tmp_path)
    theirs = load_settings(Purpose.STORE, environ={**given, "WATCHDOG_PID": "1"}, directory=tmp_path)
    unset = load_settings(Purpose.STORE, environ=NOTHING, directory=tmp_path)
    off = [
        load_settings(Purpose.STORE, environ={**given, "WATCHDOG_USEC": text}, directory=tmp_path).watchdog
        for text in ("0", str(2**64 - 1), "9" * 40, "9" * 5000)
    ]

    assert (ours.notify_socket, ours.watchdog) == ("/run/notify", timedelta(minutes=1))
    assert theirs.watchdog is None
    assert off == [None] * 4
    assert (unset.notify_socket, unset.watchdog) == ("", None)


def test_the_bots_token_is_for_calls_alone_and_bolt_has_none() -> None:
    tokens: list[str | None] = []

    def client(*_: Any, token: str | None = None) -> AsyncWebClient:
        tokens.append(token)
        return AsyncWebClient(token=token)

    wired(MemoryStore(), settings=replace(SETTINGS, slack_bot_token=Secret("xoxb-real")), client=client)

    assert tokens == ["xoxb-real", None, "xapp-test"]


async def test_whoever_waits_for_work_is_woken_by_it_and_by_nobody_before() -> None:
    wake, woken = WakeUp(), [0]

    def sleeper() -> None:
        woken[0] += 1

    wake()
    wake.add(sleeper)
    await wired(MemoryStore(), wake=wake).service.receive([a_request()])

    assert woken == [1]


WELL = WorkerHealth(
    links_up=1,
    link_shared=False,
    rejection_code="",
    polled_at=NOON,
    silence=POLL_SILENCE,
    store=StoreHealth(),
)


def test_one_link_that_is_up_is_enough_and_a_poll_may_take_as_long_as_polls_do() -> None:
    assert list(find_problems(WELL)) == []
    assert health_view(WELL)["healthy"] is True


@pytest.mark.parametrize(
    ("change", "trouble", "words"),
    [
        ({"starting": "the parameter store"}, Trouble.STARTING, "waits for the parameter store"),
        ({"links_up": 0}, Trouble.NO_LINK, "no click can arrive"),
        ({"links_up": 0, "link_trouble": "HTTP 502"}, Trouble.NO_LINK, "can arrive (HTTP 502)"),
        ({"link_trouble": "not_enabled", "link_refused": True}, Trouble.LINK_REFUSED, "not_enabled"),
        ({"link_shared": True}, Trouble.LINK_SHARED, "another program"),
        ({"rejection_code": "token_revoked"}, Trouble.ASKING_HALTED, "token_revoked"),
        ({"store": StoreHealth(trouble="disk full")}, Trouble.STORE_REFUSES, "disk full"),
        ({"store": StoreHealth(trouble="gone", is_replaced=True)}, Trouble.STORE_REPLACED, "gone"),
        ({"store": StoreHealth(head_trouble="no space")}, Trouble.HEAD_UNWRITTEN, "no space"),
        ({"silence": POLL_SILENCE + timedelta(seconds=1)}, Trouble.NOT_POLLING, "for 121 s"),
        ({"clock_trouble": "Slack and AWS are 90 s apart"}, Trouble.CLOCK_WRONG, "90 s apart"),
    ],
)
def test_what_keeps_it_from_its_job_is_named(change: dict[str, Any], trouble: Trouble, words: str) -> None:
    health = health_view(replace(WELL, **change))

    assert health["healthy"] is False
    [problem] = health["problems"]
    assert problem["problem"] == trouble
    assert words in problem["why"]


class ProbedStore(MemoryStore):
    """Counts its probes, which may hang."""

    probes = 0
    hangs = False

    async def probe(self) -> None:
        self.probes += 1
        if self.hangs:
            await asyncio.Event().wait()
        await super().probe()


async def test_the_store_is_asked_at_most_once_in_a_while() -> None:
    store, clock = ProbedStore(), SteppedClock()
    await wired(store, clock=clock).service.receive([a_request()])
    watch = StoreWatch(store, clock=clock)

    first = await asyncio.gather(watch.look(), watch.look())
    store.fails = [StoreError("disk full")]
    again = await watch.look()
    clock.advance(seconds=LOOK_INTERVAL.total_seconds())
    later = await watch.look()

    assert {each.trouble for each in (*first, again)} == {""}
    assert first[0].oldest_open == NOON
    assert later.trouble == "disk full"
    assert store.probes == 2


async def test_a_replaced_file_or_an_unwritten_head_is_told_from_a_store_that_refuses() -> None:
    store = ProbedStore()
    store.fails = [StoreReplaced()]
    store.head_trouble = "no space"

    health = await StoreWatch(store, clock=SteppedClock()).look()

    assert (health.is_replaced, health.trouble) == (True, str(StoreReplaced()))
    store.fails = []
    assert (await StoreWatch(store, clock=SteppedClock()).look()).head_trouble == "no space"


async def test_a_store_that_hangs_does_not_hang_who_looks() -> None:
    store = ProbedStore()
    store.hangs = True

    signs = await StoreWatch(store, clock=SteppedClock(), patience=timedelta(seconds=0.01)).look()

    assert "has not answered" in signs.trouble


async def test_what_looks_every_few_seconds_looks_on_one_beat() -> None:
    loop = asyncio.get_running_loop()
    for every in (1.0, 2.0, 5.0):
        before = loop.time()
        next_at = loop.time() + seconds_to_beat(every)
        assert before + every / 10 <= next_at <= loop.time() + 1.1 * every
        assert next_at / every == pytest.approx(round(next_at / every), abs=1e-3)
