from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.cli.checks.findings import Verdict
from bot.cli.checks.machine import check_clock

THEIRS = "Tue, 24 Nov 2026 03:00:00 GMT"
NOON = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "detail"),
    [(-29, "29 s behind AWS"), (0, "agrees with AWS"), (0.9, "agrees with AWS"), (29, "29 s ahead of AWS")],
)
def test_a_clock_that_goes_right_is_fine(seconds: float, detail: str) -> None:
    [finding] = check_clock("AWS", THEIRS, NOON + timedelta(seconds=seconds))

    assert (finding.verdict, finding.detail) == (Verdict.OK, detail)


@pytest.mark.parametrize(
    ("seconds", "verdict", "detail"),
    [
        (30, Verdict.WARNING, "30 s ahead of AWS"),
        (-299, Verdict.WARNING, "299 s behind AWS"),
        (300, Verdict.FAILED, "300 s ahead of AWS"),
        (-86400, Verdict.FAILED, "86400 s behind AWS"),
    ],
)
def test_a_clock_that_goes_wrong_is_to_be_set(seconds: int, verdict: Verdict, detail: str) -> None:
    [finding] = check_clock("AWS", THEIRS, NOON + timedelta(seconds=seconds))

    assert (finding.verdict, finding.detail) == (verdict, detail)
    assert "timedatectl set-ntp true" in finding.remedy


@pytest.mark.parametrize("date", ["", "yesterday", "2026-11-24T03:00:00Z"])
def test_an_answer_without_a_date_says_nothing(date: str) -> None:
    assert check_clock("Slack", date, NOON) == []
