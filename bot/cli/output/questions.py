"""The text of `list`, `show` and `replay`, rendered from views alone.

Alert text is untrusted: whatever a view contains, the output cannot control the terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from bot.cli.output.tables import align_table, pluralize
from bot.printable import make_printable
from bot.triage.outcomes import explain
from bot.triage.trail import REPEATS_MAX, UNKNOWN
from bot.worker.views import View

_HEADINGS = ("ACCEPTED", "AGE", "IDENTIFIER", "ALERT", "USER", "STATE", "OUTCOME")

#: In characters.
_WIDEST_LINE = 76

#: Characters that are wrapped at a time: `textwrap` copies the rest of a long word for each line of it.
_WRAPPED = 50 * _WIDEST_LINE

#: Said of a question whose message could not be read after a restore.
_UNSURE = "what was answered before the restore is unknown: only a no counts"


def render_list(views: Sequence[View], now: datetime) -> str:
    """Return a table of questions, one line each, in the order given."""
    return align_table([_HEADINGS, *(_row(view, now) for view in views)])


def render_question(view: View) -> str:
    """Return everything that is known about one question, in sections."""
    sections = [
        _alert_section(view),
        _question_section(view),
        _outcome_section(view),
        _notes_section(view),
        _team_section(view),
        _reports_section(view),
        _trail_section(view),
    ]
    return "\n\n".join(filter(None, ("\n".join(section) for section in sections)))


def render_replay(views: Sequence[View]) -> str:
    """Return how many reports go out again, and a line for each: identifier, sequence, outcome, delivery."""
    alerts = {view["identifier"] for view in views}
    lines = [
        f"  {view['identifier']}  {view['sequence']}  {view['outcome']},"
        f" {_describe_response(view)}, {_describe_delivery(view)}"
        for view in views
    ]
    heading = f"{pluralize(len(views), 'report')} of {pluralize(len(alerts), 'alert')}, in this order:"
    return "\n".join([heading, *(make_printable(line) for line in lines)])


def _row(view: View, now: datetime) -> tuple[str, ...]:
    names = ("identifier", "alert", "user")
    return (
        f"{datetime.fromisoformat(view['acceptedAt']):%Y-%m-%d %H:%M}",
        _age(now - datetime.fromisoformat(view["acceptedAt"])),
        *(make_printable(str(view[name])) for name in names),
        _state(view),
        _outcome(view) if view["outcome"] else _time_left(view["deadline"], now),
    )


def _state(view: View) -> str:
    return make_printable(str(view["state"])) + (" (in doubt)" if view["inDoubtSince"] else "")


def _outcome(view: View) -> str:
    """Return the outcome, its reason, and a later answer that did not replace it."""
    reason = f": {view['reason']}" if view["reason"] else ""
    later = f" (then said {view['said']})" if view["retracted"] else ""
    return make_printable(f"{view['outcome']}{reason}{later}")


def _time_left(deadline: str | None, now: datetime) -> str:
    """Return how long an open question still waits for its answer."""
    return f"{_age(datetime.fromisoformat(deadline) - now)} left" if deadline else "-"


def _age(age: timedelta) -> str:
    """Return an age in its largest whole unit, as in settings: `90s` reads as `1m`."""
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _alert_section(view: View) -> Iterator[str]:
    yield f"Alert {make_printable(str(view['identifier']))}"
    yield from _facts(
        {
            "alert": view["alert"],
            "user": view["user"],
            "confidence": view["identityConfidence"],
            "accepted": _moment(view["acceptedAt"]),
            "happened": _moment(view["occurredAt"]),
            "left out": "; ".join(view["leftOut"]),
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
            "answered": _moment(view["firstAnsweredAt"]),
            "last answer": _moment(view["answeredAt"]) if view["answers"] > 1 else None,
            "answers": view["answers"] or None,
        }
    )


def _notes_section(view: View) -> Iterator[str]:
    """Yield the person's notes, each of which is a separate report."""
    notes = [report for report in view.get("reports") or [] if report["comment"]]
    if notes:
        yield "Notes"
    for note in notes:
        yield f"  {_moment(note['timestamp'])}"
        yield from _quote(str(note["comment"]))


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
        fate = f"{_describe_response(report)}, {_describe_delivery(report)}"
        yield make_printable(f"  {report['sequence']}  {report['outcome']}, {fate}")
        yield from _quote(str(report["body"]))


def _trail_section(view: View) -> Iterator[str]:
    """Yield the events of the trail, a line each, and where its chain is broken."""
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
            for piece in textwrap.wrap(printable[start : start + _WRAPPED], _WIDEST_LINE) or [""]:
                yield f"  │ {piece}".rstrip()
