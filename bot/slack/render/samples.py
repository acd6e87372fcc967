"""A sample of each message, window and Home, with the longest values that can stand in it. Pure.

Where a text of the site's stands in a sample is found by marks: the samples are drawn a second time, each
text of `messages.toml` and `alerts.toml` beginning with a character of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from bot.slack.render.burst import burst_card, line_message
from bot.slack.render.card import CardLinks, card_message, thread_line
from bot.slack.render.home import home_view, notices_view
from bot.slack.render.inquiry import ask_back_view, inquiry_message, reply_view, thanks_view
from bot.slack.render.modals import hand_over_view, note_view
from bot.slack.render.question import question_message, reminder_message
from bot.triage.answer_rules import NOTE_LENGTH_MAX, Refusal, Unfinished
from bot.triage.asking_rules import SUMMARY_KEPT_MAX
from bot.triage.assignments import Assignment, AssignmentKind, CardClick
from bot.triage.factor_rules import ATTEMPTS_MAX
from bot.triage.inquiry import Inquiry, InquiryNote
from bot.triage.inquiry_rules import INQUIRY_LENGTH_MAX
from bot.triage.listing import Listed
from bot.triage.model import (
    FACT_NAME_MAX,
    FACT_VALUE_MAX,
    FACTS_MAX,
    Choice,
    Confidence,
    Fact,
    Question,
    Report,
    State,
    TriageRequest,
)
from bot.triage.outcomes import OUTCOMES, Outcome
from bot.triage.place_rules import line_of
from bot.triage.places import Burst, Line, Places
from bot.triage.policy import AlertPolicies, NoteRule, Policy
from bot.triage.reporting import report_on

if TYPE_CHECKING:
    from bot.slack.render.templates import Wording
    from bot.triage.policy import AlertPolicy

#: The first mark. Symbols, because a letter would change what markup is read next to it.
_FIRST_MARK: Final = 0x1D800
_MARKS_MAX: Final = 512

_MOMENT: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
_LINK: Final = "https://example.slack.com/archives/D0123456789/p1764000000000100"
_LINKS: Final = CardLinks(
    workspace="https://example.slack.com", alert_url="https://mozdef.example.com/{identifier}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a text of the site's comes from."""

    file: str
    table: str
    key: str
    length: int  #: of the text, in characters

    def __str__(self) -> str:
        return f"[{self.table}] {self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What Slack is asked to validate."""

    name: str
    kind: Literal["message", "view"]
    content: Mapping[str, Any]
    marked: Mapping[str, Any]  #: the same, each text of the site's with its mark
    places: Mapping[str, Place]  #: by mark

    def place_of(self, pointer: str) -> Place | None:
        """Return which text stands where a JSON pointer leads: the longest, if there are several."""
        tokens = [token for token in pointer.split("/") if token]
        if tokens and tokens[0] == self.kind:
            del tokens[0]
        inner: Any = self.marked
        for token in tokens:
            inner_type = inner.get("type") if isinstance(inner, dict) else None
            if inner_type == "rich_text":
                break  # a mark may be an element of its own, so that the indexes differ below
            following = _step(inner, token)
            if following is None:
                break
            inner = following
        shown = set(json.dumps(inner, ensure_ascii=False))
        found = [place for mark, place in self.places.items() if mark in shown]
        return max(found, key=lambda place: place.length, default=None)


def samples_of(wording: Wording, alerts: AlertPolicies) -> list[Sample]:
    """Return a sample of each template: those of all alerts first, then the questions of single alerts."""
    places: dict[str, Place] = {}
    default = (alerts.default.title, alerts.default.wording)
    labels = [label for label, own in alerts.by_label.items() if (own.title, own.wording) != default]
    marked = list(_draw(_mark_wording(wording, places), _mark_alerts(alerts, places), labels))
    return [
        Sample(name=name, kind=kind, content=content, marked=twin, places=places)
        for (name, kind, content), (_, _, twin) in zip(_draw(wording, alerts, labels), marked, strict=True)
    ]


_Drawn = tuple[str, Literal["message", "view"], dict[str, Any]]


