"""`verify`: whatever is changed, removed, moved or inserted in an export is found, and named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from itertools import accumulate, chain, groupby
from random import Random
from typing import Any

import pytest
from effort import effort
from fakes import NOON, SteppedClock
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from memory_store import MemoryStore
from trails import answer, answered_question, recorder_of

from bot.cli.output.verification import render_verification
from bot.cli.verification import Verification, export_bytes, verify_export
from bot.triage.model import Change, Choice, Step
from bot.triage.restore_rules import make_unsure
from bot.triage.trail import encode_canonical
from bot.worker.export_lines import last_line
from bot.worker.handlers import store_handlers

ALERTS = effort(200, 1000)
DAY = timedelta(days=1)

#: In place of a value: its key is removed.
GONE = object()


async def exported(store: MemoryStore) -> list[bytes]:
    handlers = store_handlers(store, None, clock=SteppedClock(now=NOON + DAY))
    span = {"since_seconds": 2 * DAY.total_seconds(), "until_seconds": 0}
    return list(export_bytes([line async for line in handlers["export"](span)]))


async def alerts(number: int) -> MemoryStore:
    """Every other alert has two reports, and all reports are sent."""
    store = MemoryStore()
    for each in range(number):
        name = f"alert-{each}"
        await answered_question(store, name, *[Choice.NO][: each % 2])
        await store.mark_sent(await store.reports_of(name), NOON)
    return store


def hashes_in(lines: Sequence[bytes]) -> set[str]:
    told = [json.loads(line)["triagebot"]["hash"] for line in lines if b'"line":"report"' in line]
    return set(told)


def sealed_again(lines: Sequence[bytes]) -> list[bytes]:
    """End the lines with the last one that fits them, as who forges an export would."""
    return list(export_bytes(map(json.loads, lines[:-1])))


@cache
def whole() -> list[bytes]:
    """Return an export that nobody touched."""
    return asyncio.run(exported(asyncio.run(alerts(ALERTS))))


@cache
def chunks() -> list[list[bytes]]:
    """Return the lines of each alert of it."""
    lines = whole()[1:-1]
    return [list(each) for _, each in groupby(lines, key=lambda line: json.loads(line)["identifier"])]


def name_of(lines: Sequence[bytes]) -> str:
    return str(json.loads(lines[0])["identifier"])


def test_an_export_that_nobody_touched_is_whole() -> None:
    result = verify_export(whole(), hashes_in(whole()))

    assert result == Verification(alerts=ALERTS, events=6 * ALERTS, reports=ALERTS * 3 // 2)
    counted = f"{ALERTS:,} alerts, {6 * ALERTS:,} events, {ALERTS * 3 // 2:,} reports"
    assert render_verification(result) == f"{counted}: nothing is missing or changed."


#: A failure is not made smaller: each try reads a whole export.
EXAMPLES = settings(max_examples=effort(3, 10), deadline=None, phases=[Phase.reuse, Phase.generate])


@st.composite
def lines_to_change(draw: st.DrawFn) -> list[tuple[list[bytes], int]]:
    """Draw alerts, each as a copy of its lines, and a place in each."""
    chosen = draw(st.lists(st.sampled_from(range(ALERTS)), min_size=2, max_size=60, unique=True))
    copies = [list(chunks()[each]) for each in chosen]
    return [(lines, draw(st.integers(min_value=0, max_value=len(lines) - 1))) for lines in copies]


def faults_with(changed: Mapping[str, list[bytes]]) -> str:
    """Return what is said of the whole export with these alerts in place of its own, sealed again."""
    altered = (changed.get(name_of(chunk), chunk) for chunk in chunks())
    lines = [whole()[0], *chain.from_iterable(altered)]
    digest = sha256(b"".join(lines)).hexdigest()
    end = encode_canonical(last_line(len(lines), digest)).encode() + b"\n"
    return "\n".join(["", *verify_export([*lines, end]).faults])


@EXAMPLES
@given(lines_to_change(), st.randoms(use_true_random=False))
def test_every_changed_byte_is_found_though_the_file_is_sealed_again(
    places: list[tuple[list[bytes], int]], dice: Random
) -> None:
    changed = {}
    for lines, place in places:
        line, changed[name_of(lines)] = bytearray(lines[place]), lines
        byte = dice.randrange(len(line))
        line[byte] = dice.choice([each for each in range(256) if each != line[byte]])
        lines[place] = bytes(line)

    faults = faults_with(changed)

    starts = accumulate(map(len, chunks()), initial=2)
    first_of = dict(zip(map(name_of, chunks()), starts, strict=False))
    for name, (_, place) in zip(changed, places, strict=True):
        assert f"\nline {first_of[name] + place}" in faults


@pytest.mark.slow
@EXAMPLES
@given(lines_to_change(), st.data())
def test_every_removal_swap_and_insertion_is_found_though_the_file_is_sealed_again(
    places: list[tuple[list[bytes], int]], data: st.DataObject
) -> None:
    names = [name_of(lines) for lines, _ in places]
    pairs = list(zip(places[::2], places[1::2], strict=False))
    for (lines, place), (others, other) in pairs:
        match data.draw(st.sampled_from(["remove", "repeat", "insert", "swap", "swap within"])):
            case "remove":
                del lines[place]
            case "repeat":
                lines.insert(place, lines[place])
            case "insert":
                lines.insert(place, others[other])
            case "swap":
                lines[place], others[other] = others[other], lines[place]
            case _:
                lines[place], lines[place - 1] = lines[place - 1], lines[place]

    faults = faults_with(dict(zip(names, (lines for lines, _ in places), strict=True)))

    for first, second in zip(names[::2], names[1::2], strict=False):
        assert f"{first!r}" in faults or f"{second!r}" in faults


@pytest.mark.parametrize("place", [0, 5, -1])
@pytest.mark.parametrize("byte", [b" ", b"\n"])
def test_no_byte_can_be_added_anywhere(place: int, byte: bytes) -> None:
    written = b"".join([*whole()[:place], byte, *whole()[place:]])

    assert verify_export(written.splitlines(keepends=True)).faults
    assert verify_export([*whole()[:-1], whole()[-1] + byte]).faults


def forged(lines: list[bytes], kind: str, **changes: Any) -> list[bytes]:
    """Change what the last line of a kind says, and seal the export again."""
    place = max(number for number, line in enumerate(lines) if f'"line":"{kind}"'.encode() in line)
    changed = json.loads(lines[place]) | changes
    changed = {key: value for key, value in changed.items() if value is not GONE}
    return sealed_again([*lines[:place], json.dumps(changed).encode(), *lines[place + 1 :]])


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (
            "event",
            {"at": "2026-11-24T13:00:00+00:00"},
            "line 7: event 4 (sent) of alert 'alert-0' is changed",
        ),
        ("event", {"identifier": "other"}, "line 7: event 4 (sent) of alert 'other' is not among the lines"),
        ("report", {"sentAt": None}, "line 8: report 0 of alert 'alert-0' is changed"),
        ("alert", {"lastEvent": "0" * 64}, "alert 'alert-0' does not end with its last event"),
        ("alert", {"reports": 2}, "alert 'alert-0' has 1 reports here, and had 2"),
        ("export", {"since": None}, "line 1 is changed"),
        ("export", {"format": 2}, "line 1 does not belong here: it begins an export of format 2"),
        ("event", {"line": "rumour"}, "line 7 is damaged or was changed"),
        ("report", {"triagebot": None}, "line 8 is damaged or was changed"),
        ("alert", {"events": GONE}, "line 2 is damaged or was changed"),
        ("alert", {"lastReport": GONE}, "line 2 is damaged or was changed"),
    ],
)
def test_what_was_forged_is_named(kind: str, changes: dict[str, Any], said: str) -> None:
    lines = asyncio.run(exported(asyncio.run(alerts(1))))

    faults = verify_export(forged(lines, kind, **changes)).faults

    assert any(fault.startswith(said) for fault in faults), faults


def test_a_file_that_is_no_export_is_called_that_once() -> None:
    faults = verify_export([b"root:x:0:0\n", b"daemon:x:1:1\n", b"{}\n"], {"0" * 64}).faults

    assert faults == ["this is not an export: no line is one that `triage-bot export` writes"]


@pytest.mark.parametrize("lines", [[], [b""], [b"\xff\n"], [b"[]\n"]])
def test_what_is_no_whole_export_is_found(lines: list[bytes]) -> None:
    assert verify_export(lines).faults
    assert verify_export(whole()[:-1]).faults


def test_what_mozdef_lacks_and_what_it_has_besides_is_named() -> None:
    lines = [*whole()[:8], whole()[-1]]
    [there] = hashes_in(lines)

    faults = verify_export(sealed_again(lines), {"f" * 64}).faults

    assert faults == [
        f"line 8: report 0 of alert 'alert-0' was sent, and MozDef does not have it (hash {there})",
        f"no report here has the hash {'f' * 64}, which MozDef has",
    ]


async def test_a_gap_is_said_and_is_no_fault() -> None:
    store = MemoryStore()
    question = await answered_question(store, "alert")
    bare = replace(question, version=question.version + 1, trail_hash="", report_hash="")
    assert await store.save(Change(question=bare))
    await store.mark_sent(await store.reports_of("alert"), NOON)

    result = verify_export(await exported(store))

    assert result.faults == []
    assert result.gaps == ["line 7: event 5 (sent) of alert 'alert' comes after a gap"]


async def test_reports_that_a_restored_store_does_not_know_are_a_gap() -> None:
    store = MemoryStore()
    question = await answered_question(store, "alert")
    await recorder_of(store).decide(question, lambda row: answer(replace(row, reports=100), Choice.NO))

    result = verify_export(await exported(store))

    assert result.faults == []
    assert result.gaps == ["line 9: report 100 of alert 'alert' comes after a gap"]


async def test_a_restore_after_which_nothing_more_was_reported_is_a_gap() -> None:
    store = MemoryStore()
    question = await answered_question(store, "alert")
    await recorder_of(store).decide(question, lambda row: Step(question=make_unsure(row, NOON)))

    result = verify_export(await exported(store))

    assert result.faults == []
    assert result.gaps == ["alert 'alert' continues with report 100"]
