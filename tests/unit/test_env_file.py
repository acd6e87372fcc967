"""The one file that settings come from: which it is, who may change it, and what it means to systemd."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.errors import ConfigError
from bot.settings.env_file import parse_env_file
from bot.settings.settings import Purpose, Settings, load_settings

TOKENS = {"SLACK_BOT_TOKEN": "xoxb-1-secret", "SLACK_APP_TOKEN": "xapp-1-secret"}
QUEUES = "REQUEST_QUEUE_URL=http://127.0.0.1:5000/1/requests\nRESPONSE_QUEUE_URL=http://127.0.0.1:5000/1/responses\n"

SYSTEMD = next(iter(sorted(Path("/usr/lib").glob("*/systemd/libsystemd-shared-*.so"))), None)


def load(folder: Path, purpose: Purpose = Purpose.STORE, **environ: str) -> Settings:
    return load_settings(purpose, environ=environ, directory=folder, etc=folder / "etc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("named", "local", "installed", "read"),
    [
        ("LOG_LEVEL=ERROR", "LOG_LEVEL=DEBUG", "LOG_LEVEL=WARNING", "ERROR"),
        (None, "LOG_LEVEL=DEBUG", "LOG_LEVEL=WARNING", "DEBUG"),
        (None, "PATH=/x\nAWS_PROFILE=other", "LOG_LEVEL=WARNING", "WARNING"),  # another program's
        (None, "LOG_LEVEL=", "LOG_LEVEL=WARNING", "WARNING"),
        (None, None, "LOG_LEVEL=WARNING", "WARNING"),
        (None, "LOG_LEVLE=DEBUG", "LOG_LEVEL=WARNING", "INFO"),  # misspelled, so ours
        (None, None, None, "INFO"),
        ("", "LOG_LEVEL=DEBUG", "LOG_LEVEL=WARNING", "INFO"),
        (
            None,
            "export LOG_LEVEL=DEBUG",
            "LOG_LEVEL=WARNING",
            "INFO",
        ),  # meant, but systemd reads it otherwise
        (None, "\ufeffLOG_LEVEL=DEBUG", "LOG_LEVEL=WARNING", "INFO"),
    ],
)
def test_one_file_is_read_the_first_that_there_is(
    folder: Path, named: str | None, local: str | None, installed: str | None, read: str
) -> None:
    for path, text in {"named": named, ".env": local, "etc/triage-bot.env": installed}.items():
        if text is not None:
            (folder / path).write_text(f"{text}\n")

    settings = load(folder, TRIAGE_BOT_ENV="" if named is None else "named")

    assert settings.log_level == read
    assert load(folder, TRIAGE_BOT_ENV="/dev/null").log_level == "INFO"


def test_the_installed_tokens_belong_to_the_installed_file_alone(folder: Path) -> None:
    (folder / "etc" / "triage-bot").mkdir()
    for name, token in TOKENS.items():
        (folder / "etc" / "triage-bot" / name.lower()).write_text(f"{token}\n")
    (folder / "etc" / "triage-bot.env").write_text(QUEUES)

    assert load(folder, Purpose.RUN).slack_app_token.reveal() == "xapp-1-secret"

    (folder / ".env").write_text(QUEUES)
    with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN is not set"):
        load(folder, Purpose.RUN)


def test_a_file_that_is_named_must_exist(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"TRIAGE_BOT_ENV names .*/gone, which does not exist; expected"):
        load(folder, TRIAGE_BOT_ENV="gone")


@pytest.mark.parametrize("name", [".env", "etc/triage-bot.env"])
def test_a_link_to_no_file_is_never_passed_over(folder: Path, name: str) -> None:
    (folder / name).symlink_to(folder / "gone")

    with pytest.raises(ConfigError, match=f"{folder / name} is a link to a file, which does not exist"):
        load(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_somebody_else_could_change_is_refused_and_never_passed_over(folder: Path) -> None:
    path = folder / ".env"
    path.write_text("LOG_LEVEL=DEBUG\n")
    (folder / "etc" / "triage-bot.env").write_text("LOG_LEVEL=WARNING\n")

    path.chmod(0o602)
    with pytest.raises(ConfigError, match="can be changed by every user"):
        load(folder)
    path.chmod(0o600)
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to another user"):
        load(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_somebody_else_can_neither_choose_the_file_nor_hold_up_a_command(folder: Path, kind: str) -> None:
    path, installed = folder / ".env", folder / "etc" / "triage-bot.env"
    installed.write_text("LOG_LEVEL=WARNING\n")
    if kind == "link":
        path.symlink_to(installed)
    else:
        os.mkfifo(path, 0o600)  # which nobody writes to
    os.chown(path, 65534, 65534, follow_symlinks=False)

    with pytest.raises(ConfigError, match="belongs to another user"):
        load(folder)


@pytest.fixture
def as_another_user() -> Iterator[Path]:
    """A folder that another user may enter, as whom the test goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "etc").mkdir()
        (folder / "etc" / "triage-bot.env").write_text(f"{QUEUES}STORE_URL=sqlite:////x.db\n")
        (folder / "etc" / "triage-bot.env").chmod(0o600)
        os.seteuid(65534)
        yield folder
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("purpose", "missing"),
    [
        (Purpose.STORE, "STORE_URL"),
        (Purpose.SEND, "REQUEST_QUEUE_URL"),
        (
            Purpose.RUN,
            "REQUEST_QUEUE_URL, RESPONSE_QUEUE_URL, SLACK_APP_TOKEN, SLACK_BOT_TOKEN, STORE_URL",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named_where_a_setting_is_missing(
    as_another_user: Path, purpose: Purpose, missing: str
) -> None:
    path = as_another_user / "etc" / "triage-bot.env"
    with pytest.raises(ConfigError) as caught:
        load(as_another_user, purpose)

    assert caught.value.problems[-1] == (
        f"{path} cannot be read by this user (Permission denied), and may set {missing};"
        " expected a user who may read it: run the command with sudo, or set TRIAGE_BOT_ENV"
    )
    assert load(as_another_user, STORE_URL="sqlite:///other.db").store_path == as_another_user / "other.db"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_token_that_cannot_be_read_is_named_with_sudo(as_another_user: Path) -> None:
    os.seteuid(0)
    (as_another_user / "etc" / "triage-bot").mkdir()
    (as_another_user / "etc" / "triage-bot" / "slack_bot_token").touch(0o600)
    os.seteuid(65534)

    with pytest.raises(
        ConfigError, match=r"slack_bot_token cannot be read \(Permission denied\); expected a user"
    ):
        load(as_another_user, Purpose.RUN)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("LOG_LEVEL=INFO\n# export LOG_LEVEL=DEBUG\n\nAWS_PROFILE='a b'\n", ""),
        ("export LOG_LEVEL=INFO\n", "line 1 is"),
        ('\n\nLOG_LEVEL=INFO # less\nRETAIN_DAYS=30\nEXPIRE_AFTER="4h" # enough\n', "lines 3, 5 are"),
        ("AWS_PROFILE=a\\\n b\n", "line 1 is"),
        ("AWS_PROFILE=a\\ b\n", "line 1 is"),
        ("LOG_LEVEL=INFO\nnonsense here\n", "line 2 is"),
    ],
)
def test_lines_that_mean_something_else_to_a_shell_are_named_by_number(
    folder: Path, text: str, lines: str
) -> None:
    (folder / ".env").write_text(f"STORE_URL=sqlite:///x.db\n{text}")
    told = [each for each in load(folder, LOG_LEVEL="INFO", EXPIRE_AFTER="1d").warnings if "systemd" in each]

    counted = re.sub(r"[0-9]+", lambda found: str(int(found[0]) + 1), lines)
    assert [each.partition(f"in {folder / '.env'}, ")[2].partition(" read as")[0] for each in told] == (
        [counted] if lines else []
    )


