"""The disk is full, or the store is corrupt: nothing is lost by it, and nothing is made worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from world import World, until

#: Bytes of a page of SQLite.
PAGE = 4096


@pytest.mark.slow
def test_a_full_disk_stops_the_polling_and_redrives_nothing_and_work_goes_on_by_itself(
    create_world: Callable[..., World],
) -> None:
    world = create_world()
    redriven = _redrive(world, after=3)
    world.start()
    asked = world.send()
    question = world.slack.question(asked)
    world.until_asked(asked)
    log_of_writes = world.worker.folder / "triage-bot.db-wal"
    world.worker.limit_files(log_of_writes.stat().st_size)

    waiting = world.send()
    world.worker.until_logged("poll.failed", "StoreError")
    refused = world.slack.press(question, "no")
    until(lambda: world.waiting(world.requests) == (1, 0), what="the request was handed back")
    again = [world.waiting(world.requests), *_next_probes(world)]
    world.worker.limit_files(-1)

    assert not refused.acknowledged
    assert again == [(1, 0)] * len(again)
    world.slack.question(waiting)
    assert world.slack.press(question, "no").acknowledged
    assert world.status(asked) == "escalated"
    world.until_taken()
    assert world.waiting(redriven) == (0, 0)
    assert world.worker.is_running()


@pytest.mark.parametrize("damage", ["text", "page"])
def test_a_corrupt_store_ends_the_start_with_78_and_is_left_as_it_is(
    create_world: Callable[..., World], damage: str
) -> None:
    world = create_world()
    path = world.worker.folder / "triage-bot.db"
    if damage == "text":
        path.write_text("this was a database\n" * 500, encoding="utf-8")
    else:
        _leave_unclean(world)
        _damage(path)
    before = _content(world)

    world.worker.start()

    assert world.worker.exit_code() == 78
    error = next(line for line in world.worker.log.splitlines() if "triage-bot: error:" in line)
    assert "corrupt" in error
    assert "restore a backup" in error
    assert _content(world) == before


def _redrive(world: World, *, after: int) -> str:
    """Let SQS move a request away that was received so often; return the URL of where to."""
    url = world.sqs.create_queue(QueueName=f"redriven-{world.requests.rpartition('-')[2]}")["QueueUrl"]
    attributes = world.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    policy = {"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": str(after)}
    world.sqs.set_queue_attributes(QueueUrl=world.requests, Attributes={"RedrivePolicy": json.dumps(policy)})
    return url


def _next_probes(world: World) -> list[tuple[int, int]]:
    """Watch the request queue over a probe of the store, which fails as well."""
    sweeps = world.worker.log.count("poll.failed")
    seen: list[tuple[int, int]] = []

    def watch() -> bool:
        seen.append(world.waiting(world.requests))
        return len(seen) > 60

    until(watch, what="a while has passed")
    assert world.worker.log.count("poll.failed") == sweeps
    return seen


def _content(world: World) -> dict[str, bytes]:
    """Return what is in the store's files, those with nothing in them left out."""
    files = [world.worker.folder / f"triage-bot.db{suffix}" for suffix in ("", "-wal")]
    return {file.name: content for file in files if file.exists() and (content := file.read_bytes())}


def _leave_unclean(world: World) -> None:
    """Run the worker until its store has pages, then until there is more to carry over to them."""
    world.start()
    identifiers = world.send_many(["ada@example.com", "grace@example.com"] * 3)
    for identifier in identifiers:
        world.until_asked(identifier)
    world.worker.stop()
    world.start()
    # No request is sent: the last run's poll may still wait in SQS, and hide it for a minute.
    assert world.slack.press(world.slack.question(identifiers[0]), "yes").acknowledged
    world.worker.kill()


def _damage(path: Path) -> None:
    """Write over everything behind the first pages."""
    content = bytearray(path.read_bytes())
    content[3 * PAGE :] = b"\xa5" * (len(content) - 3 * PAGE)
    path.write_bytes(content)
