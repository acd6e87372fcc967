"""After a restore, reads in Slack what the store does not know, before a decision could contradict it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.backoff import retry_delay
from bot.errors import (
    AmbiguousError,
    AppRejected,
    StoreError,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage import asking_rules, card_rules, restore_rules
from bot.triage.factor import Attempt
from bot.triage.log_events import log_question
from bot.triage.model import (
    FOUND_LINE,
    Bookmark,
    FoundQuestion,
    HistoryPage,
    MessageRef,
    OutboxRow,
    Person,
    Question,
    Restore,
    Work,
)
from bot.triage.ports import Messenger, ReadReport, SendDecision
from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: How long to wait if Slack rejects the app: somebody must restore its scope.
SCOPE_WAIT = timedelta(seconds=60)

#: How long a restore is remembered by default. SQS keeps a message for 14 days.
KEPT = timedelta(days=15)

_MISSING_SCOPE = "missing_scope"


@dataclass(slots=True)
class _Reading:
    """A conversation as far as it has been read."""

    found: list[FoundQuestion] = field(default_factory=list)
    bookmark: Bookmark | None = None
    passed: set[Bookmark] = field(default_factory=set)


class Restores:
    """Reads conversations and messages in Slack, and stores what they show. Raises `StoreError`.

    If the store was never restored, this asks it once and then does nothing.
    """

    def __init__(
        self,
        messenger: Messenger,
        recorder: Recorder,
        *,
        keep: timedelta | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._messenger = messenger
        self._recorder = recorder
        self._clock = recorder.clock
        self._keep = keep or KEPT
        self._jitter = jitter
        self._restore: Restore | None = None
        self._is_loaded = False
        self._overdue: dict[str, datetime] = {}  #: by ref: since when a deadline has been waiting
        self._read: set[str] = set()  #: the Slack ids of people whose conversations were read
        self._readings: dict[str, _Reading] = defaultdict(_Reading)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def can_read(self) -> bool:
        """Whether the app may read its conversations."""
        return self._messenger.can_look_up

    async def restore(self) -> Restore | None:
        """Return the window of the last restore; None if there was none."""
        if not self._is_loaded:
            self._restore = await self._recorder.store.restored()
            self._is_loaded = True
        return self._restore

    async def may_lack(self) -> bool:
        """Whether somebody may have been asked a question that the store lost when it was restored."""
        restore = await self.restore()
        return restore is not None and self._clock() <= restore.until + self._keep

    async def earliest_push(self) -> datetime | None:
        """Return when people may get pushes again: see `restore_rules.find_earliest_push`."""
        return restore_rules.find_earliest_push(await self.restore())

    async def may_have_sent(self, attempt: Attempt) -> bool:
        """Whether the push of an attempt that waits to be sent may have been sent after the backup."""
        restore = await self.restore()
        return restore is not None and attempt.started_at <= restore.until

    async def before_asking(self, question: Question, person: Person) -> bool:
        """Read the person's conversation if necessary; return whether this question may be asked now.

        False if it was asked already, so that it takes over that message, or if Slack's history has not
        settled yet. Raises `TransientError` if the conversation cannot be read yet.
        """
        restore, now = await self.restore(), self._clock()
        if restore is None or not await self.may_lack():
            return True
        if now < restore.settled_at:
            await self._recorder.decide(question, lambda row: restore_rules.wait_to_settle(row, restore))
            return False
        await self._read_conversation(person.slack_id, restore)
        found = await self._recorder.store.found_question(question.ref.partition(".")[0])
        if found is None:
            return True
        if found.slack_id not in (person.slack_id, ""):  # today the address leads to somebody else
            person = await self._messenger.find_person(found.slack_id)
        return await self._adopt(question, found, person) is None

    async def has_line(self, line: Question) -> bool:
        """Whether the person was told of this burst after the backup, by a line that the store has lost.

        Raises `TransientError` if the conversation cannot be read yet.
        """
        restore = await self.restore()
        if restore is None or line.accepted_at > restore.until + restore_rules.READ_WITHIN:
            return False
        self._require_settled(restore)
        await self._read_conversation(line.slack_id, restore)
        found = await self._recorder.store.found_question(FOUND_LINE + line.ref.partition(".")[0])
        return found is not None and not restore_rules.is_old_line(found, restore)

    async def before_work(self, question: Question, work: Work) -> Question | None:
        """Make a question's standing certain before it is worked on; None: it has to wait."""
        restore, now = await self.restore(), self._clock()
        if restore is None or not restore_rules.is_unread(question, restore) or not question.ts:
            return question
        if now < restore.settled_at:
            await self._postpone(question, work, restore.settled_at)
            return None
        try:
            return await self._take_over(
                question, await self._read_message(question.message_ref, question.ref)
            )
        except TransientError as error:
            log_question(log.warning, "question.unread", question, "its message is not read yet: %s", error)
            # Slack takes about 50 reads a minute: those that wait must not all come back at once.
            wait = (error.retry_after or timedelta(0)) + retry_delay(question.attempts, self._jitter())
            await self._postpone(question, work, now + wait)
            return None

    async def before_deadline(self, question: Question) -> Question | None:
        """Postpone a deadline until the question's message has been read; None: it is postponed.

        It waits until an hour after the restore, but at least two minutes. After that the standing counts as
        unknown.
        """
        restore, now = await self.restore(), self._clock()
        if restore is None:
            return question
        is_lost = restore_rules.may_be_lost(question, restore) and not await self._is_new(question, restore)
        if not is_lost and not restore_rules.is_unread(question, restore):
            return question
        met_at = self._overdue.setdefault(question.ref, now)
        current, step = await self._recorder.decide(
            question, lambda row: restore_rules.postpone_deadline(row, restore, now, met_at=met_at)
        )
        if step is not None:
            return None
        self._overdue.pop(question.ref, None)
        if is_lost and current is not None:
            current, _ = await self._recorder.decide(
                current, lambda row: restore_rules.give_up_search(row, restore, now)
            )
        return current

    async def _is_new(self, question: Question, restore: Restore) -> bool:
        """Whether the person's conversation was read after the restore and does not contain the question."""
        read_at = await self._recorder.store.conversation_read_at(question.slack_id)
        if read_at is None or read_at < restore.until:
            return False
        return await self._recorder.store.found_question(question.ref.partition(".")[0]) is None

    async def judge_report(self, read_report: ReadReport, row: OutboxRow) -> SendDecision:
        """Decide whether to send a report: one that waited in the backup may have been overtaken since."""
        restore, now = await self.restore(), self._clock()
        if restore is None or row.replays:
            return SendDecision.SEND
        report = read_report(row)
        if report.note or report.at > restore.until:
            return SendDecision.SEND
        question = await self._recorder.store.find(row.identifier)
        if question is not None and question.ts and restore_rules.is_unread(question, restore):
            question = await self._read_for_report(question, restore)
            if question is None:
                return SendDecision.WAIT
        if question is None or not restore_rules.is_overtaken(question, report, restore):
            return SendDecision.SEND
        told = await self._recorder.store.reports_of(row.identifier)
        later = [each for each in told if each.sequence > row.sequence]
        if len(later) == question.reports - row.sequence - 1 and all(
            read_report(each).at > restore.until for each in later
        ):
            # The harsher reports were written after the restore, and follow in order.
            return SendDecision.SEND
        policy = self._recorder.policy
        await self._recorder.decide(question, lambda each: restore_rules.report_standing(each, now, policy))
        return SendDecision.DROP

    async def _read_for_report(self, question: Question, restore: Restore) -> Question | None:
        """Make a question's standing certain; None: it cannot be read yet."""
        if self._clock() < restore.settled_at:
            return None
        try:
            found = await self._read_message(question.message_ref, question.ref)
        except TransientError:
            if self._clock() < restore.until + restore_rules.READ_WITHIN:
                return None
            found = None
        return await self._take_over(question, found)

    async def before_click(
        self, question: Question, slack_id: str, clicked: MessageRef | None
    ) -> Question | None:
        """Make a question's standing certain before a click counts; return the row after that.

        Raises `TransientError` if that is not possible now: the person must be able to click again.
        """
        restore = await self.restore()
        is_theirs = question.ts or question.is_for(slack_id)  # any other click is refused
        if not is_theirs or not restore_rules.is_unread(question, restore):
            return question
        if question.ts or clicked is not None:
            found = await self._read_for_click(question.message_ref or clicked, question.ref)
        else:
            found = await self._find_in_conversation(slack_id, question.ref)
        return await self._take_over(question, found)

    async def revive(self, ref: str, slack_id: str, clicked: MessageRef | None) -> Question | None:
        """Recreate the row of a question that the store has lost, from its message; return the question.

        None if it was not lost by a restore, or if there is no such message. Raises `TransientError` if Slack
        cannot be read now.
        """
        restore = await self.restore()
        if restore is None:
            return None
        found = await self._find_lost(ref, slack_id, clicked, restore)
        if found is None or found.request is None:
            return None
        try:
            person = await self._messenger.find_person(found.slack_id or slack_id)
        except Undeliverable:
            return None
        now, policy = self._clock(), self._recorder.policy
        step = restore_rules.recreate(found, person, now, policy)
        if step is None:
            return None
        [verdict] = await self._recorder.add([step])
        if isinstance(verdict, StoreError):
            raise verdict
        if verdict:
            log_question(log.warning, "question.recovered", step.question)
            return step.question
        # Its request was delivered again meanwhile.
        current = await self._recorder.store.find(found.request.identifier)
        if current is not None and current.ref != ref:
            await self._adopt(current, found, person)  # does nothing if it was adopted already
        return await self._recorder.store.load(ref)

    async def revive_found(self, key: str) -> Question | None:
        """Return the question with this key as `revive` does, if its message was found already.

        For a click on a card, which does not carry the ref.
        """
        found = await self._recorder.store.found_question(key)
        return await self.revive(found.ref, "", None) if found else None

    async def _find_lost(
        self, ref: str, slack_id: str, clicked: MessageRef | None, restore: Restore
    ) -> FoundQuestion | None:
        if not slack_id:  # on the card, by somebody else
            found = await self._recorder.store.found_question(ref.partition(".")[0])
            found = found if found is not None and found.ref == ref else None
        elif clicked is None:  # in the person's Home, or in a window
            found = await self._find_in_conversation(slack_id, ref)
        else:
            found = await self._read_for_click(clicked, ref) if clicked.channel.startswith("D") else None
        # An older one was removed by retention.
        is_lost = found is not None and found.posted_at >= max(restore.since, self._clock() - self._keep)
        return found if is_lost else None

    async def _find_in_conversation(self, slack_id: str, ref: str) -> FoundQuestion | None:
        restore = await self.restore()
        if restore is None:
            return None
        self._require_settled(restore)
        await self._read_conversation(slack_id, restore)
        found = await self._recorder.store.found_question(ref.partition(".")[0])
        return found if found is not None and found.ref == ref else None

    async def _read_for_click(self, place: MessageRef | None, ref: str) -> FoundQuestion | None:
        """Read the message that was clicked; None if Slack refuses: the answer must not be lost for that."""
        try:
            found = await self._read_message(place, ref)
        except UnknownErrorCode:
            return None
        except AppRejected as error:
            if error.code != _MISSING_SCOPE:
                raise
            return None
        restore = await self.restore()
        if found is None and restore is not None:
            self._require_settled(restore)
        return found

    def _require_settled(self, restore: Restore) -> None:
        if self._clock() < restore.settled_at:
            raise TransientError("the store was restored a moment ago, and Slack may not show everything yet")

    async def _read_message(self, place: MessageRef | None, ref: str) -> FoundQuestion | None:
        """Return the question in this message; None if it is not there.

        `TransientError` if that is unknown.
        """
        if place is None:
            return None
        if not self._messenger.can_look_up:
            raise AppRejected(_MISSING_SCOPE, remedy="Give the app the scope im:history.")
        try:
            found = await self._messenger.read_message(place)
        except AmbiguousError as error:
            raise TransientError(f"the message cannot be read: {error}") from error
        except Undeliverable:
            return None
        return found if found is not None and found.ref == ref else None

    async def _read_conversation(self, slack_id: str, restore: Restore) -> None:
        """Read a person's whole conversation, once. Raises `TransientError` if it cannot be read yet."""
        if slack_id in self._read:
            return
        async with self._locks[slack_id]:
            if slack_id not in self._read:
                read_at = await self._recorder.store.conversation_read_at(slack_id)
                if read_at is None or read_at < restore.until:
                    found = await self._read_pages(slack_id, restore)
                    await self._recorder.store.keep_conversation(slack_id, found, self._clock())
                self._read.add(slack_id)
                self._readings.pop(slack_id, None)
        self._locks.pop(slack_id, None)

    async def _read_pages(self, slack_id: str, restore: Restore) -> Sequence[FoundQuestion]:
        """Read the pages, resuming where an earlier attempt failed; return the questions found."""
        if not self._messenger.can_look_up:
            raise TransientError("the conversation cannot be read without im:history", retry_after=SCOPE_WAIT)
        reading = self._readings[slack_id]
        while True:
            page = await self._read_page(slack_id, restore, reading)
            reading.found += [each for each in page.questions if not restore_rules.is_old_line(each, restore)]
            if page.next is None:
                # Of two messages of one alert, the one that shows more comes last, so that it is kept.
                return sorted(reading.found, key=lambda each: each.shown.reports if each.shown else -1)
            if page.next in reading.passed:
                del self._readings[slack_id]
                raise TransientError("the conversation cannot be read: Slack returned the same page twice")
            reading.passed.add(page.next)
            reading.bookmark = page.next

    async def _read_page(self, slack_id: str, restore: Restore, reading: _Reading) -> HistoryPage:
        try:
            return await self._messenger.read_conversation(slack_id, restore.since, after=reading.bookmark)
        except AppRejected as error:
            raise TransientError(
                f"the conversation cannot be read: {error}", retry_after=SCOPE_WAIT
            ) from error
        except AmbiguousError as error:
            raise TransientError(f"the conversation cannot be read: {error}") from error
        except (Undeliverable, UnknownErrorCode) as error:
            self._readings.pop(slack_id, None)
            if reading.bookmark is None:
                raise
            raise TransientError(f"the conversation cannot be read: {error}") from error

    async def _take_over(self, question: Question, found: FoundQuestion | None) -> Question | None:
        restore, policy = await self.restore(), self._recorder.policy
        current, step = await self._recorder.decide(
            question, lambda row: restore_rules.take_over(row, found, restore, self._clock(), policy)
        )
        if current is not None and step is not None:
            _log_reading(question, current)
        return current

    async def _adopt(self, question: Question, found: FoundQuestion, person: Person) -> Question | None:
        """Assign the message that was found to a question; None if it already has one."""
        policy = self._recorder.policy
        current, step = await self._recorder.decide(
            question, lambda row: restore_rules.adopt(row, found, person, self._clock(), policy)
        )
        if step is None or current is None:
            return None
        log_question(log.warning, "question.recovered", current)
        return current

    async def _postpone(self, question: Question, work: Work, due_at: datetime) -> None:
        if work is Work.CARD:
            held = question.card_due_at
            await self._recorder.decide(question, lambda row: card_rules.postpone(row, due_at, held=held))
        else:
            await self._recorder.decide(question, lambda row: asking_rules.defer(row, due_at))


def _log_reading(before: Question, after: Question) -> None:
    if after.is_unsure and not before.is_unsure:
        log_question(log.warning, "question.unsure", after, "its standing after the restore cannot be read")
    elif after.standing is not before.standing:
        log_question(log.warning, "question.recovered", after, standing=after.standing)
