"""The table of all variables: who needs each, how it is read, what it is where nobody sets it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from bot.settings import parsers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Purpose(StrEnum):
    """What the settings are wanted for: each command is held to those that it needs."""

    RUN = "run"
    SEND = "send"
    STORE = "store"  #: the commands that read the store
    MIGRATE = "migrate"  #: the stores are arguments
    CHECK = "check"  #: everything, but problems are handed over instead of raised


_WORKER = frozenset({Purpose.RUN, Purpose.CHECK})
_SENDER = _WORKER | {Purpose.SEND}
_READER = _WORKER | {Purpose.STORE}


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """One variable: who needs it, and how its text becomes the value of one field of `Settings`."""

    name: str
    setting: str
    read: Callable[[str], object]
    default: str = ""  #: as text, which `read` must accept
    needed_by: frozenset[Purpose] = _WORKER
    required: bool = False


def all_variables(folder: Path, store_folder: Path) -> tuple[Variable, ...]:
    """Return the table of all variables; relative paths start in these folders."""
    return (
        *_slack_variables(),
        *_queue_variables(),
        *_clock_variables(),
        *_security_team_variables(),
        *_other_variables(folder, store_folder),
        *_observing_variables(),
    )


def _slack_variables() -> tuple[Variable, ...]:
    required = partial(Variable, required=True)
    return (
        required(name="SLACK_BOT_TOKEN", setting="slack_bot_token", read=parsers.bot_token),
        required(name="SLACK_APP_TOKEN", setting="slack_app_token", read=parsers.app_token),
        Variable(
            name="SLACK_API_URL",
            setting="slack_api_url",
            read=parsers.web_api_url,
            default="https://slack.com/api/",
        ),
    )


def _queue_variables() -> tuple[Variable, ...]:
    queue = partial(Variable, read=parsers.queue_url)
    everybody = frozenset(Purpose)  # the store may be in a region, too
    return (
        queue(name="REQUEST_QUEUE_URL", setting="request_queue_url", needed_by=_SENDER, required=True),
        queue(name="RESPONSE_QUEUE_URL", setting="response_queue_url", required=True),
        queue(name="DEAD_LETTER_QUEUE_URL", setting="dead_letter_queue_url"),
        Variable(name="AWS_REGION", setting="aws_region", read=parsers.region, needed_by=everybody),
    )


def _clock_variables() -> tuple[Variable, ...]:
    duration = partial(Variable, read=parsers.duration)
    times = partial(Variable, name="REMIND_TIMES", setting="remind_times", default="1")
    zone = partial(Variable, name="DEFAULT_TIMEZONE", setting="default_timezone", default="UTC")
    return (
        duration(name="REMIND_AFTER", setting="remind_after", default="4h"),
        times(read=parsers.reminder_count),
        duration(name="EXPIRE_AFTER", setting="expire_after", default="24h"),
        Variable(name="WORKING_HOURS", setting="working_hours", read=parsers.working_hours),
        zone(read=parsers.zone),
    )


def _security_team_variables() -> tuple[Variable, ...]:
    return (
        Variable(name="SECURITY_CHANNEL", setting="security_channel", read=parsers.channel_id),
        Variable(name="MOZDEF_ALERT_URL", setting="mozdef_alert_url", read=parsers.alert_url),
    )


def _other_variables(folder: Path, store_folder: Path) -> tuple[Variable, ...]:
    stored = partial(Variable, name="STORE_URL", setting="store_url", needed_by=_READER)
    hold = partial(Variable, name="MOZDEF_SYNC_SECONDS", setting="mozdef_sync", default="90")
    words = partial(Variable, name="RESPONSE_PROFILE", setting="response_profile", default="mozdef")
    kept = partial(Variable, needed_by=_WORKER | {Purpose.MIGRATE})
    switch = partial(Variable, read=parsers.boolean, default="false")
    overrides = partial(parsers.existing_folder, folder=folder)
    return (
        stored(read=partial(parsers.store_url, folder=store_folder), default="sqlite:///triage-bot.db"),
        words(read=parsers.profile),
        hold(read=parsers.sync_time),
        kept(name="RETAIN_DAYS", setting="retain", read=parsers.retention, default="30"),
        switch(name="ALLOW_DEESCALATION", setting="allow_deescalation"),
        switch(name="ASK_GUESTS", setting="ask_guests"),
        Variable(name="CONFIG_DIR", setting="config_dir", read=overrides),
    )


def _observing_variables() -> tuple[Variable, ...]:
    log = partial(Variable, needed_by=frozenset(Purpose))
    return (
        log(name="LOG_LEVEL", setting="log_level", read=parsers.log_level, default="INFO"),
        log(name="LOG_FORMAT", setting="log_format", read=parsers.log_format, default="text"),
        Variable(name="METRICS_LISTEN", setting="metrics_listen", read=parsers.listen_address),
    )
