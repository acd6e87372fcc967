"""The commands: what each is called, takes and does, in the order in which the help shows them.

Each validates only the settings that it needs, and imports only what it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from bot.cli import arguments, selection
from bot.cli.console import complain, confirm, load_for_command, load_without_warnings, terminal_width
from bot.cli.output.tables import pluralize
from bot.cli.store_client import ask_store
from bot.errors import ConfigError, TriageBotError, WrongUsage
from bot.printable import make_printable
from bot.settings.settings import (
    Purpose,
    Settings,
    read_log_format,
    takes_colour,
)
from bot.triage.model import utc_now
from bot.worker.log import configure_logging
from bot.worker.views import View, render_json

log = logging.getLogger(__name__)

_Run = Callable[[argparse.Namespace], int]
_AddArguments = Callable[[argparse.ArgumentParser], None]

# Exit codes. systemd starts the worker again after 1, and not after 78 (RestartPreventExitStatus).
OK = 0
FAILED = 1  # refused at start (token, queue, store held, disk full), or the command's answer is "no"
# 2, for wrong usage, comes from argparse.
WRONG_CONFIG = 78  # EX_CONFIG of sysexits.h: somebody must change a setting first

_REPLAY_WARNING = (
    "a replay overwrites any status that an analyst has set in MozDef since, and every `no` pages somebody"
    " again; a stock MozDef ignores a repeated report that changes nothing"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command. `run` returns its exit code, or raises an error of `bot.errors`."""

    name: str
    help: str
    run: _Run
    add_arguments: _AddArguments
    reads_settings: bool = True


#: Filled by the decorators below.
COMMANDS: list[Command] = []


def _command(
    name: str, about: str, add_arguments: _AddArguments, *, reads_settings: bool = True
) -> Callable[[_Run], _Run]:
    """Add the function below to the table of commands; `about` is its help."""

    def register(run: _Run) -> _Run:
        COMMANDS.append(
            Command(
                name=name,
                help=about,
                run=run,
                add_arguments=add_arguments,
                reads_settings=reads_settings,
            )
        )
        return run

    return register


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _add_restored(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument("--restored", action="store_true", help=help_text)


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_restored(parser, "the store is a restored backup, or lost something: look in Slack before asking")


@_command("run", "run the worker: ask, collect answers, tell MozDef", _add_run)
def run(options: argparse.Namespace) -> int:
    """Run the worker until a signal stops it. Raises the first error that stops it otherwise."""
    from bot.settings.alerts import load_alert_policies
    from bot.settings.messages import load_messages
    from bot.settings.people import load_people_rules

    # If a signal such as the watchdog's SIGABRT kills the process, the log shows what it was doing.
    faulthandler.enable()
    configure_logging("INFO", sys.stderr, as_json=read_log_format() == "json")
    settings = load_for_command(Purpose.RUN, options)
    wording = load_messages(settings.config_dir)
    alerts = load_alert_policies(settings.config_dir)
    people = load_people_rules(settings.config_dir)
    gc.disable()  # until `run_worker`: it would look for garbage among what is imported
    from bot.worker.app import App
    from bot.worker.assembly import make_policy
    from bot.worker.lifecycle import run_worker

    policy = make_policy(settings, alerts, people)
    try:
        asyncio.run(run_worker(App(settings, wording, policy, restored=options.restored)))
    except* TriageBotError as group:
        # One loop failed: its own error says more than the group around it.
        raise _find_innermost(group) from None
    return OK


def _add_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=arguments.port, default=8765, help="the page's port (default: 8765; 0: any free one)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument(
        "--self-test", action="store_true", help="no page: run one trial and say whether it passed"
    )


