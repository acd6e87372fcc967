"""The rules about the security team's cards."""

from __future__ import annotations

from itertools import pairwise

from bot.sandbox.fake_slack import Message

from .case import Case, without_repeats
from .deaths import Deaths
from .messages import block_of, text_of
from .orders import CARDED_LABEL
from .promises import Findings, Promise
from .standing import Standing, headline_fits, standings


def cards(case: Case) -> Findings:
    """Judge that an alert that ever stood as anything but *yes* has a card, and that one shows what stands.

    That is, of the kind of alert that has cards.
    Of several cards the worker knows only one. The others are as old as the moment in which it lost sight of
    them, so it is enough that one is up to date.
    """
    receipts = without_repeats(case.receipts)
    if case.alert.label != CARDED_LABEL or all(receipt.outcome == "yes" for receipt in receipts):
        return
    *_, last = standings(receipts)
    if not case.cards:
        yield Promise.CARDLESS, f"{last}"
    elif not any(_shows(card, case, last) for card in case.cards):
        shown = [text_of(card, "outcome") for card in case.cards]
        yield Promise.STALE, f"{shown} after {last}, notes {len(case.notes)}, taken {case.taken}"


def doubled_cards(case: Case, deaths: Deaths) -> Findings:
    """Judge that cards are wanted, and that each but the last was one that the worker may not know of.

    A worker that stood still since before that one was posted may have been about to post.
    """
    if case.cards and case.alert.label != CARDED_LABEL:
        yield Promise.DOUBLED, f"{case.cards[0].ts} is not wanted"
    in_order = sorted(case.cards, key=lambda card: deaths.history.post_of(card).arrived_at)
    for earlier, later in pairwise(in_order):
        if not deaths.may_not_know(earlier) and not deaths.stood_still_between(earlier, later):
            yield Promise.DOUBLED, f"{earlier.ts} was known when {later.ts} was posted"


def _shows(card: Message, case: Case, last: Standing) -> bool:
    reported = [receipt.comment for receipt in without_repeats(case.receipts) if receipt.comment]
    return (
        headline_fits(text_of(card, "outcome"), last.outcome)
        and ("\nSaid later: " in text_of(card, "about")) == last.retracted
        and [text_of(card, "note")] == (reported[-1:] or [""])
        and (not case.taken or bool(block_of(card, "taken")))
    )
