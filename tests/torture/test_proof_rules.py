"""The rules about proofs must be able to fail: each is broken once, by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from .alerts import Alert
from .any_run import ANSWERED_AT, RECEIVED_AT, a_question, a_report, a_run, an_alert, broken, presses
from .history import History, Press, Pushed, Restored
from .promises import Promise

PROVED_AT = ANSWERED_AT + 10
AWAITED = "Please confirm it on your own device; until then your answer does not count."
PROOF = {"method": "ciba", "provider": "login", "at": "then"}


def a_push(alert: Alert, action: str = "approve", *, at: float = ANSWERED_AT + 1, number: int = 0) -> Pushed:
    facts: dict[str, Any] = {"subject": alert.subject, "code": f"CODE{number:02}", "action": action}
    return Pushed(at=at, done_at=at + 9, dead_at=at + 9, **facts)


def pushes(alert: Alert, *moments: float) -> Sequence[Pushed]:
    return [a_push(alert, "", at=ANSWERED_AT + each, number=n) for n, each in enumerate(moments)]


def unproven(alert: Alert, reason: str = "factor_refused", *, at: float = PROVED_AT, **facts: Any) -> Any:
    return a_report(alert, "unproven", at=at, reason=reason, **{"said": "yes", "note": False, **facts})


def proved(alert: Alert, *, at: float = PROVED_AT, **facts: Any) -> Any:
    return a_report(alert, "yes", at=at, factor=PROOF, **facts)


def reported_twice(alert: Alert) -> list[Any]:
    return [proved(alert), proved(alert, at=PROVED_AT + 30, after=30, sequence=1)]


def factored(alert: Alert, **changes: Any) -> History:
    """Return a run in which a *yes* was approved and reported, but for the changes."""
    sound: dict[str, Any] = {
        "factored": frozenset({alert.identifier}),
        "pushes": [a_push(alert)],
        "reports": [proved(alert)],
    }
    return a_run(alert, **(sound | changes))


def pressed(alert: Alert, *choices: tuple[str, float]) -> list[Press]:
    return [press for choice, at in choices for press in presses(alert, choice, at=ANSWERED_AT + at)]


#: What a run with this fault looks like, and which promises it breaks.
CASES: dict[str, tuple[Callable[[Alert], History], set[Promise]]] = {
    "an approval after the click is all that a yes needs": (factored, set()),
    "a yes that nobody approved does not count": (
        lambda alert: factored(alert, pushes=[a_push(alert, "")]),
        {Promise.UNAPPROVED},
    ),
    "a yes that is reported again after a restore needs no second proof": (
        lambda alert: factored(
            alert, reports=reported_twice(alert), restores=[Restored(at=PROVED_AT + 20, shown={})]
        ),
        set(),
    ),
    "but without a restore it does": (
        lambda alert: factored(alert, reports=reported_twice(alert)),
        {Promise.UNAPPROVED},
    ),
    "nor one that somebody else approved": (
        lambda alert: factored(alert, pushes=[replace(a_push(alert), subject="p9@example.com")]),
        {Promise.UNAPPROVED},
    ),
    "nor one that was approved before the click": (
        lambda alert: factored(alert, pushes=[a_push(alert, at=ANSWERED_AT - 9)]),
        {Promise.UNAPPROVED},
    ),
    "nor one that was approved after the report": (
        lambda alert: factored(alert, pushes=[a_push(alert, at=PROVED_AT)]),
        {Promise.UNAPPROVED},
    ),
    "an approval whose attempt has failed proves no later click": (
        lambda alert: factored(
            alert,
            presses=pressed(alert, ("yes", 0), ("yes", 60)),
            reports=[
                unproven(alert, "factor_unavailable"),
                proved(alert, at=PROVED_AT + 60, sequence=1, after=70),
            ],
        ),
        {Promise.UNAPPROVED},
    ),
    "nor does it prove a yes after another answer": (
        lambda alert: factored(
            alert,
            presses=pressed(alert, ("yes", 0), ("notSure", 5)),
            reports=[a_report(alert, "notSure", at=ANSWERED_AT + 5), proved(alert, sequence=1, after=6)],
        ),
        {Promise.UNAPPROVED, Promise.SILENCED},
    ),
    "a yes that nobody pressed is forged": (
        lambda alert: factored(alert, presses=[]),
        {Promise.FORGED},
    ),
    "another answer is reported": (
        lambda alert: factored(alert, presses=pressed(alert, ("yes", 0), ("notSure", 20))),
        {Promise.UNREPORTED},
    ),
    "an attempt that fails after another answer says nothing": (
        lambda alert: factored(
            alert,
            pushes=[a_push(alert, "deny")],
            presses=pressed(alert, ("yes", 0), ("notSure", 5)),
            reports=[a_report(alert, "notSure", at=ANSWERED_AT + 5), unproven(alert, sequence=1, after=6)],
        ),
        {Promise.OVERRULED},
    ),
    "a refusal may be the first thing that mozdef hears, and the next one a note": (
        lambda alert: factored(
            alert,
            pushes=[a_push(alert, "deny")],
            reports=[unproven(alert), unproven(alert, note=True, at=PROVED_AT + 60, sequence=1, after=6)],
        ),
        set(),
    ),
    "a failure makes nothing milder": (
        lambda alert: factored(
            alert,
            reports=[
                a_report(alert, "no", at=ANSWERED_AT + 9, reason="factor_fraud", said="yes", note=False),
                unproven(alert, at=PROVED_AT + 60, sequence=1, after=6),
            ],
        ),
        {Promise.SILENCED, Promise.OVERRULED},
    ),
    "a fraud is a no that stays": (
        lambda alert: factored(
            alert,
            pushes=[a_push(alert, "fraud")],
            presses=pressed(alert, ("yes", 0), ("notSure", 20)),
            reports=[
                a_report(alert, "no", at=PROVED_AT, reason="factor_fraud", said="yes", note=False),
                a_report(alert, "notSure", at=PROVED_AT + 10, sequence=1, after=6),
            ],
        ),
        {Promise.SILENCED},
    ),
    "a question ends, whatever becomes of its proof": (
        lambda alert: factored(alert, reports=[]),
        {Promise.OPEN},
    ),
    "a message does not wait for a proof for ever": (
        lambda alert: factored(alert, messages=[a_question(alert, proof=AWAITED)]),
        {Promise.OPEN},
    ),
    "the time to answer runs on, and not faster": (
        lambda alert: factored(alert, pushes=[], reports=[a_report(alert, "timedOut", at=PROVED_AT)]),
        {Promise.EARLY},
    ),
    "a push is sent once": (
        lambda alert: factored(alert, pushes=[a_push(alert), a_push(alert, at=ANSWERED_AT + 100)]),
        {Promise.PESTERED},
    ),
    "there is half a minute's rest after a push": (
        lambda alert: factored(alert, pushes=[a_push(alert), *pushes(alert, 30)[:1]]),
        {Promise.PESTERED},
    ),
    "a quarter of an hour after a refusal": (
        lambda alert: factored(
            alert,
            pushes=[a_push(alert, "deny"), a_push(alert, "", at=PROVED_AT + 800, number=1)],
            reports=[unproven(alert)],
        ),
        {Promise.PESTERED},
    ),
    "and six pushes an hour are the most": (
        lambda alert: factored(alert, pushes=[a_push(alert), *pushes(alert, *range(0, 3301, 550))[1:]]),
        {Promise.PESTERED},
    ),
    "of which five may be about one alert": (
        lambda alert: factored(
            alert,
            pushes=[a_push(alert), *pushes(alert, *range(0, 6000, 1000))[1:]],
            codes={f"CODE{n:02}": alert.identifier for n in range(6)},
        ),
        {Promise.PESTERED},
    ),
}


@pytest.mark.parametrize(("make", "promises"), CASES.values(), ids=CASES)
def test_a_run_with_proofs_breaks_these_promises_and_no_other(
    make: Callable[[Alert], History], promises: set[Promise]
) -> None:
    assert broken(make(an_alert(carded=False))) == promises


def test_one_approval_proves_one_alert() -> None:
    alert = an_alert(carded=False)
    other = replace(alert, identifier="alert-999999", body=f"{alert.body} ")
    runs = [factored(each) for each in (alert, other)]

    both: dict[str, Any] = {
        name: [entry for run in runs for entry in getattr(run, name)]
        for name in ("alerts", "presses", "messages", "reports")
    }
    both["factored"] = frozenset({alert.identifier, other.identifier})
    times = {each.body: RECEIVED_AT for each in (alert, other)}

    assert broken(replace(runs[0], received=times, deleted=times, **both)) == {Promise.UNAPPROVED}
