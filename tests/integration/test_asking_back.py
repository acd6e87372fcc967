"""Follow-up questions over a real websocket: window, message, reply; and who may not ask."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click_harness import CARDS, RADIA, ClickHarness, triage
from running_slack import ADA, GRACE
from wording import WORDING
from world import eventually

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.server import Click
from bot.sandbox.fake_slack.workspace import Message
from bot.triage.inquiry import Delivery, Inquiry
from bot.triage.model import Change, Choice, Question

DOROTHY = "U0DOROTH010"
HOSTILE = "*Was* it <!channel> <@U0GRACEH002> <https://evil.example|this> :fox_face: `laptop`?"


class Scene:
    """An alert whose person said no, and its card."""

    def __init__(self, bot: ClickHarness) -> None:
        self.bot = bot

    async def open_window(self, user: str = RADIA) -> Any:
        """Press *Ask a question* on the card; return the window that opens."""
        assert (await self.bot.press_card(await self.bot.show_card(), "ask", user)).acknowledged
        return await eventually(lambda: self.bot.modal(user))

    async def write(self, text: str, user: str = RADIA, **forged: Any) -> Click:
        """Fill the open window in, and send it."""
        view = self.bot.modal(user)
        assert view is not None
        values = {"note": {"text": {"type": "plain_text_input", "value": text}}}
        known = {"user": user, "view_id": view["id"], "values": values}
        return await self.bot.slack.slack.submit_view(**{**known, **forged})

    async def ask(self, text: str = "Which laptop?") -> Message:
        """Ask a follow-up question as Radia; return the message to the person once it is there."""
        await self.open_window()
        sent = await self.write(text)
        assert sent.acknowledged
        assert sent.errors == {}
        await self.post()
        inquiry = (await self.inquiries())[-1]
        return self.bot.slack.message(inquiry.channel, inquiry.ts)

    async def post(self) -> None:
        """Post what is due."""
        for inquiry in await self.bot.store.due_inquiries((await self.bot.row()).settled_at, limit=9):  # type: ignore[arg-type]
            await self.bot.inquirer.advance(inquiry)

    async def inquiries(self) -> list[Inquiry]:
        return list(await self.bot.store.inquiries_of((await self.bot.row()).ref))

    async def press_reply(self, message: Message, user: str = ADA, **forged: Any) -> Click:
        place = {"user": user, "channel": message.channel, "ts": message.ts}
        return await self.bot.slack.slack.click(action_id="reply", **{**place, **forged})

    def was_told(self, user: str, refusal: str) -> bool:
        return WORDING["refusal"][refusal] in self.bot.told(user)

    async def thread(self) -> list[Message]:
        card = await self.bot.show_card()
        conversation = self.bot.slack.slack.workspace.conversation(SECURITY_CHANNEL)
        assert conversation is not None
        replies = [conversation.message(reply) for reply in conversation.replies(card.ts)]
        return [reply for reply in replies if reply]


@asynccontextmanager
async def scene(folder: Path, policy: Any = CARDS) -> AsyncIterator[Scene]:
    async with triage(folder, policy) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.NO)
        await eventually(lambda: WORDING["answer"]["no"] in json.dumps(list(bot.message(question).blocks)))
        yield Scene(bot)


async def test_a_question_goes_to_the_person_and_the_reply_to_the_thread_and_mozdef(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        before = await play.bot.row()

        message = await play.ask()

        assert message.channel == before.channel
        assert message.text == "The security team asks about “Security alert”:"
        shown = json.dumps(list(message.blocks), ensure_ascii=False)
        assert all(words in shown for words in ("Which laptop?", "@radia", WORDING["inquiry"]["warning"]))
        assert f"/archives/{before.channel}/p{before.ts.replace('.', '')}" in shown
        assert (await play.press_reply(message)).acknowledged
        await eventually(lambda: play.bot.modal(ADA))
        sent = await play.write("The blue one.", ADA)
        assert sent.acknowledged
        assert sent.errors == {}
        assert WORDING["reply"]["thanks"] in json.dumps(play.bot.modal(ADA))
        asked, replied = (json.loads(body) for body in (await play.bot.bodies())[1:])
        assert asked["category"] == replied["category"] == "triagebotnote"
        assert asked["details"]["triagebot"]["question"] == "Which laptop?"
        assert asked["details"]["triagebot"]["askedBy"] == RADIA
        told = replied["details"]["triagebot"]
        assert (told["comment"], told["inReplyTo"]) == (
            "The blue one.",
            asked["details"]["triagebot"]["sequence"],
        )
        assert replied["details"]["slack"] == ADA
        lines = [json.dumps(list(each.blocks)) for each in await play.thread()]
        assert ["Which laptop?" in lines[0], "The blue one." in lines[1], len(lines)] == [True, True, 2]
        row = await play.bot.row()
        kept = ("standing", "said", "answered_at", "deadline", "taken_by", "notes")
        assert [getattr(row, name) for name in kept] == [getattr(before, name) for name in kept]


async def test_hostile_texts_are_literal_on_both_ways(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        message = await play.ask(HOSTILE)
        await play.press_reply(message)
        await eventually(lambda: play.bot.modal(ADA))
        window = play.bot.modal(ADA)
        await play.write(HOSTILE, ADA)

        for shown in (message.blocks, window["blocks"], *(each.blocks for each in await play.thread())):
            assert {"type": "text", "text": HOSTILE} in list(_elements(shown))
            assert "mrkdwn" not in json.dumps(list(shown))


def _elements(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _elements(each)


@pytest.mark.parametrize(
    ("forged", "refusal"),
    [
        ({"user": ADA}, "person_asked"),
        ({"user": RADIA, "value": "ref"}, "old_card"),
        ({"user": "U0STRANG008"}, "other_workspace"),
        ({"user": RADIA, "at": "question", "value": "card"}, "other_channel"),
        ({"user": GRACE}, "no_responder"),
    ],
    ids=str,
)
async def test_nobody_asks_who_may_not_act_and_no_window_opens(
    tmp_path: Path, forged: dict[str, str], refusal: str
) -> None:
    async with scene(tmp_path, replace(CARDS, responders=frozenset({RADIA, ADA, "U0STRANG008"}))) as play:
        card, row = await play.bot.show_card(), await play.bot.row()
        place: dict[str, Any] = {"channel": card.channel, "ts": card.ts}
        if forged.get("at"):
            place = {"channel": row.channel, "ts": row.ts}
        value = {"ref": row.ref, "card": row.card}[forged.get("value", "card")]

        click = await play.bot.slack.slack.click(action_id="ask", user=forged["user"], value=value, **place)

        assert click.acknowledged
        await eventually(lambda: WORDING["refusal"][refusal] in play.bot.told(forged["user"]))
        assert play.bot.modal(forged["user"]) is None
        assert await play.inquiries() == []


async def test_a_text_that_cannot_be_asked_is_refused_in_the_window(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        await play.open_window()

        sent = await play.write(
            "\u200b"
        )  # the stand-in itself refuses what is empty or too long, as Slack does

        assert sent.errors == {"note": WORDING["refusal"]["no_text"]}
        assert await play.inquiries() == []
        assert (await play.write("Which laptop?")).errors == {}
        assert len(await play.inquiries()) == 1


async def test_what_was_sent_is_judged_again_with_the_secret_of_now(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        await play.open_window()
        row = await play.bot.row()
        changed = replace(row, card_secret="0" * 32, version=row.version + 1)
        assert await play.bot.store.save(Change(question=changed))

        sent = await play.write("Which laptop?")

        assert sent.errors == {"note": WORDING["refusal"]["old_card"]}
        assert await play.inquiries() == []


async def test_nobody_else_replies_and_a_stranger_gets_no_window(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        message = await play.ask()

        others = {GRACE: "other_person", RADIA: "other_person", "U0STRANG008": "other_workspace"}
        for user, refusal in others.items():
            assert (await play.press_reply(message, user)).acknowledged
            await eventually(partial(play.was_told, user, refusal))
            assert play.bot.modal(user) is None
        assert [inquiry.replies for inquiry in await play.inquiries()] == [()]


async def test_a_button_with_a_forged_ref_opens_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        message, row = await play.ask(), await play.bot.row()

        for forged in (row.ref, row.card, f"{row.ref.partition('.')[0]}.{'f' * 32}", "x", "0." + "1" * 3000):
            assert (await play.press_reply(message, value=forged)).acknowledged

        await eventually(lambda: play.bot.told(ADA).count(WORDING["refusal"]["lost_inquiry"]) == 5)
        assert play.bot.modal(ADA) is None


async def test_a_reply_is_not_acknowledged_before_it_is_durable(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        message = await play.ask()
        await play.press_reply(message)
        await eventually(lambda: play.bot.modal(ADA))
        play.bot.store.is_full = True

        failed = await play.write("The blue one.", ADA)

        assert not failed.acknowledged
        assert [inquiry.replies for inquiry in await play.inquiries()] == [()]
        play.bot.store.is_full = False
        assert (await play.write("The blue one.", ADA)).acknowledged
        assert [len(inquiry.replies) for inquiry in await play.inquiries()] == [1]


async def test_a_reply_about_an_alert_that_was_removed_is_refused_with_words(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as play:
        message = await play.ask()
        await play.press_reply(message)
        await eventually(lambda: play.bot.modal(ADA))
        await _remove(play.bot)

        sent = await play.write("The blue one.", ADA)

        assert sent.errors == {"note": WORDING["refusal"]["lost_inquiry"]}


async def _remove(bot: ClickHarness) -> None:
    key = (await bot.row()).ref.partition(".")[0]
    removals = [
        f"DELETE FROM {table} WHERE key = '{key}'" for table in ("event", "report", "inquiry", "question")
    ]
    # Nothing removes an alert that is under way.
    await bot.store._database.write(lambda connection: [connection.execute(each) for each in removals])


async def test_an_inquiry_is_waiting_until_it_is_posted(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        await play.open_window()
        await play.write("Which laptop?")

        [waiting] = await play.inquiries()
        await play.post()
        [asked] = await play.inquiries()

        assert [waiting.delivery, asked.delivery] == [Delivery.WAITING, Delivery.ASKED]
        assert isinstance(await play.bot.row(), Question)