@_command(
    "sandbox",
    "try everything on this machine, without an account, token or network",
    _add_sandbox,
    reads_settings=False,
)
def sandbox(options: argparse.Namespace) -> int:
    """Run the sandbox or its self-test. Raises `ConfigError` if the sandbox's packages are not installed."""
    try:
        from bot.sandbox.program import run_sandbox, run_self_test
    except ModuleNotFoundError as error:
        missing = (
            f'the sandbox needs {error.name}, which is not installed: see "Try it" in README.md,'
            ' or "Next" in docs/install.md where the bot is a Debian package'
        )
        raise ConfigError([missing]) from error
    if options.self_test:
        return run_self_test()
    from bot.triage.outcomes import OUTCOMES

    labels = {outcome.value: facts.label for outcome, facts in OUTCOMES.items()}
    return run_sandbox(labels, port=options.port, open_browser=options.open)


def _add_send(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--user", metavar="ADDRESS", help="the email address of the person to ask")
    source.add_argument(
        "--file", metavar="PATH", help="send this file as the body, unchanged; - for standard input"
    )
    parser.add_argument(
        "--alert", metavar="LABEL", help="the alert's label (known labels have a sample text)"
    )
    parser.add_argument(
        "--summary", metavar="TEXT", help="the text that the person sees (default: the sample's)"
    )
    parser.add_argument(
        "--confidence", metavar="WORD", help="highest, high, moderate, low or lowest (default: the sample's)"
    )
    parser.add_argument("--identifier", metavar="ID", help="the alert's identifier (default: a new one)")
    parser.add_argument(
        "--occurred-at", metavar="TIME", help="when it happened, such as 2026-11-24T03:00:00+00:00"
    )
    parser.add_argument(
        "--fact",
        metavar="NAME=VALUE",
        dest="facts",
        action="append",
        type=arguments.fact,
        help="what helps the person to recognise it, such as Host=db1; up to 8 times",
    )


@_command("send", "enqueue an alert, as MozDef would", _add_send)
def send(options: argparse.Namespace) -> int:
    """Enqueue a request as MozDef would. An invalid one is sent only if it comes from a file.

    Raises `WrongUsage`, `ConfigError`, `StartRefused` or `TransientError`.
    """
    from bot.cli.sample_requests import read_body, sample_body, send_request
    from bot.sqs.wire import decode_request, identifier_in
    from bot.triage.model import InvalidBody

    body = read_body(options.file) if options.file else sample_body(options)
    request = decode_request(body)
    if isinstance(request, InvalidBody):
        if not options.file:
            raise WrongUsage(make_printable(request.reason))
        complain(f"the bot will reject this request: {make_printable(request.reason)}", level="warning")
    elif request.left_out:
        complain(f"the bot will leave out: {make_printable('; '.join(request.left_out))}", level="warning")
    settings = load_for_command(Purpose.SEND, options)
    message_id = asyncio.run(send_request(settings, body))
    identifier = make_printable(identifier_in(body) or "")
    print(f"identifier  {identifier or '(none: the bot will reject it)'}")
    print(f"message id  {message_id}")
    if identifier:
        does = "reports the refusal" if isinstance(request, InvalidBody) else "asks and reports as usual"
        complain(
            f"the bot {does}, but MozDef drops the report unless it has an alert with this identifier",
            level="note",
        )
    return OK


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--deep", action="store_true", help="also check every part of the store's file; may take minutes"
    )
    _add_json(parser)


@_command("check", "check tokens, scopes, queues and store; say what is wrong and how to fix it", _add_check)
def check(options: argparse.Namespace) -> int:
    """Check everything that the worker needs; print what is wrong and how to fix it."""
    return asyncio.run(
        _check(load_without_warnings(Purpose.CHECK, options), as_json=options.json, deep=options.deep)
    )


async def _check(settings: Settings, *, as_json: bool, deep: bool) -> int:
    from bot.cli.checks.findings import findings_view, is_sound, render_findings
    from bot.cli.checks.runner import check_everything

    # Printed before the event loop closes, which waits for DNS look-ups that may hang.
    findings = await check_everything(settings, deep=deep)
    if as_json:
        print(render_json(findings_view(findings)), flush=True)
        return OK if is_sound(findings) else FAILED
    print(render_findings(findings, width=terminal_width(), colour=takes_colour(sys.stdout)), flush=True)
    return OK if is_sound(findings) else FAILED


