"""The settings: read once, checked together, frozen. The only reader and writer of `os.environ`.

A setting is a field of `Settings`, and a row of the table in `all_variables`: its variable, its parser (see
`parsers`), its default, and which commands need it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from bot.aws.region import region_in
from bot.errors import ConfigError
from bot.redaction import Secret, find_parts, redact
from bot.settings import parsers
from bot.settings.credentials import SECRET_VARIABLES, Credentials, read_credentials
from bot.settings.env_file import FILE_VARIABLE, EnvFile, find_env_file, suggest
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

#: Bits of a file's mode, for its group and for everybody else.
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


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
    """The settings. Those that the purpose does not need keep their defaults, even if they are set."""

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
    open_per_person: int  #: how many questions of one person may be open at a time, 1 to 100
    working_hours: WorkingHours | None = None  #: when those two clocks run; None: always
    default_timezone: ZoneInfo  #: of people whose Slack profile has no valid one
    security_channel: str = ""  #: a channel's id; empty: there is none
    responders: frozenset[str] = frozenset()  #: ids of people; empty: everybody in that channel
    mozdef_alert_url: str = ""  #: of an alert, with `{identifier}` for its id, percent-encoded; empty: none
    retain: timedelta  #: how long questions that have ended are kept
    allow_deescalation: bool
    ask_guests: bool
    ask_unconfirmed: bool
    factor_issuer: str = ""  #: of the provider of the second factor; empty: there is none
    factor_client_id: str = ""
    factor_client_auth: str  #: one of `parsers.CLIENT_AUTHENTICATIONS`
    factor_client_secret: Secret = field(default=Secret(""))
    factor_client_key: Secret = field(default=Secret(""))
    factor_login_hint: str  #: with `{subject}` in it
    factor_scope: str
    factor_subject_claim: str
    factor_fraud_error: str = ""  #: empty: the provider has no code for a report of fraud
    log_level: str  #: a name that `logging` knows
    log_format: str  #: text or json
    metrics_listen: tuple[str, int] | None = None  #: host and port for metrics and health; None: nowhere
    config_dir: Path | None = None
    aws_region: str | None = None  #: used if a queue's URL names none
    aws_variables: Mapping[str, str] = field(repr=False)  #: those in the file that are not in the environment
    source: str = field(default="", compare=False)  #: where they come from, for people
    proxies: Proxies = field(default_factory=Proxies)  #: from the environment
    credentials: Credentials = field(default_factory=Credentials)  #: from systemd
    notify_socket: str = ""  #: the socket for status messages to systemd; empty: none
    watchdog: timedelta | None = None  #: systemd's timeout between them; None: none
    journal_stream: str = ""  #: how systemd names the journal that stderr may be connected to
    warnings: tuple[str, ...] = ()  #: each with its remedy after a `; `
    problems: tuple[str, ...] = ()  #: only for `Purpose.CHECK`; each names its variable

    @property
    def secrets(self) -> list[str]:
        """What gives its secrets away, as a log may show it."""
        slack = (self.slack_bot_token, self.slack_app_token)
        factor = (self.factor_client_secret, self.factor_client_key)
        return [part for secret in (*slack, *factor) for part in find_parts(secret)]

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
    purpose: Purpose,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    etc: Path = Path("/etc"),
    on_read: Callable[[str], None] = lambda _: None,
) -> Settings:
    """Return the settings for `purpose`: from the environment, one file, and systemd's credentials.

    The first of these that sets a variable wins; an empty value counts as not set. `bot.settings.env_file`
    decides which file that is; `on_read` gets its description, as in `Settings.source`, before any setting
    is checked. All configuration errors are reported together: raised as one `ConfigError`, or for
    `Purpose.CHECK` returned in `Settings.problems`. `environ` and `directory` default to those of the
    process.
    """
    folder = (directory or current_folder()).absolute()
    surroundings = _drop_empty(os.environ if environ is None else environ)
    known = _list_names()
    file = find_env_file(surroundings, folder, known, etc=etc)
    on_read(file.description)
    values, problems = {**file.values, **surroundings}, list(file.problems)
    tokens = surroundings.get("CREDENTIALS_DIRECTORY")
    credentials = read_credentials(Path(tokens) if tokens else file.tokens, values)
    # A command that needs no token may be run by somebody who cannot read the tokens.
    problems.extend(credentials.problems if tokens or purpose in _WORKER else ())
    settings = _read_all(purpose, {**credentials.values, **values}, folder, problems)
    problems.extend(_explain_unreadable(file, purpose, values))
    proxies = read_proxies(surroundings)
    # A command that only opens the store's file needs no proxy.
    problems.extend(() if purpose is Purpose.STORE and _is_file(settings["store_url"]) else proxies.problems)
    warnings = tuple(_warn(file, surroundings, known, settings))
    if problems and purpose is not Purpose.CHECK:
        raise ConfigError(problems, warnings=warnings)
    only_in_file = {name: text for name, text in file.values.items() if name not in surroundings}
    return Settings(
        **settings,
        aws_variables={name: text for name, text in only_in_file.items() if name.startswith("AWS_")},
        source=file.description,
        proxies=proxies,
        credentials=credentials,
        notify_socket=surroundings.get("NOTIFY_SOCKET", ""),
        watchdog=_read_watchdog(surroundings),
        journal_stream=surroundings.get("JOURNAL_STREAM", ""),
        warnings=warnings,
        problems=tuple(problems),
    )


def read_log_format(
    *, environ: Mapping[str, str] | None = None, directory: Path | None = None, etc: Path = Path("/etc")
) -> str:
    """Return LOG_FORMAT, for the errors of other settings; "text" if it is wrong. Raises nothing."""
    surroundings = _drop_empty(os.environ if environ is None else environ)
    text = surroundings.get("LOG_FORMAT", "")
    with suppress(ConfigError):
        folder = (directory or current_folder()).absolute()
        text = text or find_env_file(surroundings, folder, _list_names(), etc=etc).values.get(
            "LOG_FORMAT", ""
        )
    try:
        return parsers.log_format(text or "text")
    except ValueError:
        return "text"


def current_folder() -> Path:
    """Return the folder in which this process runs. Raises `ConfigError` if somebody has removed it."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            ["the current folder does not exist any more; expected one that does: cd to another"]
        ) from error


