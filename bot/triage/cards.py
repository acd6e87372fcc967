"""The security team's cards: one per alert, posted at least once. They never delay a report to MozDef."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.backoff import RETRY_MAX
from bot.errors import AmbiguousError, PermanentError, TransientError, UnknownErrorCode
from bot.triage import card_rules
from bot.triage.assignments import Assignment
from bot.triage.log_events import log_question
from bot.triage.model import Question, Report, change_question
from bot.triage.ports import ReadReport, SecurityTeam
from bot.triage.rate_limits import MISSED_AFTER, Pacing
from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: How long to wait if Slack rejects the channel: somebody must invite the bot, or set another channel.
REFUSED_WAIT = timedelta(minutes=5)

#: How long a worker's claim on a card lasts: as long as its calls may take. If that worker dies, the card is
#: late by as much.
CARD_LEASE = timedelta(seconds=30)

#: The channel's key in the rate limiter. All other keys are e-mail addresses.
_CHANNEL = "security channel"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Remaining:
    events: int
    retry_at: datetime


class Cards:
    """Keeps the cards in the security channel up to date with the store."""

    def __init__(
        self, team: SecurityTeam, recorder: Recorder, *, pacing: Pacing, read_report: ReadReport
    ) -> None:
        self._team = team
        self._recorder = recorder
        self._read_report = read_report
        self._rate_limiter = pacing.rate_limiter
        self._jitter = pacing.jitter
        #: By ref: when to show the cards that wait, on `Clock.monotonic`.
        self._turns: dict[str, timedelta] = {}
        #: With which code the last card failed; "": it did not; None: no card was due yet.
        self.last_trouble: str | None = None

    async def show(self, question: Question) -> None:
        """Post the question's card, or update it. Failures are logged and retried. Raises `StoreError`."""
        if not self._recorder.policy.has_channel:  # SECURITY_CHANNEL was removed after the card fell due
            await self._postpone(question, None)
            return
        wait = self._find_wait(question)
        now = self._recorder.clock()
        if wait:
            await self._postpone(question, now + wait)
            return
        until = now + CARD_LEASE
        secret = card_rules.draw_secret()
        claimed, step = await self._recorder.decide(
            question, lambda row: card_rules.claim(row, now, until, secret)
        )
        if claimed is not None and step is not None:
            await self._show(claimed)

    async def _show(self, question: Question) -> None:
        news = await self._load_untold(question)
        try:
            ts = await self._team.show(question)
        except (PermanentError, UnknownErrorCode) as error:
            self.last_trouble = _code_of(error)
            log_question(
                log.error,
                "card.refused",
                question,
                "card refused: %s; invite the bot, or correct SECURITY_CHANNEL",
                error,
            )
            await self._postpone(question, self._recorder.clock() + REFUSED_WAIT)
        except (TransientError, AmbiguousError) as error:
            self.last_trouble = _code_of(error)
            log_question(log.warning, "card.delayed", question, "card delayed: %s", error)
            due_at = self._recorder.clock() + self._wait(error)
            if question.card_ts and question.card_due_at and isinstance(error, AmbiguousError):
                # The update may still arrive and overwrite a newer one, so wait until the claim ends.
                due_at = max(due_at, question.card_due_at)
            await self._postpone(question, due_at)
        else:
            self.last_trouble = ""
            if ts != question.card_ts:  # a newly posted card shows everything else itself
                news = await self._load_exchange(question)
            shown = change_question(question, card_ts=ts)
            await self._record(question, ts, await self._tell(shown, news))

    async def _load_untold(self, question: Question) -> Sequence[Report | Assignment]:
        """Return the events that are not in the card's thread yet, in order."""
        if not question.card_ts:
            return ()
        untold = question.events - question.card_shown
        return (await self._load_events(question))[-untold:] if untold > 0 else ()

    async def _load_exchange(self, question: Question) -> Sequence[Report | Assignment]:
        """Return the events from the first inquiry or reply on."""
        events = await self._load_events(question)
        is_exchange = (isinstance(each, Report) and each.is_exchange for each in events)
        return events[next((number for number, holds in enumerate(is_exchange) if holds), len(events)) :]

    async def _load_events(self, question: Question) -> Sequence[Report | Assignment]:
        rows = await self._recorder.store.reports_of(question.request.identifier)
        reports = [self._read_report(row) for row in rows if row.sequence < question.reports]
        return order_events(question, reports)

    async def _tell(self, question: Question, news: Sequence[Report | Assignment]) -> _Remaining | None:
        """Add the events to the thread one by one; return what is left if one must be retried."""
        for told, event in enumerate(news):
            try:
                await self._team.tell(question, event)
            except (PermanentError, UnknownErrorCode) as error:  # the card itself shows everything
                log_question(log.warning, "thread_line.refused", question, "thread line lost: %s", error)
            except (TransientError, AmbiguousError) as error:
                log_question(log.warning, "card.delayed", question, "card delayed: %s", error)
                retry_at = self._recorder.clock() + self._wait(error)
                return _Remaining(events=len(news) - told, retry_at=retry_at)
        return None

    async def _record(self, question: Question, ts: str, untold: _Remaining | None) -> None:
        told = question.events - (untold.events if untold else 0)
        again_at = untold.retry_at if untold else self._recorder.clock()
        await self._recorder.decide(
            question, lambda row: card_rules.record_shown(row, ts, told_events=told, again_at=again_at)
        )
        if untold is None:
            log_question(log.info, "card.shown", question)

    def _find_wait(self, question: Question) -> timedelta:
        """Return how long this card has to wait: a backlog that is posted at once would delay questions."""
        now = self._recorder.clock.monotonic()
        turn = self._turns.pop(question.ref, None)
        if turn is None or now - turn > MISSED_AFTER:
            turn = self._rate_limiter.reserve(_CHANNEL, now)
        if turn > now:
            self._turns[question.ref] = turn
        return max(turn - now, timedelta(0))

    def _wait(self, error: Exception) -> timedelta:
        asked: timedelta | None = getattr(error, "retry_after", None)
        return (asked or timedelta(0)) + RETRY_MAX * self._jitter()

    async def _postpone(self, question: Question, due_at: datetime | None) -> None:
        held = question.card_due_at
        await self._recorder.decide(question, lambda row: card_rules.postpone(row, due_at, held=held))


def order_events(question: Question, reports: Sequence[Report]) -> list[Report | Assignment]:
    """Return the reports and the assignments of a question in the order in which they happened.

    An assignment comes after all reports that are not later than it; `Question.after_assignments` keeps these
    times in order.
    """
    events: list[Report | Assignment] = list(reports)
    for number, assignment in enumerate(question.handled):
        before = [report.sequence for report in reports if report.at <= assignment.at]
        events.insert(max(before, default=-1) + 1 + number, assignment)
    return events


def _code_of(error: Exception) -> str:
    """Return Slack's error code if there is one, else the message."""
    return str(getattr(error, "code", "") or getattr(error, "reason", "") or error)