def _add_list(parser: argparse.ArgumentParser) -> None:
    selection.add_filters(parser)
    parser.add_argument(
        "--limit", type=arguments.count, default=50, help="show at most this many (default: 50)"
    )
    _add_json(parser)


@_command("list", "list the latest alerts, and how each ended", _add_list)
def list_(options: argparse.Namespace) -> int:
    """Print the questions accepted last, the newest first."""
    from bot.cli.output.questions import render_list

    settings, filters = load_for_command(Purpose.STORE, options), selection.read_filters(options)
    views = list(ask_store("find" if filters else "list", settings, limit=options.limit, **filters))
    if options.json:
        print(render_json(views))
    elif views:
        print(render_list(views, utc_now(), width=terminal_width()))
    else:
        print(selection.explain_nothing(filters, settings))
    return OK


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("identifier", metavar="IDENTIFIER", help="MozDef's identifier of the alert")
    _add_json(parser)


@_command("show", "show everything that is known about one alert", _add_show)
def show(options: argparse.Namespace) -> int:
    """Print everything that is known about one question."""
    from bot.cli.output.questions import render_question

    views = list(ask_store("show", load_for_command(Purpose.STORE, options), identifier=options.identifier))
    if not views:
        name = make_printable(options.identifier)
        complain(f"there is no alert {name!r} in the store; `triage-bot list` shows those that are")
        return FAILED
    print(render_json(views[0]) if options.json else render_question(views[0], width=terminal_width()))
    return OK


def _add_stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        type=arguments.duration,
        default=timedelta(days=30),
        metavar="TIME",
        help="count the questions asked in the last 15m, 2h, 1d … (default: 30d)",
    )
    _add_json(parser)
    parser.add_argument(
        "--plot", type=arguments.svg_path, metavar="FILE", help="also write a plot to this SVG file"
    )


@_command("stats", "show what people answer to each kind of alert, and how long they take", _add_stats)
def stats(options: argparse.Namespace) -> int:
    """Print what people answered to each kind of alert, and how long they took; optionally write a plot."""
    from bot.cli.output.plot import write_plot
    from bot.cli.output.statistics import render_statistics

    views = list(
        ask_store(
            "stats", load_for_command(Purpose.STORE, options), since_seconds=options.since.total_seconds()
        )
    )
    title = f"Questions asked since {utc_now() - options.since:%Y-%m-%d %H:%M} UTC"
    if options.plot:
        write_plot(options.plot, views, title=title)
    if options.json:
        print(render_json(views))
    else:
        print(f"{title}\n\n{render_statistics(views, width=terminal_width())}")
    return OK


def _add_replay(parser: argparse.ArgumentParser) -> None:
    selection.add_reports(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, but send nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask first, though this is a terminal")
    _add_restored(parser, "replay the reports of a backup, which `run --restored` has not taken up yet")


@_command("replay", "send reports again, byte for byte, after MozDef has lost some", _add_replay)
def replay(options: argparse.Namespace) -> int:
    """Put reports into the outbox again, byte for byte. On a terminal a person is asked first."""
    from bot.cli.output.replay import render_replay, split_replay

    settings, began = load_for_command(Purpose.STORE, options), utc_now()

    def ask(*, dry_run: bool) -> list[View]:
        which = selection.select_reports(options, utc_now(), began)
        return list(ask_store("replay", settings, restored=options.restored, dry_run=dry_run, **which))

    views = ask(dry_run=True)
    print(render_replay(views, width=terminal_width()))
    again, _ = split_replay(views)
    if not again:
        return OK
    if options.dry_run:
        print("Nothing was sent (--dry-run).")
        return OK
    complain(_REPLAY_WARNING, level="warning")
    if not (options.yes or confirm(f"Send {pluralize(len(again), 'report')} again?")):
        print("Nothing was sent.")
        return FAILED
    queued, _ = split_replay(ask(dry_run=False))
    print(
        f"{pluralize(len(queued), 'report')} queued: a running worker sends now, a stopped one at its start."
    )
    print("`triage-bot show IDENTIFIER` shows when each was sent.")
    return OK


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        type=arguments.duration,
        required=True,
        metavar="TIME",
        help="the alerts to which something happened in the last 15m, 2h, 30d …",
    )
    parser.add_argument(
        "--until",
        type=arguments.duration,
        default=timedelta(0),
        metavar="TIME",
        help="and not later than so long ago (default: until now)",
    )


