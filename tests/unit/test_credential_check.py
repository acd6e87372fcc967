from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli.checks.findings import Finding, Verdict
from bot.cli.checks.machine import check_credentials
from bot.settings.credentials import read_credentials


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

    assert finding.verdict is Verdict.OK
    assert finding.detail == f"slack_bot_token, slack_app_token, in {folder}"


def test_without_systemd_it_says_how_to_check_with_them() -> None:
    finding = check_credentials(read_credentials(None, {}))

    assert finding.verdict is Verdict.OK
    assert "with the settings in /etc/triage-bot.env" in finding.detail


def test_a_credential_that_does_not_count_is_a_warning(folder: Path) -> None:
    finding = look(folder, SLACK_BOT_TOKEN="xoxb-2")

    assert finding.verdict is Verdict.WARNING
    assert finding.detail == "ignored, because also set elsewhere: SLACK_BOT_TOKEN"
    assert "keep each token in one place" in finding.remedy


def test_a_credential_that_everybody_can_read_is_a_warning(folder: Path) -> None:
    (folder / "slack_app_token").chmod(0o644)

    finding = look(folder)

    assert finding.verdict is Verdict.WARNING
    assert finding.detail == f"everybody can read {folder}/slack_app_token"
    assert finding.remedy == f"chmod 600 {folder}/slack_app_token"
