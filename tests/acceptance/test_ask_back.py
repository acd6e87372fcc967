"""Follow-up questions through the real worker: asked once, and the reply on the card and in a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from wording import WORDING
from world import ADA, World, buttons, until
from world.slack_views import ALERT_URL, RADIA, card_of, thread_of

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.server import Click
from bot.sandbox.fake_slack.workspace import Message

QUESTION, REPLY = "Which laptop was it?", "The blue one."


@pytest.fixture
def world(create_world: Callable[..., World]) -> World:
    world = create_world(SECURITY_CHANNEL=SECURITY_CHANNEL, MOZDEF_ALERT_URL=ALERT_URL)
    world.start()
    return world


def escalate(world: World) -> tuple[str, Message]:
    """Answer *no* to an alert as Ada; return its identifier and its card."""
    identifier, question = world.ask(user="ada@example.com")
    assert world.slack.press(question, "no").acknowledged
    return identifier, until(lambda: card_of(world.slack, identifier), what="the card")


def write(world: World, message: Message, action_id: str, text: str, *, by: str) -> Click:
    """Write into the window that a button opens, and send it."""
    modals = world.slack.stand_in.workspace.modals
    assert world.slack.press(
        message, "", action_id=action_id, user=by, value=buttons(message)[0]["value"]
    ).acknowledged
    view: Any = until(lambda: world.slack.do(lambda: modals.seen_by(by)), what="the window")
    values = {"note": {"text": {"type": "plain_text_input", "value": text}}}
    return world.slack.run(world.slack.stand_in.submit_view(user=by, view_id=view["id"], values=values))


def ask_back(world: World, card: Message) -> None:
    sent = write(world, card, "ask", QUESTION, by=RADIA)
    assert sent.acknowledged
    assert sent.errors == {}


def asked_back(world: World) -> list[Message]:
    """Return the messages with follow-up questions to Ada."""
    return [each for each in world.slack.messages() if "triage_inquiry" in json.dumps(each.metadata)]


@pytest.mark.slow
def test_question_and_reply_are_reported_in_order_and_change_nothing(world: World) -> None:
    identifier, card = escalate(world)

    ask_back(world, card)
    message = until(lambda: next(iter(asked_back(world)), None), what="the question")
    sent = write(world, message, "reply", REPLY, by=ADA)

    assert sent.acknowledged
    assert sent.errors == {}
    answer, asked, replied = world.reports(identifier, 3)
    told = [each.details["triagebot"] for each in (answer, asked, replied)]
    assert [each["sequence"] for each in told] == [0, 1, 2]
    assert (told[1]["question"], told[1]["askedBy"]) == (QUESTION, RADIA)
    assert (told[2]["comment"], told[2]["inReplyTo"], replied.details["slack"]) == (REPLY, 1, ADA)
    assert world.status(identifier, 3) == "escalated"
    lines = until(
        lambda: thread if len(thread := thread_of(world.slack, card)) > 1 else None, what="the lines"
    )
    assert [QUESTION in lines[0], REPLY in lines[1]] == [True, True]
    assert len(asked_back(world)) == 1


def test_a_worker_that_dies_amid_the_post_asks_once(world: World) -> None:
    _, card = escalate(world)
    world.slack.hold("chat.postMessage", after_work=True)
    ask_back(world, card)
    until(lambda: asked_back(world), what="the question")

    world.worker.kill()
    world.slack.forget_held()
    world.start()

    message = asked_back(world)[0]
    sent = write(world, message, "reply", REPLY, by=ADA)
    assert sent.errors == {}
    shown = world.slack.do(lambda: world.slack.stand_in.workspace.modals.seen_by(ADA))
    assert WORDING["reply"]["thanks"] in str(shown)
    assert len(asked_back(world)) == 1