@_command("export", "write the trail of alerts to standard output, a JSON object a line", _add_export)
def export(options: argparse.Namespace) -> int:
    """Print the trails of the alerts of some time as JSON lines, the last of which proves the others."""
    from bot.cli.verification import export_bytes

    if options.until >= options.since:
        raise ConfigError(["--until must be a shorter time than --since: both are counted back from now"])
    span = {f"{name}_seconds": getattr(options, name).total_seconds() for name in ("since", "until")}
    for line in export_bytes(ask_store("export", load_for_command(Purpose.STORE, options), **span)):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    return OK


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="an export")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="HASHES",
        help="the hashes of the reports in MozDef's index, one a line: compare them, too",
    )


@_command("verify", "say what is missing in an export, or changed; needs no settings", _add_verify)
def verify(options: argparse.Namespace) -> int:
    """Print what is missing in an export, or changed. Raises `UnreadableFile`."""
    from bot.cli.files import read_hashes, read_lines
    from bot.cli.output.verdict import render_verdict
    from bot.cli.verification import verify_export

    hashes = read_hashes(options.against) if options.against else None
    verdict = verify_export(read_lines(options.file), hashes)
    print(render_verdict(verdict))
    return FAILED if verdict.faults else OK


def _add_backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to write the copy; an existing file is replaced")


@_command("backup", "copy the store into a file; the worker may be running", _add_backup)
def backup(options: argparse.Namespace) -> int:
    """Write a consistent copy of the store into a file. Raises `BackupFailed` if it cannot be written."""
    from bot.cli.files import require_elsewhere, write_backup

    path, settings = Path(options.file), load_for_command(Purpose.STORE, options)
    if settings.store_path is not None:
        require_elsewhere(path, settings.store_path)
    size = write_backup(path, ask_store("backup", settings))
    print(f"The store is backed up to {make_printable(options.file)} ({size:,} bytes).")
    print("Restoring takes more than copying it back: see docs/operate.md.")
    return OK


def _add_migrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="source",
        type=arguments.file_url,
        metavar="sqlite:///FILE",
        required=True,
        help="the store to copy; it is only read",
    )
    parser.add_argument(
        "--to",
        dest="target",
        type=arguments.table_url,
        metavar="dynamodb://TABLE",
        required=True,
        help="the table to fill: empty, or left by an earlier run",
    )
    _add_restored(parser, "the file is a backup: start the first worker on the table with --restored, too")
    _add_json(parser)


@_command(
    "migrate",
    "copy the store from SQLite to DynamoDB, with the worker stopped; if interrupted, rerun it",
    _add_migrate,
)
def migrate(options: argparse.Namespace) -> int:
    """Copy a SQLite store into a DynamoDB table, and compare the two."""
    from bot.cli.output.migration import render_result
    from bot.store.migration.migrate import migrate_store

    settings, tell = load_for_command(Purpose.MIGRATE, options), partial(complain, level="info")
    migration = migrate_store(
        options.source,
        options.target,
        region=settings.aws_region,
        keep=settings.retain,
        tell=tell,
        restored=options.restored,
    )
    result = asyncio.run(migration)
    print(render_result(result, options))
    if result.differs is None:
        return OK
    complain(f"the table is not a copy of the file: they differ first at the alert {result.differs!r}")
    return FAILED


def _find_innermost(group: BaseExceptionGroup[TriageBotError]) -> TriageBotError:
    first = group.exceptions[0]
    return _find_innermost(first) if isinstance(first, BaseExceptionGroup) else first
