"""What `list`, `show` and `migrate` tell."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import a_request
from hypothesis import given
from hypothesis import strategies as st

from bot.cli.output.migration import render_result
from bot.cli.output.questions import render_list, render_question
from bot.cli.output.tables import count_columns
from bot.printable import make_printable
from bot.store.migration.inventory import Comparison, Count
from bot.store.migration.migrate import MigrationResult
from bot.triage.model import Choice, Fact, OutboxRow, Question, Report, State, Trail
from bot.triage.outcomes import Outcome, Reason
from bot.worker.views import question_view, render_json, trail_view

ACCEPTED = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
REQUEST = a_request(summary="Somebody made bypass codes.\nWas it you?")
WAITING = Question(
    request=REQUEST, ref="0" * 32 + ".1", accepted_at=ACCEPTED, due_at=ACCEPTED + timedelta(seconds=4)
)
ANSWERED = replace(
    WAITING,
    state=State.ASKED,
    slack_id="U0ADA",
    slack_name="ada",
    offered=(Choice.YES, Choice.NO, Choice.NOT_SURE),
    channel="D0ADA",
    ts="1764000000.000100",
    asked_at=ACCEPTED + timedelta(seconds=2),
    standing=Outcome.NO,
    said=Choice.YES,
    first_answered_at=ACCEPTED + timedelta(minutes=4),
    answered_at=ACCEPTED + timedelta(minutes=5),
    answers=2,
    reminders=1,
)
CARDED = replace(
    ANSWERED,
    note="I was on a train.",
    notes=2,
    card_ts="1764000100.000200",
    taken_by="U0RADIA",
    taken_name="radia",
    taken_at=ACCEPTED + timedelta(minutes=9),
)
WRITTEN = datetime(2026, 11, 24, 3, 6, tzinfo=UTC)
LATER = ACCEPTED + timedelta(hours=3, minutes=59)


def report(sequence: int, *, note: bool = False, comment: str = "", **changes: Any) -> OutboxRow:
    written = Report(
        identifier=REQUEST.identifier,
        sequence=sequence,
        outcome=Outcome.NO,
        response="no",
        note=note,
        at=WRITTEN,
        email=REQUEST.user,
        slack_id="U0ADA",
        slack_name="ada",
        confidence=REQUEST.confidence,
        alert=REQUEST.alert,
        comment=comment,
    )
    return OutboxRow(
        identifier=REQUEST.identifier,
        sequence=sequence,
        event_id="7d7e4c2e-0000-5000-8000-000000000000",
        body=f'{{"details":{{"comment":"{"word " * 20}\\u001b"}},"sequence":{sequence}}}',
        report=written,
        **{"due_at": ACCEPTED + timedelta(seconds=90), **changes},
    )


def rendered(question: Question, *reports: OutboxRow) -> str:
    """Return what `show` prints, of a view that went over the socket."""
    return render_question(json.loads(json.dumps(shown_view(question, *reports))))


def shown_view(question: Question, *reports: OutboxRow) -> dict[str, Any]:
    """Return what the handler of `show` yields for an alert without events."""
    trail = Trail(question=question, events=(), reports=reports)
    return {**question_view(question, reports), **trail_view(trail)}


def listed(*questions: Question, at: datetime | None = None, width: int | None = None) -> list[str]:
    views = [question_view(each) for each in questions]
    return render_list(views, at or LATER, width=width).splitlines()


def section_of(text: str, heading: str) -> list[str]:
    """The lines below a heading of what `show` prints."""
    sections = {section.splitlines()[0]: section.splitlines()[1:] for section in text.split("\n\n")}
    return sections.get(heading, [])


def hostile(text: str) -> Question:
    request = replace(REQUEST, identifier=text, alert=text, summary=text, user=text)
    return replace(CARDED, request=request, slack_name=text, reason=text, taken_name=text, note=text)


def test_a_view_survives_the_socket_and_does_not_hold_the_ref_with_which_a_click_is_known() -> None:
    view = question_view(ANSWERED, [report(0)])

    assert json.loads(json.dumps(view)) == view
    assert ANSWERED.ref not in render_json(view)


def test_the_list_is_an_aligned_table_with_a_line_for_each_question() -> None:
    lines = listed(ANSWERED, WAITING)

    asked = ["9Zo02m4B7gIfixq3c4Xh", "duo_bypass_codes_generated", "ada@example.com"]
    headings = ["ACCEPTED", "AGE", "IDENTIFIER", "ALERT", "USER", "STATE"]
    assert [re.split(" {2,}", line) for line in lines] == [
        headings,
        ["2026-11-24 03:00", "3h", *asked, "no (then said yes)"],
        ["2026-11-24 03:00", "3h", *asked, "accepted"],
    ]
    for name, cell in [("USER", "ada@"), ("ALERT", "duo_")]:
        assert {lines[0].index(name)} == {line.index(cell) for line in lines[1:]}
    assert listed()[0].split() == headings


@pytest.mark.parametrize(
    ("left", "shown"),
    [(timedelta(hours=20, minutes=1), ", 20h left"), (timedelta(seconds=-1), ", 0s left"), (None, "")],
)
def test_the_list_says_how_long_an_open_question_still_waits(left: timedelta | None, shown: str) -> None:
    [_, row] = listed(replace(WAITING, deadline=None if left is None else LATER + left))

    assert row.endswith(f"  accepted{shown}")


UNDELIVERABLE = replace(WAITING, state=State.CLOSED, standing=Outcome.UNDELIVERABLE, reason="users_not_found")
OPEN = replace(ANSWERED, standing=None, said=None, deadline=LATER + timedelta(hours=20))


def test_on_a_terminal_of_80_columns_only_what_can_be_spared_is_cut() -> None:
    assert listed(OPEN, ANSWERED, UNDELIVERABLE, width=80) == [
        "AGE  IDENTIFIER            ALERT         USER           STATE",
        "3h   9Zo02m4B7gIfixq3c4Xh  duo_bypa…ted  ada@exam….com  asked, 20h left",
        "3h   9Zo02m4B7gIfixq3c4Xh  duo_bypa…ted  ada@exam….com  no (then said yes)",
        "3h   9Zo02m4B7gIfixq3c4Xh  duo_bypa…ted  ada@exam….com  undeliverable: u…t_found",
    ]
    assert listed(OPEN, width=200) == listed(OPEN)


@given(st.text(alphabet=st.characters(), min_size=1, max_size=255), st.integers(53, 200))
def test_the_list_fits_the_terminal_whatever_is_in_it(text: str, width: int) -> None:
    lines = listed(hostile(text), OPEN, width=width)

    assert max(map(count_columns, lines)) <= width


@pytest.mark.parametrize("identifier", ["0" * 32, "0" * 8 + "-0000" * 4 + "0" * 7])
def test_an_identifier_stays_whole_on_a_terminal_of_80_columns(identifier: str) -> None:
    long = replace(UNDELIVERABLE, request=replace(REQUEST, identifier=identifier))

    [_, line] = listed(long, width=80)

    assert f"  {identifier}  " in line
    assert len(line) <= 80


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=59), "59m"),
        (timedelta(hours=23), "23h"),
        (timedelta(days=12), "12d"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(age: timedelta, shown: str) -> None:
    assert listed(WAITING, at=ACCEPTED + age)[1].split()[2] == shown


def test_the_list_says_why_nobody_was_asked_and_which_rows_are_in_doubt_or_await_a_proof() -> None:
    doubtful = replace(WAITING, state=State.POSTING, in_doubt_since=ACCEPTED)
    proving = [replace(each, proof_code="CODE23") for each in (OPEN, UNDELIVERABLE)]

    lines = listed(UNDELIVERABLE, doubtful, *proving)[1:]

    assert [line.partition(".com  ")[2] for line in lines] == [
        "undeliverable: users_not_found",
        "posting (in doubt)",
        "asked, 20h left (proof awaited)",
        "undeliverable: users_not_found (proof awaited)",
    ]


def test_list_and_show_say_behind_what_a_question_waits() -> None:
    waits = replace(WAITING, due_at=None, waits_for="U0ADA", waited_since=ACCEPTED)
    behind = {"waitsBehind": ["first", "second", "third"]}
    shown = {**question_view(waits, []), **trail_view(Trail(question=waits, events=[], reports=[])), **behind}

    listed = render_list([question_view(waits) | behind], LATER, width=None)

    assert "accepted (waits behind first and 2 more)" in listed
    assert "first, second, third" in render_question(shown, width=None)
    assert "waits since" in render_question(shown, width=None)


def test_a_long_identifier_stays_whole_and_pushes_only_its_own_row_apart() -> None:
    [_, ordinary, long] = listed(WAITING, replace(WAITING, request=replace(REQUEST, identifier="x" * 255)))

    assert "x" * 255 in long
    assert len(ordinary) < 160


def test_wide_characters_keep_the_columns_aligned() -> None:
    [_, wide, plain] = listed(replace(WAITING, request=replace(REQUEST, alert="漢字e\u0301")), WAITING)

    # Two characters of two columns each, and one of none: one character less, though it looks equally long.
    assert wide.index("ada@") == plain.index("ada@") - 1


def test_show_tells_what_was_asked_of_whom_how_it_ended_and_what_was_sent() -> None:
    reports = [
        report(0, sent_at=ACCEPTED + timedelta(seconds=91)),
        report(1, note=True),
        report(2, parked_at=ACCEPTED + timedelta(seconds=99)),
    ]

    text = rendered(ANSWERED, *reports)

    assert text.splitlines() == [
        "Alert 9Zo02m4B7gIfixq3c4Xh",
        "  alert        duo_bypass_codes_generated",
        "  user         ada@example.com",
        "  confidence   lowest",
        "  accepted     2026-11-24 03:00:00 UTC",
        "  │ Somebody made bypass codes.",
        "  │ Was it you?",
        "",
        "Question",
        "  state        asked",
        "  person       ada (U0ADA)",
        "  asked        2026-11-24 03:00:02 UTC",
        "  choices      yes, no, notSure",
        "  message      D0ADA 1764000000.000100",
        "  reminders    1",
        "",
        "Outcome",
        "  stands       no",
        "  last said    yes",
        "  answered     2026-11-24 03:04:00 UTC",
        "  last answer  2026-11-24 03:05:00 UTC",
        "  answers      2",
        "",
        "Reports to MozDef",
        "  0  no, reported as no, sent 2026-11-24 03:01:31 UTC",
        *shown_json(0),
        "  1  no, reported as triagebotnote (changes nothing), waits until 2026-11-24 03:01:30 UTC",
        *shown_json(1),
        "  2  no, reported as no, rejected by the queue 2026-11-24 03:01:39 UTC",
        *shown_json(2),
    ]


def shown_json(sequence: int) -> list[str]:
    comment = "word " * 20
    inner = ['  "details": {', f'    "comment": "{comment}\\u001b"', "  },", f'  "sequence": {sequence}']
    return ["{", *inner, "}"]


@pytest.mark.parametrize("width", [None, 80, 30])
def test_the_json_that_show_prints_can_be_copied(width: int | None) -> None:
    text = render_question(shown_view(ANSWERED, report(0), report(1)), width=width)

    copied = re.findall(r"(?ms)^\{$.*?^\}$", text)

    assert [json.loads(each) for each in copied] == [json.loads(report(n).body) for n in (0, 1)]


def test_show_says_which_field_of_a_refused_request_was_wrong() -> None:
    wrong = ("user must be an ASCII e-mail address of at most 254 characters", "summary is missing")
    request = replace(REQUEST, user="", summary="", left_out=wrong)
    refused = replace(UNDELIVERABLE, request=request, reason=Reason.INVALID_REQUEST)

    lines = section_of(rendered(refused), f"Alert {REQUEST.identifier}")

    assert f"  refused      {'; '.join(wrong)}" in lines
    assert not [line for line in lines if "left out" in line]


def test_on_a_terminal_show_wraps_what_is_too_long_below_its_own_column() -> None:
    request = replace(REQUEST, left_out=("facts must be an array, not so",), summary="word " * 12)
    event = {"at": ACCEPTED.isoformat(), "event": "answered", "previous": None}
    told = [{**event, "facts": {"by": "U0ADA", "said": "no", "outcome": "no"}}]

    lines = render_question(
        {**shown_view(replace(WAITING, request=request)), "events": told}, width=50
    ).splitlines()

    assert lines[4:9] == [
        "  accepted     2026-11-24 03:00:00 UTC",
        "  left out     facts must be an array, not so",
        "  │ word word word word word word word word word",
        "  │ word word word",
        "",
    ]
    assert lines[-2:] == [
        "  2026-11-24 03:00:00 UTC  answered     by U0ADA,",
        f"{' ' * 25}said no, outcome no",
    ]


def test_on_a_terminal_no_wide_text_leaves_its_place() -> None:
    """A terminal would wrap it itself, without our mark: what follows would look like a line of ours."""
    lines = render_question(shown_view(hostile("\u754c " * 60)), width=50).splitlines()

    told = [line for line in lines if not line.startswith("Alert ")]  # it can be copied
    assert max(map(count_columns, told)) <= 50


def test_show_tells_the_facts_what_was_left_out_or_cut_and_how_the_person_was_found() -> None:
    request = replace(
        REQUEST,
        occurred_at=ACCEPTED - timedelta(hours=1),
        facts=(Fact(name="Host\x1b[2J", value="db1"), Fact(name="Device", value="Alert 1")),
        left_out=("facts must be an array", "occurredAt must not be more than a day from now"),
        is_cut=True,
    )
    known = replace(ANSWERED, found_by='[domains] "a" = "b"', other_slack_id="W1", reason="not_mapped")
    view = question_view(replace(known, request=request), [])
    shown = rendered(replace(known, request=request))

    assert section_of(shown, "Question")[2:4] == ["  other id     W1", '  found by     [domains] "a" = "b"']
    assert "  reason       not_mapped (see people.toml)" in section_of(shown, "Outcome")
    assert view["facts"][1] == {"name": "Device", "value": "Alert 1"}
    assert view["leftOut"] == list(request.left_out)
    assert (view["occurredAt"], view["summaryCut"]) == ("2026-11-24T02:00:00+00:00", True)
    assert section_of(shown, f"Alert {REQUEST.identifier}")[4:] == [
        "  happened     2026-11-24 02:00:00 UTC",
        "  left out     facts must be an array; occurredAt must not be more than a day from now",
        "  text         cut: its end was not kept",
        "  │ Somebody made bypass codes.",
        "  │ Was it you?",
        "  facts",
        "  │ Host\\x1b[2J: db1",
        "  │ Device: Alert 1",
    ]


def test_show_tells_what_comes_next_for_an_open_question() -> None:
    asked = replace(
        ANSWERED,
        standing=None,
        said=None,
        due_at=ACCEPTED + timedelta(hours=4),
        deadline=ACCEPTED + timedelta(hours=24),
    )

    lines = section_of(rendered(asked), "Question")

    assert lines[-3:] == [
        "  reminders    1",
        "  deadline     2026-11-25 03:00:00 UTC",
        "  next step    remind, 2026-11-24 07:00:00 UTC",
    ]


@pytest.mark.parametrize("piece", ["x", "\U000f0000", "a-", "word ", "\u754c", "ab\u754c", "\u754c wide "])
def test_show_tells_a_long_text_whole_in_lines_that_fit(piece: str) -> None:
    long = replace(ANSWERED, request=replace(ANSWERED.request, summary=piece * 9999))

    lines = section_of(rendered(long), f"Alert {ANSWERED.identifier}")

    quoted = [line.removeprefix("  │ ") for line in lines if line.startswith("  │")]
    assert max(map(count_columns, quoted)) <= 76
    assert "".join(quoted).replace(" ", "") == (make_printable(piece) * 9999).replace(" ", "")


def test_show_tells_every_note_with_its_time_and_none_can_pass_for_a_line_of_ours() -> None:
    notes = [
        report(1, note=True, comment="I was on a train."),
        report(2, note=True, comment="Security team\n  taken by     mallory"),
    ]

    text = rendered(CARDED, report(0), *notes)

    assert section_of(text, "Notes") == [
        "  2026-11-24 03:06:00 UTC",
        "  │ I was on a train.",
        "  2026-11-24 03:06:00 UTC",
        "  │ Security team",
        "  │   taken by     mallory",
    ]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, ["card 1764000100.000200", "taken by radia (U0RADIA)", "taken 2026-11-24 03:09:00 UTC"]),
        (
            {"card_ts": "", "card_due_at": ACCEPTED, "taken_by": "", "taken_name": "", "taken_at": None},
            ["card not posted yet", "next update 2026-11-24 03:00:00 UTC", "taken by nobody"],
        ),
        ({"card_ts": ""}, []),
    ],
)
def test_show_tells_what_the_security_team_has_of_it(changes: dict[str, Any], shown: list[str]) -> None:
    lines = section_of(rendered(replace(CARDED, **changes)), "Security team")

    assert [" ".join(line.split()) for line in lines] == shown


def test_json_has_the_whole_story_and_the_body_of_a_report_byte_for_byte() -> None:
    view = json.loads(render_json(question_view(CARDED, [report(0)])))

    expected = {
        "deadline": None,
        "reminders": 1,
        "note": "I was on a train.",
        "notes": 2,
        "cardTs": "1764000100.000200",
        "cardDueAt": None,
        "takenBy": "U0RADIA",
        "takenName": "radia",
        "takenAt": "2026-11-24T03:09:00+00:00",
    }
    assert {name: view[name] for name in expected} == expected
    [shown] = view["reports"]
    assert shown["body"] == report(0).body


def test_show_of_a_question_that_nobody_has_answered_says_that_it_is_open() -> None:
    text = rendered(WAITING)

    assert "  stands       open" in text
    assert "Reports to MozDef\n  none yet" in text
    assert "None" not in text


@given(st.text(alphabet=st.characters(), max_size=200))
def test_no_alert_text_touches_the_terminal_or_adds_a_row_to_the_list(text: str) -> None:
    view = shown_view(hostile(text))

    shown = (render_list([view], LATER), render_question(view), render_json(view))

    assert all(line.isprintable() for each in shown for line in each.split("\n"))
    assert len(shown[0].split("\n")) == 2


def test_no_summary_can_pass_for_a_line_of_ours() -> None:
    forged = "x\n\nOutcome\n  stands       yes\r" + " " * 200 + "Outcome"

    lines = rendered(replace(ANSWERED, request=replace(REQUEST, summary=forged))).splitlines()

    assert lines.count("Outcome") == 1
    assert "  stands       yes" not in lines
    assert all(len(line) <= 80 for line in lines)


def comparison(kind: str, rows: int, file: str, table: str) -> Comparison:
    return Comparison(
        kind=kind, source=Count(rows=rows, checksum=file), target=Count(rows=rows, checksum=table)
    )


EQUAL = comparison("reports sent", 1234, "ab" * 32, "ab" * 32)
NOTHING = comparison("reports parked", 0, "0" * 64, "0" * 64)
DIFFERENT = comparison("questions asked", 2, "cd" * 32, "ef" * 32)


def shown(*comparisons: Comparison, differs: str | None, as_json: bool = False) -> str:
    options = argparse.Namespace(target="dynamodb://questions", json=as_json)
    return render_result(MigrationResult(comparisons=comparisons, differs=differs), options)


def test_equal_stores_are_shown_with_what_comes_next() -> None:
    assert shown(EQUAL, NOTHING, differs=None).splitlines() == [
        "KIND            FILE   TABLE  CHECKSUM OF FILE  CHECKSUM OF TABLE",
        "reports sent    1,234  1,234  abababababababab  abababababababab   equal",
        "reports parked  0      0      -                 -                  equal",
        "Everything matches. Set STORE_URL=dynamodb://questions, and never start a worker on the file again.",
    ]


def test_as_many_rows_of_another_content_are_different_and_programs_get_the_whole_checksums() -> None:
    line = "questions asked  2     2      cdcdcdcdcdcdcdcd  efefefefefefefef   DIFFERENT"
    assert shown(DIFFERENT, differs="9Zo02m4B7gIfixq3c4Xh").endswith(line)

    file, table = {"rows": 2, "checksum": "cd" * 32}, {"rows": 2, "checksum": "ef" * 32}
    assert json.loads(shown(DIFFERENT, differs="x", as_json=True)) == [
        {"kind": "questions asked", "equal": False, "file": file, "table": table}
    ]
