"""The stand-in Slack in a thread of its own, and what its people see and do."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from bot.sandbox.fake_slack import SlackStandIn, default_workspace
from bot.sandbox.fake_slack.objects import text_of_block
from bot.sandbox.fake_slack.server import SCOPES, Click
from bot.sandbox.fake_slack.workspace import Message, Person
from world.faults import Faults, Hold
from world.waiting import PATIENCE_SECONDS, until

T = TypeVar("T")

ADA = "U0ADALOVE01"
GRACE = "U0GRACEH002"
KATHERINE = "U0KATHER003"
ALAN = "U0ALANTU004"

#: Both links of a worker.
LINKS = 2


class SlackSide:
    """A Slack with the people of the sandbox. It runs once it is entered, and has ended once it is left."""

    bot_token = "xoxb-acceptance-bot"
    app_token = "xapp-acceptance-app"

    def __init__(self) -> None:
        self.faults = Faults()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slack", daemon=True)
        self._thread.start()
        self.stand_in = SlackStandIn(
            default_workspace(),
            bot_token=self.bot_token,
            app_token=self.app_token,
            middlewares=[self.faults.middleware()],
        )
        self._port = 0

    @property
    def api_url(self) -> str:
        """The Web API's address; it outlives a restart."""
        return self.stand_in.api_url

    def start(self) -> None:
        """Serve: at first on any free port, then on the same one again."""
        self.run(self.stand_in.start(self._port))
        self._port = int(self.api_url.split(":")[2].split("/")[0])

    def stop(self) -> None:
        """Be unreachable: calls that are held get no reply. What was posted stays."""
        self.run(self.stand_in.stop())
        self.faults.heal()

    def close(self) -> None:
        self.faults.heal()
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], *, seconds: float = PATIENCE_SECONDS) -> T:
        """Do something in Slack's thread, and return the result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def do(self, work: Callable[[], T]) -> T:
        """Call a function in Slack's thread: nobody else changes the workspace meanwhile."""

        async def call() -> T:
            return work()

        return self.run(call())

    def until_linked(self) -> None:
        """Wait until a worker listens with both its links."""
        self.run(self.stand_in.until_linked(LINKS))

    def hold(self, method: str, *, after_work: bool = False) -> Hold:
        """Keep the calls of a method waiting from now on, with their work done or not."""
        hold = Hold(method=method, after_work=after_work, loop=self._loop)
        self.faults.hold(hold)
        return hold

    def forget_held(self) -> None:
        """Break off the calls that are held: what they had not done is never done."""
        self.run(self.faults.break_off())

    def admit(self, person: Person) -> None:
        self.do(lambda: self.stand_in.workspace.admit(person))

    def without_scope(self, scope: str) -> None:
        """Take one scope of the manifest's away; without one (`""`), give all of them back."""
        self.do(lambda: self.stand_in.grant(set(SCOPES) - {scope}))

    def renew_token(self, token: str) -> None:
        """Revoke the bot's token, and give out this one in its place."""
        installation = self.stand_in.installation

        def renew() -> None:
            installation.app = replace(installation.app, bot_token=token)

        self.do(renew)

    def quirks(self, **quirks: Any) -> None:
        """Make this Slack differ from the simplest one from now on: see `Quirks` of the stand-in."""
        installation = self.stand_in.installation
        self.do(lambda: setattr(installation, "quirks", replace(installation.quirks, **quirks)))

    def lag(self, lag: timedelta) -> None:
        """From now on, hide posts from the history for this long."""
        installation = self.stand_in.installation
        self.do(lambda: setattr(installation, "history_lag", lag))

    def messages(self) -> Sequence[Message]:
        """Return every message of every conversation, ephemeral ones included."""
        workspace = self.stand_in.workspace
        people = [person.id for person in workspace.people]

        def read() -> list[Message]:
            seen = {
                (one.channel, one.ts): one
                for conversation in workspace.conversations
                for user in people
                for one in conversation.seen_by(user)
            }
            return list(seen.values())

        return self.do(read)

    def questions(self, identifier: str) -> Sequence[Message]:
        """Return every message that puts the question about this alert, known by its metadata."""
        key = hashlib.sha256(identifier.encode()).hexdigest()[:32]
        return [one for one in self.messages() if ref_of(one).startswith(f"{key}.")]

    def all_questions(self) -> Sequence[Message]:
        """Return every message that puts a question."""
        return [one for one in self.messages() if ref_of(one)]

    def question(self, identifier: str) -> Message:
        """Wait until the question about this alert was asked, and return it as it stands."""
        asked = until(lambda: self.questions(identifier), what=f"the question about {identifier}")
        return asked[0]

    def redrawn(self, identifier: str, text: str) -> Message:
        """Wait until the question's message says this in a section of its own; return it."""

        def says_it(message: Message) -> bool:
            return text in [text_of_block(each) for each in message.blocks if each["type"] == "section"]

        def look() -> Message | None:
            return next((one for one in self.questions(identifier) if says_it(one)), None)

        return until(look, what=f"{identifier} says {text!r}")

    def press(self, question: Message, choice: str, **forged: Any) -> Click:
        """Press an answer button as its person does, but for what is forged: see `Press` of the stand-in."""
        person = "U" + question.channel[1:]
        press = {"user": person, "channel": question.channel, "ts": question.ts, **forged}
        action_id = press.pop("action_id", f"answer-{choice}")
        return self.run(self.stand_in.click(action_id=action_id, **press))

    def told(self, user: str) -> Sequence[str]:
        """Return what was said to this person, and to nobody else who sees the conversation."""
        return [one.text for one in self.messages() if one.ephemeral_for == user]


def newcomer(name: str) -> Person:
    """Return somebody who may be asked, at NAME@example.com."""
    return Person(id=f"U0{name.upper()}", name=name, real_name=name, email=f"{name}@example.com")


def buttons(message: Message) -> list[dict[str, Any]]:
    return [one for block in message.blocks if block["type"] == "actions" for one in block["elements"]]


def paragraphs(message: Message) -> list[str]:
    """Return what a person reads in each heading, paragraph and quote, and in small print, in order."""
    return [text for block in message.blocks if (text := text_of_block(block))]


def ref_of(message: Message) -> str:
    """Return the ref in a question's metadata, "" if it is none."""
    metadata = message.metadata or {}
    is_question = metadata.get("event_type") == "triage_question"
    return str(metadata["event_payload"]["ref"]) if is_question else ""
