"""A flood for one person, by the real worker: decoys hide no real alert, and every one of them ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest
from world import World, buttons, until
from world.slack_views import RADIA
from world.world import alert

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.workspace import Message

OPEN = 3

#: How long a question stands open in a long flood.
EXPIRE_AFTER = timedelta(seconds=30)

#: How long the whole flood may take on a slow machine.
PATIENCE_SECONDS = 600


def settings(expire_after: str) -> dict[str, str]:
    return {
        "OPEN_PER_PERSON": str(OPEN),
        "SECURITY_CHANNEL": SECURITY_CHANNEL,
        "EXPIRE_AFTER": expire_after,
        "LOG_FORMAT": "json",
    }


def send_all(world: World, requests: Sequence[dict[str, Any]]) -> set[str]:
    """Send them, until all are taken; return of which ones MozDef was told meanwhile.

    A hundred at a time, and reports are taken in between: the stand-in of SQS is slow when much waits there.
    """
    told: set[str] = set()
    for first in range(0, len(requests), 100):
        world.send_requests(requests[first : first + 100])
        until(lambda: world.waiting(world.requests)[0] < 50, what="the queue is short")
        told |= names_told(world, at_most=200)
    world.until_taken()
    return told


def names_told(world: World, *, at_most: int = 1000) -> set[str]:
    """Return of which alerts MozDef was told since the last time, by no more reports than that."""
    return {letter.details["identifier"] for letter in world.responses.take(at_most)}


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
    send_all(world, flood_with(6))
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


@pytest.mark.slow
def test_three_thousand_decoys_hide_no_alert_of_another_kind(
    create_shared_world: Callable[..., World],
) -> None:
    count = 3000
    world = create_shared_world(**settings(f"{EXPIRE_AFTER.seconds}s"))
    world.start()
    real = alert(alert="real", identifier="real-0001")
    hers = alert(alert="decoy", identifier="hers-0001", user="grace@example.com")

    told = send_all(world, flood_with(count, real, hers))

    def all_are_told() -> bool:
        told.update(names_told(world))
        return len(told) >= count + 2

    until(all_are_told, what="MozDef is told of each", seconds=PATIENCE_SECONDS)
    found = trails(world)
    assert (
        told == set(found) == {f"decoy-{number:04}" for number in range(count)} | {"real-0001", "hers-0001"}
    )
    last_accepted = max(trail["accepted"] for trail in found.values())
    assert found["real-0001"]["asked"] < last_accepted, "it waited for the backlog"
    assert found["hers-0001"]["asked"] < last_accepted
    # One that was asked after it was reported stands open for as long as any other.
    asked_at = [trail["asked"] for name, trail in found.items() if "decoy" in name and "asked" in trail]
    assert open_at_a_time((moment, moment + EXPIRE_AFTER) for moment in asked_at) == OPEN
    # On a slow machine nobody may wait for a while: then the burst is over, and another one begins.
    assert len(line_messages(world)) == len(burst_cards(world)) == bursts_begun(world) >= 1
    world.assert_clean_log()
