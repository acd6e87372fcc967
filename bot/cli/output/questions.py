"""The text of `list` and `show`, rendered from views alone.

Alert text is untrusted: whatever a view contains, the output cannot control the terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from bot.cli.output.tables import (
    WHOLE,
    align_table,
    count_columns,
    count_table,
    pluralize,
    wrap_columns,
)
from bot.printable import make_printable
from bot.triage.outcomes import Reason, explain
from bot.triage.trail import REPEATS_MAX, UNKNOWN
from bot.worker.views import View, render_json

#: Column of the list → how much of it must fit. Identifiers are copied.
_COLUMNS = {"ACCEPTED": 16, "AGE": 4, "IDENTIFIER": WHOLE, "ALERT": 9, "USER": 9, "STATE": 24}

#: In characters.
_WIDEST_LINE = 76

#: Characters that are wrapped at a time: `textwrap` copies the rest of a long word for each line of it.
_WRAPPED = 50 * _WIDEST_LINE

#: Before each line of other people's text.
_QUOTED = "  │ "

#: What stands before the last column of a line.
_BEFORE_LAST = re.compile(r" *(?:\S+(?: \S+)* {2,}){0,2}")

#: Said of a question whose message could not be read after a restore.
_UNSURE = "what was answered before the restore is unknown: only a no counts"


def render_list(views: Sequence[View], now: datetime, *, width: int | None = None) -> str:
    """Return a table of questions, one line each, in the order given.

    It fits `width` columns; None: nothing is left out or cut.
    """
    rows = [tuple(_COLUMNS), *(_row(view, now) for view in views)]
    if width is not None and count_table(rows) > width:
        rows = [row[1:] for row in rows]  # their age says as much
    return align_table(rows, width=width, least=[_COLUMNS[name] for name in rows[0]])


def render_question(view: View, *, width: int | None = None) -> str:
    """Return everything that is known about one question, in sections.

    Lines are wrapped to `width` columns (None: those of other people's text alone), except JSON, which can
    be copied.
    """
    sections = [
        _alert_section(view),
        _question_section(view),
        _outcome_section(view),
        _notes_section(view),
        _ask_back_section(view),
        _team_section(view),
        _reports_section(view),
        _trail_section(view),
    ]
    return "\n\n".join(filter(None, ("\n".join(_wrap(section, width)) for section in sections)))


def _row(view: View, now: datetime) -> tuple[str, ...]:
    names = ("identifier", "alert", "user")
    ended = _outcome(view) if view["outcome"] else f"{_state(view)}{_time_left(view['deadline'], now)}"
    return (
        f"{datetime.fromisoformat(view['acceptedAt']):%Y-%m-%d %H:%M}",
        _age(now - datetime.fromisoformat(view["acceptedAt"])),
        *(make_printable(str(view[name])) or "-" for name in names),
        f"{ended}{' (proof awaited)' if view['proofAwaited'] else ''}",
    )


def _state(view: View) -> str:
    waits = view.get("waitsBehind")  # a worker of an earlier release does not say
    return (
        make_printable(str(view["state"]))
        + (" (in doubt)" if view["inDoubtSince"] else "")
        + (f" (waits behind {_name_first(waits)})" if waits is not None else "")
    )


def _name_first(identifiers: Sequence[str]) -> str:
    """Return the first of these identifiers, and how many more there are."""
    if not identifiers:
        return "others"
    more = f" and {len(identifiers) - 1} more" if len(identifiers) > 1 else ""
    return make_printable(identifiers[0]) + more


def _outcome(view: View) -> str:
    """Return the outcome, its reason, and a later answer that did not replace it."""
    reason = f": {view['reason']}" if view["reason"] else ""
    later = f" (then said {view['said']})" if view["retracted"] else ""
    return make_printable(f"{view['outcome']}{reason}{later}")


def _time_left(deadline: str | None, now: datetime) -> str:
    """Return how long an open question still waits for its answer, to follow its state."""
    return f", {_age(datetime.fromisoformat(deadline) - now)} left" if deadline else ""


def _age(age: timedelta) -> str:
    """Return an age in its largest whole unit, as in settings: `90s` reads as `1m`."""
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _alert_section(view: View) -> Iterator[str]:
    is_refused = view["reason"] == Reason.INVALID_REQUEST
    yield f"Alert {make_printable(str(view['identifier']))}"
    yield from _facts(
        {
            "alert": view["alert"],
            "user": view["user"],
            "confidence": view["identityConfidence"],
            "accepted": _moment(view["acceptedAt"]),
            "happened": _moment(view["occurredAt"]),
            "refused" if is_refused else "left out": "; ".join(view["leftOut"]),
            "text": "cut: its end was not kept" if view["summaryCut"] else None,
        }
    )
    yield from _quote(str(view["summary"]))
    if view["facts"]:
        yield "  facts"
    for fact in view["facts"]:
        yield from _quote(f"{fact['name']}: {fact['value']}")


def _question_section(view: View) -> Iterator[str]:
    yield "Question"
    person = f"{view['askedSlackName']} ({view['askedSlack']})" if view["askedSlack"] else None
    place = f"{view['channel']} {view['ts'] or ''}" if view["channel"] else None
    yield from _facts(
        {
            "state": _state(view),
            "person": person,
            "other id": view["askedSlackOther"],
            "found by": view["foundBy"],
            "waits since": _moment(view.get("waitedSince")) if view.get("waitsBehind") is not None else None,
            "waits behind": ", ".join(view.get("waitsBehind") or ()),
            "asked": _moment(view["askedAt"]),
            "choices": ", ".join(view["offered"]),
            "message": place,
            "reminders": view["reminders"] or None,
            "deadline": _moment(view["deadline"]),
            "next step": f"{view['work']}, {_moment(view['dueAt']) or 'not yet'}" if view["work"] else None,
            "failed tries": view["attempts"] or None,
        }
    )


def _outcome_section(view: View) -> Iterator[str]:
    yield "Outcome"
    yield from _facts(
        {
            "stands": view["outcome"] or "open",
            "but": _UNSURE if view.get("unsure") else None,
            "reason": explain(str(view["reason"] or "")),
            "last said": view["said"],
            "proof": _proof(view),
            "answered": _moment(view["firstAnsweredAt"]),
            "last answer": _moment(view["answeredAt"]) if view["answers"] > 1 else None,
            "answers": view["answers"] or None,
        }
    )


def _proof(view: View) -> str:
    """Return how far the proof of a *yes* is; "" where none was asked for."""
    if view.get("provedAt"):
        return f"given {_moment(view['provedAt'])}"
    tries = f"{pluralize(view['proofs'], 'attempt')}" if view.get("proofs") else ""
    awaited = "awaited" if view.get("proofAwaited") else ""
    retry = f"again from {_moment(view['retryAt'])}" if view.get("retryAt") else ""
    return ", ".join(filter(None, (awaited, tries, retry))) or ("required" if view.get("needsFactor") else "")


def _notes_section(view: View) -> Iterator[str]:
    """Yield the person's notes, each of which is a separate report."""
    told = view.get("reports") or []
    notes = [report for report in told if report["comment"] and report.get("inReplyTo") is None]
    if notes:
        yield "Notes"
    for note in notes:
        yield f"  {_moment(note['timestamp'])}"
        yield from _quote(str(note["comment"]))


def _ask_back_section(view: View) -> Iterator[str]:
    """Yield the security team's follow-up questions, each with its replies."""
    asked = view.get("askedBack") or []
    if asked:
        yield "Follow-up questions"
    for inquiry in asked:
        who = f"{inquiry['byName']} ({inquiry['by']})" if inquiry["byName"] else inquiry["by"]
        delivery = inquiry["delivery"] + (f" ({inquiry['reason']})" if inquiry["reason"] else "")
        yield make_printable(f"  {inquiry['number']}  {_moment(inquiry['acceptedAt'])}  {who}, {delivery}")
        yield from _quote(str(inquiry["text"]))
        for report in view.get("reports") or []:
            if report["inReplyTo"] == inquiry["sequence"] and report["comment"]:
                yield f"     {_moment(report['timestamp'])}  replied"
                yield from _quote(str(report["comment"]))


def _team_section(view: View) -> Iterator[str]:
    if not (view["cardTs"] or view["cardDueAt"]):
        return
    yield "Security team"
    name = f"{view['takenName']} ({view['takenBy']})" if view["takenName"] else view["takenBy"]
    yield from _facts(
        {
            "card": view["cardTs"] or "not posted yet",
            "next update": _moment(view["cardDueAt"]),
            "taken by": name or "nobody",
            "taken": _moment(view["takenAt"]),
        }
    )


def _reports_section(view: View) -> Iterator[str]:
    yield "Reports to MozDef"
    reports = view.get("reports") or []
    if not reports:
        yield "  none yet"
    for report in reports:
        delivery = f"{_describe_response(report)}, {_describe_delivery(report)}"
        yield make_printable(f"  {report['sequence']}  {report['outcome']}, {delivery}")
        yield from _indent_json(str(report["body"]))


def _indent_json(body: str) -> Iterator[str]:
    """Yield the body of a report as JSON that can be copied, in one piece of several lines."""
    try:
        yield render_json(json.loads(body))
    except ValueError:  # the bot writes nothing else
        yield from _quote(body)


def _trail_section(view: View) -> Iterator[str]:
    """Yield one line for each event of the trail, and for each break of its chain."""
    if view["events"] or view["breaks"]:
        yield "Trail"
    for event in view["events"]:
        facts = ", ".join(f"{name} {value}" for name, value in event["facts"].items() if name != "report")
        gap = "  (what came before is unknown)" if event["previous"] == UNKNOWN else ""
        yield make_printable(f"  {_moment(event['at'])}  {event['event']:<11}  {facts}{gap}".rstrip())
    yield from (make_printable(f"  BROKEN: {each}") for each in view["breaks"])
    if view["refusals"] > REPEATS_MAX:
        yield f"  {view['refusals']:,} clicks were refused: the first {REPEATS_MAX} are listed"


def _describe_response(report: View) -> str:
    return f"reported as {report['response'] or report['category'] + ' (changes nothing)'}"


def _describe_delivery(report: View) -> str:
    if report["parkedAt"]:
        return f"rejected by the queue {_moment(report['parkedAt'])}"
    if report["sentAt"]:
        return f"sent {_moment(report['sentAt'])}"
    return f"waits until {_moment(report['dueAt'])}"


def _moment(text: str | None) -> str | None:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC" if text else None


def _facts(facts: Mapping[str, object]) -> Iterator[str]:
    """Yield a line for each fact that is known."""
    for name, value in facts.items():
        if value not in {None, ""}:
            yield f"  {name:<13}{make_printable(str(value))}"


def _quote(text: str) -> Iterator[str]:
    """Yield untrusted text line by line, each marked, so that none can pass for our own output.

    Long lines are wrapped here, because the terminal would wrap them without the mark.
    """
    for line in text.splitlines() or [""]:
        printable = make_printable(line)
        for start in range(0, len(printable) or 1, _WRAPPED):
            for piece in wrap_columns(printable[start : start + _WRAPPED], _WIDEST_LINE) or [""]:
                yield f"{_QUOTED}{piece}".rstrip()


def _wrap(lines: Iterator[str], width: int | None) -> Iterator[str]:
    """Yield indented lines wrapped to `width` columns; None: as they are. So are JSON and headings.

    What follows stands below the last column of its line, so that it cannot pass for a line of its own.
    Words stay whole, so that they can be copied.
    """
    for line in lines:
        if width is None or count_columns(line) <= width or "\n" in line or not line.startswith("  "):
            yield line
        elif line.startswith(_QUOTED):
            yield from wrap_columns(line, width, subsequent_indent=_QUOTED)
        else:
            column = _BEFORE_LAST.match(line)
            indent = " " * min(column.end() if column else 0, width // 2)
            yield from wrap_columns(
                line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