def takes_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user wants colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def prepare_environment(settings: Settings) -> None:
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
        Variable("OPEN_PER_PERSON", parsers.open_count, "3"),
        Variable("WORKING_HOURS", parsers.working_hours),
        Variable("DEFAULT_TIMEZONE", parsers.zone, "UTC"),
        Variable("SECURITY_CHANNEL", parsers.channel_id),
        Variable("RESPONDERS", parsers.people_ids),
        Variable("MOZDEF_ALERT_URL", parsers.alert_url),
        Variable("STORE_URL", store_url, "sqlite:///triage-bot.db", needed_by=_READER),
        Variable("RESPONSE_PROFILE", parsers.profile, Profile.MOZDEF),
        Variable("MOZDEF_SYNC_SECONDS", parsers.sync_time, "90", setting="mozdef_sync"),
        Variable("RETAIN_DAYS", parsers.retention, "30", setting="retain", needed_by=_KEEPER),
        Variable("ALLOW_DEESCALATION", parsers.boolean, "false"),
        Variable("ASK_GUESTS", parsers.boolean, "false"),
        Variable("ASK_UNCONFIRMED", parsers.boolean, "false"),
        Variable("FACTOR_ISSUER", parsers.issuer_url),
        Variable("FACTOR_CLIENT_ID", parsers.word),
        Variable("FACTOR_CLIENT_AUTH", parsers.client_authentication, "client_secret_basic"),
        Variable("FACTOR_CLIENT_SECRET", parsers.client_secret),
        Variable("FACTOR_CLIENT_KEY", parsers.client_secret),
        Variable("FACTOR_LOGIN_HINT", parsers.login_hint, "{subject}"),
        Variable("FACTOR_SCOPE", parsers.scope, "openid email"),
        Variable("FACTOR_SUBJECT_CLAIM", parsers.word, "email"),
        Variable("FACTOR_FRAUD_ERROR", parsers.word),
        Variable("CONFIG_DIR", config_dir),
        Variable("LOG_LEVEL", parsers.log_level, "INFO", needed_by=everybody),
        Variable("LOG_FORMAT", parsers.log_format, "text", needed_by=everybody),
        Variable("METRICS_LISTEN", parsers.listen_address),
    )


