"""What commands share: the table that lists them, exit codes, and common options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

_Run = Callable[[argparse.Namespace], int]
_AddArguments = Callable[[argparse.ArgumentParser], None]

# Exit codes. systemd starts the worker again after 1, and not after 78 (RestartPreventExitStatus).
OK = 0
FAILED = 1  # the start was refused (token, queue, disk full …), the command failed, or it found a fault
# 2, for wrong usage, comes from argparse.
WRONG_CONFIG = 78  # EX_CONFIG of sysexits.h: a setting must be changed first


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
        """Return a decorator that adds a function to the table; `about` is the command's help."""

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
