"""What a report says, when it goes, and what goes as a note."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fakes import NOON, a_request

from bot.triage.model import Choice, Question, Report, State
from bot.triage.outcomes import Outcome, Profile
from bot.triage.policy import Policy
from bot.triage.reporting import report_due_at, report_on

POLICY = Policy()
CLICKED = NOON + timedelta(hours=1)
ASKED = Question(
    request=a_request(),
    ref="key.secret",
    state=State.ASKED,
    accepted_at=NOON,
    due_at=None,
    slack_id="U0ADA",
    slack_name="ada",
    channel="D0ADA",
    ts="1.000001",
    asked_at=NOON + timedelta(seconds=2),
)


def after(before: Question, **changes: Any) -> Question:
    return replace(before, reports=before.reports + 1, **changes)


def report(before: Question, now: Question, policy: Policy = POLICY) -> Report:
    return report_on(before, now, at=CLICKED, policy=policy)


@pytest.mark.parametrize(
    ("policy", "at", "due_at"),
    [
        (POLICY, NOON + timedelta(seconds=10), NOON + timedelta(seconds=90)),
        (POLICY, NOON + timedelta(seconds=91), NOON + timedelta(seconds=91)),
        (Policy(hold=timedelta(0)), NOON, NOON),
    ],
    ids=["early", "late", "no hold"],
)
def test_a_report_waits_until_mozdef_knows_the_alert(policy: Policy, at: datetime, due_at: datetime) -> None:
    assert report_due_at(ASKED, at, policy) == due_at


def test_an_answer_is_reported_with_its_author_and_times() -> None:
    now = after(ASKED, standing=Outcome.NO, said=Choice.NO, answered_at=CLICKED)

    assert report(ASKED, now) == Report(
        identifier="9Zo02m4B7gIfixq3c4Xh",
        sequence=0,
        outcome=Outcome.NO,
        response="no",
        note=False,
        at=CLICKED,
        email="ada@example.com",
        slack_id="U0ADA",
        slack_name="ada",
        confidence=a_request().confidence,
        alert="duo_bypass_codes_generated",
        asked_at=NOON + timedelta(seconds=2),
        answered_at=CLICKED,
        asked_slack_id="U0ADA",
    )


def test_without_an_outcome_there_is_nothing_to_report() -> None:
    with pytest.raises(ValueError, match="outcome"):
        report(ASKED, ASKED)


YES = after(ASKED, standing=Outcome.YES, said=Choice.YES)
NOT_SURE = after(ASKED, standing=Outcome.NOT_SURE, said=Choice.NOT_SURE)
OTHER_USER = after(NOT_SURE, standing=Outcome.WRONG_USER, said=Choice.WRONG_USER)
LATE = after(ASKED, standing=Outcome.UNDELIVERABLE, reason="not_asked_in_time")


@pytest.mark.parametrize(
    ("before", "now", "policy", "note"),
    [
        (ASKED, YES, POLICY, False),
        (YES, after(YES, standing=Outcome.NO, said=Choice.NO), POLICY, False),
        (NOT_SURE, OTHER_USER, POLICY, True),
        (NOT_SURE, OTHER_USER, Policy(profile=Profile.VERBATIM), False),  # for which it is another word
        (LATE, after(LATE, standing=Outcome.TIMED_OUT, reason=""), POLICY, True),
        # Another author: MozDef hears it as a change.
        (LATE, after(LATE, standing=Outcome.WRONG_USER, said=Choice.WRONG_USER), POLICY, False),
    ],
)
def test_a_report_that_mozdef_would_drop_goes_as_a_note(
    before: Question, now: Question, policy: Policy, *, note: bool
) -> None:
    told = report(before, now, policy)

    assert told.note is note
    assert told.said == (now.said if note else None)
    assert told.sequence == before.reports
