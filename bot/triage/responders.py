"""What the security team does on its cards: take an alert, hand it over, release it, ask a question."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta

from bot.errors import TriageBotError, Undeliverable
from bot.triage import inquiry_rules, responder_rules
from bot.triage.answer_rules import Refusal
from bot.triage.asking import Asker
from bot.triage.assignments import AssignmentKind, CardClick
from bot.triage.inquiring import Inquirer, log_inquiry
from bot.triage.inquiry import Inquiry
from bot.triage.inquiry_rules import InquiryDraft
from bot.triage.log_events import log_event, log_question
from bot.triage.model import Person, Question, Step
from bot.triage.places import Places
from bot.triage.ports import Messenger
from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: How long to wait for Slack to say who is to receive an alert. Slack gives a window three seconds.
RECEIVER_TIMEOUT = timedelta(seconds=2)


class Responders:
    """Does what a click on a card asks for, if the person who clicked may act on the alert.

    The methods return and raise what `TriageService.answer` does.
    """

    def __init__(
        self,
        recorder: Recorder,
        messenger: Messenger,
        asker: Asker,
        inquirer: Inquirer,
        *,
        on_work: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._messenger = messenger
        self._asker = asker
        self._inquirer = inquirer
        self._on_work = on_work

    async def take(self, click: CardClick) -> Question | Refusal:
        """Record who on the security team takes an alert; a refusal if somebody else has it.

        There may be two cards, of which only one is updated: the one that was clicked may not show who has
        it.
        """
        taken = await self._act(click, lambda row, _: responder_rules.take_alert(row, click))
        if isinstance(taken, Question) and taken.taken_by not in ("", click.slack_id):
            log_question(log.info, "click.refused", taken, reason=Refusal.TAKEN_ALREADY.value)
            return Refusal.TAKEN_ALREADY
        return taken

    async def release(self, click: CardClick) -> Question | Refusal:
        """Record that nobody has an alert any more."""
        return await self._act(click, lambda row, _: responder_rules.release_alert(row, click))

    async def hand_over(self, click: CardClick, slack_id: str) -> Question | Refusal:
        """Record that the person with this id has an alert from now on.

        Slack is asked who they are. If it does not answer within `RECEIVER_TIMEOUT`, this is a refusal.
        """
        found = await self.find_carded(click)
        if isinstance(found, Refusal):
            return found
        receiver = await self._find_receiver(slack_id)
        if isinstance(receiver, Refusal):
            return receiver
        policy = self._recorder.policy

        def decide(row: Question, _: Sequence[Inquiry]) -> Step | Refusal | None:
            refusal = responder_rules.why_not_receive(row, receiver, policy)
            return refusal or responder_rules.hand_over(row, click, receiver)

        return await self._act(click, decide)

    async def take_burst(self, click: CardClick) -> Places | Refusal:
        """Record who on the security team takes a whole burst."""
        return await self._asker.bursts.take(click)

    async def find_carded(self, click: CardClick) -> Question | Refusal:
        """Return the question of a card, if the person who clicked may act on it."""
        return await self._act(click, lambda _, __: None)

    async def find_askable(self, click: CardClick) -> Question | Refusal:
        """Return the question of a card, if the person who clicked may ask a follow-up question about it."""
        return await self._act(click, inquiry_rules.why_not_ask)

    async def ask_back(self, click: CardClick, text: str) -> Question | Refusal:
        """Store a follow-up question of the security team to the person; the inquirer posts it."""
        policy, wanted = self._recorder.policy, InquiryDraft(text=text, secret=secrets.token_hex(16))
        result = await self._act(
            click, lambda row, known: inquiry_rules.ask_back(row, known, click, wanted, policy)
        )
        self._inquirer.wake()
        return result

    async def _act(
        self, click: CardClick, act: Callable[[Question, Sequence[Inquiry]], Step | Refusal | None]
    ) -> Question | Refusal:
        """Check whether this person may act on the alert, then store what `act` decides."""
        question, policy = await self._load_carded(click), self._recorder.policy
        if question is None:
            return Refusal.CLOSED

        def decide(row: Question, known: Sequence[Inquiry]) -> Step | Refusal | None:
            return responder_rules.why_not_act(row, click, policy) or act(row, known)

        current, verdict = await self._recorder.decide_inquiry(question, decide)
        if current is None:
            return Refusal.CLOSED
        if isinstance(verdict, Refusal):
            refusal = verdict
            await self._recorder.decide(
                current, lambda row: responder_rules.refuse_click(row, click, refusal, policy)
            )
            log_question(log.info, "click.refused", question, reason=refusal.value)
            self._on_work()  # its card may have to be redrawn
            return refusal
        if verdict is not None:
            if verdict.inquiry is None:
                _log_assignment(current)
            else:
                log_inquiry(log.info, "inquiry.accepted", verdict.inquiry, slack_id=click.slack_id)
            self._on_work()
        return current

    async def _load_carded(self, click: CardClick) -> Question | None:
        """Return the question of a card, with a certain standing; None if there is none."""
        key, _, _ = click.card.partition(".")
        restores, stored = self._asker.restores, await self._recorder.store.load_by_key(key)
        if stored is None:
            return await restores.revive_found(key)
        question = await self._asker.identify(stored)
        return question and await restores.before_click(question, "", None)

    async def _find_receiver(self, slack_id: str) -> Person | Refusal:
        if not slack_id:
            return Refusal.RECEIVER_UNFIT
        try:
            async with asyncio.timeout(RECEIVER_TIMEOUT.total_seconds()):
                return await self._messenger.find_person(slack_id)
        except Undeliverable:
            return Refusal.RECEIVER_UNFIT
        except (TriageBotError, TimeoutError) as error:
            why = str(error) or "Slack did not say in time who that is"
            log_event(log.warning, "receiver.unknown", "not handed over: %s", why)
            return Refusal.RECEIVER_UNKNOWN


def _log_assignment(question: Question) -> None:
    last = question.handled[-1]
    fields = {"by": last.by, "slack_id": last.to}
    if last.kind is AssignmentKind.TAKEN:
        log_question(log.info, "alert.taken", question, **fields)
    elif last.kind is AssignmentKind.HANDED_OVER:
        log_question(log.info, "alert.handed_over", question, **fields)
    else:
        log_question(log.info, "alert.released", question, **fields)