def _list_names() -> list[str]:
    return [variable.name for variable in all_variables(Path(), Path())]


def _drop_empty(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value and value.strip()}


def _explain_unreadable(file: EnvFile, purpose: Purpose, values: Mapping[str, str]) -> Iterator[str]:
    """Yield a problem if a setting that this command needs may be in a file that this user cannot read."""
    needed = {
        variable.name
        for variable in all_variables(Path(), Path())
        if purpose in variable.needed_by and (variable.required or variable.name == "STORE_URL")
    }
    if file.unreadable and (missing := sorted(needed - set(values))):
        yield (
            f"{file.path} cannot be read by this user ({file.unreadable}), and may set {', '.join(missing)};"
            f" expected a user who may read it: run the command with sudo, or set {FILE_VARIABLE}"
        )


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
    # Neither 0 nor infinity: see sd_watchdog_enabled(3).
    is_on = re.fullmatch("[1-9][0-9]{0,18}", microseconds)
    # Every process of a service inherits it, so it may be meant for another one.
    is_ours = surroundings.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return timedelta(microseconds=int(microseconds)) if is_ours and is_on else None


def _warn_of_exposed_file(file: EnvFile) -> list[str]:
    """Return a warning if others may read the tokens in the file, or its group may change its settings."""
    if not file.path or not file.values or file.problems:
        return []
    mode = stat.S_IMODE(file.path.stat().st_mode)
    has_secrets = any(_is_secret(*each) for each in file.values.items())
    may = {"read": has_secrets and mode & _READABLE_BY_OTHERS, "changed": mode & stat.S_IWGRP}
    done = " and ".join(word for word, is_so in may.items() if is_so)
    if not done:
        return []
    holds = "holds tokens or keys and " if has_secrets else ""
    what = f"{file.path} {holds}can be {done} by users other than its owner (mode {mode:04o})"
    return [f"{what}; restrict it to its owner: chmod 600 {file.path}"]


def _is_secret(name: str, value: str) -> bool:
    setting = f"{name}={value}"
    is_token = name in SECRET_VARIABLES and not Secret(value).parameter
    return is_token or redact(setting) != setting


def _warn(
    file: EnvFile, surroundings: Mapping[str, str], known: Collection[str], settings: Mapping[str, Any]
) -> Iterator[str]:
    yield from _warn_of_unknown_variables(file, surroundings, known)
    yield from file.warnings
    yield from _warn_of_exposed_file(file)
    yield from _warn_of_no_reminders(settings)
    yield from _warn_of_no_cards(settings)


def _warn_of_unknown_variables(
    file: EnvFile, surroundings: Mapping[str, str], known: Collection[str]
) -> Iterator[str]:
    """Yield a warning that names the variables in the file that nothing reads, and one for each misspelled
    variable of the environment, where systemd puts those of the file.
    """
    unknown = [name for name in file.values if name not in known and not name.startswith("AWS_")]
    if unknown:
        names = ", ".join(_add_suggestion(name, known) for name in unknown)
        ignored = f"unknown settings in {file.path}, which are ignored: {names}"
        yield f"{ignored}; remove them, or install the release that knows them"
    for name in surroundings:
        if name not in known and (meant := suggest(name, known)):
            yield f"unknown setting {name} in the environment; did you mean {meant}?"


def _add_suggestion(name: str, known: Collection[str]) -> str:
    meant = suggest(name, known)
    return f"{name} (did you mean {meant}?)" if meant else name


def _warn_of_no_reminders(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning if every question ends before its first reminder."""
    remind, expire = settings.get("remind_after"), settings.get("expire_after")
    if remind and expire and settings.get("remind_times") and remind >= expire:
        yield (
            "nobody is ever reminded, because EXPIRE_AFTER is not longer than REMIND_AFTER; set REMIND_AFTER"
            " to less than EXPIRE_AFTER, or to 0 for no reminders"
        )


def _warn_of_no_cards(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning if RESPONDERS is set, but there are no cards."""
    if settings.get("responders") and not settings.get("security_channel"):
        yield (
            "RESPONDERS names who may act on the cards, but without SECURITY_CHANNEL there are none; set"
            " SECURITY_CHANNEL, or remove RESPONDERS"
        )
