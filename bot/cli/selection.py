"""Which alerts `list` and `replay` select: their options, and the arguments for the store."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from bot.cli import arguments
from bot.errors import ConfigError
from bot.settings.settings import Settings


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which alerts are listed. An alert must match all that are given."""
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument("--open", action="store_true", help="only alerts that have no outcome yet")
    ending.add_argument(
        "--outcome",
        type=arguments.outcome,
        metavar="WORD",
        help=f"only alerts with this outcome: {arguments.OUTCOMES}",
    )
    parser.add_argument(
        "--user",
        type=arguments.address,
        metavar="ADDRESS",
        help="only alerts about this person, by the address in the request",
    )
    parser.add_argument(
        "--taken-by",
        type=arguments.slack_id,
        metavar="ID",
        help="only alerts that this member of the security team has, by their Slack id",
    )
    parser.add_argument("--alert", type=arguments.label, metavar="LABEL", help="only alerts with this label")
    parser.add_argument(
        "--since",
        type=arguments.duration,
        metavar="TIME",
        help="only alerts accepted in the last 15m, 2h, 30d …",
    )


def read_filters(options: argparse.Namespace) -> dict[str, Any]:
    """Return the given filters as arguments for the store; empty if none is given."""
    given = {
        "open": options.open,
        "user": options.user,
        "alert": options.alert,
        "outcome": options.outcome,
        "taken_by": options.taken_by,
        "since_seconds": options.since and options.since.total_seconds(),
    }
    return {name: value for name, value in given.items() if value}


def explain_nothing(filters: Mapping[str, Any], settings: Settings) -> str:
    """Return the sentence for an empty list; it suggests a known label if the one given matches none."""
    from bot.settings.alerts import load_alert_policies
    from bot.settings.env_file import suggest

    if not filters:
        return "There are no alerts in the store."
    with suppress(ConfigError):  # the list does not need that file
        known, label = load_alert_policies(settings.config_dir).by_label, filters.get("alert", "")
        meant = suggest(label, known)
        if meant and meant != label:
            return f"No alerts match. Did you mean --alert {meant}?"
    return "No alerts match."


def add_reports(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which reports are replayed."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "identifiers",
        type=arguments.identifier,
        metavar="IDENTIFIER",
        nargs="*",
        default=[],
        help="the reports of these alerts",
    )
    which.add_argument(
        "--since",
        type=arguments.duration,
        metavar="TIME",
        help="the reports of each alert that was reported in the last 15m, 2h, 1d …",
    )
    which.add_argument(
        "--unsent",
        action="store_true",
        help="the reports of each alert that has one that is unsent, or was rejected by the queue",
    )
    parser.add_argument("--notes", action="store_true", help="also notes that were already sent")


def select_reports(options: argparse.Namespace, now: datetime, began: datetime) -> dict[str, Any]:
    """Return the arguments of `replay` for the store.

    `--since` counts back from `began`, the command's start.
    """
    if options.unsent:
        which: dict[str, Any] = {"unsent": True}
    elif options.since:
        which = {"since_seconds": (options.since + (now - began)).total_seconds()}
    else:
        which = {"identifiers": options.identifiers}
    return {**which, "notes": options.notes}
