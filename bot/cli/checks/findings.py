"""The findings of `check`, and how a terminal shows them. Pure: the checks pass their findings in."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from bot.printable import GREEN, GREY, RED, YELLOW, make_printable, paint


class CheckStatus(StrEnum):
    """How one check ended. `--json` calls it the verdict."""

    OK = "ok"
    WARNING = "warning"  #: the worker can do its job, but something should be better
    FAILED = "failed"  #: the worker cannot do its job
    SKIPPED = "skipped"  #: not checked, because something that it needs has failed


#: The remedy for a failure of AWS's own.
RETRY_LATER = "try again in a minute; for outages see https://health.aws.amazon.com/health/status"

#: Distinct without colour.
_MARKS = {CheckStatus.OK: "✓", CheckStatus.WARNING: "!", CheckStatus.FAILED: "✗", CheckStatus.SKIPPED: "-"}
_COLOURS = {
    CheckStatus.OK: GREEN,
    CheckStatus.WARNING: YELLOW,
    CheckStatus.FAILED: RED,
    CheckStatus.SKIPPED: GREY,
}
_REMEDY_MARK = "→ "
_GAP = "  "
_STATUS_WIDTH = max(map(len, CheckStatus))

#: The least width for a text, in columns. On a terminal that has less, the terminal breaks the lines.
_NARROWEST_TEXT = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found. `detail` and `remedy` are sentences without a full stop."""

    subject: str
    status: CheckStatus
    detail: str
    remedy: str = ""  #: what to do, where to click or what to run; empty if nothing needs fixing
    facts: Mapping[str, str] = field(default_factory=dict)  #: for copying: URLs, ARNs

    @classmethod
    def ok(cls, subject: str, detail: str) -> Self:
        """Return a finding that needs no action."""
        return cls(subject=subject, status=CheckStatus.OK, detail=detail)

    @classmethod
    def warning(cls, subject: str, detail: str, remedy: str) -> Self:
        """Return a finding that something should be better; `remedy` says how."""
        return cls(subject=subject, status=CheckStatus.WARNING, detail=detail, remedy=remedy)

    @classmethod
    def failed(cls, subject: str, detail: str, remedy: str) -> Self:
        """Return a finding that something must be fixed; `remedy` says how, and is "" if it is not known."""
        return cls(subject=subject, status=CheckStatus.FAILED, detail=detail, remedy=remedy)

    @classmethod
    def skipped(cls, subject: str, *needs: str) -> Self:
        """Return a finding of a check that was skipped, because something that it `needs` is wrong."""
        detail = f"not checked: needs {' and '.join(needs)}, see above"
        return cls(subject=subject, status=CheckStatus.SKIPPED, detail=detail)


def is_sound(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed. Warnings do not count."""
    return all(finding.status is not CheckStatus.FAILED for finding in findings)


def findings_view(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings as `--json` prints them."""
    return {"sound": is_sound(findings), "findings": [_finding_view(each) for each in findings]}


def _finding_view(finding: Finding) -> dict[str, object]:
    return {
        "subject": finding.subject,
        "verdict": finding.status,
        "detail": _one_line(finding.detail),
        "remedy": _one_line(finding.remedy),
        "facts": finding.facts,
    }


def render_findings(findings: Sequence[Finding], *, width: int | None = None, colour: bool = False) -> str:
    """Return the findings as aligned lines with a summary below.

    Facts and remedies are indented below their finding. Lines are wrapped at `width` columns; None: never.
    `colour` gives each status a colour of its own.
    """
    column = max((len(finding.subject) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, column, width, colour=colour)]
    return "\n".join([*lines, "", _summary(findings)])


def _lines(finding: Finding, column: int, width: int | None, *, colour: bool) -> Iterator[str]:
    status = f"{_MARKS[finding.status]} {finding.status:<{_STATUS_WIDTH}}"
    head = f"{status}{_GAP}{finding.subject:<{column}}{_GAP}"
    room = None if width is None else max(_NARROWEST_TEXT, width - len(head))
    indent = " " * len(head)
    first, *others = _wrap(finding.detail, room)
    yield f"{paint(status, _COLOURS[finding.status]) if colour else status}{head[len(status) :]}{first}"
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
    counts = Counter(finding.status for finding in findings)
    counted = ", ".join(_pluralize(counts[status], status) for status in CheckStatus if counts[status])
    return (
        f"{counted}." if is_sound(findings) else f"{counted}. Fix what failed, from the top, and check again."
    )


def _pluralize(count: int, status: CheckStatus) -> str:
    return f"{count} {status}s" if status is CheckStatus.WARNING and count > 1 else f"{count} {status}"
