"""The program from the websocket to the store, without its queues, before the stand-in Slack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes import CountingMeter
from running_slack import ADA, RunningSlack, running, settings_for
from wiring import Steady, wired
from wording import WORDING
from world import PATIENCE_SECONDS, eventually

from bot.clock import Clock
from bot.errors import StoreError
from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.server import Click
from bot.sandbox.fake_slack.workspace import Message
from bot.slack.client import web_client
from bot.slack.connections import CONNECTIONS, SocketConnections
from bot.slack.security_channel import SlackSecurityTeam
from bot.store.sqlite.store import SqliteStore
from bot.triage.inquiring import Inquirer
from bot.triage.model import Change, Choice, Confidence, Question, TriageRequest, Work
from bot.triage.policy import NOTES, AlertPolicies, AlertPolicy, NoteRule, Policy
from bot.triage.service import TriageService
from bot.worker.assembly import Parts

ALERT_URL = "https://mozdef.example/alerts/{identifier}"
RADIA = "U0RADIAP009"
NOTE_REQUIRED = AlertPolicies(default=AlertPolicy(notes={**NOTES, Choice.NO: NoteRule.REQUIRED}))
REQUIRED, CARDS = Policy(alerts=NOTE_REQUIRED), Policy(security_channel=SECURITY_CHANNEL)


class RefusingStore(SqliteStore):
    """Refuses to write while asked to, as one on a full disk does."""

    is_full = False

    async def save(self, change: Change) -> bool:
        if self.is_full:
            raise StoreError("the disk is full")
        return await super().save(change)


class WatchedConnections(SocketConnections):
    """Knows whether another program listens with the same token."""

    strangers = False
    asked = 0

    def is_app_shared(self) -> bool:
        self.asked += 1
        return self.strangers


@dataclass(frozen=True, kw_only=True)
class ClickHarness:
    """The parts of one worker, and its stand-ins."""

    slack: RunningSlack
    store: RefusingStore
    connections: WatchedConnections
    service: TriageService
    meter: CountingMeter
    inquirer: Inquirer

    async def ask(self, identifier: str = "one", *, summary: str = "s") -> Question:
        """Put a question, and return its row."""
        request = TriageRequest(
            identifier=identifier,
            alert="a",
            summary=summary,
            user="ada@example.com",
            confidence=Confidence.LOW,
        )
        await self.service.receive([request])
        await self.service.work_on(await self.row(identifier), Work.ASK)
        return await self.row(identifier)

    async def row(self, identifier: str = "one") -> Question:
        """Return what is stored."""
        question = await self.store.find(identifier)
        assert question is not None
        return question

    async def bodies(self, identifier: str = "one") -> list[str]:
        """Return the reports so far."""
        return [report.body for report in await self.store.reports_of(identifier)]

    async def show_card(self, identifier: str = "one") -> Message:
        """Post or update the card until it shows all, which the channel's pace may defer; return it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.service.work_on(await self.row(identifier), Work.CARD)
            while (row := await self.row(identifier)).card_due_at is not None:
                await asyncio.sleep(0.1)
                await self.service.work_on(row, Work.CARD)
        return self.slack.message(SECURITY_CHANNEL, row.card_ts)

    def message(self, question: Question) -> Message:
        """Return the question's message as it stands."""
        return self.slack.message(question.channel, question.ts)

    async def press(self, question: Question, choice: Choice, **forged: Any) -> Click:
        """Press an answer button, as Ada but for what is forged."""
        return await self.press_button(question, f"answer-{choice}", **forged)

    async def press_button(self, question: Question, action_id: str, **forged: Any) -> Click:
        """Press any button of the question's message."""
        place = {"user": ADA, "channel": question.channel, "ts": question.ts, "value": question.ref}
        return await self.slack.slack.click(action_id=action_id, **{**place, **forged})

    async def press_home(self, action_id: str, user: str = ADA, **forged: Any) -> Click:
        """Press a button of somebody's Home."""
        return await self.slack.slack.click(user=user, action_id=action_id, via="home", **forged)

    async def take(self, card: Message) -> Click:
        """Press *Take it* on the card, as Radia."""
        return await self.press_card(card, "take-it")

    async def press_card(self, card: Message, action_id: str, user: str = RADIA, **forged: Any) -> Click:
        """Press a button of a card, as Radia but for what is forged."""
        place = {"user": user, "channel": card.channel, "ts": card.ts}
        return await self.slack.slack.click(action_id=action_id, **{**place, **forged})

    async def choose_receiver(self, chosen: str, user: str = RADIA) -> Click:
        """Choose somebody in the open window for a hand-over, and send it.

        Again if Slack did not say in time who that is, as on a busy machine.
        """
        view = self.modal(user)
        assert view is not None
        values = {"receiver": {"who": {"type": "users_select", "selected_user": chosen}}}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                sent = await self.slack.slack.submit_view(user=user, view_id=view["id"], values=values)
                if sent.errors != {"receiver": WORDING["refusal"]["receiver_unknown"]}:
                    return sent

    async def open_note(self, question: Question, user: str = ADA) -> Any:
        """Press *Add a note*, and return the window that opens."""
        click = await self.press_button(question, "note", user=user)
        assert click.acknowledged
        return await eventually(lambda: self.modal(user))

    async def open_home(self, user: str = ADA) -> Any:
        """Look at the Home as somebody; return it as it is shown."""
        await self.slack.slack.open_home(user)
        return await eventually(lambda: self.home(user))

    async def write_note(self, text: str, *, user: str = ADA) -> Click:
        """Fill the open window for a note in, and send it."""
        view = self.modal(user)
        assert view is not None
        values = {"note": {"text": {"type": "plain_text_input", "value": text}}}
        return await self.slack.slack.submit_view(user=user, view_id=view["id"], values=values)

    def modal(self, user: str = ADA) -> Any:
        """Return the window that somebody sees, if any."""
        return self.slack.slack.workspace.modals.seen_by(user)

    def home(self, user: str = ADA) -> Any:
        """Return the Home that somebody was shown last, if any."""
        return self.slack.slack.workspace.homes.get(user)

    def told(self, user: str) -> list[str]:
        """Return what was said to somebody alone."""
        conversations = self.slack.slack.workspace.conversations
        seen = [one for each in conversations for one in each.seen_by(user)]
        return [one.text for one in seen if one.ephemeral_for == user]


