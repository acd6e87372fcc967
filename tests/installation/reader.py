"""Somebody who follows a guide in a root, word for word but for what stands here."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from functools import partial

from documents import code_blocks, document, section

from installation.debian_root import DebianRoot
from installation.service import Service

INSTALL = "docs/install.md"
OPERATE = "docs/operate.md"


class Reader:
    """Runs a chapter's commands and prints what comes of them.

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
        written = partial(_settings_of, guide, chapter)
        return "".join(self._do(command, written) for command in _commands_of(guide, chapter))

    def do(self, command: str) -> str:
        """Run one command; return what it printed. AssertionError if it fails."""
        for words, choice in self._chosen.items():
            command = command.replace(words, choice)
        print(f"$ {command}", flush=True)
        began = time.monotonic()
        printed = self._root.run(command)
        print(f"{printed}({time.monotonic() - began:.1f} s)", flush=True)
        return printed

    def _do(self, command: str, written: Callable[[], str]) -> str:
        words = shlex.split(command)
        if words[:2] != ["sudo", "systemctl"]:
            return self.do(command)
        print(f"$ {command}\n(no systemd here: see service.py)", flush=True)
        self._service.systemctl(*words[2:], written=written() if "edit" in words else "")
        return ""


def _commands_of(guide: str, chapter: str) -> list[str]:
    """Return the commands of a chapter's plain code blocks, each as one line. AssertionError if none."""
    blocks = [text for language, text in _blocks(guide, chapter) if not language]
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    assert commands, f"{chapter} has no commands"
    return [" ".join(command.split()) for command in commands]


def _settings_of(guide: str, chapter: str) -> str:
    """Return what a chapter says to write into a file of systemd's: its one `ini` block."""
    (text,) = (text for language, text in _blocks(guide, chapter) if language == "ini")
    return text


def _blocks(guide: str, chapter: str) -> list[tuple[str, str]]:
    return code_blocks(section(document(guide), chapter))
