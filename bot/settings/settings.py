"""The settings: read once, checked together, frozen. The only reader and writer of `os.environ`.

A setting is a field of `Settings`, and a row of the table in `all_variables`: its variable, its parser (see
`parsers`), its default, and which commands need it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

from bot.aws.region import region_in
from bot.errors import ConfigError
from bot.redaction import Secret, redact
from bot.settings import parsers
from bot.settings.credentials import SECRET_VARIABLES, Credentials, read_credentials
from bot.settings.proxies import Proxies, read_proxies
from bot.triage.outcomes import Profile
from bot.triage.working_time import WorkingHours


class Purpose(StrEnum):
    """What the settings are loaded for: each command validates only those that it needs."""

    RUN = "run"
    SEND = "send"
    STORE = "store"  #: the commands that read the store
    MIGRATE = "migrate"  #: the stores are arguments
    CHECK = "check"  #: everything, but problems are returned instead of raised


_WORKER = frozenset({Purpose.RUN, Purpose.CHECK})
_SENDER = _WORKER | {Purpose.SEND}
_READER = _WORKER | {Purpose.STORE}
_KEEPER = _WORKER | {Purpose.MIGRATE}

#: How the URL of a store begins that is a file.
_FILE = "sqlite:///"

# Bits of a file's mode, for its group and for everybody else.
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: which commands need it, and how its text becomes the value of a field of `Settings`."""

    name: str
    read: Callable[[str], object]
    default: str = ""  #: as text that `read` accepts
    _: KW_ONLY
    setting: str = ""  #: the field; by default the name in lower case
    needed_by: frozenset[Purpose] = _WORKER
    required: bool = False

    @property
    def field(self) -> str:
        """The field of `Settings` that holds the value."""
        return self.setting or self.name.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings. Those that the purpose does not need have their defaults, even if they are set."""

    slack_bot_token: Secret = field(default=Secret(""))
    slack_app_token: Secret = field(default=Secret(""))
    slack_api_url: str  #: ends in a slash
    request_queue_url: str = ""
    response_queue_url: str = ""
    dead_letter_queue_url: str = ""  #: empty: there is none
    store_url: str  #: sqlite:///, then an absolute path; or dynamodb://, then a table
    response_profile: Profile
    mozdef_sync: timedelta  #: a report is held until its request is this old
    remind_after: timedelta | None  #: how long after a question its person is reminded; None: never
    remind_times: int  #: how often, 0 to 10
    expire_after: timedelta | None  #: how long a request may stay unasked or unanswered; None: forever
    working_hours: WorkingHours | None = None  #: when those two clocks run; None: always
    default_timezone: ZoneInfo  #: of people whose Slack profile has no valid one
    security_channel: str = ""  #: a channel's id; empty: there is none
    mozdef_alert_url: str = ""  #: of an alert, with `{identifier}` for its id, percent-encoded; empty: none
    retain: timedelta  #: how long questions that have ended are kept
    allow_deescalation: bool
    ask_guests: bool
    ask_unconfirmed: bool
    log_level: str  #: a name that `logging` knows
    log_format: str  #: text or json
    metrics_listen: tuple[str, int] | None = None  #: host and port for metrics and health; None: nowhere
    config_dir: Path | None = None
    aws_region: str | None = None  #: used if a queue's URL names none
    aws_variables: Mapping[str, str] = field(repr=False)  #: those in `.env` that are not in the environment
    proxies: Proxies = field(default_factory=Proxies)  #: from the environment
    credentials: Credentials = field(default_factory=Credentials)  #: from systemd
    notify_socket: str = ""  #: the socket for status messages to systemd; empty: none
    watchdog: timedelta | None = None  #: systemd's timeout between them; None: none
    journal_stream: str = ""  #: how systemd names the journal that stderr may be connected to
    warnings: tuple[str, ...] = ()  #: each with its remedy after a `; `
    problems: tuple[str, ...] = ()  #: only for `Purpose.CHECK`; each names its variable

    @property
    def store_path(self) -> Path | None:
        """The store's file; None if it is a table."""
        return Path(self.store_url.removeprefix(_FILE)) if _is_file(self.store_url) else None

    @property
    def control_path(self) -> Path | None:
        """The socket next to the store's file on which the running worker accepts commands.

        None if the store is a table, which commands open themselves.
        """
        return self.store_path and self.store_path.with_name(f"{self.store_path.name}.sock")


