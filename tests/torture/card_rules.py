"""The rules about the security team's cards."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from wording import WORDING, as_read

from bot.sandbox.fake_slack import Message

from .case import Case, without_repeats
from .clock_rules import WAITED
from .deaths import Deaths
from .messages import text_of
from .orders import CARDED_LABEL
from .promises import Findings, Promise
from .standing import Standing, headline_fits, standings

#: The line in a card's thread for each action.
_LINES: Final = {"take": "taken_line", "hand over": "handed_over_line", "release": "released_line"}
_PATTERNS: Final = [
    re.compile(re.escape(as_read(WORDING["card"][each], who="0", receiver="0")).replace("0", ".+"))
    for each in _LINES.values()
]
_TAKEN: Final = re.compile(
    re.escape(as_read(WORDING["card"]["taken"], who="0", date="1")).replace("0", r"(\S+)").replace("1", ".+")
)


def cards(case: Case) -> Findings:
    """Judge that an alert whose answer was ever not *yes* has a card, and that one shows what counts.

    That is, of the kind of alert that has cards.
    Of several cards the worker knows only one. The others are as old as the moment in which it lost sight of
    them, so it is enough that one is up to date.
    """
    # What found no place has no card of its own.
    receipts = [each for each in without_repeats(case.receipts) if each.reason != WAITED]
    if case.alert.label != CARDED_LABEL or all(receipt.outcome == "yes" for receipt in receipts):
        return
    *_, last = standings(receipts)
    if not last.outcome:  # its report is missing, which another promise covers
        return
    if not case.cards:
        yield Promise.CARDLESS, f"{last}"
    elif not any(_shows(card, case, last) for card in case.cards):
        shown = [text_of(card, "outcome") for card in case.cards]
        yield Promise.STALE, f"{shown} after {last}, notes {len(case.notes)}, actions {case.card_actions}"


def intruders(case: Case) -> Findings:
    """Judge that each line about who has the alert names somebody who may say so, and did."""
    words = WORDING["card"]
    done = {
        as_read(words[_LINES[each.kind]], who=name_of(each.by), receiver=name_of(each.to))
        for each in (*case.card_actions, *case.early)
    }
    for line in case.lines:
        text = text_of(line, "event")
        if any(pattern.fullmatch(text) for pattern in _PATTERNS) and text not in done:
            yield Promise.INTRUDED, text
    for card in case.cards:
        if (has_it := _holder(card)) and has_it not in _known_holders(case):
            yield Promise.INTRUDED, f"{has_it} has it"


def doubled_cards(case: Case, deaths: Deaths) -> Findings:
    """Judge that cards are wanted, and that each but the last was one that the worker may not know of.
    A worker that was suspended since before that one was posted may have been about to post. Nor does another
    worker know of a card whose own worker was suspended before it could store it.
    """
    if case.cards and case.alert.label != CARDED_LABEL:
        yield Promise.DOUBLED, f"{case.cards[0].ts} is not wanted"
    in_order = sorted(case.cards, key=lambda card: deaths.history.post_of(card).arrived_at)
    for earlier, later in pairwise(in_order):
        may_not_know = deaths.may_not_know(earlier, case.alert.identifier)
        known = not (may_not_know or deaths.stood_still_before_storing(earlier, later))
        if known and not deaths.stood_still_between(earlier, later):
            yield Promise.DOUBLED, f"{earlier.ts} was known when {later.ts} was posted"


def _shows(card: Message, case: Case, last: Standing) -> bool:
    told = [receipt for receipt in without_repeats(case.receipts) if not receipt.is_exchange]
    reported = [receipt.comment for receipt in told if receipt.comment]
    return (
        headline_fits(text_of(card, "outcome"), last.outcome)
        and ("\nSaid later: " in text_of(card, "about")) == last.retracted
        and [text_of(card, "note")] == (reported[-1:] or [""])
        and (bool(case.early) or _holder(card) in _possible_holders(case))
    )


def name_of(slack_id: str) -> str:
    """Return how a card names a member: see `alerts.make_workspace`."""
    return f"@p{int(slack_id[-7:])}" if slack_id else ""


def _holder(card: Message) -> str:
    """Return who has the alert, as its card says; "" if nobody has."""
    found = _TAKEN.match(text_of(card, "taken"))
    return found[1] if found else ""


def _known_holders(case: Case) -> set[str]:
    """Return everybody who may ever have had the alert; the person asked has it no more."""
    early = [] if case.questions else case.early
    return {name_of(each.to or each.by) for each in (*case.card_actions, *early)}


def _possible_holders(case: Case) -> set[str]:
    """Return who may have the alert: what was not acknowledged last may have been done or not."""
    holders = {""}
    for action in case.card_actions:
        after = name_of({"take": action.by, "hand over": action.to}.get(action.kind, ""))
        holders = {after} if action.acknowledged else {*holders, after}
    return holders
