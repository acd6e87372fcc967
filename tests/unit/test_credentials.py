"""Where a token may come from, and which of them counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.settings.settings import Purpose, Settings, load_settings

QUEUES = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
NO_BOT_TOKEN = {
    "SLACK_APP_TOKEN": "xapp-1-environment",
    "REQUEST_QUEUE_URL": f"{QUEUES}requests",
    "RESPONSE_QUEUE_URL": f"{QUEUES}responses.fifo",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where systemd puts the credentials: two files, each with a line break at its end."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "slack_bot_token").write_text("xoxb-1-credential\n", encoding="utf-8")
    (folder / "slack_app_token").write_text("xapp-1-credential\n", encoding="utf-8")
    return folder


def load(folder: Path, **environ: str) -> Settings:
    given = {**NO_BOT_TOKEN, "CREDENTIALS_DIRECTORY": str(folder), **environ}
    return load_settings(Purpose.RUN, environ=given, directory=folder.parent)


def test_a_credential_counts_where_the_variable_is_not_set(folder: Path) -> None:
    settings = load(folder, SLACK_APP_TOKEN="")

    assert settings.slack_bot_token.reveal() == "xoxb-1-credential"
    assert settings.slack_app_token.reveal() == "xapp-1-credential"
    assert settings.credentials.unused == ()


def test_the_environment_wins_over_the_env_file_and_that_over_a_credential(folder: Path) -> None:
    (folder.parent / ".env").write_text(
        "SLACK_BOT_TOKEN=xoxb-1-file\nSLACK_APP_TOKEN=xapp-1-file\n", encoding="utf-8"
    )

    settings = load(folder)

    assert settings.slack_bot_token.reveal() == "xoxb-1-file"
    assert settings.slack_app_token.reveal() == "xapp-1-environment"
    assert settings.credentials.unused == ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")


def test_an_empty_credential_is_as_good_as_none(folder: Path) -> None:
    (folder / "slack_bot_token").write_text("\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load(folder)

    (problem,) = caught.value.problems
    assert problem.startswith("SLACK_BOT_TOKEN is not set; expected the bot token")


def test_a_credential_is_judged_as_the_variable_is_and_never_shown(folder: Path) -> None:
    (folder / "slack_bot_token").write_text("xapp-1-swapped\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load(folder)

    assert "swapped" not in str(caught.value).replace("were swapped", "")
    assert "SLACK_BOT_TOKEN starts with xapp-" in str(caught.value)


def test_a_credential_that_cannot_be_read_is_named_and_not_shown(folder: Path) -> None:
    (folder / "slack_bot_token").write_bytes(b"xoxb-1-\xff\n")

    with pytest.raises(ConfigError) as caught:
        load(folder, SLACK_BOT_TOKEN="xoxb-1-environment")

    (problem,) = caught.value.problems
    assert problem.startswith(f"the credential {folder}/slack_bot_token cannot be read (not UTF-8)")


@pytest.mark.parametrize("where", ["environment", "credential"])
def test_a_token_may_be_the_name_of_a_parameter(folder: Path, where: str) -> None:
    (folder / "slack_bot_token").write_text("ssm:/triage/bot-token\n", encoding="utf-8")
    environ = {"SLACK_BOT_TOKEN": "ssm:/triage/bot-token"} if where == "environment" else {}

    settings = load(folder, **environ)

    assert settings.slack_bot_token.parameter == "/triage/bot-token"
    assert settings.slack_app_token.parameter == ""


@pytest.mark.parametrize("text", ["ssm:", "ssm:name", "ssm:/", "ssm:/a b", "ssm:/a/../b?", "SSM:/a"])
def test_what_names_no_parameter_is_refused_with_how_to_write_one(folder: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, SLACK_BOT_TOKEN=text)

    assert "or ssm:/parameter/name" in str(caught.value)


def test_a_folder_of_credentials_that_is_not_there_has_none(tmp_path: Path) -> None:
    settings = load(tmp_path / "nowhere", SLACK_BOT_TOKEN="xoxb-1-environment")

    assert settings.credentials.values == {}
    assert settings.credentials.problems == ()