def load_settings(
    purpose: Purpose, *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Settings:
    """Return the settings for `purpose`: from the environment, `.env` in `directory`, systemd's credentials.

    The first of these that sets a variable wins; an empty value counts as not set. `environ` and `directory`
    default to those of the process. All configuration errors are reported together: raised as one
    `ConfigError`, or for `Purpose.CHECK` returned in `Settings.problems`.
    """
    folder = (directory or Path.cwd()).absolute()
    surroundings = _drop_empty(os.environ if environ is None else environ)
    from_file, problems = _read_env_file(folder / ".env")
    values = from_file | surroundings
    credentials = read_credentials(surroundings, values)
    problems.extend(credentials.problems)
    settings = _read_all(purpose, {**credentials.values, **values}, folder, problems)
    proxies = read_proxies(surroundings)
    # A command that only opens the store's file needs no proxy.
    problems.extend(() if purpose is Purpose.STORE and _is_file(settings["store_url"]) else proxies.problems)
    if problems and purpose is not Purpose.CHECK:
        raise ConfigError(problems)
    only_in_file = {name: text for name, text in from_file.items() if name not in surroundings}
    return Settings(
        **settings,
        aws_variables={name: text for name, text in only_in_file.items() if name.startswith("AWS_")},
        proxies=proxies,
        credentials=credentials,
        notify_socket=surroundings.get("NOTIFY_SOCKET", ""),
        watchdog=_read_watchdog(surroundings),
        journal_stream=surroundings.get("JOURNAL_STREAM", ""),
        warnings=(
            *_warn_of_unknown_variables(from_file, folder),
            *_warn_of_exposed_file(from_file, folder / ".env"),
        ),
        problems=tuple(problems),
    )


def settle_environment(settings: Settings) -> None:
    """Add the AWS variables that are only in `.env` to the environment of this process, and remove Slack's.

    boto3 reads credentials, profile and endpoint only from there. Proxies get the form that both boto3 and
    the calls to Slack understand. slack_bolt would read tokens from there unasked, and enable OAuth if it
    found a client's id and secret. Call this once, before the first session is made.
    """
    os.environ.update(settings.aws_variables)
    os.environ.update(settings.proxies.values)
    for name in [name for name in os.environ if name.startswith("SLACK_")]:
        del os.environ[name]


def all_variables(folder: Path, store_folder: Path) -> tuple[Variable, ...]:
    """Return the table of all variables; relative paths start in `folder`, the store's in `store_folder`."""
    store_url = partial(parsers.store_url, folder=store_folder)
    config_dir = partial(parsers.existing_folder, folder=folder)
    everybody = frozenset(Purpose)  # AWS_REGION: the store may be in a region too
    return (
        Variable("SLACK_BOT_TOKEN", parsers.bot_token, required=True),
        Variable("SLACK_APP_TOKEN", parsers.app_token, required=True),
        Variable("SLACK_API_URL", parsers.web_api_url, "https://slack.com/api/"),
        Variable("REQUEST_QUEUE_URL", parsers.queue_url, needed_by=_SENDER, required=True),
        Variable("RESPONSE_QUEUE_URL", parsers.queue_url, required=True),
        Variable("DEAD_LETTER_QUEUE_URL", parsers.queue_url),
        Variable("AWS_REGION", parsers.region, needed_by=everybody),
        Variable("REMIND_AFTER", parsers.duration, "4h"),
        Variable("REMIND_TIMES", parsers.reminder_count, "1"),
        Variable("EXPIRE_AFTER", parsers.duration, "24h"),
        Variable("WORKING_HOURS", parsers.working_hours),
        Variable("DEFAULT_TIMEZONE", parsers.zone, "UTC"),
        Variable("SECURITY_CHANNEL", parsers.channel_id),
        Variable("MOZDEF_ALERT_URL", parsers.alert_url),
        Variable("STORE_URL", store_url, "sqlite:///triage-bot.db", needed_by=_READER),
        Variable("RESPONSE_PROFILE", parsers.profile, Profile.MOZDEF),
        Variable("MOZDEF_SYNC_SECONDS", parsers.sync_time, "90", setting="mozdef_sync"),
        Variable("RETAIN_DAYS", parsers.retention, "30", setting="retain", needed_by=_KEEPER),
        Variable("ALLOW_DEESCALATION", parsers.boolean, "false"),
        Variable("ASK_GUESTS", parsers.boolean, "false"),
        Variable("ASK_UNCONFIRMED", parsers.boolean, "false"),
        Variable("CONFIG_DIR", config_dir),
        Variable("LOG_LEVEL", parsers.log_level, "INFO", needed_by=everybody),
        Variable("LOG_FORMAT", parsers.log_format, "text", needed_by=everybody),
        Variable("METRICS_LISTEN", parsers.listen_address),
    )


def _drop_empty(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value and value.strip()}


def _read_env_file(path: Path) -> tuple[dict[str, str], list[str]]:
    # Without a path, the library would search upwards from the source file. Nothing is interpolated, so that
    # a value means the same here as in an environment file of systemd.
    try:
        return _drop_empty(dotenv_values(path, interpolate=False)), []
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f"{path} cannot be read ({error}); expected NAME=value lines in UTF-8"]


