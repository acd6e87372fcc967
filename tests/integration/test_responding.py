"""What the security team does on a card over a real websocket, who may not, and what a person is advised."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click_harness import CARDS, RADIA, ClickHarness, triage
from running_slack import ADA, GRACE
from wording import WORDING
from world import eventually

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.triage.model import Change, Choice, Question
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy

MALLORY, DOROTHY = "U0STRANG008", "U0DOROTH010"


def text_of(bot: ClickHarness, question: Question) -> str:
    return json.dumps(list(bot.message(question).blocks))


def thread_of(bot: ClickHarness, ts: str) -> list[str]:
    conversation = bot.slack.slack.workspace.conversation(SECURITY_CHANNEL)
    assert conversation is not None
    replies = [conversation.message(reply) for reply in conversation.replies(ts)]
    return [reply.text for reply in replies if reply]


async def answered(bot: ClickHarness) -> Question:
    """Ask, answer *no* as Ada, and wait until the message shows it."""
    question = await bot.ask()
    await bot.press(question, Choice.NO)
    await eventually(lambda: WORDING["answer"]["no"] in text_of(bot, question))
    return await bot.row()


async def test_a_hand_over_goes_to_whoever_was_chosen_and_a_release_to_nobody(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        await answered(bot)
        card = await bot.show_card()
        await bot.take(card)

        assert (await bot.press_card(await bot.show_card(), "hand-over")).acknowledged
        await eventually(lambda: bot.modal(RADIA))
        sent = await bot.choose_receiver(DOROTHY)

        assert sent.acknowledged
        assert sent.errors == {}
        assert bot.modal(RADIA) is None
        row = await bot.row()
        assert (row.taken_by, row.taken_name) == (DOROTHY, "dorothy")
        card = await bot.show_card()
        assert "@dorothy" in json.dumps(list(card.blocks))
        assert (await bot.press_card(card, "release", DOROTHY)).acknowledged
        assert (await bot.row()).taken_by == ""
        await bot.show_card()
        assert [each.replace("@", "") for each in thread_of(bot, card.ts)] == [
            "radia takes it.",
            "radia hands it over to dorothy.",
            "dorothy releases it: nobody has it now.",
        ]


@pytest.mark.parametrize(
    ("receiver", "refusal"),
    [
        (ADA, "receiver_asked"),
        (MALLORY, "receiver_unfit"),
        ("U0CHARLE005", "receiver_unfit"),  # deactivated
        ("U0DEPLOY006", "receiver_unfit"),  # a bot
        ("U0HEDYLA007", "receiver_unfit"),  # a guest
        ("U0NOBODY000", "receiver_unfit"),
        (GRACE, "receiver_no_responder"),
    ],
)
async def test_a_receiver_who_could_not_take_the_alert_is_refused_in_the_window(
    tmp_path: Path, receiver: str, refusal: str
) -> None:
    async with triage(tmp_path, replace(CARDS, responders=frozenset({RADIA, DOROTHY, ADA}))) as bot:
        await answered(bot)
        card = await bot.show_card()
        await bot.press_card(card, "hand-over")
        await eventually(lambda: bot.modal(RADIA))

        sent = await bot.choose_receiver(receiver)

        assert sent.errors == {"receiver": WORDING["refusal"][refusal]}
        assert bot.modal(RADIA) is not None  # somebody else can be chosen
        assert (await bot.row()).taken_by == ""
        assert (await bot.choose_receiver(DOROTHY)).errors == {}
        assert (await bot.row()).taken_by == DOROTHY


async def test_whoever_comes_second_is_told_that_somebody_else_has_the_alert(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        await answered(bot)
        card = await bot.show_card()
        await bot.press_card(card, "take-it")

        late = await bot.press_card(card, "take-it", DOROTHY)

        assert late.acknowledged
        told = await eventually(lambda: bot.told(DOROTHY))
        assert told == [WORDING["refusal"]["taken_already"]]
        assert (await bot.row()).taken_by == RADIA
        assert bot.told(RADIA) == []


async def test_a_window_that_was_open_when_its_card_got_another_secret_hands_nothing_over(
    tmp_path: Path,
) -> None:
    async with triage(tmp_path, CARDS) as bot:
        await answered(bot)
        await bot.press_card(await bot.show_card(), "hand-over")
        await eventually(lambda: bot.modal(RADIA))
        row = await bot.row()
        changed = replace(row, card_secret="0" * 32, version=row.version + 1)
        assert await bot.store.save(Change(question=changed))

        sent = await bot.choose_receiver(DOROTHY)

        assert sent.errors == {"receiver": WORDING["refusal"]["old_card"]}
        assert (await bot.row()).taken_by == ""


#: Who presses what where, and is told what: `value` is what the button is made to carry.
INTRUSIONS: dict[str, tuple[dict[str, Any], str]] = {
    "the person asked, with the question's ref from their own message": (
        {"at": "question", "user": ADA, "value": "ref"},
        "other_channel",
    ),
    "the person asked, with the card's secret from their own message": (
        {"at": "question", "user": ADA, "value": "card"},
        "other_channel",
    ),
    "the person asked, on the card": ({"at": "card", "user": ADA}, "person_asked"),
    "somebody else, from the message of the person asked": (
        {"at": "question", "user": GRACE, "value": "card"},
        "other_channel",
    ),
    "somebody of another workspace, on the card": ({"at": "card", "user": MALLORY}, "other_workspace"),
    "somebody of the team in another workspace": (
        {"at": "card", "user": RADIA, "team": "T0ELSEWHERE"},
        "other_workspace",
    ),
    "somebody of the team, with the question's ref": (
        {"at": "card", "user": RADIA, "value": "ref"},
        "old_card",
    ),
}


@pytest.mark.parametrize("action_id", ["take-it", "hand-over", "release"])
@pytest.mark.parametrize("name", INTRUSIONS)
async def test_nobody_acts_on_an_alert_who_may_not_and_is_told_why(
    tmp_path: Path, name: str, action_id: str
) -> None:
    forged, refusal = INTRUSIONS[name]
    async with triage(tmp_path, CARDS) as bot:
        question = await answered(bot)
        card = await bot.show_card()
        values = {"ref": question.ref, "card": question.card}
        place = card if forged["at"] == "card" else bot.message(question)
        press = {**forged, "value": values[forged.get("value", "card")]}
        del press["at"]

        click = await bot.press_card(place, action_id, **press)

        assert click.acknowledged
        told = await eventually(lambda: bot.told(forged["user"]))
        assert told == [WORDING["refusal"][refusal]]
        assert (await bot.row()).taken_by == ""
        assert bot.modal(forged["user"]) is None


async def test_whoever_has_an_alert_finds_it_on_their_home_with_a_link_to_its_card(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        await answered(bot)
        card = await bot.show_card()
        await bot.take(card)

        home = json.dumps(await bot.open_home(RADIA))

        assert WORDING["home"]["taken"] in home
        assert f"/archives/{SECURITY_CHANNEL}/p{card.ts.replace('.', '')}" in home
        assert WORDING["home"]["taken"] not in json.dumps(await bot.open_home(DOROTHY))


async def test_what_the_team_advises_stands_below_a_no_and_on_the_home(tmp_path: Path) -> None:
    advised = AlertPolicies(default=AlertPolicy(no_advice="Leave the device *on*; we will call you."))
    async with triage(tmp_path, Policy(alerts=advised)) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.YES)
        await eventually(lambda: WORDING["answer"]["yes"] in text_of(bot, question))
        assert "Leave the device" not in json.dumps(list(bot.message(question).blocks))

        await bot.press(question, Choice.NO)

        await eventually(lambda: "Leave the device" in json.dumps(list(bot.message(question).blocks)))
        assert "Leave the device" in json.dumps(await bot.open_home())
