"""The poller and the real triage before a store that refuses for a while."""

from __future__ import annotations

from fakes import ScriptedMessenger, SteppedClock
from memory_store import MemoryStore
from scripted_queue import ScriptedQueue
from scripted_requests import poller_of, polling, received
from wiring import instead, wired
from world import eventually

from bot.errors import StoreError


async def test_a_batch_is_handed_back_once_and_nothing_is_polled_until_the_store_takes_writes() -> None:
    store, queue = MemoryStore(), ScriptedQueue()
    clock = SteppedClock()
    service = wired(store, clock=clock, messenger=instead(ScriptedMessenger(clock=clock))).service
    store.fails = [StoreError("disk full")] * 4  # the batch's own write, then three probes
    polled_at_probe: list[int] = []

    async def probe() -> None:
        polled_at_probe.append(queue.polled)
        await store.probe()

    poller = poller_of(queue, service.receive, probe=probe)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one"), received("two")])
        queue.polls.put_nowait([received("one"), received("two")])  # as SQS brings them again
        await eventually(lambda: queue.deleted)

    assert polled_at_probe == [1, 1, 1, 1]
    assert queue.handed_back == ["one", "two"]
    assert queue.deleted == ["one", "two"]
    assert {each.request.identifier for each in store.questions.values()} == {"one", "two"}
