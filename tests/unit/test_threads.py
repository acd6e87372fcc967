from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from bot.threads import DaemonThreads


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
    while not begun.is_set():
        await asyncio.sleep(0.01)
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
    begun = threading.Event()
    forever = threading.Event()
    call = lambda: (begun.set(), forever.wait())
    task = asyncio.create_task(DaemonThreads("stuck").run(call))
    while not begun.is_set():
        await asyncio.sleep(0.01)

asyncio.run(main())
print("ended")
"""

    ended = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")
