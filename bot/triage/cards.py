"""The security team's cards: one an alert, posted at least once, never in the way of a report to MozDef."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from bot.errors import AmbiguousError, PermanentError, TransientError, UnknownRefusal
from bot.triage import rules
from bot.triage.events import about
from bot.triage.pacing import MISSED_AFTER

if TYPE_CHECKING:
    from datetime import datetime

    from bot.triage.model import Question
    from bot.triage.pacing import Pacing
    from bot.triage.ports import SecurityTeam
    from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: How long to wait where Slack refuses the channel: somebody must invite the bot, or name another channel.
REFUSED_WAIT = timedelta(minutes=5)

#: Under which name the channel has its pace: no address is like it.
_CHANNEL = "security channel"


class Cards:
    """Keeps the cards in the security channel as the store says."""

    def __init__(self, team: SecurityTeam, recorder: Recorder, *, pacing: Pacing) -> None:
        self._team = team
        self._recorder = recorder
        self._pace = pacing.pace
        self._spread = pacing.spread
        self._turns: dict[str, datetime] = {}  #: of the cards that wait for one
        #: What kept the last card back: Slack's code, or a sentence. Empty: nothing; None: none was tried.
        self.last_trouble: str | None = None

    async def show(self, question: Question) -> None:
        """Post the question's card, or bring it up to date."""
        if not self._recorder.policy.has_channel:  # the setting was taken away since the card fell due
            await self._recorder.decide(question, lambda row: rules.card_later(row, None))
            return
        now = self._recorder.clock()
        turn = self._turn(question, now)
        if turn > now:
            await self._recorder.decide(question, lambda row: rules.card_later(row, turn))
            return
        await self._show(question)

    async def _show(self, question: Question) -> None:
        try:
            ts = await self._team.show(question)
        except (PermanentError, UnknownRefusal) as error:
            self.last_trouble = _code_of(error)
            log.error(
                "no card for the security team: %s; invite the bot, or correct SECURITY_CHANNEL",
                error,
                extra=about(question, "card.refused"),
            )
            await self._later(question, REFUSED_WAIT)
        except (TransientError, AmbiguousError) as error:
            self.last_trouble = _code_of(error)
            log.warning("no card for the security team yet: %s", error, extra=about(question, "card.delayed"))
            wait = getattr(error, "retry_after", None) or timedelta(0)
            await self._later(question, wait + rules.RETRY_MAX * self._spread())
        else:
            self.last_trouble = ""
            await self._recorder.decide(question, lambda row: rules.card_shown(row, question, ts))
            log.info("card shown", extra=about(question, "card.shown"))

    def _turn(self, question: Question, now: datetime) -> datetime:
        """Return when this card may be shown. A backlog that went all at once would hold up the questions."""
        turn = self._turns.pop(question.ref, None)
        if turn is None or now - turn > MISSED_AFTER:
            turn = self._pace.reserve(_CHANNEL, now)
        if turn > now:
            self._turns[question.ref] = turn
        return turn

    async def _later(self, question: Question, wait: timedelta) -> None:
        due_at = self._recorder.clock() + wait
        await self._recorder.decide(question, lambda row: rules.card_later(row, due_at))


def _code_of(error: Exception) -> str:
    """Return Slack's code where there is one, else the sentence."""
    return str(getattr(error, "code", "") or getattr(error, "reason", "") or error)
