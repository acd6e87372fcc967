"""When the worker is healthy, and what is said where it is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fakes import NOON, SteppedClock

from bot.errors import StoreError, StoreReplaced
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

WELL = WorkerHealth(
    links_up=1,
    link_shared=False,
    rejection_code="",
    polled_at=NOON,
    silence=POLL_SILENCE,
    store=StoreHealth(),
)


class ScriptedBacklog:
    """A store that fails, or hangs, when it is told to."""

    head_trouble = ""

    def __init__(self) -> None:
        self.probes = 0
        self.error: Exception | None = None
        self.hangs = False

    async def probe(self) -> None:
        self.probes += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error

    async def oldest_open(self) -> datetime | None:
        return NOON

    async def oldest_unsent(self) -> datetime | None:
        return None


def test_one_link_that_is_up_is_enough() -> None:
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
        ({"silence": POLL_SILENCE + timedelta(seconds=1)}, Trouble.NOT_POLLING, "for 121 s"),
        ({"clock_trouble": "Slack and AWS are 90 s apart"}, Trouble.CLOCK_WRONG, "90 s apart"),
        ({"store": StoreHealth(trouble="gone", is_replaced=True)}, Trouble.STORE_REPLACED, "gone"),
        ({"store": StoreHealth(head_trouble="no space")}, Trouble.HEAD_UNWRITTEN, "no space"),
    ],
)
def test_whatever_keeps_it_from_its_job_is_named(
    change: dict[str, Any], trouble: Trouble, words: str
) -> None:
    health = health_view(replace(WELL, **change))

    assert health["healthy"] is False
    [problem] = health["problems"]
    assert problem["problem"] == trouble
    assert words in problem["why"]


async def test_the_store_is_asked_at_most_once_in_a_while() -> None:
    store, clock = ScriptedBacklog(), SteppedClock()
    watch = StoreWatch(store, clock=clock)

    first = await asyncio.gather(watch.look(), watch.look())
    store.error = StoreError("disk full")
    again = await watch.look()
    clock.advance(seconds=LOOK_INTERVAL.total_seconds())
    later = await watch.look()

    assert {each.trouble for each in (*first, again)} == {""}
    assert first[0].oldest_open == NOON
    assert later.trouble == "disk full"
    assert store.probes == 2


async def test_a_store_that_hangs_does_not_hang_who_looks() -> None:
    store = ScriptedBacklog()
    store.hangs = True

    signs = await StoreWatch(store, clock=SteppedClock(), patience=timedelta(seconds=0.01)).look()

    assert "has not answered" in signs.trouble


async def test_a_store_whose_file_was_replaced_is_told_from_one_that_refuses() -> None:
    backlog = ScriptedBacklog()
    backlog.error = StoreReplaced()

    health = await StoreWatch(backlog, clock=SteppedClock()).look()

    assert (health.is_replaced, health.trouble) == (True, str(StoreReplaced()))


async def test_a_head_that_cannot_be_written_is_told_by_the_store() -> None:
    backlog = ScriptedBacklog()
    backlog.head_trouble = "no space"

    assert (await StoreWatch(backlog, clock=SteppedClock()).look()).head_trouble == "no space"
