"""The rules about time: reminders and deadlines. All moments are judged by Slack's and the queue's stamps."""

from __future__ import annotations

from collections import Counter
from typing import Final

from bot.sandbox.fake_slack import Message

from .alerts import Kind
from .case import Case, Receipt, without_repeats
from .deaths import Deaths
from .messages import number_of
from .orders import EXPIRE_AFTER_SECONDS, REMIND_AFTER_SECONDS, REMIND_TIMES
from .promises import Findings, Promise

#: How long a reminder may be under way: it is counted durably first, and a second of ours later it has
#: reached Slack or never will (a call waits for nobody, and may take half a second to connect).
_UNDER_WAY_SECONDS: Final = 10.0

#: How late a deadline may come while nothing goes wrong: 5 s, and as long as the report may take. Before that
#: what went wrong must be over for a while.
_LATE_MAX_SECONDS: Final = 10.0
_RECOVERED_SECONDS: Final = 60.0

#: The only reasons for which the bot may give up on somebody who can be asked.
LATE_REASON: Final = "not_asked_in_time"
WAITED: Final = "too_many_open"


def reminders(case: Case, blur: float) -> Findings:
    """Judge the reminders: each at most once, in the question's thread, not early, and none after the end.

    The n-th is due n times REMIND_AFTER after the question at the soonest, since each wait begins when the
    one before is over. One that was under way when the person answered or the deadline came may still come.
    """
    numbers = Counter(map(number_of, case.reminders))
    if not set(numbers) <= set(range(1, REMIND_TIMES + 1)) or any(count > 1 for count in numbers.values()):
        yield Promise.NAGGED, f"reminders {sorted(numbers.elements())}"
    places = {(question.channel, question.ts) for question in case.questions}
    for reminder in case.reminders:
        if (reminder.channel, reminder.thread_ts) not in places:
            yield Promise.NAGGED, f"{reminder.channel} {reminder.ts} is in the thread of no question"
        elif _early_by(reminder) > blur:
            yield Promise.NAGGED, f"{reminder.channel} {reminder.ts} of {reminder.thread_ts} came early"


def _early_by(reminder: Message) -> float:
    due_at = float(reminder.thread_ts or 0) + number_of(reminder) * REMIND_AFTER_SECONDS
    return due_at - float(reminder.ts)


def late_reminders(case: Case, deaths: Deaths) -> Findings:
    """Judge when reminders reached Slack; how long it took to do them is not the worker's fault."""
    ends = [receipt.at for receipt in without_repeats(case.receipts) if receipt.by_bot]
    over = min([case.answered_at, *ends]) + _UNDER_WAY_SECONDS
    for reminder in case.reminders:
        late = deaths.history.post_of(reminder).arrived_at - over
        if late > 0:
            yield Promise.REMINDED_LATE, f"{reminder.channel} {reminder.ts}, {late:.1f} s too late"


def deadlines(case: Case, deaths: Deaths) -> Findings:
    """Judge what the bot decided by the clock, and that every question ended.

    A deadline is one of several first outcomes, and no exception among them: one transaction stores the first
    of answer and deadline, whichever it is, and the other one finds it there. An answer that came second is
    the next report; a deadline that came second is none. So the bot decides first or not at all, and never
    after a moment at which the person could be sure of having answered.
    """
    if case.alert.kind is Kind.ASKABLE and case.questions and not case.receipts:
        yield Promise.OPEN, f"asked at {case.asked_at:.0f}"
    for number, receipt in enumerate(without_repeats(case.receipts)):
        if receipt.by_bot and number > 0 and not (_says_why(case, receipt) or _failed(case, receipt)):
            yield Promise.OVERRULED, f"sequence {receipt.sequence}: {receipt.outcome}"
        elif receipt.by_bot and (after := receipt.at - case.settled_at) > deaths.history.blur:
            yield Promise.OVERRULED, f"{after:.1f} s later: {receipt.outcome}"
        if receipt.outcome == "timedOut" and receipt.by_bot:
            yield from _timed_out(case, receipt, deaths)
        elif receipt.outcome == "undeliverable" and case.alert.kind is Kind.ASKABLE and not receipt.is_text:
            yield from _given_up(case, receipt, deaths)


def _says_why(case: Case, receipt: Receipt) -> bool:
    """Whether a note says why somebody who was not asked in time never will be: there is nobody to ask."""
    before = [each for each in without_repeats(case.receipts) if each.sequence < receipt.sequence]
    return (
        case.alert.kind in (Kind.UNKNOWN, Kind.DEACTIVATED)
        and [each.reason for each in before] == [LATE_REASON]
        and (receipt.outcome, receipt.response) == ("undeliverable", "")
        and receipt.reason != LATE_REASON
    )


def _failed(case: Case, receipt: Receipt) -> bool:
    """Whether it says that a *yes* was not proved, where no person had decided anything."""
    before = [each for each in without_repeats(case.receipts) if each.sequence < receipt.sequence]
    return receipt.outcome == "unproven" and case.is_factored and all(each.by_bot for each in before)


def _timed_out(case: Case, receipt: Receipt, deaths: Deaths) -> Findings:
    """Judge a deadline by the report's own moment, and by the queue's: the worker's clock may be wrong.

    It counts from when the worker learned that it has asked, which may be later than Slack's answer.
    """
    history = deaths.history
    if not case.questions:
        yield Promise.EARLY, "timed out without having been asked"
        return
    due_at = case.asked_at + EXPIRE_AFTER_SECONDS
    if (early := due_at - min(receipt.at, receipt.sent.at)) > history.blur:
        yield Promise.EARLY, f"timed out {early:.1f} s early"
    late = receipt.sent.at - due_at - sum(map(deaths.stood_still, case.questions))
    is_calm = due_at > history.calm_since + _RECOVERED_SECONDS
    unheard = any(deaths.may_not_know(question, case.alert.identifier) for question in case.questions)
    if is_calm and late > _LATE_MAX_SECONDS and not unheard:
        yield Promise.LATE, f"timed out {late:.1f} s late"


def _given_up(case: Case, receipt: Receipt, deaths: Deaths) -> Findings:
    """Judge a report about somebody who can be asked: only time can be the reason, and only for now.

    A worker that is killed again and again cannot always find out in time whether it has asked. But it may
    not say so of a question whose post it heard of; and the question must be there in the end.
    """
    since = deaths.history.received.get(case.alert.body, float("inf"))
    if receipt.reason not in (LATE_REASON, WAITED):
        yield Promise.GIVEN_UP, receipt.sent.body
    elif (early := since + EXPIRE_AFTER_SECONDS - receipt.at) > deaths.history.blur:
        yield Promise.EARLY, f"given up {early:.1f} s early"
    elif any(_was_known(question, case, receipt.at, deaths) for question in case.questions):
        yield Promise.GIVEN_UP, f"though asked at {case.asked_at:.0f}: {receipt.sent.body}"


def _was_known(question: Message, case: Case, at: float, deaths: Deaths) -> bool:
    post = deaths.history.post_of(question)
    is_settled = post.answered_at + deaths.history.settled_after < at
    return is_settled and not deaths.may_not_know(question, case.alert.identifier)
