"""A flood for one person, by the real worker: decoys hide no real alert, and every one of them ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import boto3
import pytest
from torture.fast_clock import FastClock
from torture.sqs import FaultySqs
from torture.sqs_queue import StandInQueue
from world import PATIENCE_SECONDS, World, buttons, until
from world.slack_views import RADIA
from world.world import alert

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.workspace import Message

OPEN = 3

#: How long a question stays open in a long flood.
EXPIRE_AFTER = timedelta(seconds=30)

#: How long the whole flood may take on a slow machine.
FLOOD_SECONDS = 600


def settings(expire_after: str) -> dict[str, str]:
    return {
        "OPEN_PER_PERSON": str(OPEN),
        "SECURITY_CHANNEL": SECURITY_CHANNEL,
        "EXPIRE_AFTER": expire_after,
        "LOG_FORMAT": "json",
    }


class InOrder(Random):
    """Has a queue keep the order in which messages came, so that the real alert is in the middle."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Leave it as it is."""


@contextmanager
def quick_sqs() -> Iterator[FaultySqs]:
    """Run an SQS without faults. The usual stand-in counts all waiting messages at each call: too slow."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="sqs", daemon=True)
    thread.start()
    sqs = FaultySqs(clock=FastClock.start(pace=1), random=InOrder(1))
    asyncio.run_coroutine_threadsafe(sqs.start(), loop).result(PATIENCE_SECONDS)
    try:
        yield sqs
    finally:
        asyncio.run_coroutine_threadsafe(sqs.stop(), loop).result(PATIENCE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def names_told(queue: StandInQueue) -> set[str]:
    """Return the alerts that were reported to MozDef."""
    return {json.loads(sent.body)["details"]["identifier"] for sent in queue.history}


def bursts_begun(world: World) -> int:
    return world.worker.log.count('"event": "burst.began"')


def flood_with(count: int, *others: dict[str, Any]) -> list[dict[str, Any]]:
    """Return `count` decoys, all of one label and for one person, with `others` in the middle."""
    decoys = [alert(alert="decoy", identifier=f"decoy-{number:04}") for number in range(count)]
    return [*decoys[: count // 2], *others, *decoys[count // 2 :]]


def trails(world: World) -> Mapping[str, Mapping[str, datetime]]:
    """Return when what happened to each alert, by its identifier and the kind of event."""
    lines = world.worker.command("export", "--since", "1h").stdout.splitlines()
    found: dict[str, dict[str, datetime]] = {}
    for told in map(json.loads, lines):
        if told["line"] == "event":
            found.setdefault(told["identifier"], {})[told["event"]] = datetime.fromisoformat(told["at"])
    return found


def open_at_a_time(spans: Iterable[tuple[datetime, datetime]]) -> int:
    """Return how many of these overlap at the most; one may begin when another ends."""
    changes = sorted(change for begin, end in spans for change in ((begin, 1), (end, -1)))
    return max(accumulate(step for _, step in changes))


def asked(world: World) -> list[str]:
    """Return who was asked about, in order."""
    questions = sorted(world.slack.all_questions(), key=lambda one: one.ts)
    return [str((one.metadata or {})["event_payload"]["identifier"]) for one in questions]


def line_messages(world: World) -> list[Message]:
    sent = world.slack.messages()
    return [one for one in sent if (one.metadata or {}).get("event_type") == "triage_line"]


def burst_cards(world: World) -> list[Message]:
    sent = [one for one in world.slack.messages() if one.channel == SECURITY_CHANNEL]
    return [one for one in sent if any(block.get("block_id") == "burst" for block in one.blocks)]


def test_an_answer_asks_the_next_and_the_team_can_take_all_of_a_burst(
    create_shared_world: Callable[..., World],
) -> None:
    world = create_shared_world(**settings("1h"))
    world.start()
    world.send_requests(flood_with(6))
    until(lambda: len(asked(world)) == OPEN, what="as many are asked as may be")
    card = until(lambda: next(iter(burst_cards(world)), None), what="the card of the burst")
    until(lambda: line_messages(world), what="the line to the person")
    world.until_taken()

    [take] = [each for each in buttons(card) if each["action_id"] == "take-all"]
    own = {"action_id": "take-all", "channel": SECURITY_CHANNEL, "ts": card.ts}
    assert world.slack.press(card, "", user=RADIA, **own, value=take["value"]).acknowledged
    first, *others = asked(world)
    assert world.slack.press(world.slack.question(first), "no").acknowledged
    until(lambda: len(asked(world)) == OPEN + 1, what="the next is asked")

    def is_drawn() -> bool:
        [now] = burst_cards(world)
        blocks = {each["block_id"]: json.dumps(each) for each in now.blocks}
        return "taken" in blocks and first in blocks.get("denied", "")

    until(is_drawn, what="the card names who took it, and the no")
    names = {f"decoy-{number:04}" for number in range(6)}
    waiting = world.known_row(min(names - set(asked(world))))
    assert (waiting["outcome"], waiting["state"]) == (None, "accepted")
    assert sorted(waiting["waitsBehind"]) == sorted({*others, *asked(world)} - {first})
    assert len(burst_cards(world)) == len(line_messages(world)) == 1
    world.assert_clean_log()


@pytest.fixture
def quick_world(
    tmp_path: Path, aws_session: boto3.Session, aws_environment: Mapping[str, str]
) -> Iterator[tuple[World, StandInQueue]]:
    """A world with a quick SQS, whose worker is not started yet, and the queue of its reports."""
    with quick_sqs() as sqs:
        aws = {**aws_environment, "AWS_ENDPOINT_URL_SQS": sqs.address}
        client = aws_session.client("sqs", endpoint_url=sqs.address)
        with World(tmp_path, client, aws, variables=settings(f"{EXPIRE_AFTER.seconds}s")) as world:
            yield world, sqs.queues[world.responses.url.rpartition("/")[2]]
        client.close()


@pytest.mark.slow
def test_three_thousand_decoys_hide_no_alert_of_another_kind(
    quick_world: tuple[World, StandInQueue],
) -> None:
    count = 3000
    world, reports = quick_world
    world.start()
    real = alert(alert="real", identifier="real-0001")
    hers = alert(alert="decoy", identifier="hers-0001", user="grace@example.com")

    world.send_requests(flood_with(count, real, hers))

    # Counting reports is cheap, so their bodies are read only once there are enough of them.
    until(
        lambda: len(reports.history) >= count + 2 and len(names_told(reports)) >= count + 2,
        what="MozDef is told of each",
        seconds=FLOOD_SECONDS,
    )
    told = names_told(reports)
    found = trails(world)
    assert (
        told == set(found) == {f"decoy-{number:04}" for number in range(count)} | {"real-0001", "hers-0001"}
    )
    last_accepted = max(trail["accepted"] for trail in found.values())
    assert found["real-0001"]["asked"] < last_accepted, "it waited for the backlog"
    assert found["hers-0001"]["asked"] < last_accepted
    # One that was asked after it was reported stays open for as long as any other.
    asked_at = [trail["asked"] for name, trail in found.items() if "decoy" in name and "asked" in trail]
    assert open_at_a_time((moment, moment + EXPIRE_AFTER) for moment in asked_at) == OPEN
    # On a slow machine nobody may wait for a while: then the burst is over, and another one begins.
    assert len(line_messages(world)) == len(burst_cards(world)) == bursts_begun(world) >= 1
    world.assert_clean_log()
