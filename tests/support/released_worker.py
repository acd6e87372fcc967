"""One worker of whichever release comes first on the path: it does what it is told, a line of JSON at a time.

`former_release` runs it, with the program and the tests of another release on the path: so it takes only what
both have, by the names that both have, or looks which of two a release has. Each line says what time it is
and which messages stand in Slack; the answer says which came, and what went to the response queue.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import Any

from fakes import ScriptedSecurityTeam, SteppedClock
from local_dynamodb import store_in
from mortal_store import KilledError
from truthful_slack import Message, TruthfulSlack

from bot.sqs.wire import decode_request, read_report, write_report
from bot.store import open_store
from bot.triage.asking import Asker
from bot.triage.cards import Cards
from bot.triage.model import Choice, Work
from bot.triage.policy import Policy
from bot.triage.recorder import Recorder
from bot.triage.reminding import Reminder
from bot.triage.service import TriageService

#: Within an hour there are reminders and deadlines, and the security team is told about all but a yes.
#: How a release is told that there is a channel for cards.
CHANNEL: dict[str, Any] = (
    {"security_channel": "C0SECURITY"}
    if "security_channel" in Policy.__dataclass_fields__
    else {"has_channel": True}
)
POLICY = Policy(
    remind_after=timedelta(minutes=10), expire_after=timedelta(minutes=25), remind_times=1, **CHANNEL
)

#: Nobody looks for what others leave on their own: the test's clock says when somebody does.
NEVER = timedelta(days=999)


def part(*names: str) -> Any:
    """Return the first module of these that this release has."""
    return import_module(next(name for name in names if find_spec(name)))


def either(module: str, *names: str) -> Any:
    """Return what a module has by the first of these names that it knows."""
    found = import_module(module)
    return getattr(found, next(name for name in names if hasattr(found, name)))


def in_order(kind: Any, *values: object) -> Any:
    """Call with keywords in the order in which they are declared: a release may know them by other names."""
    return kind(**dict(zip(signature(kind).parameters, values, strict=False)))


def prover_of(recorder: Recorder, asker: Asker) -> dict[str, Any]:
    """Return what proves a *yes*, where a release has that; it has no provider."""
    if not find_spec("bot.triage.proving"):
        return {}
    prover = import_module("bot.triage.proving").Prover
    others = {"restores": asker.restores, "jitter": lambda: 1.0, "on_work": lambda: None}
    return {"prover": prover(None, recorder, **others)}


def inquirer_of(slack: Any, recorder: Recorder, asker: Asker, pacing: Any) -> dict[str, Any]:
    """Return what posts follow-up questions, where a release has that."""
    if not find_spec("bot.triage.inquiring"):
        return {}
    inquirer = import_module("bot.triage.inquiring").Inquirer
    others = {"restores": asker.restores, "pacing": pacing, "on_work": lambda: None}
    return {"inquirer": inquirer(slack, recorder, **others)}


def bursts_of(slack: Any, recorder: Recorder, pacing: Any) -> dict[str, Any]:
    """Return what reserves places for questions, where a release has that."""
    if not find_spec("bot.triage.bursts"):
        return {}
    restores = import_module("bot.triage.restores").Restores(slack, recorder)
    bursts = import_module("bot.triage.bursts").Bursts
    return {"bursts": bursts((slack, ScriptedSecurityTeam()), recorder, pacing=pacing, restores=restores)}


class ReleasedWorker:
    """A worker on a table, or on a file, that has no clock and no Slack but those that it is told of."""

    def __init__(self, store: Any, clock: SteppedClock) -> None:
        self.store = store
        self.clock = clock
        self.slack = TruthfulSlack(clock)
        self.recorder = recorder = Recorder(store, write_report, policy=POLICY, clock=clock)
        limits = part("bot.triage.rate_limits", "bot.triage.pacing")
        limiter = in_order(either(limits.__name__, "ConcurrencyLimiter", "Gate"), lambda: 1.0)
        rate_limiter = either(limits.__name__, "RateLimiter", "Pace")()
        pacing = in_order(limits.Pacing, limiter, rate_limiter, lambda: 1.0)
        bursts = bursts_of(self.slack, recorder, pacing)
        self.bursts: Any = bursts.get("bursts")
        asker = Asker(self.slack, recorder, **bursts, pacing=pacing)
        actors = either("bot.triage.service", "Actors", "Workers")(
            asker=asker,
            reminder=Reminder(self.slack, recorder, pacing=pacing),
            cards=Cards(ScriptedSecurityTeam(), recorder, pacing=pacing, read_report=read_report),
            **prover_of(recorder, asker),
            **inquirer_of(self.slack, recorder, asker, pacing),
            **bursts,
        )
        self.service = TriageService(recorder, self.slack, actors, on_work=lambda: None)

    async def do(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Do as the line says, and report the result."""
        self.clock.now = datetime.fromisoformat(order["now"])
        self.slack.messages = [message_from(each) for each in order["messages"]]
        self.slack.post_ends = list(order.get("post_ends", ()))
        known = len(self.slack.messages)
        try:
            result = await getattr(self, order["do"])(*order["with"])
        except KilledError:
            result = "died"
        self.slack.post_ends = []
        return {"messages": [message_told(each) for each in self.slack.messages[known:]], "result": result}

    async def receive(self, identifier: str, *facts: str) -> bool:
        """Take a request in, with facts of these values; tell whether it may be deleted from the queue."""
        return await self.receive_for(f"{identifier}@example.com", identifier, *facts)

    async def receive_for(self, user: str, identifier: str, *facts: str) -> bool:
        """Take a request about this person in, as `receive` does."""
        fields = {
            "identifier": identifier,
            "alert": "duo_bypass_codes_generated",
            "summary": "Codes were made.",
            "user": user,
            "facts": [{"name": "Host", "value": value} for value in facts],
        }
        [fate] = await self.service.receive([decode_request(json.dumps(fields))])
        return fate is True

    async def work(self) -> list[dict[str, Any]]:
        """Do whatever is due now; return the reports that went out."""
        for question in await self.store.overdue(self.clock(), limit=20):
            await self.service.expire(question)
        for work in Work:
            for question in await self.store.due(work, self.clock(), limit=20):
                await self.service.work_on(question, work)
        if hasattr(self.store, "due_places"):  # only a release that lets questions wait has bursts
            for places in await self.store.due_places(self.clock(), limit=20):
                await self.bursts.look_at(places.person)
        rows = await self.store.sendable(self.clock(), limit=10)
        await self.store.mark_sent(rows, self.clock())
        told = ("identifier", "sequence", "event_id", "body")
        return [{name: getattr(row, name) for name in told} for row in rows]

    async def click(self, ref: str, choice: str) -> str:
        """Take a click of the person who was asked; tell what they said, or why it was refused."""
        message = next(each for each in self.slack.messages if each.ref == ref)
        answered = await self.service.answer(message.click(Choice(choice), self.clock()))
        proofs = [each for each in asyncio.all_tasks() if each.get_name().startswith("prove ")]
        await asyncio.gather(*proofs)
        return str(getattr(answered, "said", answered))

    async def require_proofs(self) -> None:
        """Require a proof of each *yes* from now on, if the release can; there is no provider."""
        policies = self.recorder.policy.alerts
        factor = part("bot.triage.policy").Factor.REQUIRED
        alerts = replace(policies, default=replace(policies.default, factor=factor))
        self.recorder.policy = replace(POLICY, alerts=alerts)

    async def note(self, ref: str, text: str, view_id: str = "") -> bool:
        """Take a note of the person who was asked, from a window; tell whether it was taken."""
        message = next(each for each in self.slack.messages if each.ref == ref)
        Note = part("bot.triage.clicks", "bot.triage.model").Note  # noqa: N806 - it is a class
        note = in_order(Note, ref, text, message.person, True, self.clock(), view_id)  # noqa: FBT003 - by its place
        return not isinstance(await self.service.add_note(note), str)

    async def replay(self, identifier: str) -> None:
        await self.store.replay([identifier], self.clock())

    async def digests(self, identifier: str) -> list[str]:
        """Return by what a copy of an alert's rows is known, the question's first."""
        digest_of = part("bot.store.inventory", "bot.store.migration.inventory").digest_of
        question = await self.store.find(identifier)
        return [digest_of(row) for row in (question, *await self.store.reports_of(identifier))]


def message_told(message: Message) -> list[str]:
    """Return a message as the lines have it."""
    ref, person, place, at = message
    return [ref, person, place.channel, place.ts, at.isoformat()]


def message_from(told: list[str]) -> Message:
    """Return a message that the lines have so."""
    ref, person, channel, ts, at = told
    place = either("bot.triage.model", "MessageRef", "Posted")(channel=channel, ts=ts)
    return Message(ref, person, place, datetime.fromisoformat(at))


async def serve(url: str) -> None:
    """Work on the store of this name or URL, until there are no more lines."""
    clock = SteppedClock()
    is_file = url.startswith("sqlite:///")
    store: Any = (
        await open_store(url, create=True) if is_file else store_in(url, clock=clock, look_interval=NEVER)
    )
    worker = ReleasedWorker(store, clock)
    while line := await asyncio.to_thread(sys.stdin.readline):
        done = await worker.do(json.loads(line))
        sys.stdout.write(f"{json.dumps(done)}\n")
        sys.stdout.flush()
        if done["result"] == "died":
            return  # what it holds stays as it is
    await store.close()


def main() -> None:
    """Serve the store that the argument names: `world.fork_server` calls this."""
    asyncio.run(serve(sys.argv[1]))
