"""Checks the settings and the wording."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bot.cli.checks.findings import Finding
from bot.errors import ConfigError
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.people import load_people_rules
from bot.settings.proxies import is_proxy_variable
from bot.settings.settings import Settings
from bot.slack.render import templates

SETTINGS = "settings"
WORDING = "wording"
PEOPLE = "people"


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Yield the problems and warnings of the settings of `Purpose.CHECK`, and where they come from."""
    for problem in settings.problems:
        name, _, rest = problem.partition(" ")
        if re.fullmatch("[A-Z_]+", name) or is_proxy_variable(name):
            yield _explain_problem(name, rest, "set it to ")
        else:
            yield _explain_problem(SETTINGS, problem, "expected ")
    for warning in settings.warnings:
        detail, _, remedy = warning.rpartition("; ")
        yield Finding.warning(SETTINGS, detail, remedy)
    if settings.problems:
        yield Finding.failed(SETTINGS, f"incomplete or invalid, from {settings.source}", "see above")
    else:
        yield Finding.ok(SETTINGS, f"complete and valid, from {settings.source}")


def check_wording(folder: Path | None) -> Sequence[Finding]:
    """Judge the default files, and those in `folder` that override them. Raises nothing."""
    try:
        templates.check_wording(load_messages(folder))
        load_alert_policies(folder)
    except ConfigError as error:
        return [_explain_problem(WORDING, problem, "expected ") for problem in error.problems]
    return [Finding.ok(WORDING, _describe_source(folder))]


def check_people(folder: Path | None) -> Sequence[Finding]:
    """Judge the file in `folder` that says who is meant by an address. Raises nothing."""
    try:
        rules = load_people_rules(folder)
    except ConfigError as error:
        return [_explain_problem(PEOPLE, problem, "expected ") for problem in error.problems]
    if not (rules.people or rules.domains or rules.strict):
        return [Finding.ok(PEOPLE, "looked up by the addresses of the requests")]
    others = "nobody else is asked" if rules.strict else "all others by the addresses of the requests"
    counts = f"{len(rules.people)} of [people], {len(rules.domains)} of [domains]"
    return [Finding.ok(PEOPLE, f"looked up by people.toml: {counts}; {others}")]


def _describe_source(folder: Path | None) -> str:
    if folder is None:
        return "messages.toml as it ships"
    own = folder / "messages.toml"
    return f"{own}, over the defaults" if own.exists() else f"messages.toml as it ships ({folder} has none)"


def _explain_problem(subject: str, problem: str, ask: str) -> Finding:
    """Return the finding of a problem, which reads `what it is; expected what it should be`."""
    detail, _, expected = problem.partition("; expected ")
    return Finding.failed(subject, detail, f"{ask}{expected}" if expected else "")
