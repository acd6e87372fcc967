"""Slack limits, refuses or is down: nothing is lost, reports are in time, and nobody waits for others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from wording import WORDING
from world import ADA, GRACE, World, newcomer, until

from bot.sandbox.fake_slack.installation import Rate

PEOPLE = ("ada@example.com", "grace@example.com", "katherine@example.com", "alan@example.com")


def test_a_revoked_token_loses_nothing_over_the_restart_with_a_new_one(world: World) -> None:
    world.start()
    answered, question = world.ask()
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


#: What Slack says in seconds; it need not be whole.
RETRY_AFTER = 3.5

LOOK_UP = "users.lookupByEmail"


@pytest.mark.slow
def test_a_limit_on_posts_holds_for_everybody_and_not_for_redraws(world: World) -> None:
    world.start()
    answered, question = world.ask()
    faults = world.slack.faults
    faults.limit("chat.postMessage", str(RETRY_AFTER))
    refused = world.send(user="grace@example.com")
    world.worker.until_logged("question.delayed", refused)
    limited = faults.calls_of("chat.postMessage")
    faults.heal()

    others = world.send_many(["alan@example.com", "katherine@example.com"])
    world.slack.press(question, "yes")

    world.slack.redrawn(answered, WORDING["answer"]["yes"])
    redrawn_after = time.monotonic() - limited[-1].at
    for identifier in (refused, *others):
        world.slack.question(identifier)
    resumed = faults.calls_of("chat.postMessage")[len(limited) :]
    waits = [call.at - limited[-1].at for call in resumed]
    assert len(limited) == 2
    assert len(waits) == 3
    assert min(waits) >= RETRY_AFTER
    assert redrawn_after < min(waits)


@pytest.mark.slow
def test_a_flood_of_alerts_for_nobody_holds_up_nobody(world: World) -> None:
    rate = Rate(calls=50, per=timedelta(minutes=1))
    world.slack.do(lambda: world.slack.stand_in.installation.quirks.limits.update({LOOK_UP: rate}))
    world.start()
    world.until_asked(world.send())
    flood = world.send_many([f"LOGIN{number}@example.com" for number in range(200)])
    world.worker.until_logged("request.accepted", flood[-1])

    known = world.send()
    row = world.until_asked(known)

    assert len(world.slack.questions(known)) == 1
    calls = world.slack.faults.calls_of(LOOK_UP)
    assert len({call.parameters["email"] for call in calls}) < len(flood) // 2
    assert _seconds_between(row["acceptedAt"], row["askedAt"]) < 2
    world.assert_clean_log()


@pytest.mark.slow
def test_a_flood_for_one_person_does_not_keep_another_waiting(world: World) -> None:
    world.slack.admit(newcomer("late"))
    world.start()
    flood = world.send_many(["ada@example.com"] * 300)
    world.worker.until_logged("request.accepted", flood[-1])

    late = world.send(user="late@example.com")
    world.slack.question(late)

    to_ada = len(_posts_to(world, ADA))
    assert to_ada < len(flood) // 2
    until(lambda: len(_posts_to(world, ADA)) >= to_ada + 4, what="the flood goes on")
    posts = _posts_to(world, ADA)
    # A burst of three, then one a second; one more for calls that were under way in between.
    assert all(
        later - 1 - earlier <= 3 + (posts[later] - posts[earlier]) + 1
        for earlier in range(len(posts))
        for later in range(earlier + 1, len(posts))
    )
    assert _posts_to(world, GRACE) == []


def _seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _posts_to(world: World, user: str) -> Sequence[float]:
    posts = world.slack.faults.calls_of("chat.postMessage")
    return [call.at for call in posts if call.parameters["channel"] == user]
