"""What the security team does on its cards, through the real worker; and who may not do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from wording import WORDING
from world import ADA, GRACE, World, buttons, until
from world.slack_views import ALERT_URL, RADIA, card_of, home_of, open_home, thread_of

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.server import Click
from bot.sandbox.fake_slack.workspace import Message

DOROTHY, MALLORY = "U0DOROTH010", "U0STRANG008"

ADVICE = """
[default]
no_advice = "Leave the device *on*; we will call you."
"""


@pytest.fixture(scope="module")
def world(create_shared_world: Callable[..., World], tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("config")
    (folder / "alerts.toml").write_text(ADVICE)
    world = create_shared_world(
        SECURITY_CHANNEL=SECURITY_CHANNEL,
        RESPONDERS=f"{RADIA},{DOROTHY},{ADA}",
        MOZDEF_ALERT_URL=ALERT_URL,
        CONFIG_DIR=str(folder),
    )
    world.start()
    return world


def escalate(world: World) -> tuple[str, Message, Message]:
    """Answer *no* to an alert as Ada; return its identifier, its question and its card."""
    identifier, question = world.ask(user="ada@example.com")
    assert world.slack.press(question, "no").acknowledged
    card = until(lambda: card_of(world.slack, identifier), what=f"the card about {identifier}")
    return identifier, question, card


def press_card(world: World, card: Message, action_id: str, **forged: Any) -> None:
    value = buttons(card)[0]["value"]
    press = {"user": RADIA, "value": value, **forged}
    assert world.slack.press(card, "", action_id=action_id, **press).acknowledged


def choose(world: World, card: Message, chosen: str, *, by: str) -> dict[str, str]:
    """Choose a receiver in the window that *Hand over…* opens; return the errors that it shows."""
    modals = world.slack.stand_in.workspace.modals
    press_card(world, card, "hand-over", user=by)

    def look() -> dict[str, Any] | None:
        view = world.slack.do(lambda: modals.seen_by(by))  # perhaps one that an earlier test has left open
        is_ours = view is not None and view["private_metadata"].startswith(buttons(card)[0]["value"])
        return view if is_ours else None

    view = until(look, what="the window")
    values = {"receiver": {"who": {"type": "users_select", "selected_user": chosen}}}
    unknown = {"receiver": WORDING["refusal"]["receiver_unknown"]}  # in time, as on a busy machine

    def send() -> Click | None:
        sent = world.slack.run(world.slack.stand_in.submit_view(user=by, view_id=view["id"], values=values))
        assert sent.acknowledged
        return sent if sent.errors != unknown else None

    return dict(until(send, what="Slack says in time who that is").errors)


def taken_by(world: World, identifier: str) -> str | None:
    found: str | None = world.known_row(identifier)["takenBy"]
    return found


def listed(world: World, slack_id: str) -> list[str]:
    result = world.worker.command("list", "--taken-by", slack_id, "--json")
    return [each["identifier"] for each in json.loads(result.stdout)]


def test_an_alert_is_taken_handed_over_and_released_and_show_thread_list_and_home_say_so(
    world: World,
) -> None:
    identifier, _, card = escalate(world)

    press_card(world, card, "take-it")
    assert taken_by(world, identifier) == RADIA
    assert choose(world, card, DOROTHY, by=RADIA) == {}
    assert taken_by(world, identifier) == DOROTHY
    assert listed(world, DOROTHY) == [identifier]
    assert listed(world, RADIA) == []
    open_home(world.slack, DOROTHY)
    until(lambda: WORDING["home"]["taken"] in str(home_of(world.slack, DOROTHY)), what="it on her Home")
    press_card(world, card, "release", user=DOROTHY)

    assert taken_by(world, identifier) is None
    told = [
        "@radia takes it.",
        "@radia hands it over to @dorothy.",
        "@dorothy releases it: nobody has it now.",
    ]
    until(lambda: list(thread_of(world.slack, card)) == told, what="the lines in the thread")
    shown = world.worker.command("show", identifier).stdout
    assert [word in shown for word in ("taken", "handedOver", "released", DOROTHY)] == [True] * 4


INTRUSIONS: dict[str, tuple[dict[str, str], str]] = {
    "by the person asked, from their own message with the question's ref": (
        {"at": "question", "value": "ref", "user": ADA},
        "other_channel",
    ),
    "by the person asked, on the card": ({"user": ADA}, "person_asked"),
    "by somebody of another workspace": ({"user": MALLORY}, "other_workspace"),
    "by somebody of the team in another workspace": (
        {"user": DOROTHY, "team": "T0ELSEWHERE"},
        "other_workspace",
    ),
    "by somebody who is no responder": ({"user": GRACE}, "no_responder"),
    "with the question's ref, as a card of the release before": ({"value": "ref"}, "old_card"),
}


@pytest.mark.parametrize("name", INTRUSIONS)
def test_nobody_else_acts_on_an_alert_and_whoever_tried_is_told_why(world: World, name: str) -> None:
    forged, refusal = dict(INTRUSIONS[name][0]), INTRUSIONS[name][1]
    identifier, question, card = escalate(world)
    press_card(world, card, "take-it", user=DOROTHY)
    place = question if forged.pop("at", "") else card
    if forged.get("value") == "ref":
        forged["value"] = str((question.metadata or {})["event_payload"]["ref"])
    else:
        forged["value"] = buttons(card)[0]["value"]
    words, user = WORDING["refusal"][refusal], forged.get("user", RADIA)

    def is_told(times: int) -> bool:
        return sum(words in text for text in world.slack.told(user)) >= times

    for times, action_id in enumerate(("take-it", "hand-over", "release"), start=1):
        press_card(world, place, action_id, **forged)

        until(partial(is_told, times), what=f"{user} is told {words!r}")
        assert taken_by(world, identifier) == DOROTHY


@pytest.mark.parametrize(
    ("chosen", "refusal"),
    [
        (ADA, "receiver_asked"),
        (MALLORY, "receiver_unfit"),
        ("U0CHARLE005", "receiver_unfit"),
        ("U0DEPLOY006", "receiver_unfit"),
        (GRACE, "receiver_no_responder"),
    ],
)
def test_an_alert_is_handed_over_to_nobody_who_could_not_take_it(
    world: World, chosen: str, refusal: str
) -> None:
    identifier, _, card = escalate(world)

    assert choose(world, card, chosen, by=RADIA) == {"receiver": WORDING["refusal"][refusal]}

    assert taken_by(world, identifier) is None


def test_what_the_team_advises_stands_below_a_no(world: World) -> None:
    identifier, question, _ = escalate(world)

    def look() -> bool:
        return "Leave the device" in str(world.slack.question(identifier).blocks)

    until(look, what="the advice")
    assert question.channel == f"D{ADA[1:]}"