def test_a_byte_order_mark_is_told(folder: Path) -> None:
    (folder / ".env").write_text("\ufeffLOG_LEVEL=INFO\n")

    assert any("begins with a byte order mark" in each for each in load(folder).warnings)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("REQUEST_QUEUE_ULR=x", "did you mean REQUEST_QUEUE_URL?"),
        ("export REQUEST_QUEUE_URL=x", "line 1 is read as systemd reads them"),
    ],
)
def test_why_a_setting_is_missing_is_told_with_it(folder: Path, line: str, why: str) -> None:
    (folder / ".env").write_text(line)

    with pytest.raises(ConfigError, match="REQUEST_QUEUE_URL is not set") as caught:
        load(folder, Purpose.SEND)

    assert any(why in each for each in caught.value.warnings)


def test_a_misspelled_variable_is_told_with_the_one_that_is_meant(folder: Path) -> None:
    warnings = load(folder, EXPIRE_AFTR="4h", PATH="/bin", AWS_DEFAULT_REGION="eu-west-1").warnings

    assert warnings == ("unknown setting EXPIRE_AFTR in the environment; did you mean EXPIRE_AFTER?",)


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"EXPIRE_AFTER": "4h"}, True),
        ({"EXPIRE_AFTER": "1h", "REMIND_AFTER": "2h"}, True),
        ({"EXPIRE_AFTER": "1h", "REMIND_AFTER": "0"}, False),
        ({"EXPIRE_AFTER": "1h", "REMIND_TIMES": "0"}, False),
        ({"EXPIRE_AFTER": "0"}, False),
        ({"EXPIRE_AFTER": "5h"}, False),
    ],
)
def test_reminders_that_never_come_are_told(
    folder: Path, changes: Mapping[str, str], *, warned: bool
) -> None:
    queues = dict(line.split("=") for line in QUEUES.split())

    warnings = load(folder, Purpose.RUN, **TOKENS, **queues, **changes).warnings

    assert any("nobody is ever reminded" in each for each in warnings) == warned


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"RESPONDERS": "U0123456789"}, True),
        ({"RESPONDERS": "U0123456789", "SECURITY_CHANNEL": "C0123456789"}, False),
        ({"SECURITY_CHANNEL": "C0123456789"}, False),
    ],
)
def test_responders_without_cards_to_act_on_are_told(
    folder: Path, changes: Mapping[str, str], *, warned: bool
) -> None:
    queues = dict(line.split("=") for line in QUEUES.split())

    warnings = load(folder, Purpose.RUN, **TOKENS, **queues, **changes).warnings

    assert any("without SECURITY_CHANNEL" in each for each in warnings) == warned


