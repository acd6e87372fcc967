"""The rules about floods for one person: how many questions are open, and who is told about the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from .alerts import Kind
from .case import Case, open_cases, without_repeats
from .clock_rules import WAITED
from .history import History
from .messages import line_ref
from .promises import Promise, Violation

#: Further places, for a label that has none open.
_FURTHER = 10


def bursts(history: History) -> Iterator[Violation]:
    """Judge the bursts of each person. A restored store does not know who was asked."""
    people: defaultdict[str, list[Case]] = defaultdict(list)
    for case in open_cases(history).values():
        if case.alert.kind is Kind.ASKABLE:
            people[case.alert.person].append(case)
    if history.was_restored:
        return
    for person, cases in people.items():
        for evidence in _crowds(cases, history):
            yield Violation(promise=Promise.CROWDED, identifier=person, evidence=evidence)
        for evidence in _unannounced(person, cases, history):
            yield Violation(promise=Promise.UNANNOUNCED, identifier=person, evidence=evidence)


def _crowds(cases: Sequence[Case], history: History) -> Iterator[str]:
    """Yield moments at which more stood open than allowed: asked, without choice or outcome."""
    limit = history.open_per_person
    spans = [(case, *span) for case in cases if (span := _open_span(case, history))]
    for _, begins, _ in spans:
        there = [case for case, since, until in spans if since <= begins < until]
        labels = Counter(case.alert.label for case in there)
        further = min(_FURTHER, len(labels))
        if len(there) > limit + further or max(labels.values(), default=0) > limit + 1:
            yield f"{dict(labels)} stood open at {begins:.1f}"


def _open_span(case: Case, history: History) -> tuple[float, float] | None:
    """Return from when to when a question stood open for certain; None if it never did."""
    if not case.questions:
        return None
    begins = min(history.post_of(each).arrived_at for each in case.questions)
    chosen = min((press.began_at for press in case.presses), default=float("inf"))
    ended = min((each.at for each in without_repeats(case.receipts)), default=float("inf"))
    ends = min(chosen, ended) - history.blur
    return (begins, ends) if begins < ends else None


def _unannounced(person: str, cases: Sequence[Case], history: History) -> Iterator[str]:
    conversation = f"D{person[1:]}"
    lines: Mapping[str, int] = Counter(
        line_ref(each) for each in history.burst_lines if each.channel == conversation
    )
    if any(count > 1 for count in lines.values()):
        yield f"one burst has {max(lines.values())} lines"
    if not any(each.reason == WAITED for case in cases for each in case.receipts):
        return
    # A burst may end before a worker that was killed has found out whether its line was posted.
    if not lines and not any(each.wanted == "kill" for each in history.ends):
        yield "nobody told the person that more questions wait"
    if not history.burst_cards:
        yield "no burst has a card"
