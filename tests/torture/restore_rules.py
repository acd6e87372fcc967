"""The rules after `run --restored`: what holds although the store has forgotten a part of its past. Pure.

An alert that was taken in after the last restore is judged by all rules. Of an older one the store may have
lost everything; what people see in Slack and what MozDef was told is not lost, and must not be contradicted.
"""

from __future__ import annotations

from typing import Final

from .case import Case, without_repeats
from .promises import Findings, Promise
from .proof_rules import FRAUD
from .standing import RESPONSES, Standing, answer_text


def answers(case: Case) -> Findings:
    """Judge what was reported of an alert that is older than a restore.

    A *no* that the message showed when the worker was restored stays, and one that was told since. An answer
    that the message showed is not overruled by a deadline, not even in a note. Each reported answer was
    given, and one that was acknowledged after the restore is reported.
    """
    receipts = without_repeats(case.receipts)
    pressed = {press.choice for press in case.presses}
    for receipt in receipts:
        is_fraud = receipt.reason == FRAUD  # reported on the device, and again after the restore
        if receipt.said and receipt.said not in pressed and not is_fraud:
            yield Promise.FORGED, f"sequence {receipt.sequence}: {receipt.said}, pressed: {sorted(pressed)}"
    said = {receipt.said for receipt in receipts}
    # What was taken back is not reported again, and a person who says it again is told that it is noted.
    is_taken_back = case.shown_at_restore == answer_text(_TAKEN_BACK)
    for press in case.presses:
        needs_proof = case.is_factored and press.choice == "yes"
        counts = press.acknowledged and press.began_at > case.restored_at and not needs_proof
        if counts and press.choice not in said and not is_taken_back:
            yield (
                Promise.UNREPORTED,
                f"press {press.number} ({press.choice}) was acknowledged; {sorted(said)}",
            )
    yield from _milder(case)


def _milder(case: Case) -> Findings:
    """Judge what was reported since; an answer that was reported and not yet shown then cannot be known."""
    must_be_no = case.shown_at_restore in map(answer_text, _STANDS_AT_NO)
    is_answered = case.shown_at_restore not in ("", *map(answer_text, _BY_BOT))
    for receipt in without_repeats(case.receipts):
        if receipt.sent.at < case.restored_at:
            continue
        if is_answered and receipt.by_bot:  # a note, too: the answer can be read
            yield Promise.OVERRULED, f"sequence {receipt.sequence}: {receipt.outcome} after an answer"
        if not receipt.response:  # a note changes nothing
            continue
        if must_be_no and receipt.response != RESPONSES["no"]:
            yield Promise.SILENCED, f"sequence {receipt.sequence}: {receipt.outcome} after a no"
        must_be_no = must_be_no or receipt.response == RESPONSES["no"]


_BY_BOT: Final = (Standing(outcome="timedOut"), Standing(outcome="unproven"))
_STANDS_AT_NO: Final = (
    Standing(outcome="no", said="no", choices=1),
    Standing(outcome="no", said="no", choices=2),
)
_TAKEN_BACK: Final = Standing(outcome="no", said="yes", choices=2)
