"""Checks the settings and the wording."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.cli.checks.findings import Finding, Verdict
from bot.errors import ConfigError
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.proxies import is_proxy_variable
from bot.slack.render import templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bot.settings.settings import Settings

SETTINGS = "settings"
WORDING = "wording"


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Yield the problems and warnings of the settings of `Purpose.CHECK`, or that there is no problem."""
    for problem in settings.problems:
        name, _, rest = problem.partition(" ")
        is_variable = re.fullmatch("[A-Z_]+", name) or is_proxy_variable(name)
        yield (
            _problem_finding(name, rest, "set it to ")
            if is_variable
            else _problem_finding(SETTINGS, problem, "expected ")
        )
    for warning in settings.warnings:
        detail, _, remedy = warning.rpartition("; ")
        yield Finding(subject=SETTINGS, verdict=Verdict.WARNING, detail=detail, remedy=remedy)
    if not settings.problems:
        yield Finding(subject=SETTINGS, verdict=Verdict.OK, detail="complete and valid")


def check_wording(folder: Path | None) -> Sequence[Finding]:
    """Judge the default files, and those in `folder` that override them. Raises nothing."""
    try:
        templates.check_wording(load_messages(folder))
        load_alert_policies(folder)
    except ConfigError as error:
        return [_problem_finding(WORDING, problem, "expected ") for problem in error.problems]
    return [Finding(subject=WORDING, verdict=Verdict.OK, detail=_name_source_of_wording(folder))]


def _name_source_of_wording(folder: Path | None) -> str:
    if folder is None:
        return "messages.toml as it ships"
    own = folder / "messages.toml"
    return f"{own}, over the defaults" if own.exists() else f"messages.toml as it ships ({folder} has none)"


def _problem_finding(subject: str, problem: str, ask: str) -> Finding:
    """Return the finding of a problem, which reads `what it is; expected what it should be`."""
    detail, _, expected = problem.partition("; expected ")
    remedy = f"{ask}{expected}" if expected else ""
    return Finding(subject=subject, verdict=Verdict.FAILED, detail=detail, remedy=remedy)