@asynccontextmanager
async def triage(
    folder: Path, policy: Policy | None = None, *, clock: Clock | None = None
) -> AsyncIterator[ClickHarness]:
    """Run one, without its queues and its sweeper."""
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(running())
        store = await RefusingStore.open(folder / "store.db", create=True)
        stack.push_async_callback(store.close)
        settings = settings_for(slack, security_channel=SECURITY_CHANNEL, mozdef_alert_url=ALERT_URL)
        meter = CountingMeter()
        parts = wired(
            store,
            policy,
            meter=meter,
            clock=clock or Clock(),
            settings=settings,
            session=slack.session,
            random=Steady(0.0),
            client=web_client,
            connections=WatchedConnections,
            security_team=SlackSecurityTeam,
        )
        await stack.enter_async_context(_linked(slack, parts))
        connections: Any = parts.connections
        yield ClickHarness(
            slack=slack,
            store=store,
            connections=connections,
            service=parts.service,
            meter=meter,
            inquirer=parts.actors.inquirer,
        )


@asynccontextmanager
async def _linked(slack: RunningSlack, parts: Parts) -> AsyncIterator[None]:
    await parts.authentication.attempt()
    stop = asyncio.Event()
    running_links = asyncio.create_task(parts.connections.run(stop, drain=parts.listeners.drain))
    async with asyncio.timeout(30):
        await slack.slack.until_linked(CONNECTIONS)
    try:
        yield
    finally:
        stop.set()
        await running_links
