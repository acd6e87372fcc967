from __future__ import annotations

import pytest

from bot.cli.checks.findings import Finding, Verdict, is_sound, render_findings

QUEUE = Finding(
    subject="request queue",
    verdict=Verdict.OK,
    detail="3 visible, 0 in flight, 0 delayed",
    facts={"URL": "https://sqs.us-west-2.amazonaws.com/123456789012/triage-requests", "ARN": "arn:aws:sqs:x"},
)
TOKEN = Finding(
    subject="bot token",
    verdict=Verdict.FAILED,
    detail="Slack refuses it (token_revoked)",
    remedy="copy the token that the app has now into SLACK_BOT_TOKEN",
)
HISTORY = Finding(subject="scope im:history", verdict=Verdict.WARNING, detail="missing", remedy="add it")


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

    assert any(
        line.endswith("  https://sqs.us-west-2.amazonaws.com/123456789012/triage-requests") for line in lines
    )


@pytest.mark.parametrize("width", [None, 80])
def test_a_text_from_outside_cannot_begin_a_line_of_its_own(width: int | None) -> None:
    forged = Finding(subject="bot token", verdict=Verdict.FAILED, detail="no\n✓ ok       bot token\r\x0bgood")

    lines = render_findings([forged], width=width).splitlines()

    assert lines[0] == "✗ failed   bot token  no ✓ ok bot token good"


def test_on_a_terminal_each_verdict_has_its_colour_and_a_text_from_outside_none() -> None:
    forged = Finding(subject="bot token", verdict=Verdict.FAILED, detail="\x1b[32mgood\x1b[0m")

    lines = render_findings([QUEUE, forged], colour=True).splitlines()

    assert lines[0].startswith("\x1b[32m✓ ok     \x1b[0m  ")
    assert [line for line in lines if "good" in line] == [
        "\x1b[31m✗ failed \x1b[0m  bot token      \\x1b[32mgood\\x1b[0m"
    ]


def test_a_warning_is_no_failure() -> None:
    assert is_sound([QUEUE, HISTORY, HISTORY])
    assert render_findings([QUEUE, HISTORY, HISTORY]).splitlines()[-1] == "1 ok, 2 warnings."


def test_one_failure_is_one_too_many() -> None:
    assert not is_sound([QUEUE, HISTORY, TOKEN])


def test_what_was_skipped_says_what_it_needs() -> None:
    finding = Finding.skipped("request queue", "REQUEST_QUEUE_URL", "AWS_REGION")

    assert finding.detail == "not checked: needs REQUEST_QUEUE_URL and AWS_REGION, see above"
