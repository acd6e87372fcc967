"""The self-test: five alerts through the whole loop, four of them answered, told as a transcript."""

from __future__ import annotations

import asyncio
import html
import re
import textwrap
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.failure import SandboxFailed
from bot.sandbox.page_state import told_by_the_bot
from bot.sandbox.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot.sandbox.ledger import Receipt, SentAlert
    from bot.sandbox.slack.workspace import Message
    from bot.sandbox.trial import Trial

#: The whole test, start-up included, ends within this; on an idle machine it takes about 5 s.
TIME_LIMIT: Final = timedelta(seconds=18)
UNKNOWN_ADDRESS: Final = "nobody@example.com"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One alert, the button that its person presses (None: nobody is asked), the status that it must get."""

    alert: str
    press: str | None
    status: str


CASES: Final = (
    Case(alert="sensitive_host_session", press="answer-yes", status="acknowledged"),
    Case(alert="ssh_access_sign_releng", press="answer-no", status="escalated"),
    Case(alert="duo_bypass_codes_used", press="answer-wrongUser", status="manual"),
    Case(alert="duo_bypass_codes_generated", press="answer-notSure", status="manual"),
    Case(alert="sensitive_host_session", press=None, status="manual"),
)


class SelfTest:
    """Runs once on a trial that has not been started, and writes each line with `say`."""

    def __init__(self, trial: Trial, *, say: Callable[[str], None]) -> None:
        self._trial = trial
        self._say = say
        self._awaited = "the parts to start"

    async def run(self) -> bool:
        """Run every case; return whether all ended as they must.

        :raises SandboxFailed: when a part failed, or something did not happen in time.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIME_LIMIT.total_seconds()):
                right = await self._run_cases(began)
        except TimeoutError as error:
            reason = f"Not done within {TIME_LIMIT.seconds} s; still waiting for {self._awaited}"
            raise SandboxFailed(reason, log=self._trial.worker_log()) from error
        self._say(f"\n{sum(right)} of {len(right)} ended as they must, in {time.monotonic() - began:.1f} s.")
        return all(right)

    async def _run_cases(self, began: float) -> list[bool]:
        self._say("Starting a stand-in Slack, a local SQS and the real worker …")
        await self._trial.start()
        self._say(f"Ready after {time.monotonic() - began:.1f} s. Sending {len(CASES)} alerts.")
        sent = [await self._send(case, user) for case, user in self._people()]
        return [
            await self._run_case(number, case, alert)
            for number, (case, alert) in enumerate(zip(CASES, sent, strict=True), start=1)
        ]

    def _people(self) -> Iterator[tuple[Case, str]]:
        """Yield each case with the address that it is about: another person each time."""
        addresses = iter(self._trial.askable_addresses())
        for case in CASES:
            yield case, next(addresses) if case.press else UNKNOWN_ADDRESS

    async def _send(self, case: Case, user: str) -> SentAlert:
        sample = SAMPLES[case.alert]
        return await self._trial.send_alert(
            alert=case.alert, summary=sample.summary, user=user, confidence=sample.confidence
        )

    async def _run_case(self, number: int, case: Case, alert: SentAlert) -> bool:
        self._say(f"\n{number}. {alert.alert}, confidence {alert.confidence}, about {alert.user}")
        if case.press:
            await self._answer(case.press, alert)
        await self._until(
            f"MozDef's response about {alert.user}", lambda: self._trial.ledger.responses(alert.identifier)
        )
        status = self._trial.ledger.status(alert.identifier)
        self._tell_response(self._trial.ledger.responses(alert.identifier)[-1])
        right = status == case.status
        self._tell("status", f"{status} ✓" if right else f"{status} ✗ It must be {case.status}.")
        return right

    async def _answer(self, action_id: str, alert: SentAlert) -> None:
        """Read the question, press one button, and read what the bot makes of it."""
        await self._until(f"the question to {alert.user}", lambda: self._message(alert.user))
        question = self._expected_message(alert.user)
        self._tell("asked", *texts(question))
        self._tell("offered", " · ".join(button["text"]["text"] for button in buttons(question)))
        button = next((one for one in buttons(question) if one["action_id"] == action_id), None)
        if button is None:
            raise SandboxFailed(f"The question to {alert.user} has no button {action_id}")
        await self._press(button, question)
        await self._until(f"the message of {alert.user} to be redrawn", lambda: self._is_redrawn(question))
        redrawn = self._expected_message(alert.user)
        self._tell("reads", *[text for text in texts(redrawn) if text not in texts(question)])

    async def _press(self, button: dict[str, Any], question: Message) -> None:
        person = next(one.person for one in self._trial.workspace.conversations if one.id == question.channel)
        click = await self._trial.slack.click(
            user=person or "", channel=question.channel, ts=question.ts, action_id=button["action_id"]
        )
        self._tell("pressed", button["text"]["text"])
        if click.warning:
            raise SandboxFailed(
                f"The click was not acknowledged: {click.warning}", log=self._trial.worker_log()
            )

    async def _until(self, what: str, holds: Callable[[], object]) -> None:
        self._awaited = what
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
            raise SandboxFailed(f"The question to {address} has gone")
        return message

    def _is_redrawn(self, question: Message) -> bool:
        now = self._trial.workspace.message(question.channel, question.ts)
        return now is not None and texts(now) != texts(question)

    def _tell_response(self, receipt: Receipt) -> None:
        told = told_by_the_bot(receipt.body)
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
    """Return the text of each section, roughly as a person reads it: without the marks of mrkdwn."""
    sections = [block["text"]["text"] for block in message.blocks if "text" in block]
    unmarked = [re.sub(r"^>\s?|[*`]", "", text, flags=re.MULTILINE) for text in sections]
    return [html.unescape(" ".join(text.split())) for text in unmarked]