def _draw(wording: Wording, alerts: AlertPolicies, labels: Sequence[str]) -> Iterator[_Drawn]:
    noted = replace(alerts.default, notes=dict.fromkeys(Choice, NoteRule.OFFERED))
    policy = Policy(alerts=replace(alerts, default=noted), provider=_long(253))
    yield "the question", "message", question_message(_asked(), wording, policy)
    yield from _draw_answers(wording, policy)
    for link in (_LINK, ""):
        question = _asked() if link else replace(_asked(), deadline=None)
        yield "the reminder", "message", reminder_message(question, wording, policy, link=link)
    message = inquiry_message(
        _asked_back(), replace(_asked(), ts="1764000000.000100"), wording, policy, workspace=_LINKS.workspace
    )
    yield "the follow-up question", "message", message
    yield from _draw_views(wording, policy)
    yield from _draw_cards(wording, policy)
    yield from _draw_burst(wording, policy)
    for label in labels:
        yield f"the question of {label}", "message", question_message(_asked(label), wording, policy)


def _draw_answers(wording: Wording, policy: Policy) -> Iterator[_Drawn]:
    ends = [_answered(choice) for choice in Choice]
    ends += [_answered(Choice.YES, Outcome.NO)]
    ends += [replace(_asked(), standing=each) for each in Outcome if _is_told_unasked(each)]
    unproved = replace(_answered(Choice.YES, Outcome.UNPROVEN), proofs=1)
    ends += [
        replace(unproved, standing=None, proof_code="CODE23"),
        *(unproved, replace(unproved, retry_at=_MOMENT), replace(unproved, proofs=ATTEMPTS_MAX)),
    ]
    for question in ends:
        word = question.said or question.standing
        yield f"the question after {word}", "message", question_message(question, wording, policy)


def _draw_views(wording: Wording, policy: Policy) -> Iterator[_Drawn]:
    longest = max((wording["button"][choice] for choice in Choice), key=len)
    yield "the window for a note", "view", note_view(_asked(), wording, required_for=longest)
    click = CardClick(
        card=f"{'0' * 32}.{'1' * 32}",
        channel="C0123456789",
        ts="1764000000.000100",
        slack_id="U0123456789",
        slack_name="x",
        same_workspace=True,
        at=_MOMENT,
    )
    yield "the window for a hand-over", "view", hand_over_view(click, wording)
    yield "the window for a question", "view", ask_back_view(click, wording)
    yield "the window for a reply", "view", reply_view(_asked_back(), wording)
    yield "the thanks for a reply", "view", thanks_view(wording)
    answered = _answered(Choice.NO)
    listed = Listed(unanswered=[_asked()] * 20, answered=[answered] * 20, taken=[answered] * 20)
    yield "the Home", "view", home_view(listed, wording, policy, links=_LINKS)
    yield "the empty Home", "view", home_view(Listed(), wording, policy, links=_LINKS)
    yield "the notices", "view", notices_view([*Refusal, *Unfinished], wording)


def _draw_cards(wording: Wording, policy: Policy) -> Iterator[_Drawn]:
    for outcome in Outcome:
        question = replace(_answered(Choice.YES, outcome), reason="x" * 255)
        if outcome in (Outcome.YES, Outcome.NO):
            question = replace(question, taken_by="U0123456789", taken_name=_long(80), taken_at=_MOMENT)
        yield f"the card for {outcome}", "message", card_message(question, wording, policy, _LINKS)
    question = _answered(Choice.YES, Outcome.NO)
    report = replace(
        report_on(question, question, at=_MOMENT, policy=policy), retracted=False, comment="", said=None
    )
    who = {"by": "U0123456789", "by_name": _long(80), "to": "U0123456789", "to_name": _long(80)}
    assigned = [Assignment(kind=kind, **who, at=_MOMENT) for kind in AssignmentKind]
    assigned += [Assignment(kind=AssignmentKind.RELEASED, by="", by_name="", at=_MOMENT)]
    notes = replace(report, comment=_long(NOTE_LENGTH_MAX))
    back = replace(report, retracted=True, said=Choice.YES)
    inquired = InquiryNote(text=_long(INQUIRY_LENGTH_MAX), slack_id="U0123456789", slack_name=_long(80))
    asked_back = [replace(report, inquiry=inquired), replace(notes, in_reply_to=1)]
    failed = replace(report, in_reply_to=1, reason=_long(255))
    events: list[Report | Assignment] = [report, notes, back, *assigned, *asked_back, failed]
    for event in events:
        yield "the card's thread", "message", thread_line(question, event, wording, policy, _LINKS)


