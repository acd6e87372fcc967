"""The command line, built from the table of commands. Errors become one line each, and an exit code."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from bot import __version__
from bot.cli.commands import COMMANDS
from bot.cli.console import report_problem
from bot.cli.registry import FAILED, OK, WRONG_CONFIG
from bot.cli.store_commands import STORE_COMMANDS
from bot.errors import ConfigError, TriageBotError, WrongUsage
from bot.settings.env_file import suggest

#: In the order in which the help shows them.
_ALL_COMMANDS = (*COMMANDS, *STORE_COMMANDS)

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 1 or 78. Wrong usage raises `SystemExit` with 2."""
    _open_closed_streams()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character of another encoding must not be an error
    parser = _make_parser()
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(parser, arguments)
    except WrongUsage as error:
        parser.error(str(error))
    except ConfigError as error:
        for warning in error.warnings:
            report_problem(warning, level="warning")
        for problem in error.problems:
            report_problem(problem)
        return WRONG_CONFIG
    except TriageBotError as error:
        report_problem(str(error))
    except OSError as error:
        _explain_lost_output(error)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, interrupted)
    return FAILED


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] | None = options.command
    if command is None:
        parser.print_help()
        return OK
    code = command(options)
    sys.stdout.flush()  # when the interpreter ends, a full disk would be a traceback
    return code


def _open_closed_streams() -> None:
    """Replace closed standard streams with /dev/null, or the next opened file would get their descriptor."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (to the end)


def _explain_lost_output(error: OSError) -> None:
    """Say why standard output cannot be written, unless its reader has closed it, as `head` does.

    Other errors are raised again: they name a file, or another reason.
    """
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return
    if error.filename is not None or error.errno not in _UNWRITABLE:
        raise error
    report_problem(f"standard output cannot be written: {error.strerror}; the output is incomplete")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # for what is still in the buffer


#: Patterns of argparse's messages about wrong usage, and what to say instead.
_PLAINLY = (
    (r"argument (\S+): expects", r"\1 expects"),
    (r"argument (\S+): expected one argument", r"\1 expects a value after it"),
    (r"unrecognized arguments: (.+)", r"\1 is not expected here; --help lists what is"),
    (r"the following arguments are required: (.+, .+)", r"\1 are missing"),
    (r"the following arguments are required: (.+)", r"\1 is missing"),
)


class _Parser(argparse.ArgumentParser):
    """Words errors as the rest of this program does: what is wrong, and what is expected."""

    def error(self, message: str) -> NoReturn:
        for theirs, ours in _PLAINLY:
            message = re.sub(f"^{theirs}", ours, message)
        if unknown := re.match(r"argument COMMAND: invalid choice: '([^']*)'", message):
            names = [command.name for command in _ALL_COMMANDS]
            meant = suggest(unknown[1], names)
            hint = f"did you mean {meant!r}?" if meant else f"expected one of {', '.join(names)}"
            message = f"there is no command {unknown[1]!r}; {hint}"
        super().error(message)


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="triage-bot",
        description="Asks people in Slack whether they caused a security alert about their account,"
        " and reports their answers to MozDef.",
        epilog="Settings come from the environment and one file: the one that TRIAGE_BOT_ENV names, or .env"
        " in the current folder if it sets a variable of this program, or /etc/triage-bot.env. Exit codes:"
        " 0 success, 1 failure, 2 wrong usage, 78 wrong configuration.",
    )
    parser.add_argument("--version", action="version", version=f"triage-bot {__version__}")
    parser.add_argument("--verbose", action="store_true", help="say where the settings come from")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    parser.set_defaults(command=None)
    for command in _ALL_COMMANDS:
        text = command.help
        subparser = subparsers.add_parser(
            command.name, help=text, description=text[0].upper() + text[1:] + "."
        )
        subparser.set_defaults(command=command.run)
        # Accepted here as well, because people type it in either place; the help of the program has it.
        subparser.add_argument(
            "--verbose", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        command.add_arguments(subparser)
    return parser
