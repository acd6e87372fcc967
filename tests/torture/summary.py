"""The table at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from .alerts import Kind
from .case import BY_BOT, Case, open_cases, without_repeats
from .history import History
from .kill_points import boundaries
from .promises import Promise
from .trial import Result

#: Examples that are shown of each broken promise.
_EXAMPLES = 5


def render(result: Result) -> str:
    """Return what happened, and each promise with how often it was broken."""
    return "\n".join([*_story(result), "", *_promises(result)])


def _story(result: Result) -> Iterator[str]:
    history = result.history
    kinds = Counter(alert.kind for alert in history.alerts)
    places = Counter(end.place for end in history.ends if end.place)
    known = boundaries(factor=result.options.factor, flood=result.options.flood)
    missed = [boundary for boundary in known if boundary not in places]
    yield f"alerts        {len(history.alerts):6}  " + _listed({kind.value: kinds[kind] for kind in Kind})
    if result.table_calls:
        yield f"workers       {result.options.workers:6}  on one table; {result.table_calls} calls to it"
    yield f"kills         {result.kills:6}  {sum(places.values())} of them at boundaries"
    yield f"boundaries    {len(places):6}  of {len(known)}" + (f"; not: {missed}" if missed else "")
    yield f"stops         {sum(end.wanted == 'term' for end in history.ends):6}  by SIGTERM"
    yield f"questions     {len(history.messages):6}"
    honest = [press for press in history.presses if press.honest]
    taken = sum(press.acknowledged for press in honest)
    yield f"presses       {len(honest):6}  {taken} acknowledged; {len(history.presses) - len(honest)} forged"
    yield from _time_and_team(result)
    events = {sent.body for sent in history.reports}
    refused = f"{len(history.refused)} alerts whose reports the queue refuses for good"
    yield f"reports       {len(events):6}  sent {len(history.reports)} times; {refused}"
    yield f"faults        {sum(result.faults.values()):6}  {_listed(dict(sorted(result.faults.items())))}"
    yield f"seconds       {result.seconds:6.0f}"


def _time_and_team(result: Result) -> Iterator[str]:
    """Tell of reminders, deadlines, notes and cards."""
    history = result.history
    cases = list(open_cases(history).values())
    reminded = sum(bool(case.reminders) for case in cases)
    yield f"reminders     {len(history.reminders):6}  to {reminded} questions"
    endings = [each for case in cases if (each := _ending(case))]
    late = sum(answered for _, answered in endings)
    outcomes = Counter(outcome for outcome, _ in endings)
    how = f"{outcomes['timedOut']} timed out, {outcomes['undeliverable']} not asked in time"
    yield f"deadlines     {len(endings):6}  {how}; {late} answered late"
    acknowledged = sum(note.acknowledged for note in history.notes)
    if result.options.factor:
        card_actions = Counter(push.action or "ignored" for push in history.pushes)
        how = _listed(dict(sorted(card_actions.items())))
        yield f"pushes        {len(history.pushes):6}  {how}; {_proofs(cases)}"
    yield f"notes         {len(history.notes):6}  {acknowledged} acknowledged"
    doubled = sum(max(0, len(case.cards) - 1) for case in cases)
    lines = len(history.lines)
    yield f"cards         {len(history.cards):6}  {doubled} doubled; {lines} lines in their threads"
    done = Counter(action.kind if action.honest else "by intruders" for action in history.card_actions)
    yield f"handled       {len(history.card_actions):6}  {_listed(dict(sorted(done.items())))}"
    yield f"asked back    {_exchange(history)}"


def _exchange(history: History) -> str:
    """Return how many follow-up questions and replies there were, and how many were acknowledged."""
    put, asked, replied = len(history.asked_back), history.inquiries, history.replies
    taken = [sum(each.acknowledged for each in told) for told in (asked, replied)]
    return (
        f"{len(asked):6}  {taken[0]} acknowledged, {put} put; {len(replied)} replies, {taken[1]} acknowledged"
    )


def _proofs(cases: Iterable[Case]) -> str:
    """Return the results of the pushes."""
    receipts = [each for case in cases for each in without_repeats(case.receipts)]
    reasons = Counter(each.reason for each in receipts if each.reason.startswith("factor_"))
    proved = sum(each.is_proved for each in receipts)
    return _listed({"proved": proved, **dict(sorted(reasons.items()))})


def _ending(case: Case) -> tuple[str, bool] | None:
    """Return what the bot decided about somebody who can be asked, and whether they answered after that."""
    receipts = without_repeats(case.receipts)
    if not receipts or case.alert.kind is not Kind.ASKABLE or receipts[0].outcome not in BY_BOT:
        return None
    return receipts[0].outcome, any(receipt.said for receipt in receipts)


def _promises(result: Result) -> Iterator[str]:
    counts = Counter(violation.promise for violation in result.violations)
    for promise in Promise:
        yield f"{counts[promise]:6}  {promise}"
        examples = [each for each in result.violations if each.promise is promise][:_EXAMPLES]
        for each in examples:
            yield f"        {each.identifier} {each.evidence}"
    yield ""
    yield "every promise was kept" if not result.violations else "PROMISES WERE BROKEN"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