def _read_all(
    purpose: Purpose, values: Mapping[str, str], folder: Path, problems: list[str]
) -> dict[str, Any]:
    """Return the fields of `Settings` that have a variable; add what is wrong to `problems`."""
    settings: dict[str, Any] = {}
    # systemd may name several state directories, separated by colons: the first is ours.
    store_folder = folder / values.get("STATE_DIRECTORY", "").partition(":")[0]
    for variable in all_variables(folder, store_folder):
        if variable.default:
            settings[variable.field] = variable.read(variable.default)
        text = values.get(variable.name, "")
        if purpose not in variable.needed_by or not (text or variable.required):
            continue
        try:
            settings[variable.field] = variable.read(text)
        except ValueError as error:
            problems.append(f"{variable.name} {error}")
    problems.extend(_find_shared_queues(settings))
    return settings


def _find_shared_queues(settings: Mapping[str, Any]) -> list[str]:
    """Find queues that are used twice: the bot would read what it wrote, forever."""
    first_use: dict[tuple[str, str], str] = {}
    problems = []
    for name in ("request_queue_url", "response_queue_url", "dead_letter_queue_url"):
        url = settings.get(name)
        if url and first_use.setdefault(_queue_of(url), name) != name:
            other = first_use[_queue_of(url)].upper()
            problems.append(f"{name.upper()} is the same queue as {other}; expected a separate queue")
    return problems


def _is_file(store_url: str) -> bool:
    return store_url.startswith(_FILE)


def _queue_of(url: str) -> tuple[str, str]:
    """Return what identifies a queue: several hosts of a region lead to the same queues."""
    parts = urlsplit(url)
    return region_in(url) or parts.netloc.lower(), parts.path


def _read_watchdog(surroundings: Mapping[str, str]) -> timedelta | None:
    microseconds = surroundings.get("WATCHDOG_USEC", "")
    # Every process of a service inherits it, so it may be meant for another one.
    is_ours = surroundings.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return timedelta(microseconds=int(microseconds)) if is_ours and microseconds.isdecimal() else None


def _warn_of_exposed_file(from_file: Mapping[str, str], path: Path) -> list[str]:
    """Return a warning if others may read the tokens in the file, or change its settings."""
    try:
        found = path.stat().st_mode
    except OSError:
        return []  # there is none, or it is a problem already
    if stat.S_ISDIR(found):
        return []  # a virtual environment, for instance
    mode = stat.S_IMODE(found)
    has_secrets = any(_is_secret(*each) for each in from_file.items())
    may = {"read": has_secrets and mode & _READABLE_BY_OTHERS, "changed": mode & _WRITABLE_BY_OTHERS}
    done = " and ".join(word for word, is_so in may.items() if is_so)
    if not done:
        return []
    holds = "holds tokens or keys and " if has_secrets else ""
    what = f"{path} {holds}can be {done} by other users than its owner (mode {mode:04o})"
    return [f"{what}; restrict it to its owner: chmod 600 {path}"]


def _is_secret(name: str, value: str) -> bool:
    setting = f"{name}={value}"
    is_token = name in SECRET_VARIABLES and not Secret(value).parameter
    return is_token or redact(setting) != setting


def _warn_of_unknown_variables(from_file: Mapping[str, str], folder: Path) -> list[str]:
    """Return a warning that names the variables in `.env` that nothing reads, such as misspelled ones."""
    known = {variable.name for variable in all_variables(folder, folder)}
    unknown = [name for name in from_file if name not in known and not name.startswith("AWS_")]
    ignored = f"ignored in .env, because nothing reads them there: {', '.join(unknown)}"
    return [f"{ignored}; remove them, or install the release that knows them"] if unknown else []
