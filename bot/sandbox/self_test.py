"""The self-test: sends five alerts through the whole loop, answers four, one with a note; a transcript."""

from __future__ import annotations

import asyncio
import textwrap
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.failure import SandboxFailed
from bot.sandbox.fake_slack import SECURITY_CHANNEL
from bot.sandbox.fake_slack.objects import text_of_block
from bot.sandbox.page_state import read_bot_details
from bot.sandbox.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot.sandbox.fake_slack.server import Click
    from bot.sandbox.fake_slack.workspace import Message
    from bot.sandbox.ledger import Receipt, SentAlert
    from bot.sandbox.trial import Trial

#: The limit for each thing that the test waits for. All of it takes about 9 s on an idle machine.
STEP_LIMIT: Final = timedelta(seconds=60)
UNKNOWN_ADDRESS: Final = "nobody@example.com"
#: The action_id of the button that opens the form for a note.
NOTE_BUTTON: Final = "note"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One alert, the button that its person presses (None: nobody is asked), and the expected status.

    `note` is the person's note, if any; the alert then appears in the security team's channel.
    """

    alert: str
    press: str | None
    status: str
    note: str | None = None


CASES: Final = (
    Case(alert="sensitive_host_session", press="answer-yes", status="acknowledged"),
    Case(
        alert="ssh_access_sign_releng",
        press="answer-no",
        status="escalated",
        note="I have been on a train since six, and my laptop is at home.",
    ),
    Case(alert="duo_bypass_codes_used", press="answer-wrongUser", status="manual"),
    Case(alert="duo_bypass_codes_generated", press="answer-notSure", status="manual"),
    Case(alert="sensitive_host_session", press=None, status="manual"),
)


class SelfTest:
    """Runs once on a trial that has not been started; `say` receives each line of the transcript."""

    def __init__(
        self, trial: Trial, *, say: Callable[[str], None], step_limit: timedelta = STEP_LIMIT
    ) -> None:
        self._trial = trial
        self._say = say
        self._step_limit = step_limit
        self._limit = asyncio.timeout(None)  #: none while the parts start: they have limits of their own
        self._awaited = ""

    async def run(self) -> bool:
        """Run every case; return whether all ended as expected.

        :raises SandboxFailed: when a part failed, or something did not happen within `step_limit`.
        """
        began = time.monotonic()
        try:
            async with self._limit:
                right = await self._run_cases(began)
        except TimeoutError as error:
            reason = f"Waited {self._step_limit.seconds} s for {self._awaited}"
            raise SandboxFailed(reason, log=self._trial.worker_log()) from error
        self._say(f"\n{sum(right)} of {len(right)} ended as expected, in {time.monotonic() - began:.1f} s.")
        return all(right)

    async def _run_cases(self, began: float) -> list[bool]:
        self._say("Starting a stand-in Slack, a local SQS and the real worker …")
        await self._trial.start()
        self._say(f"Ready after {time.monotonic() - began:.1f} s. Sending {len(CASES)} alerts.")
        sent = [await self._send(case, user) for case, user in self._people()]
        ended = [
            await self._run_case(number, case, alert)
            for number, (case, alert) in enumerate(zip(CASES, sent, strict=True), start=1)
        ]
        # Reports about one alert are sent some seconds apart, so the notes are checked at the end.
        for case, alert in zip(CASES, sent, strict=True):
            if case.note:
                await self._await_note(case, alert)
        return ended

    def _people(self) -> Iterator[tuple[Case, str]]:
        """Yield each case with the address of a different person."""
        addresses = iter(self._trial.askable_addresses())
        for case in CASES:
            yield case, next(addresses) if case.press else UNKNOWN_ADDRESS

    async def _send(self, case: Case, user: str) -> SentAlert:
        sample = SAMPLES[case.alert]
        return await self._trial.send_alert(
            alert=case.alert,
            summary=sample.summary,
            user=user,
            confidence=sample.confidence,
            optional=sample.optional(datetime.now(UTC)),
        )

    async def _run_case(self, number: int, case: Case, alert: SentAlert) -> bool:
        self._say(f"\n{number}. {alert.alert}, confidence {alert.confidence}, about {alert.user}")
        if case.press:
            await self._answer(case.press, alert)
        if case.note:
            await self._add_note(case.note, alert)
            await self._read_card(alert)
        await self._until(
            f"MozDef's response about {alert.user}", lambda: self._trial.ledger.responses(alert.identifier)
        )
        status = self._trial.ledger.status(alert.identifier)
        self._tell_response(self._trial.ledger.responses(alert.identifier)[0])
        right = status == case.status
        self._tell("status", f"{status} ✓" if right else f"{status} ✗ Expected {case.status}.")
        return right

    async def _answer(self, action_id: str, alert: SentAlert) -> None:
        """Read the question, press one button, and read the redrawn message."""
        await self._until(f"the question to {alert.user}", lambda: self._message(alert.user))
        question = self._expected_message(alert.user)
        self._tell("asked", *texts(question))
        self._tell("offered", " · ".join(button["text"]["text"] for button in buttons(question)))
        await self._press(action_id, question)
        await self._until(f"the message of {alert.user} to be redrawn", lambda: self._is_redrawn(question))
        redrawn = self._expected_message(alert.user)
        self._tell("reads", *[text for text in texts(redrawn) if text not in texts(question)])

    async def _add_note(self, note: str, alert: SentAlert) -> None:
        """Press the button for a note, and submit one in the form that opens."""
        question = self._expected_message(alert.user)
        await self._press(NOTE_BUTTON, question)
        person, modals = self._person_of(question), self._trial.workspace.modals
        await self._until("the form for a note", lambda: modals.seen_by(person))
        view = modals.seen_by(person) or {}
        field = next(block for block in view["blocks"] if block["type"] == "input")
        values = {field["block_id"]: {field["element"]["action_id"]: {"value": note}}}
        submitted = await self._trial.slack.submit_view(user=person, view_id=view["id"], values=values)
        self._expect_taken(submitted)
        self._tell("wrote", note)

    async def _read_card(self, alert: SentAlert) -> None:
        """Find the alert's card in the security team's channel."""
        await self._until(f"the security team's card about {alert.user}", lambda: self._card(alert))
        card = self._card(alert)
        self._tell("card", *(texts(card)[:1] if card else []))

    async def _await_note(self, case: Case, alert: SentAlert) -> None:
        """Wait until MozDef has the note, and check that the alert is unchanged."""
        responses = self._trial.ledger.responses
        await self._until(
            f"the note of {alert.user} at MozDef",
            lambda: any(read_bot_details(one.body).get("comment") for one in responses(alert.identifier)),
        )
        status = self._trial.ledger.status(alert.identifier)
        if status != case.status:
            raise SandboxFailed(f"The note of {alert.user} changed the alert to {status} from {case.status}")
        self._say(f"\nMozDef has indexed the note of {alert.user}; the alert stays {status}.")

    async def _press(self, action_id: str, question: Message) -> None:
        button = next((one for one in buttons(question) if one["action_id"] == action_id), None)
        if button is None:
            raise SandboxFailed(f"The question in {question.channel} has no button {action_id}")
        click = await self._trial.slack.click(
            user=self._person_of(question), channel=question.channel, ts=question.ts, action_id=action_id
        )
        self._tell("pressed", button["text"]["text"])
        self._expect_taken(click)

    def _expect_taken(self, click: Click) -> None:
        if not click.acknowledged or click.errors:
            what = click.warning or "; ".join(click.errors.values())
            raise SandboxFailed(f"The bot did not accept it: {what}", log=self._trial.worker_log())

    def _person_of(self, message: Message) -> str:
        conversation = self._trial.workspace.conversation(message.channel)
        return (conversation.person if conversation else None) or ""

    def _card(self, alert: SentAlert) -> Message | None:
        channel = self._trial.workspace.conversation(SECURITY_CHANNEL)
        cards = channel.newest(len(CASES) * 4) if channel else []
        return next((one for one in cards if any(alert.user in text for text in texts(one))), None)

    async def _until(self, what: str, holds: Callable[[], object]) -> None:
        self._awaited = what
        self._limit.reschedule(asyncio.get_running_loop().time() + self._step_limit.total_seconds())
        await self._trial.until(lambda: bool(holds()))

    def _message(self, address: str) -> Message | None:
        """Return the newest message with buttons in the conversation with that person."""
        person = self._trial.workspace.person_of_email(address)
        if person is None:
            return None
        seen = self._trial.workspace.direct_message(person.id).seen_by(person.id)
        return next((one for one in reversed(seen) if buttons(one)), None)

    def _expected_message(self, address: str) -> Message:
        message = self._message(address)
        if message is None:
            raise SandboxFailed(f"The question to {address} has disappeared")
        return message

    def _is_redrawn(self, question: Message) -> bool:
        now = self._trial.workspace.message(question.channel, question.ts)
        return now is not None and texts(now) != texts(question)

    def _tell_response(self, receipt: Receipt) -> None:
        told = read_bot_details(receipt.body)
        outcome = " ".join(str(told[key]) for key in ("outcome", "reason") if key in told)
        response = receipt.verdict.response if receipt.verdict else None
        self._tell("MozDef", f"response {response} (outcome {outcome})")

    def _tell(self, what: str, *paragraphs: str) -> None:
        lines = [line for words in paragraphs for line in textwrap.wrap(words, width=88)]
        for number, line in enumerate(lines):
            self._say(f"   {what if number == 0 else '':<9}{line}")


def buttons(message: Message) -> list[dict[str, Any]]:
    """Return a message's buttons, in order."""
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    return [one for row in rows for one in row if one["type"] == "button"]


def texts(message: Message) -> list[str]:
    """Return the text of each heading, paragraph and quote, as a person reads it."""
    found = [text_of_block(block) for block in message.blocks]
    return [" ".join(text.split()) for text in found if text]
