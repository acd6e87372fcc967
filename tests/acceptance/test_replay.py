"""Reports are sent again, for the hours in which MozDef lost them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest
from world import World, until


@dataclass(frozen=True)
class Answered:
    """A world with an alert that has two reports, whose worker runs or is stopped."""

    world: World
    identifier: str

    @property
    def shown(self) -> object:
        """What is known of the alert's reports."""
        return json.loads(self.world.worker.command("show", self.identifier, "--json").stdout)["reports"]


@pytest.fixture(scope="module")
def both(create_shared_world: Callable[..., World]) -> Mapping[str, Answered]:
    """Both worlds, which wait at the same time: reports of one alert are some seconds apart."""
    # The stopped one has a FIFO queue, which would swallow a repeat under the same id.
    worlds = {name: create_shared_world(fifo=name == "stopped") for name in ("running", "stopped")}
    answered = {name: Answered(world, _answer_twice(world)) for name, world in worlds.items()}
    for each in answered.values():
        _until_all_sent(each.world, [each.identifier], 2)
    assert worlds["stopped"].worker.stop() == 0
    return answered


@pytest.fixture(params=["running", "stopped"])
def answered(request: pytest.FixtureRequest, both: Mapping[str, Answered]) -> Answered:
    return both[request.param]


@pytest.mark.slow
def test_a_dry_run_shows_what_would_go_and_changes_nothing(answered: Answered) -> None:
    before = answered.shown

    dry = answered.world.worker.command("replay", "--dry-run", answered.identifier)

    assert dry.returncode == 0
    assert dry.stdout.count(answered.identifier) == 2
    assert "Nothing was sent" in dry.stdout
    assert dry.stderr == ""
    assert answered.shown == before


@pytest.mark.slow
def test_one_unknown_alert_among_known_ones_sends_nothing(answered: Answered) -> None:
    before = answered.shown

    refused = answered.world.worker.command("replay", answered.identifier, "no-such-alert")

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert "no-such-alert" in refused.stderr
    assert answered.shown == before


@pytest.mark.slow
def test_all_reports_of_an_alert_go_again_byte_for_byte_and_in_order(answered: Answered) -> None:
    world, identifier = answered.world, answered.identifier
    first = [letter.body for letter in world.reports(identifier, 2)]

    replayed = world.worker.command("replay", identifier)
    if not world.worker.is_running():
        world.start()

    assert replayed.returncode == 0, replayed.stderr
    assert [letter.body for letter in world.reports(identifier, 4)] == [*first, *first]
    assert replayed.stdout.count(identifier) == 2
    for word in ("overwrites", "pages", "ignores a repeated report"):
        assert word in replayed.stderr
    assert world.status(identifier, 4) == "escalated"


def test_since_takes_what_was_sent_in_that_time_and_unsent_what_was_not(world: World) -> None:
    world.start()
    sent = [world.send(user="nobody@example.com") for _ in range(3)]
    _until_all_sent(world, sent)

    unsent = world.worker.command("replay", "--unsent", "--dry-run")
    lately = world.worker.command("replay", "--since", "1h")

    assert unsent.stdout.strip() == "There are no reports to send again."
    assert lately.returncode == 0
    for identifier in sent:
        assert identifier in lately.stdout
        assert len(world.reports(identifier, 2)) == 2


def _answer_twice(world: World) -> str:
    """Answer yes as a person, then no; return the alert's identifier."""
    world.start()
    identifier, question = world.ask()
    world.until_asked(identifier)
    for choice in ("yes", "no"):
        assert world.slack.press(question, choice).acknowledged
    return identifier


def _until_all_sent(world: World, identifiers: Sequence[str], count: int = 1) -> None:
    """Wait until this many reports of each have come, and the worker knows that they were sent."""
    for identifier in identifiers:
        world.reports(identifier, count)
        until(
            lambda name=identifier: all(one["sentAt"] for one in world.known_row(name)["reports"]),  # type: ignore[misc] # mypy wants no default there
            what=f"the reports of {identifier} are known to be sent",
        )
