"""Follows a guide in a root, word for word except for what is listed here."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from documents import code_blocks, document, section

from installation.debian_root import DebianRoot
from installation.service import Service

INSTALL = "docs/install.md"
OPERATE = "docs/operate.md"

_ABOUT_THE_PACKAGE = re.compile(r"apt \w+ .*triage-bot")


class Reader:
    """Runs a chapter's commands and prints their results.

    `chosen` has what the reader puts in the place of the guide's words in capitals and example addresses.
    """

    def __init__(self, root: DebianRoot, service: Service, chosen: Mapping[str, str]) -> None:
        self._root = root
        self._service = service
        self._chosen = chosen

    def follow(self, guide: str, chapter: str) -> str:
        """Do what the chapter says, in order; return all that was printed.

        AssertionError if a command fails.
        """
        print(f"\n### {guide}: {chapter}\n", flush=True)
        self._service.written = _settings_of(guide, chapter)
        return "".join(map(self.do, commands_of(guide, chapter)))

    def do(self, command: str) -> str:
        """Run one command; return what it printed. AssertionError if it fails.

        What the package brings is installed and removed without a network.
        """
        for words, choice in self._chosen.items():
            command = command.replace(words, choice)
        print(f"$ {command}", flush=True)
        began = time.monotonic()
        printed = self._root.run(command, offline=bool(_ABOUT_THE_PACKAGE.search(command)))
        print(f"{printed}({time.monotonic() - began:.1f} s)", flush=True)
        return printed


def commands_of(guide: str, chapter: str) -> list[str]:
    """Return the commands of a chapter's plain code blocks, each as one line. AssertionError if none."""
    blocks = [text for language, text in _blocks(guide, chapter) if not language]
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    assert commands, f"{chapter} has no commands"
    return [" ".join(command.split()) for command in commands]


def _settings_of(guide: str, chapter: str) -> str:
    """Return what a chapter says to write into a file of systemd's: its `ini` block, if it has one."""
    return "".join(text for language, text in _blocks(guide, chapter) if language == "ini")


def _blocks(guide: str, chapter: str) -> list[tuple[str, str]]:
    return code_blocks(section(document(guide), chapter))
