"""What commands share: the table that each is added to, exit codes, and options that several have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

_Run = Callable[[argparse.Namespace], int]
_AddArguments = Callable[[argparse.ArgumentParser], None]

# Exit codes. systemd starts the worker again after 1, and not after 78 (RestartPreventExitStatus).
OK = 0
FAILED = 1  # refused at start (token, queue, store held, disk full), or the command's answer is "no"
# 2, for wrong usage, comes from argparse.
WRONG_CONFIG = 78  # EX_CONFIG of sysexits.h: somebody must change a setting first


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command. `run` returns its exit code, or raises an error of `bot.errors`."""

    name: str
    help: str
    run: _Run
    add_arguments: _AddArguments


class Commands(list[Command]):
    """A table of commands, in the order in which the help shows them."""

    def add(self, name: str, about: str, add_arguments: _AddArguments) -> Callable[[_Run], _Run]:
        """Add the function below to the table; `about` is its help."""

        def register(run: _Run) -> _Run:
            self.append(
                Command(
                    name=name,
                    help=about,
                    run=run,
                    add_arguments=add_arguments,
                )
            )
            return run

        return register


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def add_restored(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add `--restored`; what it means depends on the command."""
    parser.add_argument("--restored", action="store_true", help=help_text)
