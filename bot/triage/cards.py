"""The security team's cards: one an alert, posted at least once, never in the way of a report to MozDef."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bot.backoff import RETRY_MAX
from bot.errors import AmbiguousError, PermanentError, TransientError, UnknownRefusal
from bot.triage import card_rules
from bot.triage.model import Taken, about
from bot.triage.rate_limits import MISSED_AFTER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.triage.model import Question, Report
    from bot.triage.ports import ReadReport, SecurityTeam
    from bot.triage.rate_limits import Pacing
    from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: How long to wait where Slack refuses the channel: somebody must invite the bot, or name another channel.
REFUSED_WAIT = timedelta(minutes=5)

#: How long nobody else shows a card that somebody is about to show: as long as the calls for it may take. If
#: it was a worker that died over it, the card comes so much later.
CARD_TAKES = timedelta(seconds=30)

#: Under which name the channel has its pace: no address is like it.
_CHANNEL = "security channel"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Untold:
    events: int
    retry_at: datetime


class Cards:
    """Keeps the cards in the security channel as the store says."""

    def __init__(
        self, team: SecurityTeam, recorder: Recorder, *, pacing: Pacing, read_report: ReadReport
    ) -> None:
        self._team = team
        self._recorder = recorder
        self._read_report = read_report
        self._pace = pacing.pace
        self._spread = pacing.spread
        self._turns: dict[str, datetime] = {}  #: of the cards that wait for one
        #: What kept the last card back: Slack's code, or a sentence. Empty: nothing; None: none was tried.
        self.last_trouble: str | None = None

    async def show(self, question: Question) -> None:
        """Post the question's card, or bring it up to date."""
        if not self._recorder.policy.has_channel:  # the setting was taken away since the card fell due
            await self._later(question, None)
            return
        now = self._recorder.clock()
        turn = self._turn(question, now)
        if turn > now:
            await self._later(question, turn)
            return
        until = now + CARD_TAKES
        claimed, step = await self._recorder.decide(question, lambda row: card_rules.claimed(row, now, until))
        if claimed is not None and step is not None:
            await self._show(claimed)

    async def _show(self, question: Question) -> None:
        news = await self._news(question)
        try:
            ts = await self._team.show(question)
        except (PermanentError, UnknownRefusal) as error:
            self.last_trouble = _code_of(error)
            log.error(
                "no card for the security team: %s; invite the bot, or correct SECURITY_CHANNEL",
                error,
                extra=about(question, "card.refused"),
            )
            await self._later(question, self._recorder.clock() + REFUSED_WAIT)
        except (TransientError, AmbiguousError) as error:
            self.last_trouble = _code_of(error)
            log.warning("no card for the security team yet: %s", error, extra=about(question, "card.delayed"))
            await self._later(question, self._recorder.clock() + self._wait(error))
        else:
            self.last_trouble = ""
            # A card that was posted just now says it all by itself.
            untold = await self._tell(question, news) if ts == question.card_ts else None
            await self._record(question, ts, untold)

    async def _news(self, question: Question) -> Sequence[Report | Taken]:
        """Return what the card's thread has not told yet, in the order in which it happened."""
        if not question.card_ts:
            return ()
        rows = await self._recorder.store.reports_of(question.request.identifier)
        reports = [self._read_report(row) for row in rows[: question.reports]]
        return in_order(question, reports)[question.card_shown :]

    async def _tell(self, question: Question, news: Sequence[Report | Taken]) -> _Untold | None:
        """Tell one thing after another; return what was left at the first that is to be tried again."""
        for told, event in enumerate(news):
            try:
                await self._team.tell(question, event)
            except (PermanentError, UnknownRefusal) as error:  # the card itself says it all
                log.warning("thread line lost: %s", error, extra=about(question, "card.unfinished"))
            except (TransientError, AmbiguousError) as error:
                log.warning("thread line delayed: %s", error, extra=about(question, "card.delayed"))
                retry_at = self._recorder.clock() + self._wait(error)
                return _Untold(events=len(news) - told, retry_at=retry_at)
        return None

    async def _record(self, question: Question, ts: str, untold: _Untold | None) -> None:
        told = question.events - (untold.events if untold else 0)
        again_at = untold.retry_at if untold else self._recorder.clock()
        await self._recorder.decide(
            question, lambda row: card_rules.shown(row, ts, told=told, again_at=again_at)
        )
        if untold is None:
            log.info("card shown", extra=about(question, "card.shown"))

    def _turn(self, question: Question, now: datetime) -> datetime:
        """Return when this card may be shown. A backlog that went all at once would hold up the questions."""
        turn = self._turns.pop(question.ref, None)
        if turn is None or now - turn > MISSED_AFTER:
            turn = self._pace.reserve(_CHANNEL, now)
        if turn > now:
            self._turns[question.ref] = turn
        return turn

    def _wait(self, error: Exception) -> timedelta:
        asked: timedelta | None = getattr(error, "retry_after", None)
        return (asked or timedelta(0)) + RETRY_MAX * self._spread()

    async def _later(self, question: Question, due_at: datetime | None) -> None:
        held = question.card_due_at
        await self._recorder.decide(question, lambda row: card_rules.later(row, due_at, held=held))


def in_order(question: Question, reports: Sequence[Report]) -> list[Report | Taken]:
    """Return all that has happened to a question in its order: its reports, and that somebody took it.

    A take comes after the last report that is not younger: see `answer_rules`, which keeps it so.
    """
    events: list[Report | Taken] = list(reports)
    if question.taken_at is not None:
        before = [report.sequence for report in reports if report.at <= question.taken_at]
        taken = Taken(slack_id=question.taken_by, slack_name=question.taken_name)
        events.insert(max(before, default=-1) + 1, taken)
    return events


def _code_of(error: Exception) -> str:
    """Return Slack's code where there is one, else the sentence."""
    return str(getattr(error, "code", "") or getattr(error, "reason", "") or error)
