"""Reports are sent again, for the hours in which MozDef lost them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from world import World, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from subprocess import CompletedProcess


@pytest.fixture(params=["running", "stopped"])
def is_running(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "running")


@pytest.mark.parametrize("fifo", [False, True])
def test_all_reports_of_an_alert_go_again_byte_for_byte_and_in_order(
    create_world: Callable[..., World], *, fifo: bool, is_running: bool
) -> None:
    world = create_world(options={"fifo": fifo})
    identifier = _answered_twice(world)
    other = world.send(user="nobody@example.com")
    world.reports(other)
    first = [letter.body for letter in world.reports(identifier, 2)]

    replayed = _command(world, is_running, "replay", identifier)

    assert replayed.returncode == 0, replayed.stderr
    again = [letter.body for letter in world.reports(identifier, 4)]
    assert again == [*first, *first]
    assert len(world.reports(other)) == 1
    assert replayed.stdout.count(identifier) == 2
    for word in ("overwrites", "pages", "drops"):
        assert word in replayed.stderr
    assert world.status(identifier, 4) == "escalated"


def test_nothing_is_sent_by_a_dry_run_which_shows_what_would_be(
    create_world: Callable[..., World], *, is_running: bool
) -> None:
    world = create_world()
    identifier = _answered_twice(world)
    before = _bodies(world)

    shown = _command(world, is_running, "replay", "--dry-run", identifier)

    assert shown.returncode == 0
    assert shown.stdout.count(identifier) == 2
    assert "Nothing was sent" in shown.stdout
    # A replay would be done before the question that comes next is answered.
    _start_if_stopped(world)
    world.reports(world.send(user="nobody@example.com"))
    assert len(_bodies(world)) == len(before) + 1


def test_one_unknown_alert_among_known_ones_sends_nothing(
    create_world: Callable[..., World], *, is_running: bool
) -> None:
    world = create_world()
    world.start()
    identifier = world.send(user="nobody@example.com")
    world.reports(identifier)

    refused = _command(world, is_running, "replay", identifier, "no-such-alert")

    assert refused.returncode == 1
    assert "no-such-alert" in refused.stderr
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    _start_if_stopped(world)
    world.reports(world.send(user="nobody@example.com"))
    assert len(world.reports(identifier)) == 1


def test_since_takes_what_was_sent_in_that_time_and_unsent_what_was_not(
    create_world: Callable[..., World],
) -> None:
    world = create_world()
    world.start()
    sent = [world.send(user="nobody@example.com") for _ in range(3)]
    for identifier in sent:
        world.reports(identifier)
    until(lambda: _all_sent(world, sent), what="all reports are known to be sent")

    unsent = world.worker.command("replay", "--unsent", "--dry-run")
    lately = world.worker.command("replay", "--since", "1h")

    assert unsent.stdout.strip() == "There is nothing to send again."
    assert lately.returncode == 0
    for identifier in sent:
        assert identifier in lately.stdout
        assert len(world.reports(identifier, 2)) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--since", "soon"),
        ("--since", "0"),
        ("--since", "1h", "--unsent"),
        ("an-alert", "--unsent"),
        ("an-alert", "--since", "1h"),
    ],
)
def test_what_to_replay_is_said_in_one_way(
    create_world: Callable[..., World], arguments: Sequence[str]
) -> None:
    ended = create_world().worker.command("replay", *arguments)

    assert ended.returncode == 2
    assert "usage: triage-bot replay" in ended.stderr


def _answered_twice(world: World) -> str:
    """Let a person say yes, then no; return the alert's identifier when both reports are sent."""
    world.start()
    identifier = world.send()
    question = world.slack.question(identifier)
    world.until_asked(identifier)
    for choice in ("yes", "no"):
        assert world.slack.press(question, choice).acknowledged
    world.reports(identifier, 2)
    until(lambda: _all_sent(world, [identifier]), what="both reports are known to be sent")
    return identifier


def _all_sent(world: World, identifiers: Sequence[str]) -> bool:
    reports: list[Mapping[str, object]] = []
    for identifier in identifiers:
        reports += world.known_row(identifier)["reports"]
    return all(report["sentAt"] for report in reports)


def _command(world: World, is_running: bool, *arguments: str) -> CompletedProcess[str]:  # noqa: FBT001 - a fixture
    """Give a command to the worker, or to the store of one that is stopped, which is started afterwards."""
    if is_running:
        return world.worker.command(*arguments)
    assert world.worker.stop() == 0
    done = world.worker.command(*arguments)
    world.start()
    return done


def _start_if_stopped(world: World) -> None:
    if not world.worker.is_running():
        world.start()


def _bodies(world: World) -> Sequence[str]:
    return [letter.body for letter in world.responses.letters()]
