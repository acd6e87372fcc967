"""The stand-in SQS, seen through the program's own adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from local_dynamodb import session

from bot.aws.access import Access
from bot.errors import StartRefused, TransientError
from bot.sqs.clients import Connector
from bot.sqs.queues import Outgoing, Queue

from .fast_clock import FastClock
from .sqs import FaultySqs
from .sqs_knobs import Knobs
from .sqs_queue import Oddities


@asynccontextmanager
async def running(name: str = "requests") -> AsyncIterator[tuple[FaultySqs, Queue]]:
    sqs = FaultySqs(clock=FastClock.start(), random=Random(1))
    await sqs.start()
    url = sqs.create(name)
    connector = Connector(endpoint_url=sqs.address, access=Access(session))
    try:
        yield sqs, connector.open(url)
    finally:
        connector.close()
        await sqs.stop()


def outgoing(body: str) -> Outgoing:
    return Outgoing(body=body, group="group", deduplication=body)


async def test_what_was_sent_is_received_once_and_gone_when_it_is_deleted() -> None:
    async with running() as (sqs, queue):
        refusals = await queue.send_batch([outgoing("one"), outgoing("two")])

        received = await queue.receive(wait_seconds=1)
        deleted = await queue.delete_batch(received)

        assert list(refusals) == [None, None] == list(deleted)
        assert {message.body for message in received} == {"one", "two"} == set(sqs.queues["requests"].deleted)
        assert sqs.queues["requests"].depth() == (0, 0)


async def test_a_long_poll_ends_when_a_message_comes() -> None:
    async with running() as (_, queue):
        poll = asyncio.create_task(queue.receive(wait_seconds=20))
        await queue.send(outgoing("late"))

        async with asyncio.timeout(10):
            received = await poll

        assert [message.body for message in received] == ["late"]


async def test_what_is_handed_back_is_visible_again() -> None:
    async with running() as (_, queue):
        await queue.send(outgoing("again"))
        await queue.hand_back(await queue.receive(wait_seconds=1))

        received = await queue.receive(wait_seconds=1)

        assert [message.body for message in received] == ["again"]


async def test_a_fifo_queue_drops_a_repeat_and_holds_back_a_group_in_flight() -> None:
    async with running("responses.fifo") as (sqs, queue):
        for body in ("one", "one", "two"):
            await queue.send(outgoing(body))

        first = await queue.receive(limit=1, wait_seconds=0)
        second = await queue.receive(limit=1, wait_seconds=0)

        assert [message.body for message in first] == ["one"]
        assert not second
        assert [sent.body for sent in sqs.queues["responses.fifo"].history] == ["one", "two"]


@pytest.mark.parametrize(
    ("knobs", "words", "done"),
    [
        (Knobs(error=1.0), "InternalFailure", False),
        (Knobs(lost_reply=1.0), None, True),
        (Knobs(page=1.0), "not a response from AWS", False),
        (Knobs(page_after=1.0), "not a response from AWS", True),
    ],
    ids=["an error", "a lost reply", "a proxy's page instead", "a proxy's page after it"],
)
async def test_a_call_fails_whether_the_work_was_done_or_not(
    knobs: Knobs, words: str | None, *, done: bool
) -> None:
    async with running() as (sqs, queue):
        sqs.turn(knobs)

        with pytest.raises(TransientError, match=words):
            await queue.send(outgoing("perhaps done"))

        assert bool(sqs.queues["requests"].history) is done


async def test_a_poll_may_be_answered_with_nothing_though_there_is_something() -> None:
    async with running() as (sqs, queue):
        await queue.send(outgoing("there"))
        sqs.turn(Knobs(empty=1.0))

        assert await queue.receive(wait_seconds=20) == []

        sqs.turn(Knobs())
        assert [message.body for message in await queue.receive(wait_seconds=1)] == ["there"]


@pytest.mark.slow
async def test_a_deleted_message_can_come_back() -> None:
    async with running() as (sqs, queue):
        sqs.turn(Knobs(oddities=Oddities(resurrect=1.0)))
        await queue.send(outgoing("undead"))
        await queue.delete_batch(await queue.receive(wait_seconds=1))

        received = await queue.receive(wait_seconds=20)

        assert [message.body for message in received] == ["undead"]


async def test_entries_of_a_batch_fail_by_themselves() -> None:
    async with running() as (sqs, queue):
        sqs.refuses_for_good = lambda body: body == "unwanted"

        wanted, unwanted = await queue.send_batch([outgoing("wanted"), outgoing("unwanted")])

        assert wanted is None
        assert unwanted is not None
        assert unwanted.permanent


async def test_a_queue_that_does_not_exist_is_a_refusal() -> None:
    async with running() as (sqs, queue):
        del sqs.queues["requests"]

        with pytest.raises(StartRefused):
            await queue.describe()
