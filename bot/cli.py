"""The commands. Each validates only the settings it needs; errors become one clear line and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from bot import __version__
from bot.errors import ConfigError, TriageBotError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.config import Settings
    from bot.views import View

# Exit codes. systemd starts the worker again after 1, and not after 78 (RestartPreventExitStatus).
OK = 0
FAILED = 1  # refused at start (token, queue, store held, disk full), or the command's answer is "no"
WRONG_USAGE = 2  # argparse's own
WRONG_CONFIG = 78  # EX_CONFIG of sysexits.h: a person must change a setting first


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ConfigError as error:
        for problem in error.problems:
            _complain(problem)
        return WRONG_CONFIG
    except TriageBotError as error:
        _complain(str(error))
        return FAILED
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        sys.stderr.close()
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def run(_: argparse.Namespace) -> int:
    """Run the worker until a signal ends it."""
    from bot.config import Purpose
    from bot.config_files import load_messages

    settings = _settings(Purpose.RUN)
    wording = load_messages(settings.config_dir)
    from bot.app import App
    from bot.worker import run_worker

    try:
        asyncio.run(run_worker(App(settings, wording)))
    except* TriageBotError as group:
        # A loop met what it should have met at the start: the reason is worth more than the group.
        raise _innermost(group) from None
    return OK


def sandbox(options: argparse.Namespace) -> int:
    """Run the trial."""
    try:
        from bot.sandbox.program import run_sandbox, run_self_test
    except ModuleNotFoundError as error:
        raise ConfigError(
            [f"the sandbox needs {error.name}: install it with pip install 'triage-bot[sandbox]'"]
        ) from error
    if options.self_test:
        return run_self_test()
    return run_sandbox(port=options.port, open_browser=options.open)


def send(options: argparse.Namespace) -> int:
    """Enqueue a request as MozDef would."""
    from bot.app import send_request
    from bot.config import Purpose
    from bot.printable import printable
    from bot.sending import identifier_in, read_body, sample_body

    settings = _settings(Purpose.SEND)
    body = read_body(options.file) if options.file else sample_body(options)
    message_id = asyncio.run(send_request(settings, body))
    print(f"identifier  {printable(identifier_in(body)) or '(none: the bot will refuse it)'}")
    print(f"message id  {message_id}")
    return OK


def check(_: argparse.Namespace) -> int:
    """Look at all that the worker needs, and say what is wrong and how to mend it."""
    from bot.config import Purpose

    return asyncio.run(_check(_load(Purpose.CHECK)))


async def _check(settings: Settings) -> int:
    from bot.checking import check_everything
    from bot.findings import is_sound, render_findings
    from bot.printable import printable

    # Printed before the event loop ends: that waits for look-ups of names which may still hang.
    findings = await check_everything(settings)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in render_findings(findings, width=width).split("\n"):
        print(printable(line), flush=True)
    return OK if is_sound(findings) else FAILED


def list_(options: argparse.Namespace) -> int:
    """Show the questions accepted last."""
    from bot.rendering import render_list
    from bot.triage.model import utc_now
    from bot.views import render_json

    views = _ask_store("list", limit=options.limit)
    print(render_json(views) if options.json else render_list(views, utc_now()))
    return OK


def show(options: argparse.Namespace) -> int:
    """Show all that is known of one question."""
    from bot.printable import printable
    from bot.rendering import render_question
    from bot.views import render_json

    views = _ask_store("show", identifier=options.identifier)
    if not views:
        name = printable(options.identifier)
        _complain(f"there is no alert {name!r} in the store; `triage-bot list` shows which are")
        return FAILED
    print(render_json(views[0]) if options.json else render_question(views[0]))
    return OK


def _settings(purpose: Any) -> Settings:
    settings = _load(purpose)
    for warning in settings.warnings:
        _complain(warning, level="warning")
    return settings


def _load(purpose: Any) -> Settings:
    from bot.config import load_settings, settle_environment
    from bot.log import configure_logging

    settings = load_settings(purpose)
    settle_environment(settings)
    secrets = [settings.slack_bot_token.reveal(), settings.slack_app_token.reveal()]
    configure_logging(settings.log_level, sys.stderr, journal_stream=settings.journal_stream, secrets=secrets)
    return settings


def _ask_store(command: str, **arguments: Any) -> list[View]:
    """Ask the worker that holds the store, or open the store where no worker runs."""
    from bot.config import Purpose
    from bot.control import NoWorker, call

    settings = _settings(Purpose.STORE)
    try:
        return list(call(settings.control_path, command, **arguments))
    except NoWorker:
        return asyncio.run(_read_store(settings, command, arguments))


async def _read_store(settings: Settings, command: str, arguments: dict[str, Any]) -> list[View]:
    from bot.reading import reading_handlers
    from bot.store import open_store

    store = await open_store(settings.store_url)
    try:
        async with aclosing(reading_handlers(store)[command](arguments)) as views:
            return [dict(view) async for view in views]
    finally:
        await store.close()


def _innermost(group: BaseExceptionGroup[TriageBotError]) -> TriageBotError:
    first = group.exceptions[0]
    return _innermost(first) if isinstance(first, BaseExceptionGroup) else first


def _complain(problem: str, *, level: str = "error") -> None:
    print(f"triage-bot: {level}: {problem}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="triage-bot",
        description="Asks people in Slack whether a security alert about their account was them,"
        " and tells MozDef what they said.",
        epilog="Settings come from the environment and from .env in the current folder; config/.env.example"
        " explains each. Exit codes: 0 fine, 1 failed, 2 wrong usage, 78 wrong configuration.",
    )
    parser.add_argument("--version", action="version", version=f"triage-bot {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add(commands, "run", run, "run the worker: ask, collect answers, tell MozDef")
    _add_sandbox(commands)
    _add(commands, "check", check, "look at tokens, scopes, queues and store; say what is wrong")
    _add_send(commands)
    listing = _add(commands, "list", list_, "show the alerts accepted last, and how each ended")
    listing.add_argument("--limit", type=_count, default=50, help="how many at the most (default: 50)")
    showing = _add(commands, "show", show, "show all that is known of one alert")
    showing.add_argument("identifier", metavar="IDENTIFIER", help="MozDef's identifier of the alert")
    for reader in (listing, showing):
        reader.add_argument("--json", action="store_true", help="print JSON for programs")
    return parser


def _add(commands: Any, name: str, command: Callable[[argparse.Namespace], int], text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=command)
    return parser


def _add_sandbox(commands: Any) -> None:
    parser = _add(commands, "sandbox", sandbox, "try it all on this machine: no account, token or network")
    parser.add_argument("--port", type=_port, default=8765, help="where the page is (default: 8765; 0: any)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--self-test", action="store_true", help="no page: play it through once, and judge")


def _add_send(commands: Any) -> None:
    parser = _add(commands, "send", send, "enqueue an alert, as MozDef would")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--user", metavar="ADDRESS", help="whom to ask")
    source.add_argument("--file", metavar="PATH", help="a request's body as it is; - for standard input")
    parser.add_argument("--alert", metavar="LABEL", help="the alert's label (known ones have a sample text)")
    parser.add_argument("--summary", metavar="TEXT", help="the text for the person (default: a sample)")
    parser.add_argument("--confidence", metavar="WORD", help="highest, high, moderate, low or lowest")
    parser.add_argument("--identifier", metavar="ID", help="the alert's identifier (default: a new one)")


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
