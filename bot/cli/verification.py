"""Writes exports, and verifies them: says what is missing or changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from bot.triage.restore_rules import SEQUENCE_STEP
from bot.triage.trail import UNKNOWN, encode_canonical, hash_of, hash_of_report
from bot.worker.export_lines import FORMAT, last_line

#: The keys of an alert's line that say what follows it.
_PROMISED = ("events", "lastEvent", "reports", "lastReport")

#: The keys of an event that its hash covers, in this order.
_OF_EVENT = ("identifier", "version", "at", "event", "facts", "previous")


@dataclass(kw_only=True)
class Verification:
    """The result of verifying an export: how much is in it, what is wrong with it, and where it has gaps."""

    alerts: int = 0
    events: int = 0
    reports: int = 0
    faults: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


def export_bytes(lines: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield the lines of an export as bytes, with a last line that has their hash."""
    digest, count = sha256(), 0
    for line in lines:
        written = _encode_line(line)
        digest.update(written)
        count += 1
        yield written
    yield _encode_line(last_line(count, digest.hexdigest()))


def verify_export(written: Iterable[bytes], hashes: Collection[str] | None = None) -> Verification:
    """Verify the lines of an export, each with its line end. Raises nothing.

    `hashes`, if given, are those of the reports that MozDef has. It should have all that were sent, and no
    others.
    """
    reader = _Reader(hashes)
    digest, count, held = sha256(), 0, b""
    for line in written:
        if held:
            digest.update(held)
            count += 1
            reader.read(count, held)
        held = line
    reader.finish()
    if not reader.is_export:
        return Verification(faults=["this is not an export: no line is one that `triage-bot export` writes"])
    if held != _encode_line(last_line(count, digest.hexdigest())):
        reader.add_fault(
            "the last line does not match the lines before it: lines are missing, added or changed"
        )
    return reader.result


def _is_skip(number: int, promised: object) -> bool:
    """Whether a restore has skipped sequences up to the next hundred: see `restore_rules.make_unsure`."""
    return isinstance(promised, int) and promised > number and promised % SEQUENCE_STEP == 0


def _encode_line(line: Mapping[str, Any]) -> bytes:
    return encode_canonical(line).encode("ascii") + b"\n"


@dataclass(kw_only=True)
class _Alert:
    """The alert whose lines are being read: what its own line promises, and what was read so far."""

    identifier: str
    promised: Mapping[str, Any]
    events: int = 0
    last_event: str | None = None
    reports: int = 0
    last_report: str | None = None


