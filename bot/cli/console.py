"""What every command does first: load its settings, and print what is wrong."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import textwrap
from typing import TextIO

from bot.printable import GREY, RED, YELLOW, paint
from bot.settings.settings import Purpose, Settings, load_settings, prepare_environment, takes_colour
from bot.triage.log_events import log_event
from bot.worker.log import configure_logging, writes_json

log = logging.getLogger(__name__)

_COLOURS = {"error": RED, "warning": YELLOW}


def load_for_command(purpose: Purpose, options: argparse.Namespace) -> Settings:
    """Load the settings that a command needs, and print their warnings. Raises `ConfigError`."""
    settings = load_without_warnings(purpose, options)
    for warning in settings.warnings:
        report_problem(warning, level="warning")
    return settings


def load_without_warnings(purpose: Purpose, options: argparse.Namespace) -> Settings:
    """Load the settings that a command needs, and configure the log by them. Raises `ConfigError`."""

    def tell(source: str) -> None:
        if options.verbose:
            report_problem(f"settings come from {source}", level="info")

    settings = load_settings(purpose, on_read=tell)
    prepare_environment(settings)
    configure_logging(
        settings.log_level,
        sys.stderr,
        as_json=settings.log_format == "json",
        journal_stream=settings.journal_stream,
        secrets=settings.secrets,
    )
    return settings


def report_problem(problem: str, *, level: str = "error") -> None:
    """Print a problem on standard error, as `triage-bot: LEVEL: PROBLEM`, or as JSON if the log is JSON.

    On a terminal it is wrapped, and words stay whole, so that they can be copied.
    """
    if writes_json():
        if level == "error":
            log_event(log.error, "start.failed", "%s", problem)
        else:
            log_event(log.warning, "settings.questionable", "%s", problem)
        return
    text, width = f"triage-bot: {level}: {problem}", terminal_width(sys.stderr)
    if width is not None:
        text = textwrap.fill(
            text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    if takes_colour(sys.stderr):
        text = text.replace(level, paint(level, _COLOURS.get(level, GREY)), 1)
    print(text, file=sys.stderr)


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Return the width of a stream's terminal in columns (COLUMNS overrides it); None if it is no terminal.

    The stream is standard output unless another is given.
    """
    return shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else None


def confirm(question: str) -> bool:
    """Ask a yes-or-no question at the terminal; without one, as in a script, the answer is yes."""
    if not (sys.stdin and sys.stdin.isatty()):
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)  # the input has ended, and with it no line on the terminal
    return answer.strip().lower() in ("y", "yes")
