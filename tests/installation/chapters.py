"""The README as its reader takes it: what a chapter says to run and to write, in order."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands_of(chapter: str) -> list[str]:
    """Return the commands of a chapter's plain code blocks, each as one line. AssertionError if none."""
    blocks = [text for language, text in _blocks(chapter) if not language]
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    assert commands, f"{chapter} has no commands"
    return [" ".join(command.split()) for command in commands]


def settings_of(chapter: str) -> str:
    """Return what a chapter says to write into a file of systemd's: its one `ini` block."""
    (text,) = (text for language, text in _blocks(chapter) if language == "ini")
    return text


def _blocks(chapter: str) -> list[tuple[str, str]]:
    _, heading, rest = README.read_text(encoding="utf-8").partition(f"\n### {chapter}\n")
    assert heading, f"the README has no chapter {chapter!r}"
    body = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return _FENCED.findall(body)
