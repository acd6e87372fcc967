"""The settings: read once, checked at once, frozen. The only reader and writer of `os.environ`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from bot import variables
from bot.errors import ConfigError
from bot.redaction import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from bot.triage.model import Profile


class Purpose(StrEnum):
    """What the settings are wanted for: each command is held to those that it needs."""

    RUN = "run"
    SEND = "send"
    STORE = "store"  #: the commands that read the store
    CHECK = "check"  #: everything, but problems are handed over instead of raised


_WORKER = frozenset({Purpose.RUN, Purpose.CHECK})
_SENDER = _WORKER | {Purpose.SEND}
_READER = _WORKER | {Purpose.STORE}

#: Variables that other releases know. An `.env` that was written for one of them is no mistake.
_OTHER_RELEASES = (
    "REMIND_AFTER",
    "REMIND_TIMES",
    "EXPIRE_AFTER",
    "WORKING_HOURS",
    "DEFAULT_TIMEZONE",
    "SECURITY_CHANNEL",
    "MOZDEF_ALERT_URL",
    "RETAIN_DAYS",
    "METRICS_LISTEN",
    "LOG_FORMAT",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the engineer chose. What the purpose does not need is left at its default, however it was set."""

    slack_bot_token: Secret = field(default=Secret(""))
    slack_app_token: Secret = field(default=Secret(""))
    slack_api_url: str  #: ends in a slash
    request_queue_url: str = ""
    response_queue_url: str = ""
    dead_letter_queue_url: str = ""  #: empty: there is none
    store_url: str  #: sqlite:///, then an absolute path
    response_profile: Profile
    mozdef_sync: timedelta  #: an answer is held until its request is this old
    allow_deescalation: bool
    ask_guests: bool
    log_level: str  #: a name that `logging` knows
    config_dir: Path | None = None
    aws_region: str | None = None  #: counts where a queue's URL names none
    aws_variables: Mapping[str, str] = field(repr=False)  #: those of `.env` that the environment lacks
    journal_stream: str = ""  #: systemd's word for the journal that stderr may go to
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  #: only for `Purpose.CHECK`; each names its variable

    @property
    def store_path(self) -> Path:
        """The store's file."""
        return Path(self.store_url.removeprefix("sqlite:///"))

    @property
    def control_path(self) -> Path:
        """The socket, beside the store's file, on which the running worker listens to commands."""
        return self.store_path.with_name(f"{self.store_path.name}.sock")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Variable:
    """One variable: who needs it, and how its text becomes the value of one field of `Settings`."""

    name: str
    setting: str
    read: Callable[[str], object]
    default: str = ""  #: as text, which `read` must accept
    needed_by: frozenset[Purpose] = _WORKER
    required: bool = False


def load_settings(
    purpose: Purpose, *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Settings:
    """Return the settings for `purpose`, of the environment and, behind it, of `directory`'s `.env`.

    By default these are the process's own environment and current directory. An empty value counts as not
    set. Raises one `ConfigError` with all problems; for `Purpose.CHECK` they are in `Settings.problems`.
    """
    folder = (directory or Path.cwd()).absolute()
    surroundings = _filled(os.environ if environ is None else environ)
    from_file, problems = _read_env_file(folder / ".env")
    settings = _read_all(purpose, from_file | surroundings, folder, problems)
    if problems and purpose is not Purpose.CHECK:
        raise ConfigError(problems)
    return Settings(
        **settings,
        aws_variables=_aws_variables(from_file, surroundings),
        journal_stream=surroundings.get("JOURNAL_STREAM", ""),
        warnings=_warnings(from_file | surroundings),
        problems=tuple(problems),
    )


def settle_environment(settings: Settings) -> None:
    """Put the AWS variables that stand only in `.env` into this process's environment, and Slack's out of it.

    boto3 reads credentials, profile and endpoint from there and from nowhere that we could hand them to.
    slack_bolt reads tokens from there unasked, and switches OAuth on when it finds a client's id and secret.
    To be called once, before the first session is made.
    """
    os.environ.update(settings.aws_variables)
    for name in [name for name in os.environ if name.startswith("SLACK_")]:
        del os.environ[name]


def _filled(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value and value.strip()}


def _read_env_file(path: Path) -> tuple[dict[str, str], list[str]]:
    # The path is named, since without one the library walks up from the source file. Nothing is interpolated:
    # a value means the same here as in the environment file of systemd.
    try:
        return _filled(dotenv_values(path, interpolate=False)), []
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f"{path} cannot be read ({error}); expected NAME=value lines in UTF-8"]


