"""Settings: read once, checked together, wherever a token comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from given_settings import COMPLETE, QUEUES, load, problems

from bot.redaction import Secret
from bot.settings.settings import Purpose, Settings, all_variables
from bot.triage.outcomes import Profile
from bot.triage.working_time import parse_working_hours

EXAMPLE = Path(__file__).parents[2] / "config" / ".env.example"


def test_the_required_variables_are_enough_and_the_rest_has_the_documented_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings(
        slack_bot_token=Secret("xoxb-1-secret"),
        slack_app_token=Secret("xapp-1-secret"),
        slack_api_url="https://slack.com/api/",
        request_queue_url=f"{QUEUES}requests",
        response_queue_url=f"{QUEUES}responses.fifo",
        store_url=f"sqlite:///{tmp_path}/triage-bot.db",
        response_profile=Profile.MOZDEF,
        mozdef_sync=timedelta(seconds=90),
        remind_after=timedelta(hours=4),
        remind_times=1,
        open_per_person=3,
        expire_after=timedelta(hours=24),
        default_timezone=ZoneInfo("UTC"),
        retain=timedelta(days=30),
        allow_deescalation=False,
        ask_guests=False,
        ask_unconfirmed=False,
        factor_client_auth="client_secret_basic",
        factor_login_hint="{subject}",
        factor_scope="openid email",
        factor_subject_claim="email",
        log_level="INFO",
        log_format="text",
        aws_variables={},
    )


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("SLACK_API_URL", "http://127.0.0.1:8080/api", "slack_api_url", "http://127.0.0.1:8080/api/"),
        ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:5000/1/d", None, "http://127.0.0.1:5000/1/d"),
        ("STORE_URL", "sqlite:////var/lib/bot/other.db", None, "sqlite:////var/lib/bot/other.db"),
        ("STORE_URL", "dynamodb://abc?region=us-west-2", None, "dynamodb://abc?region=us-west-2"),
        ("STORE_URL", "sqlite:////a tmp_path/50%25 #1.db", "store_path", Path("/a tmp_path/50%25 #1.db")),
        ("RESPONSE_PROFILE", "verbatim", None, Profile.VERBATIM),
        ("MOZDEF_SYNC_SECONDS", "0", "mozdef_sync", timedelta(0)),
        ("REMIND_AFTER", "90s", None, timedelta(seconds=90)),
        ("REMIND_TIMES", "10", None, 10),
        ("OPEN_PER_PERSON", "100", None, 100),
        ("EXPIRE_AFTER", "0", None, None),
        ("WORKING_HOURS", "Sun-Thu 08:30-17:00", None, parse_working_hours("Sun-Thu 08:30-17:00")),
        ("DEFAULT_TIMEZONE", "Asia/Jerusalem", None, ZoneInfo("Asia/Jerusalem")),
        ("SECURITY_CHANNEL", "C0123456789", None, "C0123456789"),
        ("RESPONDERS", "U0123456789, W01", None, frozenset({"U0123456789", "W01"})),
        (
            "MOZDEF_ALERT_URL",
            "https://m.io:8443/{identifier}?a=1",
            None,
            "https://m.io:8443/{identifier}?a=1",
        ),
        ("RETAIN_DAYS", "15", "retain", timedelta(days=15)),
        ("ALLOW_DEESCALATION", "Yes", None, True),
        ("ASK_GUESTS", "1", None, True),
        ("FACTOR_CLIENT_KEY", "ssm:/triage/key", None, Secret("ssm:/triage/key")),
        ("FACTOR_LOGIN_HINT", '{"sub": "{subject}"}', None, '{"sub": "{subject}"}'),
        ("FACTOR_SCOPE", "profile openid", None, "profile openid"),
        ("FACTOR_SUBJECT_CLAIM", "https://x.io/login", None, "https://x.io/login"),
        ("LOG_LEVEL", "debug", None, "DEBUG"),
        ("AWS_REGION", "eu-west-1", None, "eu-west-1"),
    ],
)
def test_every_variable_can_be_set(
    tmp_path: Path, variable: str, text: str, setting: str | None, value: object
) -> None:
    assert getattr(load(tmp_path, **{variable: text}), setting or variable.lower()) == value


def test_a_relative_config_dir_is_relative_to_the_env_file(tmp_path: Path) -> None:
    assert load(tmp_path, CONFIG_DIR=".").config_dir == tmp_path


def test_all_problems_are_told_together_each_with_its_variable(tmp_path: Path) -> None:
    found = problems(tmp_path, SLACK_APP_TOKEN="", MOZDEF_SYNC_SECONDS="soon", ASK_GUESTS="maybe")

    variables = [problem.split()[0] for problem in found]
    assert variables == ["SLACK_APP_TOKEN", "MOZDEF_SYNC_SECONDS", "ASK_GUESTS"]
    assert all("expected" in problem for problem in found)
    assert "'soon'" in found[1]


def test_no_repr_of_the_settings_shows_a_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AWS_SECRET_ACCESS_KEY=hidden\n")

    settings = load(tmp_path)

    assert "1-secret" not in repr(settings)
    assert "hidden" not in repr(settings)
    assert settings.slack_bot_token.reveal() == "xoxb-1-secret"


def test_the_environment_wins_over_the_env_file_and_an_empty_value_is_none(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=ERROR\nRESPONSE_PROFILE=verbatim\nASK_GUESTS=\n")
    (tmp_path / "below").mkdir()

    settings = load(tmp_path, LOG_LEVEL="DEBUG", RESPONSE_PROFILE="")

    assert (settings.log_level, settings.ask_guests) == ("DEBUG", False)
    assert settings.response_profile is Profile.VERBATIM
    assert load(tmp_path / "below").log_level == "INFO"  # only the file of the given tmp_path is read
    assert load(tmp_path).log_level == "ERROR"


def test_nothing_in_the_env_file_is_expanded(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SLACK_BOT_TOKEN=xoxb-${HOME}-1\n")

    assert load(tmp_path, SLACK_BOT_TOKEN="").slack_bot_token.reveal() == "xoxb-${HOME}-1"


@pytest.mark.parametrize(
    "content",
    [b"LOG_LEVEL=\xff\n", "LOG_LEVEL=INFO\n".encode("utf-16-le"), b"LOG_LEVEL=INFO\nAWS_PROFILE=a\0\n"],
)
def test_an_env_file_in_another_encoding_is_a_problem(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)

    (problem,) = problems(tmp_path)

    assert str(tmp_path / ".env") in problem


def test_aws_variables_that_stand_only_in_the_env_file_are_handed_over(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "AWS_PROFILE=bot\nAWS_ENDPOINT_URL=http://file\nAWS_CA_BUNDLE=/ca\nHOME=/x\nLOG_LEVEL=INFO\n"
    )

    settings = load(tmp_path, AWS_ENDPOINT_URL="http://environment", AWS_CA_BUNDLE="")

    assert settings.aws_variables == {"AWS_PROFILE": "bot", "AWS_CA_BUNDLE": "/ca"}


@pytest.mark.parametrize("store_url", ["", "sqlite:///triage-bot.db", "dynamodb://questions"])
def test_a_relative_store_and_its_socket_are_in_the_state_directory(tmp_path: Path, store_url: str) -> None:
    settings = load(tmp_path, STATE_DIRECTORY="/var/lib/bot:/var/lib/more", STORE_URL=store_url)

    if store_url.startswith("dynamodb"):  # a table is no file
        assert (settings.store_path, settings.control_path) == (None, None)
    else:
        assert settings.store_url == "sqlite:////var/lib/bot/triage-bot.db"
        assert str(settings.control_path) == "/var/lib/bot/triage-bot.db.sock"


@pytest.mark.parametrize(
    ("purpose", "needed"),
    [
        (Purpose.SEND, {"REQUEST_QUEUE_URL": f"{QUEUES}requests"}),
        (Purpose.STORE, {"STORE_URL": "sqlite:///other.db"}),
        (Purpose.STORE, {}),
        (Purpose.MIGRATE, {"RETAIN_DAYS": "60"}),
    ],
)
def test_a_command_is_held_to_its_needs(tmp_path: Path, purpose: Purpose, needed: Mapping[str, str]) -> None:
    wrong = dict.fromkeys([*COMPLETE, "ASK_GUESTS", "CONFIG_DIR"], "wrong")

    settings = load(tmp_path, purpose, **{**wrong, "REQUEST_QUEUE_URL": "", **needed})

    assert settings.problems == ()
    assert not settings.slack_bot_token
    assert settings.request_queue_url == needed.get("REQUEST_QUEUE_URL", "")


def test_what_a_command_needs_is_required_of_it(tmp_path: Path) -> None:
    missing = problems(tmp_path, Purpose.SEND, REQUEST_QUEUE_URL="")
    assert missing[0].startswith("REQUEST_QUEUE_URL is not set; expected ")
    assert problems(tmp_path, Purpose.STORE, STORE_URL="wrong")[0].startswith("STORE_URL is 'wrong'")


def test_check_gets_the_problems_with_all_else_that_could_be_read(tmp_path: Path) -> None:
    settings = load(tmp_path, Purpose.CHECK, SLACK_BOT_TOKEN="", STORE_URL="wrong", LOG_LEVEL="DEBUG")

    assert [problem.split()[0] for problem in settings.problems] == ["SLACK_BOT_TOKEN", "STORE_URL"]
    assert settings.log_level == "DEBUG"
    assert settings.store_path == tmp_path / "triage-bot.db"


def test_what_stands_in_the_file_in_vain_is_named_in_one_warning(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVLE=DEBUG\nHTTPS_PROXY=http://proxy:3128\nAWS_PROFILE=bot\n")

    settings = load(tmp_path, UNRELATED="1")

    (warning,) = settings.warnings
    assert warning == (
        f"unknown settings in {tmp_path / '.env'}, which are ignored:"
        " LOG_LEVLE (did you mean LOG_LEVEL?), HTTPS_PROXY;"
        " remove them, or install the release that knows them"
    )
    assert load(tmp_path / "elsewhere").warnings == ()


@pytest.mark.parametrize(
    "secret", ["SLACK_BOT_TOKEN=xoxb-1-2", "SLACK_APP_TOKEN=mistyped", "AWS_SECRET_ACCESS_KEY=hidden"]
)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_a_warning(tmp_path: Path, secret: str, mode: int) -> None:
    path = env_file(tmp_path, f"{secret}\nLOG_LEVEL=INFO\n", mode)

    (warning,) = load(tmp_path).warnings

    changed = " and changed" if mode == 0o660 else ""
    what = f"holds tokens or keys and can be read{changed} by users other than its owner"
    assert f"{path} {what} (mode {mode:04o})" in warning
    assert warning.endswith(f"; restrict it to its owner: chmod 600 {path}")
    assert secret.partition("=")[2] not in warning


def test_settings_that_others_may_change_are_a_warning_even_without_a_secret(tmp_path: Path) -> None:
    env_file(tmp_path, "LOG_LEVEL=INFO\n", 0o620)

    (warning,) = load(tmp_path).warnings

    assert "can be changed by users other than its owner" in warning


def env_file(folder: Path, text: str, mode: int) -> Path:
    path = folder / ".env"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("SLACK_BOT_TOKEN=xoxb-1-2\n", 0o600),
        ("SLACK_BOT_TOKEN=ssm:/bot\n", 0o644),
        ("LOG_LEVEL=INFO\n", 0o644),
    ],
)
def test_a_file_that_is_closed_or_holds_no_secret_is_no_warning(tmp_path: Path, text: str, mode: int) -> None:
    env_file(tmp_path, text, mode)

    assert load(tmp_path).warnings == ()


def test_a_folder_of_that_name_is_no_warning(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir(mode=0o777)

    assert load(tmp_path).warnings == ()


def test_the_file_behind_a_link_is_the_one_that_is_judged(tmp_path: Path) -> None:
    target = env_file(tmp_path, "SLACK_BOT_TOKEN=xoxb-1-2\n", 0o644).rename(tmp_path / "triage-bot.env")
    (tmp_path / ".env").symlink_to(target)

    assert len(load(tmp_path).warnings) == 1


#: Those that have an example in the file, since they have no default.
_EXAMPLES = (
    "DEAD_LETTER|AWS|CONFIG_DIR|WORKING_HOURS|SECURITY_CHANNEL|RESPONDERS|MOZDEF_ALERT_URL|METRICS_LISTEN"
    "|FACTOR_ISSUER|FACTOR_CLIENT_ID|FACTOR_CLIENT_SECRET|FACTOR_CLIENT_KEY|FACTOR_FRAUD_ERROR"
)


def test_the_example_file_changes_nothing_when_its_defaults_are_switched_on(tmp_path: Path) -> None:
    switched_on = re.sub(f"(?m)^#(?!{_EXAMPLES})(?=[A-Z_]+=)", "", EXAMPLE.read_text())
    plain = load(tmp_path)
    (tmp_path / ".env").write_text(switched_on)

    assert load(tmp_path) == plain


def test_the_example_file_documents_every_variable_and_no_other(tmp_path: Path) -> None:
    documented = re.findall("(?m)^#?([A-Z_]+)=", EXAMPLE.read_text())

    settings = load(tmp_path, Purpose.CHECK, **dict.fromkeys(documented, "?\x07"))

    assert sorted(problem.split()[0] for problem in settings.problems) == sorted(documented)
    assert sorted(documented) == sorted(each.name for each in all_variables(tmp_path, tmp_path))


def test_the_examples_in_the_example_file_can_be_taken_as_they_stand(tmp_path: Path) -> None:
    examples = re.findall(f"(?m)^#((?:{_EXAMPLES})[A-Z_]*)=(.*)$", EXAMPLE.read_text())

    settings = load(tmp_path, **{name: value for name, value in examples if name != "CONFIG_DIR"})

    assert len(examples) == 13
    assert settings.working_hours == parse_working_hours("Mon-Fri 09:00-18:00")
    assert settings.security_channel
    assert len(settings.responders) == 2
    assert settings.mozdef_alert_url.count("{identifier}") == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where systemd puts the credentials: two files, each with a line break at its end."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "slack_bot_token").write_text("xoxb-1-credential\n", encoding="utf-8")
    (folder / "slack_app_token").write_text("xapp-1-credential\n", encoding="utf-8")
    return folder


def load_with(folder: Path, **environ: str) -> Settings:
    return load(folder.parent, **from_credentials(folder, **environ))


def from_credentials(folder: Path, **environ: str) -> dict[str, str]:
    return {"SLACK_BOT_TOKEN": "", "CREDENTIALS_DIRECTORY": str(folder), **environ}


def test_a_credential_counts_where_the_variable_is_not_set(folder: Path) -> None:
    settings = load_with(folder, SLACK_APP_TOKEN="")

    assert settings.slack_bot_token.reveal() == "xoxb-1-credential"
    assert settings.slack_app_token.reveal() == "xapp-1-credential"
    assert settings.credentials.unused == ()


def test_the_environment_wins_over_the_env_file_and_that_over_a_credential(folder: Path) -> None:
    (folder.parent / ".env").write_text("SLACK_BOT_TOKEN=xoxb-1-file\nSLACK_APP_TOKEN=xapp-1-file\n")

    settings = load_with(folder)

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

    settings = load_with(folder, **environ)

    assert settings.slack_bot_token.parameter == "/triage/bot-token"
    assert settings.slack_app_token.parameter == ""


@pytest.mark.parametrize("text", ["ssm:", "ssm:name", "ssm:/", "ssm:/a b", "ssm:/a/../b?", "SSM:/a"])
def test_what_names_no_parameter_is_refused_with_how_to_write_one(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, SLACK_BOT_TOKEN=text)

    assert "or ssm:/parameter/name" in problem


def test_the_secrets_of_a_provider_may_be_credentials_and_are_never_shown(folder: Path) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----"
    (folder / "factor_client_key").write_text(f"{pem}\n", encoding="utf-8")
    (folder / "factor_client_secret").write_text("hidden\n", encoding="utf-8")

    settings = load_with(folder)

    assert settings.factor_client_key.reveal() == pem
    assert settings.factor_client_secret.reveal() == "hidden"
    assert "hidden" not in repr(settings)
    assert settings.secrets[-2:] == ["hidden", "hidden"]  # as the log knows them


def test_a_folder_of_credentials_that_is_not_there_has_none(tmp_path: Path) -> None:
    settings = load_with(tmp_path / "nowhere", SLACK_BOT_TOKEN="xoxb-1-secret")

    assert settings.credentials.values == {}
    assert settings.credentials.problems == ()
