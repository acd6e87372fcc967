"""The README's table of commands is that of the program."""

from __future__ import annotations

import re
from pathlib import Path

from bot.cli.commands import COMMANDS

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_a_row_for_every_command_and_for_no_other() -> None:
    rows = re.findall(r"(?m)^\| `triage-bot ([a-z]+)", README.read_text(encoding="utf-8"))

    assert sorted(rows) == sorted(command.name for command in COMMANDS)
