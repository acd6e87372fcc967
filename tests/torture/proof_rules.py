"""The rules about a *yes* that must be proved: what the provider recorded decides, not what the bot says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from bot.sandbox.mozdef import AlertBook

from .answers import why_unexplained
from .case import Case, Receipt, open_cases, without_repeats
from .history import History, Pushed
from .messages import text_of
from .promises import Findings, Promise, Violation

#: How far the worker's time may be behind.
LAG_SECONDS: Final = 5.0

#: No push may be sent before the last one is dead and half a minute has passed, none within a quarter of an
#: hour after the person refused one, and a maximum per hour and per alert.
REST_SECONDS: Final = 30.0
REFUSED_REST_SECONDS: Final = 900.0
PUSHES_AN_HOUR: Final = 6
PUSHES_AN_ALERT: Final = 5
_HOUR: Final = 3600.0

#: A push counts from its click on; it may be sent this many seconds later.
_SENT_WITHIN: Final = 60.0

#: Why a *no* is reported that the person has given on their device.
FRAUD: Final = "factor_fraud"
_REFUSED: Final = frozenset({"factor_refused", FRAUD})

#: What a message says while a proof is awaited.
_AWAITED: Final = "until then your answer does not count"

#: What MozDef makes of an alert, the mildest first; nothing yet is as mild as that it is over.
_RANKS: Final = {"": 0, "acknowledged": 0, "manual": 1, "escalated": 2}


def proofs(case: Case, history: History) -> Findings:
    """Judge what is different about an alert that needs a proof."""
    receipts = [each for each in without_repeats(case.receipts) if not each.is_text]
    others = [each for each in case.presses if each.choice != "yes" and each.acknowledged]
    for receipt in receipts:
        if receipt.outcome == "yes" and any(each.ended_at + history.blur < receipt.at for each in others):
            yield Promise.UNAPPROVED, f"sequence {receipt.sequence}: yes, proved after another answer"
    yield from _said(case, receipts)
    yield from _ranks(case, receipts)
    if any(_AWAITED in text_of(question, "proof") for question in case.questions):
        yield Promise.OPEN, "its message still waits for a proof"


def _said(case: Case, receipts: Sequence[Receipt]) -> Findings:
    """Judge that each answer but *yes* was reported, and each reported one was given.

    A report of fraud says the person's last choice again.
    """
    if any(each.said == "yes" for each in receipts) and all(each.choice != "yes" for each in case.presses):
        yield Promise.FORGED, "yes, and nobody pressed it"
    said = [
        each.said
        for before, each in pairwise([None, *receipts])
        if each and not (each.reason == FRAUD and before and before.said == each.said)
    ]
    trouble = why_unexplained(case.presses, [each for each in said if each not in ("", "yes")], silent="yes")
    if trouble is not None:
        kind, evidence = trouble
        yield {"unreported": Promise.UNREPORTED, "forged": Promise.FORGED}[kind], evidence


def _ranks(case: Case, receipts: Sequence[Receipt]) -> Findings:
    """Judge that an attempt that failed made nothing milder in MozDef, and that nobody silenced a *no*."""
    book, before = AlertBook([case.alert.identifier]), ""
    for receipt in receipts:
        book.receive(receipt.sent.body)
        after = book.status(case.alert.identifier) or ""
        has_failed = receipt.reason.startswith("factor_") and receipt.outcome != "yes"
        if _RANKS[after] < _RANKS[before] and (has_failed or before == "escalated"):
            yield Promise.SILENCED, f"sequence {receipt.sequence}: {after} after {before}"
        before = after


def pushes(history: History) -> Iterator[Violation]:
    """Judge what the provider recorded: that nobody was pestered, and that each *yes* was approved."""
    for promise, evidence in (*_pestered(history), *_unapproved(history)):
        yield Violation(promise=promise, identifier="", evidence=evidence)


def _pestered(history: History) -> Findings:
    """Judge that no push was repeated, that nobody got one too soon or too many, and no alert caused many."""
    for code, times in Counter(push.code for push in history.pushes).items():
        if times > 1:
            yield Promise.PESTERED, f"{code} pushed {times} times"
    alerts = Counter(history.codes[push.code] for push in history.pushes if push.code in history.codes)
    for identifier, times in alerts.items():
        if times > PUSHES_AN_ALERT:
            yield Promise.PESTERED, f"{identifier} caused {times} pushes"
    refusals = _refusals(history)
    for subject, sent in _by_subject(history.pushes).items():
        for trouble in _too_soon(sent, refusals[subject] if not history.was_restored else ()):
            yield Promise.PESTERED, f"{subject} {trouble}"


def _too_soon(sent: Sequence[Pushed], refusals: Sequence[float]) -> Iterator[str]:
    """Say which pushes to one subject came too soon after others, or after a refusal."""
    for before, after in pairwise(sent):
        if (rest := after.at - before.dead_at) < REST_SECONDS - LAG_SECONDS:
            yield f"{rest:.1f} s after the last push was dead"
    for first, last in zip(sent, sent[PUSHES_AN_HOUR:], strict=False):
        if (within := last.at - first.at) < _HOUR - _SENT_WITHIN:
            yield f"{PUSHES_AN_HOUR + 1} times in {within:.0f} s"
    for refused_at in refusals:
        for rest in (push.at - refused_at for push in sent):
            if LAG_SECONDS < rest < REFUSED_REST_SECONDS - LAG_SECONDS:
                yield f"{rest:.1f} s after a refusal"


def _unapproved(history: History) -> Findings:
    """Judge that each *yes* has an approval of its own, by that person, of a push after that click."""
    approvals = _by_subject(push for push in history.pushes if push.approved)
    claims = sorted(_claims(history), key=lambda claim: claim[1].at)
    for since, receipt, subject in claims:
        for push in approvals[subject]:
            if since <= push.at and push.done_at <= receipt.at + LAG_SECONDS:
                approvals[subject].remove(push)
                break
        else:
            yield Promise.UNAPPROVED, f"{receipt.identifier}: yes, and nobody approved after the click"


def _claims(history: History) -> Iterator[tuple[float, Receipt, str]]:
    """Yield each report of a *yes*, since when it may have been proved, and by whom.

    That is since it was pressed first, and since the last attempt of its alert failed. After a restore the
    *yes* that a message shows is reported again, which needs no second proof.
    """
    for case in open_cases(history).values():
        if case.is_factored:
            receipts = [each for each in without_repeats(case.receipts) if not each.is_text]
            clicks = [press.began_at for press in case.presses if press.choice == "yes"]
            for number, receipt in enumerate(receipts):
                failed = [each.at for each in receipts[:number] if each.reason.startswith("factor_")]
                before = receipts[number - 1].outcome if number and history.was_restored else ""
                if receipt.outcome == "yes" != before and clicks:
                    yield max(min(clicks), *failed, 0.0), receipt, case.alert.subject


def _refusals(history: History) -> dict[str, list[float]]:
    """Return when MozDef was told that somebody refused, by the provider's subject."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for case in open_cases(history).values():
        if case.is_factored:
            for receipt in without_repeats(case.receipts):
                if receipt.reason in _REFUSED and not receipt.is_text:
                    found[case.alert.subject].append(receipt.at)
    return found


def _by_subject(sent: Iterable[Pushed]) -> defaultdict[str, list[Pushed]]:
    found: defaultdict[str, list[Pushed]] = defaultdict(list)
    for push in sent:
        found[push.subject].append(push)
    return found
