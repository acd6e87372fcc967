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

from bot.slack.render.card import CardLinks, card_message, thread_line
from bot.slack.render.home import home_view, notices_view
from bot.slack.render.modals import note_view
from bot.slack.render.question import question_message, reminder_message
from bot.triage.answer_rules import NOTE_LENGTH_MAX, Refusal, Unfinished
from bot.triage.asking_rules import SUMMARY_KEPT_MAX
from bot.triage.model import (
    FACT_NAME_MAX,
    FACT_VALUE_MAX,
    FACTS_MAX,
    AlertTaken,
    Choice,
    Confidence,
    Fact,
    Question,
    State,
    TriageRequest,
)
from bot.triage.outcomes import OUTCOMES, Outcome
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
    """What Slack is to be asked about."""

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
    policy = Policy(alerts=replace(alerts, default=noted))
    yield "the question", "message", question_message(_asked(), wording, policy)
    yield from _draw_answers(wording, policy)
    for link in (_LINK, ""):
        question = _asked() if link else replace(_asked(), deadline=None)
        yield "the reminder", "message", reminder_message(question, wording, policy, link=link)
    yield from _draw_views(wording, policy)
    yield from _draw_cards(wording, policy)
    for label in labels:
        yield f"the question of {label}", "message", question_message(_asked(label), wording, policy)


def _draw_answers(wording: Wording, policy: Policy) -> Iterator[_Drawn]:
    ends = [_answered(choice) for choice in Choice]
    ends += [_answered(Choice.YES, Outcome.NO)]
    ends += [replace(_asked(), standing=each) for each in Outcome if _is_told_unasked(each)]
    for question in ends:
        word = question.said or question.standing
        yield f"the question after {word}", "message", question_message(question, wording, policy)


def _draw_views(wording: Wording, policy: Policy) -> Iterator[_Drawn]:
    longest = max((wording["button"][choice] for choice in Choice), key=len)
    yield "the window for a note", "view", note_view(_asked(), wording, required_for=longest)
    yield "the Home", "view", home_view([_asked()] * 20, [_answered(Choice.NO)] * 20, wording, policy)
    yield "the empty Home", "view", home_view([], [], wording, policy)
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
    taken = AlertTaken(slack_id="U0123456789", slack_name=_long(80))
    notes = replace(report, comment=_long(NOTE_LENGTH_MAX))
    back = replace(report, retracted=True, said=Choice.YES)
    for event in (report, notes, back, taken):
        yield "the card's thread", "message", thread_line(question, event, wording, policy, _LINKS)


def _is_told_unasked(outcome: Outcome) -> bool:
    return OUTCOMES[outcome].has_answer_text and not OUTCOMES[outcome].chosen


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
    return replace(policy, title=title, wording=wording)


def _mark(text: str, table: str, key: str, places: dict[str, Place], file: str = "alerts.toml") -> str:
    if len(places) == _MARKS_MAX:
        return text
    mark = chr(_FIRST_MARK + len(places))
    places[mark] = Place(file=file, table=table, key=key, length=len(text))
    return mark + text
