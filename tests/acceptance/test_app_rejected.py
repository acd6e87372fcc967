"""A token is revoked, or Slack is away for too long: nothing is lost, and MozDef is told in time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from world import World

PEOPLE = ("ada@example.com", "grace@example.com", "katherine@example.com", "alan@example.com")


def test_a_revoked_token_loses_nothing_over_the_restart_with_a_new_one(
    create_world: Callable[..., World],
) -> None:
    world = create_world()
    world.start()
    answered = world.send()
    question = world.slack.question(answered)
    world.slack.renew_token("xoxb-acceptance-renewed")

    identifiers = world.send_many(PEOPLE)
    remedy = world.worker.until_logged("CRITICAL", "asking.halted")
    world.until_taken()
    click = world.slack.press(question, "no")
    assert world.worker.stop() == 0
    world.worker.environment["SLACK_BOT_TOKEN"] = "xoxb-acceptance-renewed"
    world.start()

    assert "SLACK_BOT_TOKEN" in remedy
    assert "restart" in remedy
    assert click.acknowledged
    assert world.status(answered) == "escalated"
    for identifier in identifiers:
        world.until_asked(identifier)
        assert len(world.slack.questions(identifier)) == 1
    assert world.dead_letters.letters() == []
    assert "undeliverable" not in world.worker.command("list").stdout


@pytest.mark.slow
def test_what_cannot_be_asked_in_time_is_told_and_still_asked_and_the_answer_replaces_it(
    create_world: Callable[..., World],
) -> None:
    world = create_world(EXPIRE_AFTER="2s")
    world.start()
    world.slack.stop()

    identifier = world.send()
    details = world.reports(identifier)[0].details
    told_after = world.reports(identifier)[0].sent_at - world.accepted_at(identifier)
    world.slack.start()
    world.slack.until_linked()
    world.slack.press(world.slack.question(identifier), "yes")

    assert (details["triagebot"]["reason"], details["response"]) == ("not_asked_in_time", "wrongUser")
    assert 2 <= told_after < 2 + 5
    answer = json.loads(world.reports(identifier, 2)[1].body)
    assert answer["category"] == "triagebot"
    assert answer["details"]["triagebot"]["sequence"] == 1
    assert world.status(identifier, 2) == "acknowledged"
    assert len(world.slack.questions(identifier)) == 1