def _read_all(
    purpose: Purpose, values: Mapping[str, str], folder: Path, problems: list[str]
) -> dict[str, Any]:
    """Return the fields of `Settings` that have a variable; what is wrong is added to `problems`."""
    settings: dict[str, Any] = {}
    for variable in _variables(folder, _store_folder(values, folder)):
        if variable.default:
            settings[variable.setting] = variable.read(variable.default)
        text = values.get(variable.name, "")
        if purpose not in variable.needed_by or not (text or variable.required):
            continue
        try:
            settings[variable.setting] = variable.read(text)
        except ValueError as error:
            problems.append(f"{variable.name} {error}")
    problems.extend(_shared_queues(settings))
    return settings


def _variables(folder: Path, store_folder: Path) -> tuple[_Variable, ...]:
    """Return the table of all variables (design.md §7); relative paths start in these folders."""
    return (*_slack_variables(), *_queue_variables(), *_other_variables(folder, store_folder))


def _slack_variables() -> tuple[_Variable, ...]:
    required = partial(_Variable, required=True)
    return (
        required(name="SLACK_BOT_TOKEN", setting="slack_bot_token", read=variables.bot_token),
        required(name="SLACK_APP_TOKEN", setting="slack_app_token", read=variables.app_token),
        _Variable(
            name="SLACK_API_URL",
            setting="slack_api_url",
            read=variables.web_api_url,
            default="https://slack.com/api/",
        ),
    )


def _queue_variables() -> tuple[_Variable, ...]:
    queue = partial(_Variable, read=variables.queue_url)
    return (
        queue(name="REQUEST_QUEUE_URL", setting="request_queue_url", needed_by=_SENDER, required=True),
        queue(name="RESPONSE_QUEUE_URL", setting="response_queue_url", required=True),
        queue(name="DEAD_LETTER_QUEUE_URL", setting="dead_letter_queue_url"),
        _Variable(name="AWS_REGION", setting="aws_region", read=variables.region, needed_by=_SENDER),
    )


def _other_variables(folder: Path, store_folder: Path) -> tuple[_Variable, ...]:
    stored = partial(_Variable, name="STORE_URL", setting="store_url", needed_by=_READER)
    hold = partial(_Variable, name="MOZDEF_SYNC_SECONDS", setting="mozdef_sync", default="90")
    words = partial(_Variable, name="RESPONSE_PROFILE", setting="response_profile", default="mozdef")
    switch = partial(_Variable, read=variables.boolean, default="false")
    log_level = partial(_Variable, name="LOG_LEVEL", setting="log_level", needed_by=frozenset(Purpose))
    overrides = partial(variables.existing_folder, folder=folder)
    return (
        stored(read=partial(variables.store_url, folder=store_folder), default="sqlite:///triage-bot.db"),
        words(read=variables.profile),
        hold(read=variables.sync_time),
        switch(name="ALLOW_DEESCALATION", setting="allow_deescalation"),
        switch(name="ASK_GUESTS", setting="ask_guests"),
        log_level(read=variables.log_level, default="INFO"),
        _Variable(name="CONFIG_DIR", setting="config_dir", read=overrides),
    )


def _store_folder(values: Mapping[str, str], folder: Path) -> Path:
    """Return where a relative `STORE_URL` starts, whether it is the default or written out.

    systemd may name several state directories, with colons between them: the first is ours.
    """
    return folder / values.get("STATE_DIRECTORY", "").partition(":")[0]


def _shared_queues(settings: Mapping[str, Any]) -> list[str]:
    """Find queues that are used twice: the bot would read what it wrote, for ever."""
    first_use: dict[str, str] = {}
    problems = []
    for name in ("request_queue_url", "response_queue_url", "dead_letter_queue_url"):
        url = settings.get(name, "").rstrip("/")
        if url and first_use.setdefault(url, name) != name:
            other = first_use[url].upper()
            problems.append(f"{name.upper()} is the same queue as {other}; expected a queue of its own")
    return problems


def _aws_variables(from_file: Mapping[str, str], surroundings: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in from_file.items()
        if name.startswith("AWS_") and name not in surroundings
    }


def _warnings(values: Mapping[str, str]) -> tuple[str, ...]:
    unknown = [name for name in _OTHER_RELEASES if name in values]
    return (f"ignored, since this release does not know them: {', '.join(unknown)}",) if unknown else ()
