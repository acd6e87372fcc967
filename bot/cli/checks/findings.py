"""The findings of `check`, and how a terminal shows them. Pure: the checks pass their findings in."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Self

from bot.printable import GREEN, GREY, RED, YELLOW, make_printable, paint


class Verdict(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"  #: the worker can do its job, but something should be better
    FAILED = "failed"  #: the worker cannot do its job
    SKIPPED = "skipped"  #: not checked, because something that it needs has failed


#: The remedy for a failure of AWS's own.
RETRY_LATER = "try again in a minute; for outages see https://health.aws.amazon.com/health/status"

#: Distinct without colour.
_MARKS = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.FAILED: "✗", Verdict.SKIPPED: "-"}
_COLOURS = {Verdict.OK: GREEN, Verdict.WARNING: YELLOW, Verdict.FAILED: RED, Verdict.SKIPPED: GREY}
_REMEDY_MARK = "→ "
_GAP = "  "
_VERDICT_WIDTH = max(map(len, Verdict))

#: The least width for a text, in columns. On a terminal that has less, the terminal breaks the lines.
_NARROWEST_TEXT = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found. `detail` and `remedy` are sentences without a full stop."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str = ""  #: what to do, where to click or what to run; empty if nothing needs fixing
    facts: Mapping[str, str] = field(default_factory=dict)  #: for copying: URLs, ARNs

    @classmethod
    def ok(cls, subject: str, detail: str) -> Self:
        """Return a finding that needs no action."""
        return cls(subject=subject, verdict=Verdict.OK, detail=detail)

    @classmethod
    def warning(cls, subject: str, detail: str, remedy: str) -> Self:
        """Return a finding that something should be better; `remedy` says how."""
        return cls(subject=subject, verdict=Verdict.WARNING, detail=detail, remedy=remedy)

    @classmethod
    def failed(cls, subject: str, detail: str, remedy: str) -> Self:
        """Return a finding that something must be fixed; `remedy` says how, and is empty if nobody knows."""
        return cls(subject=subject, verdict=Verdict.FAILED, detail=detail, remedy=remedy)

    @classmethod
    def skipped(cls, subject: str, *needs: str) -> Self:
        """Return a finding that it was not checked, because something is wrong with what it `needs`."""
        detail = f"not checked: needs {' and '.join(needs)}, see above"
        return cls(subject=subject, verdict=Verdict.SKIPPED, detail=detail)


def is_sound(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed. Warnings do not count."""
    return all(finding.verdict is not Verdict.FAILED for finding in findings)


def findings_view(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings as `--json` prints them."""
    flat = (
        {**asdict(each), "detail": _one_line(each.detail), "remedy": _one_line(each.remedy)}
        for each in findings
    )
    return {"sound": is_sound(findings), "findings": list(flat)}


def render_findings(findings: Sequence[Finding], *, width: int | None = None, colour: bool = False) -> str:
    """Return the findings as aligned lines with a summary below.

    Facts and remedies are indented below their finding. Lines are wrapped at `width` columns; None: never.
    `colour` shows each verdict in a colour of its own.
    """
    column = max((len(finding.subject) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, column, width, colour=colour)]
    return "\n".join([*lines, "", _summary(findings)])


def _lines(finding: Finding, column: int, width: int | None, *, colour: bool) -> Iterator[str]:
    verdict = f"{_MARKS[finding.verdict]} {finding.verdict:<{_VERDICT_WIDTH}}"
    head = f"{verdict}{_GAP}{finding.subject:<{column}}{_GAP}"
    room = None if width is None else max(_NARROWEST_TEXT, width - len(head))
    indent = " " * len(head)
    first, *others = _wrap(finding.detail, room)
    yield f"{paint(verdict, _COLOURS[finding.verdict]) if colour else verdict}{head[len(verdict) :]}{first}"
    names = max(map(len, finding.facts), default=0)
    # Facts are not wrapped, so that they can be copied.
    others += [
        f"{name:<{names}}{_GAP}{make_printable(_one_line(value))}" for name, value in finding.facts.items()
    ]
    if finding.remedy:
        others += _wrap(finding.remedy, room, mark=_REMEDY_MARK)
    yield from (f"{indent}{line}" for line in others)


def _wrap(text: str, room: int | None, *, mark: str = "") -> list[str]:
    """Wrap a text to `room` columns; None: never. Words stay whole, and line breaks in it are dropped."""
    printable = make_printable(_one_line(text))
    if room is None:
        return [f"{mark}{printable}"]
    return textwrap.wrap(
        printable,
        room,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [mark]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    counted = ", ".join(_pluralize(counts[verdict], verdict) for verdict in Verdict if counts[verdict])
    return (
        f"{counted}." if is_sound(findings) else f"{counted}. Fix what failed, from the top, and check again."
    )


def _pluralize(count: int, verdict: Verdict) -> str:
    return f"{count} {verdict}s" if verdict is Verdict.WARNING and count > 1 else f"{count} {verdict}"
