"""The commands about what is stored. Each imports only what it runs."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

from bot.cli import arguments, selection
from bot.cli.console import confirm, load_for_command, report_problem, terminal_width
from bot.cli.output.tables import pluralize
from bot.cli.registry import FAILED, OK, Commands, add_json, add_restored
from bot.cli.store_client import ask_store
from bot.clock import utc_now
from bot.errors import WrongUsage
from bot.printable import make_printable
from bot.settings.settings import Purpose
from bot.worker.views import View, render_json

STORE_COMMANDS = Commands()

_REPLAY_WARNING = (
    "a replay overwrites any status that an analyst has set in MozDef since, and every `no` pages somebody"
    " again; a stock MozDef ignores a repeated report that changes nothing"
)


def _add_list(parser: argparse.ArgumentParser) -> None:
    selection.add_filters(parser)
    parser.add_argument(
        "--limit", type=arguments.count, default=50, help="show at most this many (default: 50)"
    )
    add_json(parser)


@STORE_COMMANDS.add("list", "list the latest alerts, and how each ended", _add_list)
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
    parser.add_argument(
        "identifier", type=arguments.identifier, metavar="IDENTIFIER", help="MozDef's identifier of the alert"
    )
    add_json(parser)


@STORE_COMMANDS.add("show", "show everything that is known about one alert", _add_show)
def show(options: argparse.Namespace) -> int:
    """Print everything that is known about one question."""
    from bot.cli.output.questions import render_question

    views = list(ask_store("show", load_for_command(Purpose.STORE, options), identifier=options.identifier))
    if not views:
        name = make_printable(options.identifier)
        report_problem(f"there is no alert {name!r} in the store; `triage-bot list` shows those that are")
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
    add_json(parser)
    parser.add_argument(
        "--plot", type=arguments.svg_path, metavar="FILE", help="also write a plot to this SVG file"
    )


@STORE_COMMANDS.add(
    "stats", "show what people answer to each kind of alert, and how long they take", _add_stats
)
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
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation, even on a terminal")
    add_restored(parser, "replay from a backup that was not started with `run --restored` yet")


@STORE_COMMANDS.add("replay", "resend reports that MozDef has lost, byte for byte", _add_replay)
def replay(options: argparse.Namespace) -> int:
    """Put reports back into the outbox, byte for byte. On a terminal this asks for confirmation first."""
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
    report_problem(_REPLAY_WARNING, level="warning")
    if not (options.yes or confirm(f"Send {pluralize(len(again), 'report')} again?")):
        print("Nothing was sent.")
        return FAILED
    queued, _ = split_replay(ask(dry_run=False))
    print(f"{pluralize(len(queued), 'report')} queued. The worker sends now, or as soon as it runs.")
    print("`triage-bot show IDENTIFIER` shows when each was sent.")
    return OK


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        type=arguments.duration,
        required=True,
        metavar="TIME",
        help="the alerts that changed in the last 15m, 2h, 30d …",
    )
    parser.add_argument(
        "--until",
        type=arguments.duration,
        default=timedelta(0),
        metavar="TIME",
        help="but not later than this long ago (default: until now)",
    )


@STORE_COMMANDS.add(
    "export", "write the trail of alerts to standard output, one JSON object per line", _add_export
)
def export(options: argparse.Namespace) -> int:
    """Print the trails of a period as JSON lines; the last line has the hash of the others."""
    from bot.cli.verification import export_bytes

    if options.until >= options.since:
        raise WrongUsage("--until must be a shorter time than --since: both are counted back from now")
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
        help="also compare with this file: the hashes of the reports in MozDef's index, one per line",
    )


@STORE_COMMANDS.add("verify", "say what is missing or changed in an export; needs no settings", _add_verify)
def verify(options: argparse.Namespace) -> int:
    """Print what is missing or changed in an export. Raises `UnreadableFile`."""
    from bot.cli.files import read_hashes, read_lines
    from bot.cli.output.verification import render_verification
    from bot.cli.verification import verify_export

    hashes = read_hashes(options.against) if options.against else None
    result = verify_export(read_lines(options.file), hashes)
    print(render_verification(result))
    return FAILED if result.faults else OK


def _add_backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to write the copy; an existing file is replaced")


@STORE_COMMANDS.add("backup", "copy the store into a file; the worker may be running", _add_backup)
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
    add_restored(parser, "the file is a backup: the first worker on the table needs --restored, too")
    add_json(parser)


@STORE_COMMANDS.add(
    "migrate",
    "copy the store from SQLite to DynamoDB, with the worker stopped; if interrupted, rerun it",
    _add_migrate,
)
def migrate(options: argparse.Namespace) -> int:
    """Copy a SQLite store into a DynamoDB table, and compare the two."""
    from bot.cli.output.migration import render_result
    from bot.store.migration.migrate import migrate_store

    settings, tell = load_for_command(Purpose.MIGRATE, options), partial(report_problem, level="info")
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
    report_problem(f"the table is not a copy of the file: they differ first at the alert {result.differs!r}")
    return FAILED
