"""Where a token may come from, and which of them counts."""

from __future__ import annotations

from pathlib import Path

import given_settings
import pytest
from given_settings import problems

from bot.settings.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where systemd puts the credentials: two files, each with a line break at its end."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "slack_bot_token").write_text("xoxb-1-credential\n", encoding="utf-8")
    (folder / "slack_app_token").write_text("xapp-1-credential\n", encoding="utf-8")
    return folder


def load(folder: Path, **environ: str) -> Settings:
    return given_settings.load(folder.parent, **from_credentials(folder, **environ))


def from_credentials(folder: Path, **environ: str) -> dict[str, str]:
    return {"SLACK_BOT_TOKEN": "", "CREDENTIALS_DIRECTORY": str(folder), **environ}


def test_a_credential_counts_where_the_variable_is_not_set(folder: Path) -> None:
    settings = load(folder, SLACK_APP_TOKEN="")

    assert settings.slack_bot_token.reveal() == "xoxb-1-credential"
    assert settings.slack_app_token.reveal() == "xapp-1-credential"
    assert settings.credentials.unused == ()


def test_the_environment_wins_over_the_env_file_and_that_over_a_credential(folder: Path) -> None:
    (folder.parent / ".env").write_text("SLACK_BOT_TOKEN=xoxb-1-file\nSLACK_APP_TOKEN=xapp-1-file\n")

    settings = load(folder)

    assert settings.slack_bot_token.reveal() == "xoxb-1-file"
    assert settings.slack_app_token.reveal() == "xapp-1-secret"
    assert settings.credentials.unused == ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n", "SLACK_BOT_TOKEN is not set; expected the bot token"),
        (b"xapp-1-hidden\n", "SLACK_BOT_TOKEN starts with xapp-"),
        (b"xoxb-1-\xff\n", "the credential {folder}/slack_bot_token cannot be read (not UTF-8)"),
    ],
    ids=["empty", "swapped", "not UTF-8"],
)
def test_a_credential_is_judged_like_a_variable_never_shown(folder: Path, content: bytes, told: str) -> None:
    (folder / "slack_bot_token").write_bytes(content)

    found = problems(folder.parent, **from_credentials(folder))

    assert found[0].startswith(told.format(folder=folder))
    assert "hidden" not in str(found)


@pytest.mark.parametrize("where", ["environment", "credential"])
def test_a_token_may_be_the_name_of_a_parameter(folder: Path, where: str) -> None:
    (folder / "slack_bot_token").write_text("ssm:/triage/bot-token\n", encoding="utf-8")
    environ = {"SLACK_BOT_TOKEN": "ssm:/triage/bot-token"} if where == "environment" else {}

    settings = load(folder, **environ)

    assert settings.slack_bot_token.parameter == "/triage/bot-token"
    assert settings.slack_app_token.parameter == ""


@pytest.mark.parametrize("text", ["ssm:", "ssm:name", "ssm:/", "ssm:/a b", "ssm:/a/../b?", "SSM:/a"])
def test_what_names_no_parameter_is_refused_with_how_to_write_one(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, SLACK_BOT_TOKEN=text)

    assert "or ssm:/parameter/name" in problem


def test_a_folder_of_credentials_that_is_not_there_has_none(tmp_path: Path) -> None:
    settings = load(tmp_path / "nowhere", SLACK_BOT_TOKEN="xoxb-1-secret")

    assert settings.credentials.values == {}
    assert settings.credentials.problems == ()
