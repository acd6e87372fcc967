"""The commands that run something: the worker, the sandbox, `send` and `check`.

Each validates only the settings that it needs, and imports only what it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import sys
from functools import partial

from bot.cli import arguments
from bot.cli.console import load_for_command, load_without_warnings, report_problem, terminal_width
from bot.cli.registry import FAILED, OK, Commands, add_json, add_restored
from bot.errors import ConfigError, TriageBotError, WrongUsage
from bot.printable import make_printable
from bot.settings.settings import (
    Purpose,
    Settings,
    read_log_format,
    takes_colour,
)
from bot.worker.log import configure_logging
from bot.worker.views import render_json

COMMANDS = Commands()


def _add_run(parser: argparse.ArgumentParser) -> None:
    add_restored(parser, "the store is a restored backup, or has lost data: read Slack before asking")


@COMMANDS.add("run", "run the worker: ask people, collect answers, report to MozDef", _add_run)
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
    gc.disable()  # until `run_worker`: it would scan everything that is being imported
    from bot.worker.app import App
    from bot.worker.assembly import make_policy
    from bot.worker.lifecycle import run_worker

    policy = make_policy(settings, alerts, people)
    try:
        asyncio.run(run_worker(App(settings, wording, policy, restored=options.restored)))
    except* TriageBotError as group:
        # The error of the loop that failed says more than the group around it.
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


@COMMANDS.add(
    "sandbox",
    "try everything on this machine, without an account, token or network",
    _add_sandbox,
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
        help="a detail that helps the person to recognise it, such as Host=db1; up to 8 times",
    )


@COMMANDS.add("send", "enqueue an alert, as MozDef would", _add_send)
def send(options: argparse.Namespace) -> int:
    """Enqueue a request as MozDef would. An invalid one is sent only if it comes from a file.

    Raises `WrongUsage`, `UnreadableFile`, `ConfigError`, `StartRefused` or `TransientError`.
    """
    from bot.cli.sample_requests import name_options, read_body, sample_body, send_request
    from bot.sqs.wire import decode_request, identifier_in
    from bot.triage.model import InvalidBody

    body = read_body(options.file) if options.file else sample_body(options)
    request = decode_request(body)
    if isinstance(request, InvalidBody):
        if not options.file:
            raise WrongUsage(make_printable(name_options(request.reason)))
        report_problem(f"the bot will reject this request: {make_printable(request.reason)}", level="warning")
    elif request.left_out:
        report_problem(
            f"the bot will leave out: {make_printable('; '.join(request.left_out))}", level="warning"
        )
    settings = load_for_command(Purpose.SEND, options)
    message_id = asyncio.run(send_request(settings, body))
    identifier = make_printable(identifier_in(body) or "")
    print(f"identifier  {identifier or '(none: the bot will reject it)'}")
    print(f"message id  {message_id}")
    if identifier:
        does = "reports the refusal" if isinstance(request, InvalidBody) else "asks and reports as usual"
        report_problem(
            f"the bot {does}, but MozDef drops the report unless it has an alert with this identifier",
            level="note",
        )
    return OK


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--deep", action="store_true", help="also check every part of the store's file; may take minutes"
    )
    parser.add_argument(
        "--factor",
        type=arguments.address,
        metavar="ADDRESS",
        help="instead of all that, ask the person with this address for a real proof with the second factor",
    )
    add_json(parser)


@COMMANDS.add(
    "check",
    "check everything that the worker needs; say what is wrong and how to fix it",
    _add_check,
)
def check(options: argparse.Namespace) -> int:
    """Check everything that the worker needs; print what is wrong and how to fix it."""
    return asyncio.run(_check(load_without_warnings(Purpose.CHECK, options), options))


async def _check(settings: Settings, options: argparse.Namespace) -> int:
    from bot.cli.checks.factor import check_proof
    from bot.cli.checks.findings import findings_view, is_sound, render_findings
    from bot.cli.checks.runner import check_everything

    # Printed before the event loop closes, which waits for DNS look-ups that may hang.
    if options.factor:
        findings = await check_proof(settings, options.factor, partial(report_problem, level="note"))
    else:
        findings = await check_everything(settings, deep=options.deep)
    if options.json:
        print(render_json(findings_view(findings)), flush=True)
        return OK if is_sound(findings) else FAILED
    print(render_findings(findings, width=terminal_width(), colour=takes_colour(sys.stdout)), flush=True)
    return OK if is_sound(findings) else FAILED


def _find_innermost(group: BaseExceptionGroup[TriageBotError]) -> TriageBotError:
    first = group.exceptions[0]
    return _find_innermost(first) if isinstance(first, BaseExceptionGroup) else first