def _draw_burst(wording: Wording, policy: Policy) -> Iterator[_Drawn]:
    line = Line(ref=f"{'0' * 32}.{'1' * 32}")
    names = tuple(f"{number:02}{_long(253)}" for number in range(20))
    burst = Burst(
        since=_MOMENT, line=line, card_secret="1" * 32, waiting=10**8, kinds=dict.fromkeys(names, 10**6)
    )
    listed = replace(burst, first=names, denied=names)
    places = Places(
        person="U0123456789", slack_id="U0123456789", slack_name=_long(80), touched_at=_MOMENT, burst=listed
    )
    yield "the line about waiting questions", "message", line_message(line_of(places), wording)
    taken = replace(listed, taken_by="U0123456789", taken_name=_long(80), taken_at=_MOMENT)
    for each in (listed, taken, replace(listed, ended_at=_MOMENT)):
        card = burst_card(replace(places, burst=each), wording, policy, _LINKS)
        yield "the card of a burst", "message", card


def _is_told_unasked(outcome: Outcome) -> bool:
    return OUTCOMES[outcome].has_answer_text and not OUTCOMES[outcome].chosen


def _asked_back() -> Inquiry:
    return Inquiry(
        identifier=_long(255),
        number=1,
        ref=f"{'0' * 32}.{'1' * 32}",
        text=_long(INQUIRY_LENGTH_MAX),
        slack_id="U0123456789",
        slack_name=_long(80),
        window="",
        sequence=1,
        accepted_at=_MOMENT,
        due_at=None,
    )


def _asked(label: str = "") -> Question:
    """Return an open question whose request has the longest values."""
    value = _long(FACT_VALUE_MAX)
    request = TriageRequest(
        identifier=_long(255),
        alert=label or _long(255),
        summary=_long(SUMMARY_KEPT_MAX),
        user=f"{_long(64)}@{_long(189)}",
        confidence=Confidence.LOWEST,
        occurred_at=_MOMENT,
        facts=(Fact(name=_long(FACT_NAME_MAX), value=value),) * FACTS_MAX,
        left_out=(_long(300),),
        is_cut=True,
    )
    return Question(
        request=request,
        ref=f"{'0' * 32}.{'1' * 32}",
        state=State.ASKED,
        accepted_at=_MOMENT,
        due_at=None,
        deadline=_MOMENT,
        slack_id="U0123456789",
        slack_name=_long(80),
        offered=tuple(Choice),
        asked_at=_MOMENT,
    )


def _answered(said: Choice, standing: Outcome | None = None) -> Question:
    return replace(
        _asked(),
        said=said,
        standing=standing or Outcome(said.value),
        deadline=None,
        channel="D0123456789",
        ts="1764000000.000100",
        answered_at=_MOMENT,
        first_answered_at=_MOMENT,
        answers=2,
        reports=1,
        note=_long(NOTE_LENGTH_MAX),
        notes=1,
    )


def _long(length: int) -> str:
    return "x" * length


def _step(value: Any, token: str) -> Any:
    """Return what a token of a pointer leads to; None if it leads nowhere."""
    if isinstance(value, list):
        return value[int(token)] if token.isdecimal() and int(token) < len(value) else None
    return value.get(token) if isinstance(value, dict) else None


def _mark_wording(wording: Wording, places: dict[str, Place]) -> Wording:
    return {
        table: {key: _mark(text, table, key, places, "messages.toml") for key, text in texts.items()}
        for table, texts in wording.items()
    }


def _mark_alerts(alerts: AlertPolicies, places: dict[str, Place]) -> AlertPolicies:
    default = _mark_alert(alerts.default, "default", places)
    by_label = {}
    for label, own in alerts.by_label.items():
        name = label if re.fullmatch("[A-Za-z0-9_-]+", label) else json.dumps(label)
        by_label[label] = _mark_alert(own, f"alert.{name}", places, default=alerts.default)
    return AlertPolicies(default=default, by_label=by_label)


def _mark_alert(
    policy: AlertPolicy, table: str, places: dict[str, Place], *, default: AlertPolicy | None = None
) -> AlertPolicy:
    """Return the policy with its texts marked; those that it has from the `default` are of that table."""
    words = default.wording if default else {}
    wording = {
        key: _mark(text, f"{'default' if words.get(key) == text else table}.words", key, places)
        for key, text in policy.wording.items()
    }
    is_default = default is not None and policy.title == default.title
    title = policy.title and _mark(policy.title, "default" if is_default else table, "title", places)
    is_default = default is not None and policy.no_advice == default.no_advice
    name = "default" if is_default else table
    advice = policy.no_advice and _mark(policy.no_advice, name, "no_advice", places)
    return replace(policy, title=title, wording=wording, no_advice=advice)


def _mark(text: str, table: str, key: str, places: dict[str, Place], file: str = "alerts.toml") -> str:
    if len(places) == _MARKS_MAX:
        return text
    mark = chr(_FIRST_MARK + len(places))
    places[mark] = Place(file=file, table=table, key=key, length=len(text))
    return mark + text
