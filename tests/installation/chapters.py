"""The guides as their reader takes them: what a chapter says to run and to write, in order."""

from __future__ import annotations

from documents import code_blocks, document, section

INSTALL = "docs/install.md"
OPERATE = "docs/operate.md"


def commands_of(guide: str, chapter: str) -> list[str]:
    """Return the commands of a chapter's plain code blocks, each as one line. AssertionError if none."""
    blocks = [text for language, text in _blocks(guide, chapter) if not language]
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    assert commands, f"{chapter} has no commands"
    return [" ".join(command.split()) for command in commands]


def settings_of(guide: str, chapter: str) -> str:
    """Return what a chapter says to write into a file of systemd's: its one `ini` block."""
    (text,) = (text for language, text in _blocks(guide, chapter) if language == "ini")
    return text


def _blocks(guide: str, chapter: str) -> list[tuple[str, str]]:
    return code_blocks(section(document(guide), chapter))
