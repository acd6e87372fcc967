from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from bot.sqs.threads import DaemonThread

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def thread() -> Iterator[DaemonThread]:
    thread = DaemonThread("under-test")
    yield thread
    thread.close()


async def test_a_call_runs_on_the_thread_and_its_result_comes_back(thread: DaemonThread) -> None:
    assert await thread.run(divmod, 7, 2) == (3, 1)
    assert (await thread.run(threading.current_thread)).name == "under-test"
    assert (await thread.run(threading.current_thread)).daemon


async def test_an_exception_comes_back_and_the_thread_lives_on(thread: DaemonThread) -> None:
    with pytest.raises(ZeroDivisionError):
        await thread.run(divmod, 1, 0)
    with pytest.raises(SystemExit):
        await thread.run(sys.exit)

    assert await thread.run(int, "5", base=8) == 5


async def test_calls_run_in_the_order_in_which_they_were_handed_over(thread: DaemonThread) -> None:
    order: list[int] = []

    await asyncio.gather(*(thread.run(order.append, number) for number in range(100)))

    assert order == list(range(100))


async def test_a_cancelled_wait_breaks_neither_the_call_nor_the_thread(thread: DaemonThread) -> None:
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
from bot.sqs.threads import DaemonThread

async def main():
    begun = threading.Event()
    forever = threading.Event()
    call = lambda: (begun.set(), forever.wait())
    task = asyncio.create_task(DaemonThread("stuck").run(call))
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
