"""Clicks over a real websocket: one that overtakes the post's reply, and one that cannot be stored."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from sandbox_world import ADA, APP_TOKEN, running
from world import World, buttons, until

from bot.config_files import load_messages
from bot.errors import StoreError
from bot.slack.api import SlackApi
from bot.slack.connection import bolt_app
from bot.slack.identity import Identity
from bot.slack.links import Link, Links
from bot.slack.listeners import Listeners
from bot.slack.messenger import SlackMessenger
from bot.sqs.wire import write_report
from bot.store.sqlite import SqliteStore
from bot.triage.asking import Asker
from bot.triage.model import Choice, Confidence, Outcome, Policy, State, TriageRequest, utc_now
from bot.triage.pacing import Gate
from bot.triage.recorder import Recorder
from bot.triage.service import TriageService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_sqs import SQSClient
    from sandbox_world import World as SlackWorld

    from bot.sandbox.slack.server import Click
    from bot.sandbox.slack.workspace import Message
    from bot.triage.model import Change, Question


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("clicks"), sqs, aws_environment) as world:
        world.start()
        yield world
        world.assert_clean_log()


def test_a_click_that_overtakes_the_posts_reply_is_an_answer(world: World) -> None:
    reply = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send()
    reply.wait_until_reached()
    question = world.slack.question(identifier)
    assert world.known_row(identifier)["state"] == "posting"

    click = world.slack.press(question, "no")

    answered = world.known_row(identifier)
    assert click.acknowledged
    assert (answered["state"], answered["outcome"]) == ("asked", "no")
    assert (answered["channel"], answered["ts"]) == (question.channel, question.ts)
    assert world.status(identifier) == "escalated"
    world.slack.faults.heal()


def test_a_reply_that_comes_late_does_not_move_the_row_back(world: World) -> None:
    reply = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send()
    reply.wait_until_reached()
    question = world.slack.question(identifier)
    world.slack.press(question, "yes")
    world.slack.redrawn(identifier, "Understood, thanks for letting us know.")
    answered = until(lambda: _at_rest(world, identifier), what="the redraw is recorded")

    world.slack.faults.heal()
    world.worker.until_logged("question.asked", identifier)

    assert world.known_row(identifier) == answered
    assert len(world.slack.questions(identifier)) == 1
    assert len(buttons(world.slack.question(identifier))) == 4


def test_a_reply_that_is_lost_after_the_click_leaves_no_doubt(world: World) -> None:
    reply = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send(user="alan@example.com")
    reply.wait_until_reached()
    world.slack.press(world.slack.question(identifier), "yes")
    world.reports(identifier)

    world.slack.stop()
    world.worker.until_logged("question.doubted", identifier)
    world.slack.start()
    world.slack.until_linked()

    row = world.known_row(identifier)
    assert (row["state"], row["outcome"], row["inDoubtSince"]) == ("asked", "yes", None)
    assert len(world.slack.questions(identifier)) == 1


class RefusingStore(SqliteStore):
    """Refuses to write while it is told to, as one on a full disk does."""

    is_full = False

    async def save(self, change: Change) -> bool:
        if self.is_full:
            raise StoreError("the disk is full")
        return await super().save(change)


@dataclass(kw_only=True)
class Others:
    """Whether another program listens with the same token."""

    listen: bool = False
    asked: int = field(default=0)

    def __call__(self) -> bool:
        self.asked += 1
        return self.listen


@dataclass(frozen=True, kw_only=True)
class Triage:
    """The program from the websocket to the store, without its queues."""

    slack: SlackWorld
    store: RefusingStore
    others: Others
    service: TriageService

    async def ask(self, identifier: str) -> Question:
        """Put a question, and return its row."""
        request = TriageRequest(
            identifier=identifier, alert="a", summary="s", user="ada@example.com", confidence=Confidence.LOW
        )
        await self.service.receive([request])
        await self.service.work_on(await self.row(identifier))
        return await self.row(identifier)

    async def row(self, identifier: str) -> Question:
        """Return what is stored."""
        question = await self.store.find(identifier)
        assert question is not None
        return question

    def message(self, question: Question) -> Message | None:
        """Return the question's message as it stands."""
        return self.slack.slack.workspace.message(question.channel, question.ts)

    async def press(self, question: Question, choice: Choice, *, ref: str | None = None) -> Click:
        """Press an answer button."""
        return await self.slack.slack.click(
            user=ADA,
            channel=question.channel,
            ts=question.ts,
            action_id=f"answer-{choice}",
            value=ref or question.ref,
        )


