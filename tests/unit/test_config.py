"""Settings: read once, checked at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.errors import ConfigError
from bot.redaction import Secret
from bot.settings.settings import Purpose, Settings, all_variables, load_settings
from bot.triage.outcomes import Profile
from bot.triage.working_time import parse_working_hours

EXAMPLE = Path(__file__).parents[2] / "config" / ".env.example"
README = Path(__file__).parents[2] / "README.md"
QUEUES = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
COMPLETE = {
    "SLACK_BOT_TOKEN": "xoxb-1-secret",
    "SLACK_APP_TOKEN": "xapp-1-secret",
    "REQUEST_QUEUE_URL": f"{QUEUES}requests",
    "RESPONSE_QUEUE_URL": f"{QUEUES}responses.fifo",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load(folder: Path, purpose: Purpose = Purpose.RUN, **changes: str) -> Settings:
    return load_settings(purpose, environ={**COMPLETE, **changes}, directory=folder)


def problems(folder: Path, environ: Mapping[str, str], purpose: Purpose = Purpose.RUN) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_settings(purpose, environ=environ, directory=folder)
    return caught.value.problems


def test_the_required_variables_alone_are_enough_and_the_rest_has_the_documented_defaults(
    folder: Path,
) -> None:
    settings = load(folder)

    assert settings == Settings(
        slack_bot_token=Secret("xoxb-1-secret"),
        slack_app_token=Secret("xapp-1-secret"),
        slack_api_url="https://slack.com/api/",
        request_queue_url=f"{QUEUES}requests",
        response_queue_url=f"{QUEUES}responses.fifo",
        store_url=f"sqlite:///{folder}/triage-bot.db",
        response_profile=Profile.MOZDEF,
        mozdef_sync=timedelta(seconds=90),
        remind_after=timedelta(hours=4),
        remind_times=1,
        expire_after=timedelta(hours=24),
        default_timezone=ZoneInfo("UTC"),
        retain=timedelta(days=30),
        allow_deescalation=False,
        ask_guests=False,
        ask_unconfirmed=False,
        log_level="INFO",
        log_format="text",
        aws_variables={},
    )


def test_every_variable_can_be_set(folder: Path) -> None:
    settings = load(
        folder,
        SLACK_API_URL="http://127.0.0.1:8080/api",
        DEAD_LETTER_QUEUE_URL="http://127.0.0.1:5000/1/dead",
        STORE_URL="sqlite:////var/lib/bot/other.db",
        RESPONSE_PROFILE="verbatim",
        MOZDEF_SYNC_SECONDS="0",
        REMIND_AFTER="90s",
        REMIND_TIMES="10",
        EXPIRE_AFTER="0",
        WORKING_HOURS="Sun-Thu 08:30-17:00",
        DEFAULT_TIMEZONE="Asia/Jerusalem",
        SECURITY_CHANNEL="C0123456789",
        MOZDEF_ALERT_URL="https://mozdef.example.com:8443/alert/{identifier}?tab=1",
        RETAIN_DAYS="15",
        ALLOW_DEESCALATION="Yes",
        ASK_GUESTS="1",
        LOG_LEVEL="debug",
        CONFIG_DIR=".",
        AWS_REGION="eu-west-1",
    )

    assert settings.slack_api_url == "http://127.0.0.1:8080/api/"
    assert settings.dead_letter_queue_url == "http://127.0.0.1:5000/1/dead"
    assert settings.store_url == "sqlite:////var/lib/bot/other.db"
    assert settings.response_profile is Profile.VERBATIM
    assert settings.mozdef_sync == timedelta(0)
    assert settings.remind_after == timedelta(seconds=90)
    assert settings.remind_times == 10
    assert settings.expire_after is None
    assert settings.working_hours == parse_working_hours("Sun-Thu 08:30-17:00")
    assert settings.default_timezone == ZoneInfo("Asia/Jerusalem")
    assert settings.security_channel == "C0123456789"
    assert settings.mozdef_alert_url == "https://mozdef.example.com:8443/alert/{identifier}?tab=1"
    assert settings.retain == timedelta(days=15)
    assert settings.allow_deescalation
    assert settings.ask_guests
    assert settings.log_level == "DEBUG"
    assert settings.config_dir == folder
    assert settings.aws_region == "eu-west-1"


def test_all_problems_are_told_together_each_with_its_variable(folder: Path) -> None:
    environ = {**COMPLETE, "SLACK_APP_TOKEN": "", "MOZDEF_SYNC_SECONDS": "soon", "ASK_GUESTS": "maybe"}

    found = problems(folder, environ)

    assert [problem.split()[0] for problem in found] == [
        "SLACK_APP_TOKEN",
        "MOZDEF_SYNC_SECONDS",
        "ASK_GUESTS",
    ]
    assert all("expected" in problem for problem in found)
    assert "'soon'" in found[1]


def test_no_repr_of_the_settings_shows_a_secret(folder: Path) -> None:
    (folder / ".env").write_text("AWS_SECRET_ACCESS_KEY=hidden\n")

    settings = load(folder)

    assert "secret" not in repr(settings)
    assert "hidden" not in repr(settings)
    assert settings.slack_bot_token.reveal() == "xoxb-1-secret"


def test_the_environment_wins_over_the_env_file_and_an_empty_value_counts_as_not_set(folder: Path) -> None:
    (folder / ".env").write_text("LOG_LEVEL=ERROR\nRESPONSE_PROFILE=verbatim\nASK_GUESTS=\n")

    settings = load(folder, LOG_LEVEL="DEBUG", RESPONSE_PROFILE="")

    assert settings.log_level == "DEBUG"
    assert settings.response_profile is Profile.VERBATIM
    assert not settings.ask_guests


def test_only_the_env_file_of_the_given_folder_is_read(folder: Path) -> None:
    (folder / ".env").write_text("LOG_LEVEL=ERROR\n")
    (folder / "below").mkdir()

    assert load(folder / "below").log_level == "INFO"
    assert load(folder).log_level == "ERROR"


def test_nothing_in_the_env_file_is_expanded(folder: Path) -> None:
    (folder / ".env").write_text("SLACK_BOT_TOKEN=xoxb-${HOME}-1\n")
    environ = {name: value for name, value in COMPLETE.items() if name != "SLACK_BOT_TOKEN"}

    settings = load_settings(Purpose.RUN, environ=environ, directory=folder)

    assert settings.slack_bot_token.reveal() == "xoxb-${HOME}-1"


def test_an_env_file_in_another_encoding_is_a_problem(folder: Path) -> None:
    (folder / ".env").write_bytes(b"LOG_LEVEL=\xff\n")

    (problem,) = problems(folder, COMPLETE)

    assert str(folder / ".env") in problem


def test_aws_variables_that_stand_only_in_the_env_file_are_handed_over(folder: Path) -> None:
    (folder / ".env").write_text(
        "AWS_PROFILE=bot\nAWS_ENDPOINT_URL=http://file\nAWS_CA_BUNDLE=/ca\nHOME=/x\nLOG_LEVEL=INFO\n"
    )

    settings = load(folder, AWS_ENDPOINT_URL="http://environment", AWS_CA_BUNDLE="")

    assert settings.aws_variables == {"AWS_PROFILE": "bot", "AWS_CA_BUNDLE": "/ca"}


@pytest.mark.parametrize("store_url", ["", "sqlite:///triage-bot.db"])
def test_a_relative_store_is_in_the_first_state_directory(folder: Path, store_url: str) -> None:
    settings = load(folder, STATE_DIRECTORY="/var/lib/bot:/var/lib/more", STORE_URL=store_url)

    assert settings.store_url == "sqlite:////var/lib/bot/triage-bot.db"
    assert str(settings.control_path) == "/var/lib/bot/triage-bot.db.sock"


@pytest.mark.parametrize("url", ["dynamodb://questions", "dynamodb://questions?region=us-west-2"])
def test_a_table_is_no_file_and_has_no_socket_beside_it(folder: Path, url: str) -> None:
    settings = load(folder, STORE_URL=url, STATE_DIRECTORY="/var/lib/bot")

    assert settings.store_url == url
    assert settings.store_path is None
    assert settings.control_path is None


def test_a_store_path_is_taken_as_it_stands(folder: Path) -> None:
    settings = load(folder, STORE_URL="sqlite:///a folder/50%25 #1.db")

    assert settings.store_path == folder / "a folder" / "50%25 #1.db"


@pytest.mark.parametrize(
    ("purpose", "needed"),
    [
        (Purpose.SEND, {"REQUEST_QUEUE_URL": f"{QUEUES}requests"}),
        (Purpose.STORE, {"STORE_URL": "sqlite:///other.db"}),
        (Purpose.STORE, {}),
        (Purpose.MIGRATE, {"RETAIN_DAYS": "60"}),
    ],
)
def test_a_command_is_held_only_to_what_it_needs(
    folder: Path, purpose: Purpose, needed: Mapping[str, str]
) -> None:
    wrong = dict.fromkeys(["SLACK_BOT_TOKEN", "RESPONSE_QUEUE_URL", "ASK_GUESTS", "CONFIG_DIR"], "wrong")

    settings = load_settings(purpose, environ={**wrong, **needed}, directory=folder)

    assert settings.problems == ()
    assert not settings.slack_bot_token
    assert settings.request_queue_url == needed.get("REQUEST_QUEUE_URL", "")


def test_what_a_command_needs_is_required_of_it(folder: Path) -> None:
    assert problems(folder, {}, Purpose.SEND)[0].startswith("REQUEST_QUEUE_URL is not set; expected ")
    assert problems(folder, {"STORE_URL": "wrong"}, Purpose.STORE)[0].startswith("STORE_URL is 'wrong'")


def test_check_gets_the_problems_with_all_else_that_could_be_read(folder: Path) -> None:
    environ = {**COMPLETE, "SLACK_BOT_TOKEN": "", "STORE_URL": "wrong", "LOG_LEVEL": "DEBUG"}

    settings = load_settings(Purpose.CHECK, environ=environ, directory=folder)

    assert [problem.split()[0] for problem in settings.problems] == ["SLACK_BOT_TOKEN", "STORE_URL"]
    assert settings.log_level == "DEBUG"
    assert settings.store_path == folder / "triage-bot.db"


def test_what_stands_in_the_file_in_vain_is_named_in_one_warning(folder: Path) -> None:
    (folder / ".env").write_text("LOG_LEVLE=DEBUG\nHTTPS_PROXY=http://proxy:3128\nAWS_PROFILE=bot\n")

    settings = load(folder, UNRELATED="1")

    (warning,) = settings.warnings
    assert warning == (
        f"ignored in {folder / '.env'}, because nothing reads them there:"
        " LOG_LEVLE (did you mean LOG_LEVEL?), HTTPS_PROXY;"
        " remove them, or install the release that knows them"
    )
    assert load(folder / "elsewhere").warnings == ()


SECRETS = ["SLACK_BOT_TOKEN=xoxb-1-2", "SLACK_APP_TOKEN=mistyped", "AWS_SECRET_ACCESS_KEY=hidden"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_a_warning_with_the_command(
    folder: Path, secret: str, mode: int
) -> None:
    path = folder / ".env"
    path.write_text(f"{secret}\nLOG_LEVEL=INFO\n")
    path.chmod(mode)

    (warning,) = load(folder).warnings

    changed = " and changed" if mode == 0o660 else ""
    what = f"holds tokens or keys and can be read{changed} by other users than its owner"
    assert f"{path} {what} (mode {mode:04o})" in warning
    assert warning.endswith(f"; restrict it to its owner: chmod 600 {path}")
    assert secret.partition("=")[2] not in warning


def test_settings_that_others_may_change_are_a_warning_even_without_a_secret(folder: Path) -> None:
    (folder / ".env").write_text("LOG_LEVEL=INFO\n")
    (folder / ".env").chmod(0o620)

    (warning,) = load(folder).warnings

    assert "can be changed by other users" in warning


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("SLACK_BOT_TOKEN=xoxb-1-2\n", 0o600),
        ("SLACK_BOT_TOKEN=ssm:/bot\n", 0o644),
        ("LOG_LEVEL=INFO\n", 0o644),
    ],
)
def test_a_file_that_is_closed_or_holds_no_secret_is_no_warning(folder: Path, text: str, mode: int) -> None:
    (folder / ".env").write_text(text)
    (folder / ".env").chmod(mode)

    assert load(folder).warnings == ()


def test_a_folder_of_that_name_is_no_warning(folder: Path) -> None:
    (folder / ".env").mkdir()
    (folder / ".env").chmod(0o777)

    assert load(folder).warnings == ()


def test_the_file_behind_a_link_is_the_one_that_is_judged(folder: Path) -> None:
    target = folder / "triage-bot.env"
    target.write_text("SLACK_BOT_TOKEN=xoxb-1-2\n")
    target.chmod(0o644)
    (folder / ".env").symlink_to(target)

    assert len(load(folder).warnings) == 1


#: Those that have an example in the file, since they have no default.
_EXAMPLES = "DEAD_LETTER|AWS|CONFIG_DIR|WORKING_HOURS|SECURITY_CHANNEL|MOZDEF_ALERT_URL|METRICS_LISTEN"


def test_the_example_file_changes_nothing_when_its_defaults_are_switched_on(folder: Path) -> None:
    switched_on = re.sub(f"(?m)^#(?!{_EXAMPLES})(?=[A-Z_]+=)", "", EXAMPLE.read_text())
    plain = load(folder)
    (folder / ".env").write_text(switched_on)

    assert load(folder) == plain


def test_the_example_file_documents_every_variable_and_no_other(folder: Path) -> None:
    documented = re.findall("(?m)^#?([A-Z_]+)=", EXAMPLE.read_text())

    settings = load_settings(Purpose.CHECK, environ=dict.fromkeys(documented, "?"), directory=folder)

    assert sorted(problem.split()[0] for problem in settings.problems) == sorted(documented)
    assert sorted(documented) == sorted(each.name for each in all_variables(folder, folder))


def test_the_examples_in_the_example_file_can_be_taken_as_they_stand(folder: Path) -> None:
    examples = re.findall(f"(?m)^#((?:{_EXAMPLES})[A-Z_]*)=(.*)$", EXAMPLE.read_text())

    settings = load(folder, **{name: value for name, value in examples if name != "CONFIG_DIR"})

    assert len(examples) == 7
    assert settings.working_hours == parse_working_hours("Mon-Fri 09:00-18:00")
    assert settings.security_channel
    assert settings.mozdef_alert_url.count("{identifier}") == 1
