"""The command line: what can be said, and how errors become one clear line and an exit code."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import __version__
from bot.cli import commands
from bot.cli.commands import FAILED, WRONG_CONFIG, complain
from bot.errors import ConfigError, TriageBotError
from bot.settings import parsers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The longest time that a command looks back.
LONGEST = timedelta(days=3650)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="triage-bot",
        description="Asks people in Slack whether a security alert about their account was them,"
        " and tells MozDef what they said.",
        epilog="Settings come from the environment and from .env in the current folder; config/.env.example"
        " explains each. Exit codes: 0 fine, 1 failed, 2 wrong usage, 78 wrong configuration.",
    )
    parser.add_argument("--version", action="version", version=f"triage-bot {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    running = _add(subparsers, "run", commands.run, "run the worker: ask, collect answers, tell MozDef")
    running.add_argument(
        "--restored", action="store_true", help="the store is a restored backup: look before asking"
    )
    _add_sandbox(subparsers)
    checking = _add(
        subparsers, "check", commands.check, "look at tokens, scopes, queues and store; say what is wrong"
    )
    checking.add_argument("--json", action="store_true", help="print JSON for programs")
    _add_send(subparsers)
    _add_readers(subparsers)
    _add_stats(subparsers)
    _add_replay(subparsers)
    saving = _add(subparsers, "backup", commands.backup, "copy the store into a file, while the worker runs")
    saving.add_argument("file", metavar="FILE", help="where to write the copy; one that is there is replaced")
    _add_migrate(subparsers)
    return parser


def _add(subparsers: Any, name: str, command: Callable[[argparse.Namespace], int], text: str) -> Any:
    parser = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=command)
    return parser


def _add_sandbox(subparsers: Any) -> None:
    parser = _add(
        subparsers, "sandbox", commands.sandbox, "try it all on this machine: no account, token or network"
    )
    parser.add_argument("--port", type=_port, default=8765, help="where the page is (default: 8765; 0: any)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--self-test", action="store_true", help="no page: play it through once, and judge")


def _add_send(subparsers: Any) -> None:
    parser = _add(subparsers, "send", commands.send, "enqueue an alert, as MozDef would")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--user", metavar="ADDRESS", help="whom to ask")
    source.add_argument("--file", metavar="PATH", help="a request's body as it is; - for standard input")
    parser.add_argument("--alert", metavar="LABEL", help="the alert's label (known ones have a sample text)")
    parser.add_argument("--summary", metavar="TEXT", help="the text for the person (default: a sample)")
    parser.add_argument("--confidence", metavar="WORD", help="highest, high, moderate, low or lowest")
    parser.add_argument("--identifier", metavar="ID", help="the alert's identifier (default: a new one)")


def _add_readers(subparsers: Any) -> None:
    listing = _add(subparsers, "list", commands.list_, "show the alerts accepted last, and how each ended")
    listing.add_argument("--limit", type=_count, default=50, help="how many at the most (default: 50)")
    showing = _add(subparsers, "show", commands.show, "show all that is known of one alert")
    showing.add_argument("identifier", metavar="IDENTIFIER", help="MozDef's identifier of the alert")
    for reader in (listing, showing):
        reader.add_argument("--json", action="store_true", help="print JSON for programs")


def _add_stats(subparsers: Any) -> None:
    text = "show what people answer to each kind of alert, and how long it takes them"
    parser = _add(subparsers, "stats", commands.stats, text)
    since = {"type": _duration, "default": timedelta(days=30), "metavar": "30d"}
    parser.add_argument("--since", **since, help="of what was asked in this time (default: 30d)")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--plot", type=_svg_path, metavar="FILE", help="write a plot, too: an SVG file")


def _add_replay(subparsers: Any) -> None:
    text = "send reports again, byte for byte, for the hours in which MozDef lost them"
    parser = _add(subparsers, "replay", commands.replay, text)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "identifiers", metavar="IDENTIFIER", nargs="*", default=[], help="the reports of these alerts"
    )
    which.add_argument(
        "--since",
        type=_duration,
        metavar="TIME",
        help="of each alert that was reported in the last 15m, 2h, 1d …",
    )
    which.add_argument(
        "--unsent",
        action="store_true",
        help="of each alert with a report that waits, or that the queue refused",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be sent")


def _add_migrate(subparsers: Any) -> None:
    text = "move the store from SQLite to DynamoDB, with the worker stopped; may be run again at any point"
    parser = _add(subparsers, "migrate", commands.migrate, text)
    source = {"dest": "source", "type": _file_url, "metavar": "sqlite:///FILE"}
    parser.add_argument("--from", **source, required=True, help="the store; it is only read")
    target = {"dest": "target", "type": _table_url, "metavar": "dynamodb://TABLE"}
    parser.add_argument("--to", **target, required=True, help="a table that is empty, or of an earlier run")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _file_url(text: str) -> str:
    return _store_url(text, "sqlite:///")


def _table_url(text: str) -> str:
    return _store_url(text, "dynamodb://")


def _store_url(text: str, scheme: str) -> str:
    try:
        url = parsers.store_url(text, Path.cwd())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not url.startswith(scheme):
        raise argparse.ArgumentTypeError(
            f"is {text!r}; the way goes --from sqlite:///FILE --to dynamodb://TABLE"
        )
    return url


def _duration(text: str) -> timedelta:
    duration = None
    with suppress(ValueError):
        duration = parsers.duration(text)
    if duration is None or duration > LONGEST:
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a duration such as 90s, 15m, 4h or 2d")
    return duration


def _svg_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text} is not named as an SVG file; expected FILE.svg")
    return path


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:  # noqa: PLR2004 - the range of ports
        raise argparse.ArgumentTypeError(f"{text} is no port; expected 0 to 65535")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} shows nothing; expected 1 or more")
    return number
