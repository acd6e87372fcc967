"""Half a surrogate pair in a name, a time zone, a code or a place does no harm, wherever it comes in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click_harness import CARDS, RADIA, ClickHarness, triage
from fakes import SteppedClock
from running_slack import ADA
from scripted_slack import (
    CLAIMED,
    MEMBER,
    OPENED,
    Answer,
    messenger_of,
    posting,
    refuses,
    says,
    scripted_slack,
)

from bot.errors import Undeliverable, UnknownErrorCode
from bot.slack.client import web_client
from bot.slack.identity import Identity
from bot.triage.model import Choice, State
from bot.triage.policy import Policy
from bot.triage.working_time import parse_working_hours

HALF = "a\ud800"
MENDED = "a\ufffd"


def rename(bot: ClickHarness, user: str, name: str, **facts: Any) -> None:
    workspace = bot.slack.slack.workspace
    person = workspace.person(user)
    assert person is not None
    workspace.admit(replace(person, name=name, **facts))


async def test_somebody_of_such_a_name_and_time_zone_is_asked_and_answers(tmp_path: Path) -> None:
    hours = parse_working_hours("Mon-Sun 00:00-24:00")
    async with triage(tmp_path, Policy(hours=hours)) as bot:
        rename(bot, ADA, HALF, tz=HALF)

        question = await bot.ask()
        click = await bot.press(question, Choice.NO)

        assert click.acknowledged
        row = await bot.row()
        assert (row.state, row.slack_name, row.time_zone) == (State.ASKED, MENDED, MENDED)
        [body] = await bot.bodies()
        assert MENDED in body.encode().decode("unicode_escape")


async def test_somebody_of_such_a_name_takes_an_alert(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.NO)
        card = await bot.show_card()
        rename(bot, RADIA, HALF)

        click = await bot.take(card)

        assert click.acknowledged
        assert (await bot.row()).taken_name == MENDED
        assert f"@{MENDED}" in str((await bot.show_card()).blocks)


async def test_such_a_note_is_kept(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.NO)
        await bot.open_note(question)

        click = await bot.write_note(HALF)

        assert click.acknowledged
        assert (await bot.row()).note == MENDED


@pytest.mark.parametrize("field", ["value", "action_id"])
async def test_such_a_button_changes_nothing(tmp_path: Path, field: str) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        pressed = {"action_id": "answer-no", "value": question.ref}

        click = await bot.press_button(question, **{**pressed, field: pressed[field] + HALF})

        assert click.acknowledged
        assert (await bot.row()).standing is None


@pytest.mark.parametrize("code", [f"strange_{HALF}", f"restricted_action_{HALF}"])
async def test_such_a_code_can_be_stored_as_a_reason(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, UnknownErrorCode | Undeliverable)
    assert (error.code if isinstance(error, UnknownErrorCode) else error.reason).endswith(MENDED)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (says({"ok": True, "channel": HALF, "ts": HALF}), "post"),
        (says({"ok": True, "permalink": HALF}), "link_to"),
    ],
)
async def test_such_a_place_can_be_stored(answer: Answer, told: str) -> None:
    async with messenger_of(answer) as (messenger, _):
        place = await getattr(messenger, told)(CLAIMED)

    assert str(place).encode()
    assert MENDED in str(place)


async def test_such_a_place_in_the_history_can_be_stored() -> None:
    metadata = {"event_type": "triage_question", "event_payload": {"ref": CLAIMED.ref}}
    found = says({"ok": True, "messages": [{"ts": HALF, "metadata": metadata}]})
    async with messenger_of(OPENED, found) as (messenger, _):
        assert MENDED in str(await messenger.look_up(CLAIMED))


async def test_a_name_that_is_no_text_is_none() -> None:
    user = {**MEMBER, "name": {"first": "ada"}, "tz": 3600}
    async with messenger_of(says({"ok": True, "user": user}), clock=SteppedClock()) as (messenger, _):
        person = await messenger.find_person("ada@example.com")

    assert (person.slack_name, person.time_zone) == ("", "")


async def test_such_a_workspace_can_be_named() -> None:
    answer = says({"ok": True, "team_id": f"T{HALF}", "bot_id": HALF, "user_id": HALF})
    identity = Identity()
    async with scripted_slack(answer) as slack, aiohttp.ClientSession() as session:
        client = web_client(slack.url, session, token="xoxb-1")

        identity.learn(await client.auth_test())

    assert (identity.team_id, identity.bot_id) == (f"T{MENDED}", MENDED)
