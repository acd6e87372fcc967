"""The command line, built from the table of commands. Errors become one line each, and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bot import __version__
from bot.cli.commands import COMMANDS, FAILED, WRONG_CONFIG, complain
from bot.errors import ConfigError, TriageBotError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 1 or 78. Wrong usage raises `SystemExit` with 2."""
    options = _make_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ConfigError as error:
        for problem in error.problems:
            complain(problem)
        return WRONG_CONFIG
    except TriageBotError as error:
        complain(str(error))
        return FAILED
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        sys.stderr.close()
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="triage-bot",
        description="Asks people in Slack whether a security alert about their account was them,"
        " and tells MozDef what they said.",
        epilog="Settings come from the environment and from .env in the current folder; config/.env.example"
        " explains each. Exit codes: 0 success, 1 failure, 2 wrong usage, 78 wrong configuration.",
    )
    parser.add_argument("--version", action="version", version=f"triage-bot {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        text = command.help
        subparser = subparsers.add_parser(
            command.name, help=text, description=text[0].upper() + text[1:] + "."
        )
        subparser.set_defaults(command=command.run)
        command.add_arguments(subparser)
    return parser