_pieces = st.sampled_from(
    [*" \t\n\n\r\"'\\#;=$`é", "A=", "B=", "export A=", "x", "# y", '"a b"', "'c'", "\\\n", "\\\\"]
)


@pytest.mark.skipif(SYSTEMD is None, reason="systemd is not installed")
@given(st.lists(_pieces, max_size=20).map("".join))
@example('A="\\"\\\\\\`\\$\\x"\n')
@example("A=x \\")
@example("; \\\nA=x\n")
def test_a_file_means_what_it_means_to_systemd(text: str) -> None:
    assert {name: value for name, value, _ in parse_env_file(text)} == _read_by_systemd(text)


def _read_by_systemd(text: str) -> dict[str, str]:
    """Return what the function of systemd that reads `EnvironmentFile=` makes of it."""
    systemd = ctypes.CDLL(str(SYSTEMD))
    systemd.env_assignment_is_valid.restype = ctypes.c_bool
    found = ctypes.POINTER(ctypes.c_char_p)()
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode())
        file.flush()
        assert systemd.load_env_file(None, file.name.encode(), ctypes.byref(found)) >= 0
    read: dict[str, str] = {}
    for index in itertools.count():
        each = found[index] if found else None
        if each is None:
            break
        if systemd.env_assignment_is_valid(each):
            name, _, value = each.decode().partition("=")
            read[name] = value
    return read
