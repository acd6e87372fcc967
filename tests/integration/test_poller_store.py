"""The poller and the real triage before a store that refuses for a while."""

from __future__ import annotations

from fakes import ScriptedMessenger, ScriptedSecurityTeam, SteppedClock
from memory_store import MemoryStore
from scripted_requests import ScriptedQueue, poller_of, polling, received, until

from bot.errors import StoreError
from bot.sqs.wire import read_report, write_report
from bot.triage.asking import Asker
from bot.triage.cards import Cards
from bot.triage.policy import Policy
from bot.triage.rate_limits import Gate, Pace, Pacing
from bot.triage.recorder import Recorder
from bot.triage.reminding import Reminder
from bot.triage.service import TriageService, Workers


def a_service(store: MemoryStore) -> TriageService:
    clock = SteppedClock()
    messenger = ScriptedMessenger(clock=clock)
    recorder = Recorder(store, write_report, policy=Policy(), clock=clock)
    pacing = Pacing(gate=Gate(spread=lambda: 1.0), pace=Pace(), spread=lambda: 1.0)
    workers = Workers(
        asker=Asker(messenger, recorder, pacing=pacing),
        reminder=Reminder(messenger, recorder, pacing=pacing),
        cards=Cards(ScriptedSecurityTeam(), recorder, pacing=pacing, read_report=read_report),
    )
    return TriageService(recorder, messenger, workers, on_work=lambda: None)


async def test_a_batch_is_handed_back_once_and_nothing_is_polled_until_the_store_takes_writes() -> None:
    store, queue = MemoryStore(), ScriptedQueue()
    store.fails = [StoreError("disk full")] * 4  # the batch's own write, then three probes
    polled_at_probe: list[int] = []

    async def probe() -> None:
        polled_at_probe.append(queue.polled)
        await store.probe()

    poller = poller_of(queue, a_service(store).receive, probe=probe)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one"), received("two")])
        queue.polls.put_nowait([received("one"), received("two")])  # as SQS brings them again
        await until(lambda: queue.deleted)

    assert polled_at_probe == [1, 1, 1, 1]
    assert queue.handed_back == ["one", "two"]
    assert queue.deleted == ["one", "two"]
    assert {each.request.identifier for each in store.questions.values()} == {"one", "two"}
