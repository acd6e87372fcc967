"""What an alert costs in the table, from the request to the report: more is to be noticed."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from fakes import ADA, NOON, SteppedClock, a_request
from local_dynamodb import connection, create_table, store_in
from request_units import Meter

from bot.sqs.wire import write_report
from bot.store.dynamodb.lookout import LOOK_INTERVAL
from bot.triage import rules
from bot.triage.model import Answer, Choice, Posted, Question, Step, Work
from bot.triage.policy import Policy
from bot.triage.ratchet import answer_question
from bot.triage.recorder import Recorder

if TYPE_CHECKING:
    from bot.store.dynamodb.store import DynamoStore

log = logging.getLogger(__name__)

#: An alert as MozDef writes it, without anything long.
SUMMARY = "A Duo bypass code was generated for your account from 203.0.113.7 at 11:58 UTC. " * 2
HOUR = timedelta(hours=1)
PLACE = Posted(channel="D0ADALOVE01", ts="1764000000.000100")


async def ask(recorder: Recorder, clock: SteppedClock) -> Question:
    """Take a request in, find it due, claim it and record it as asked."""
    step = rules.accept(
        a_request(summary=SUMMARY), rules.new_ref("9Zo02m4B7gIfixq3c4Xh", "ab" * 16), NOON, Policy()
    )
    await recorder.add([step])
    [question] = await recorder.store.due(Work.ASK, clock(), limit=10)
    claimed = await recorder.save(question, rules.claim(question, ADA, clock()))
    assert claimed is not None
    asked, _ = await recorder.decide(claimed, lambda row: rules.asked(row, PLACE, clock(), Policy()))
    assert asked is not None
    return asked


async def answer(recorder: Recorder, asked: Question, clock: SteppedClock) -> None:
    """Take the person's click, and record that the message shows it."""
    clicked = Answer(
        ref=asked.ref, choice=Choice.YES, slack_id=ADA.slack_id, ours=True, posted=PLACE, at=clock()
    )
    row = await recorder.store.load(asked.ref)
    assert row is not None
    answered, step = await recorder.decide(row, lambda row: answer_question(row, clicked, Policy()))
    assert isinstance(step, Step)
    assert answered is not None
    await recorder.decide(answered, lambda row: rules.shown(row, row.reports))


async def send(store: DynamoStore, clock: SteppedClock) -> None:
    rows = await store.sendable(clock(), limit=10)
    assert len(rows) == 1
    await store.mark_sent(rows, clock())


async def test_the_usual_alert_takes_few_units() -> None:
    clock, name = SteppedClock(), create_table()
    meter = Meter(connection(name))
    store = store_in(name, clock=clock, caller=meter, look_interval=HOUR)
    recorder = Recorder(store, write_report, policy=Policy(), clock=clock)

    asked = await ask(recorder, clock)
    clock.advance(seconds=600)
    before = meter.read
    await answer(recorder, asked, clock)
    reads = meter.read - before
    await send(store, clock)
    await store.close()

    log.info("an alert takes %s write units and %s read units beside the looks", meter.written, reads)
    assert meter.written <= 27
    assert reads <= 1


async def test_a_worker_that_has_nothing_to_do_reads_little() -> None:
    clock, name = SteppedClock(), create_table()
    meter = Meter(connection(name))
    store = store_in(name, clock=clock, caller=meter, look_interval=HOUR)

    for work in Work:
        await store.due(work, clock(), limit=10)
    await store.overdue(clock(), limit=10)
    await store.sendable(clock(), limit=10)
    look = meter.read
    clock.advance(seconds=1)
    for work in Work:
        await store.due(work, clock(), limit=10)
    await store.close()

    looks_an_hour = HOUR / LOOK_INTERVAL
    log.info("an idle worker takes %s read units an hour", look * looks_an_hour)
    assert look <= 12
    assert meter.read <= look