@asynccontextmanager
async def triage(folder: Path) -> AsyncIterator[Triage]:
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(running())
        store = await RefusingStore.open(folder / "store.db", create=True)
        stack.push_async_callback(store.close)
        identity = Identity()
        identity.learn(await slack.client.auth_test())
        service = _service(slack, store, identity)
        others = Others()
        listeners = Listeners(service, identity, clock=utc_now, others_listen=others)
        await stack.enter_async_context(_linked(slack, listeners, identity))
        yield Triage(slack=slack, store=store, others=others, service=service)


def _service(slack: SlackWorld, store: SqliteStore, identity: Identity) -> TriageService:
    recorder = Recorder(store, write_report, policy=Policy(), clock=utc_now)
    api = SlackApi(slack.client, slack.session, clock=utc_now)
    messenger = SlackMessenger(api, identity, load_messages(), clock=utc_now)
    asker = Asker(messenger, recorder, gate=Gate(spread=lambda: 0.0), spread=lambda: 0.0)
    return TriageService(recorder, messenger, asker, on_work=lambda: None)


@asynccontextmanager
async def _linked(slack: SlackWorld, listeners: Listeners, identity: Identity) -> AsyncIterator[None]:
    app = bolt_app(slack.client, identity)
    listeners.register(app)
    links = Links([Link(app, APP_TOKEN, slack.client, spread=lambda: 0.0)], clock=utc_now)
    stop = asyncio.Event()
    running_links = asyncio.create_task(links.run(stop, drain=listeners.drain))
    async with asyncio.timeout(30):
        await slack.slack.until_linked()
    yield
    stop.set()
    await running_links


async def test_a_click_that_cannot_be_stored_is_neither_acknowledged_nor_thanked_for_and_can_be_repeated(
    tmp_path: Path,
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask("one")
        before = question, bot.message(question)

        bot.store.is_full = True
        refused = await bot.press(question, Choice.NO)
        after_refusal = await bot.row("one"), bot.message(question)
        bot.store.is_full = False
        taken = await bot.press(question, Choice.NO)

        assert (refused.acknowledged, taken.acknowledged) == (False, True)
        assert refused.warning
        assert after_refusal == before
        assert (await bot.row("one")).standing is Outcome.NO
        assert len(await bot.store.reports_of("one")) == 1


async def test_what_is_stored_is_stored_when_the_click_is_acknowledged(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask("one")

        click = await bot.press(question, Choice.YES)

        row = await bot.row("one")
        assert click.acknowledged
        assert (row.state, row.standing, row.said) == (State.ASKED, Outcome.YES, Choice.YES)


async def test_a_question_that_another_worker_may_hold_is_left_to_it(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask("one")
        unknown = "0" * 32 + "." + "1" * 32

        alone = await bot.press(question, Choice.YES, ref=unknown)
        bot.others.listen = True
        shared = await bot.press(question, Choice.YES, ref=unknown)
        known = await bot.press(question, Choice.YES)

        assert (alone.acknowledged, shared.acknowledged, known.acknowledged) == (True, False, True)
        assert bot.others.asked == 2


def _at_rest(world: World, identifier: str) -> Mapping[str, object] | None:
    """Return the row when nothing is left to do for it: its message is redrawn, its report sent."""
    row = world.known_row(identifier)
    return row if row["dueAt"] is None and row["reports"][0]["sentAt"] else None
