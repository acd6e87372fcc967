"""What `check` finds of the clock and the credentials, and how findings are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.cli.checks.findings import CheckStatus, Finding, is_sound, render_findings
from bot.cli.checks.machine import check_clock, check_credentials
from bot.settings.credentials import read_credentials

QUEUE = Finding(
    subject="request queue",
    status=CheckStatus.OK,
    detail="3 visible, 0 in flight, 0 delayed",
    facts={"URL": "https://sqs.us-west-2.amazonaws.com/123456789012/triage-requests", "ARN": "arn:aws:sqs:x"},
)
TOKEN = Finding(
    subject="bot token",
    status=CheckStatus.FAILED,
    detail="Slack refuses it (token_revoked)",
    remedy="copy the token that the app has now into SLACK_BOT_TOKEN",
)
HISTORY = Finding(subject="scope im:history", status=CheckStatus.WARNING, detail="missing", remedy="add it")


def test_findings_are_aligned_with_what_belongs_to_them_below() -> None:
    lines = render_findings([QUEUE, TOKEN]).splitlines()

    assert lines == [
        "✓ ok       request queue  3 visible, 0 in flight, 0 delayed",
        "                          URL  https://sqs.us-west-2.amazonaws.com/123456789012/triage-requests",
        "                          ARN  arn:aws:sqs:x",
        "✗ failed   bot token      Slack refuses it (token_revoked)",
        "                          → copy the token that the app has now into SLACK_BOT_TOKEN",
        "",
        "1 ok, 1 failed. Fix what failed, from the top, and check again.",
    ]


def test_lines_are_broken_at_the_width_of_the_terminal_between_words() -> None:
    lines = render_findings([TOKEN], width=60).splitlines()

    assert lines[:3] == [
        "✗ failed   bot token  Slack refuses it (token_revoked)",
        "                      → copy the token that the app has now",
        "                        into SLACK_BOT_TOKEN",
    ]


def test_an_address_is_never_broken() -> None:
    lines = render_findings([QUEUE], width=50).splitlines()

    assert any(line.endswith(f"  {QUEUE.facts['URL']}") for line in lines)


@pytest.mark.parametrize("width", [None, 80])
def test_a_text_from_outside_cannot_begin_a_line_of_its_own(width: int | None) -> None:
    forged = Finding(
        subject="bot token", status=CheckStatus.FAILED, detail="no\n✓ ok       bot token\r\x0bgood"
    )

    lines = render_findings([forged], width=width).splitlines()

    assert lines[0] == "✗ failed   bot token  no ✓ ok bot token good"


def test_on_a_terminal_each_verdict_has_its_colour_and_a_text_from_outside_none() -> None:
    forged = Finding(subject="bot token", status=CheckStatus.FAILED, detail="\x1b[32mgood\x1b[0m")

    lines = render_findings([QUEUE, forged], colour=True).splitlines()

    assert lines[0].startswith("\x1b[32m✓ ok     \x1b[0m  ")
    [line] = [line for line in lines if "good" in line]
    assert line == "\x1b[31m✗ failed \x1b[0m  bot token      \\x1b[32mgood\\x1b[0m"


def test_a_warning_is_no_failure_and_one_failure_is_one_too_many() -> None:
    assert is_sound([QUEUE, HISTORY, HISTORY])
    assert not is_sound([QUEUE, HISTORY, TOKEN])
    assert render_findings([QUEUE, HISTORY, HISTORY]).splitlines()[-1] == "1 ok, 2 warnings."


def test_what_was_skipped_says_what_it_needs() -> None:
    finding = Finding.skipped("request queue", "REQUEST_QUEUE_URL", "AWS_REGION")

    assert finding.detail == "not checked: needs REQUEST_QUEUE_URL and AWS_REGION, see above"


THEIRS = "Tue, 24 Nov 2026 03:00:00 GMT"
NOON = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "status", "detail"),
    [
        (-29, CheckStatus.OK, "29 s behind AWS"),
        *((seconds, CheckStatus.OK, "agrees with AWS") for seconds in (0, 0.9)),
        (29, CheckStatus.OK, "29 s ahead of AWS"),
        (30, CheckStatus.WARNING, "30 s ahead of AWS"),
        (-299, CheckStatus.WARNING, "299 s behind AWS"),
        (300, CheckStatus.FAILED, "300 s ahead of AWS"),
        (-86400, CheckStatus.FAILED, "86400 s behind AWS"),
    ],
)
def test_a_clock_that_goes_wrong_is_to_be_set(seconds: float, status: CheckStatus, detail: str) -> None:
    [finding] = check_clock("AWS", THEIRS, NOON + timedelta(seconds=seconds))

    assert (finding.status, finding.detail) == (status, detail)
    assert ("timedatectl set-ntp true" in finding.remedy) is (status is not CheckStatus.OK)


@pytest.mark.parametrize("date", ["", "yesterday", "2026-11-24T03:00:00Z"])
def test_an_answer_without_a_date_says_nothing(date: str) -> None:
    assert check_clock("Slack", date, NOON) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("slack_bot_token", "slack_app_token"):
        (tmp_path / name).write_text("xoxb-1\n", encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def look(folder: Path, **values: str) -> Finding:
    return check_credentials(read_credentials(folder, values))


def test_credentials_that_are_there_are_named(folder: Path) -> None:
    finding = look(folder)

    assert finding.status is CheckStatus.OK
    assert finding.detail == f"slack_bot_token, slack_app_token, in {folder}"


def test_without_systemd_it_says_how_to_check_with_them() -> None:
    finding = check_credentials(read_credentials(None, {}))

    assert finding.status is CheckStatus.OK
    assert "with the settings in /etc/triage-bot.env" in finding.detail


def test_a_credential_that_does_not_count_is_a_warning(folder: Path) -> None:
    finding = look(folder, SLACK_BOT_TOKEN="xoxb-2")

    assert finding.status is CheckStatus.WARNING
    assert finding.detail == "ignored, because also set elsewhere: SLACK_BOT_TOKEN"
    assert "keep each token in one place" in finding.remedy


def test_a_credential_that_everybody_can_read_is_a_warning(folder: Path) -> None:
    (folder / "slack_app_token").chmod(0o644)

    finding = look(folder)

    assert finding.status is CheckStatus.WARNING
    assert finding.detail == f"everybody can read {folder}/slack_app_token"
    assert finding.remedy == f"chmod 600 {folder}/slack_app_token"
