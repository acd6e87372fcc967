"""The rules about what people said: which answer counts, what they wrote, and what their message shows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from .answers import why_unexplained
from .case import BY_BOT, Case, without_repeats
from .messages import text_of
from .promises import Findings, Promise
from .standing import RESPONSES, Standing, answer_text, standings


def answers(case: Case) -> Findings:
    """Judge that each answer was reported, each reported one was given, and the message shows the last."""
    receipts = without_repeats(case.receipts)
    choices = [receipt.said for receipt in receipts if receipt.said and not receipt.is_text]
    trouble = why_unexplained(case.presses, choices)
    if trouble is not None:
        kind, evidence = trouble
        yield {"unreported": Promise.UNREPORTED, "forged": Promise.FORGED}[kind], evidence
    *_, last = [Standing(outcome=""), *standings(receipts)]
    if not case.questions or not receipts:
        return
    question = case.questions[0]
    shown = text_of(question, "answer")
    if shown != answer_text(last):
        yield Promise.UNSHOWN, f"{question.channel} {question.ts} shows {shown!r} after {last}"


def what_stands(case: Case) -> Findings:
    """Judge each report's outcome by the reports before it.

    An answer after a decision of the bot's replaces it, whatever it is. A milder answer than the one before
    replaces nothing: *no* stays escalated, and what MozDef reads says so.
    """
    receipts = without_repeats(case.receipts)
    expected = list(standings(receipts))
    for (before, after), receipt in zip(pairwise([Standing(outcome=""), *expected]), receipts, strict=True):
        response = receipt.response or RESPONSES[receipt.outcome]  # a note has none, and changes nothing
        if receipt.outcome == after.outcome and response == RESPONSES[after.outcome]:
            continue
        late = before.outcome in BY_BOT
        evidence = f"sequence {receipt.sequence}: {receipt.outcome} ({response}) after {before}"
        yield Promise.UNREPLACED if late else Promise.SILENCED, evidence


def notes(case: Case) -> Findings:
    """Judge that each note that was acknowledged is reported, and none that nobody wrote.

    One that was sent again because Slack called it failed may be there as often as it was sent.
    """
    told = [each for each in without_repeats(case.receipts) if not each.is_exchange]
    reported = Counter(each.comment for each in told if each.comment)
    written = {note.text: note for note in case.notes}
    for note in case.notes:
        if note.acknowledged and not reported[note.text]:
            yield Promise.UNNOTED, f"lost: {note.text}"
    for text, times in reported.items():
        if text not in written or times > written[text].tries:
            yield Promise.UNNOTED, f"reported {times} times: {text}"