class _Reader:
    """Reads lines one by one.

    A line whose hash is wrong is a fault, but what it says about others is used.
    """

    def __init__(self, hashes: Collection[str] | None) -> None:
        self.result = Verification()
        self.is_export = False  #: whether any line is one of an export
        self._hashes = hashes
        self._unseen = set(hashes or ())
        self._seen: set[str] = set()
        self._alert: _Alert | None = None
        self._kinds: Mapping[str, Callable[[int, dict[str, Any]], None]] = {
            "export": self._read_first,
            "alert": self._read_alert,
            "event": self._read_event,
            "report": self._read_report,
        }

    def add_fault(self, fault: str) -> None:
        self.result.faults.append(fault)

    def read(self, number: int, written: bytes) -> None:
        """Read a line of the file: its number from 1, and its bytes."""
        try:
            line = json.loads(written)
            if _encode_line(line) == written:
                self._kinds[line["line"]](number, line)
                self.is_export = True
                return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        self.add_fault(f"line {number} is damaged or was changed")

    def finish(self) -> None:
        """Check the last alert, and which hashes of MozDef's were not found."""
        self._close_alert()
        for unseen in sorted(self._unseen):
            self.add_fault(f"no report here has the hash {unseen}, which MozDef has")

    def _read_first(self, number: int, line: dict[str, Any]) -> None:
        if number != 1 or line["format"] != FORMAT:
            self.add_fault(
                f"line {number} does not belong here: it begins an export of format {line['format']}"
            )
        self._check_seal(f"line {number}", line)

    def _read_alert(self, number: int, line: dict[str, Any]) -> None:
        self._close_alert()
        identifier, promised = str(line["identifier"]), {key: line[key] for key in _PROMISED}
        self._check_seal(f"line {number}: the line of alert {identifier!r}", line)
        if number == 1:
            self.add_fault("the first line, which names the period of the export, is missing")
        if identifier in self._seen:
            self.add_fault(f"line {number}: alert {identifier!r} is here twice")
        self._seen.add(identifier)
        self._alert = _Alert(identifier=identifier, promised=promised)
        self.result.alerts += 1

    def _read_event(self, number: int, line: dict[str, Any]) -> None:
        name = f"line {number}: event {line['version']} ({line['event']}) of alert {line['identifier']!r}"
        alert = self._alert_of(name, line)
        if len(line) != len(_OF_EVENT) + 2 or line["hash"] != hash_of([line[key] for key in _OF_EVENT]):
            self.add_fault(f"{name} is changed")
        if alert is None:
            return
        if line["previous"] == UNKNOWN:
            self.result.gaps.append(f"{name} comes after a gap")
        elif line["previous"] != alert.last_event or alert.reports:
            self.add_fault(f"{name} does not follow the event before it: one is missing, added or moved")
        alert.events += 1
        alert.last_event = line["hash"]
        self.result.events += 1

    def _read_report(self, number: int, line: dict[str, Any]) -> None:
        name = f"line {number}: report {line['sequence']} of alert {line['identifier']!r}"
        alert, told = self._alert_of(name, line), line["triagebot"]
        self._check_seal(name, line)
        proof = told.get("hash")
        if proof is not None and proof != hash_of_report(line["identifier"], told):
            self.add_fault(f"{name} is changed")
        if alert is not None:
            self._follow(alert, name, line)
        self._compare(name, proof, was_sent=line["sentAt"] is not None)
        self.result.reports += 1

    def _follow(self, alert: _Alert, name: str, line: dict[str, Any]) -> None:
        told = line["triagebot"]
        previous, is_proved = told.get("previous"), "hash" in told
        if previous == UNKNOWN:
            self.result.gaps.append(f"{name} comes after a gap")
            follows = line["sequence"] >= alert.reports
        else:
            follows = line["sequence"] == alert.reports and (not is_proved or previous == alert.last_report)
        if not follows:
            self.add_fault(f"{name} does not follow the report before it: one is missing, added or moved")
        alert.reports = line["sequence"] + 1
        alert.last_report = told.get("hash")

    def _compare(self, name: str, proof: str | None, *, was_sent: bool) -> None:
        """Compare a report with MozDef's hashes. A report of a release without a trail has none."""
        if self._hashes is None or proof is None:
            return
        self._unseen.discard(proof)
        if was_sent and proof not in self._hashes:
            self.add_fault(f"{name} was sent, and MozDef does not have it (hash {proof})")

    def _alert_of(self, name: str, line: dict[str, Any]) -> _Alert | None:
        if self._alert is None or self._alert.identifier != line["identifier"]:
            self.add_fault(f"{name} is not among the lines of its alert")
            return None
        return self._alert

    def _close_alert(self) -> None:
        alert, self._alert = self._alert, None
        if alert is None:
            return
        found = {"events": alert.events, "reports": alert.reports}
        for what, number in found.items():
            promised = alert.promised[what]
            if what == "reports" and _is_skip(number, promised):
                self.result.gaps.append(f"alert {alert.identifier!r} continues with report {promised}")
            elif promised != number:
                self.add_fault(f"alert {alert.identifier!r} has {number} {what} here, and had {promised}")
        ends = {"lastEvent": alert.last_event, "lastReport": alert.last_report}
        for what, last in ends.items():
            if (promised := alert.promised[what]) not in (last, None):
                self.add_fault(f"alert {alert.identifier!r} does not end with its last {what[4:].lower()}")

    def _check_seal(self, name: str, line: dict[str, Any]) -> None:
        if line["sha256"] != hash_of({key: value for key, value in line.items() if key != "sha256"}):
            self.add_fault(f"{name} is changed")
