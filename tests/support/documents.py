"""The documents of this repository as text: their sections, code blocks, tables, links and anchors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)$", re.MULTILINE)


def document(name: str) -> str:
    """Return the text of a document of the repository, e.g. `docs/install.md`."""
    return (CHECKOUT / name).read_text(encoding="utf-8")


def documents() -> Sequence[Path]:
    found: list[Path] = []
    for folder, below, names in os.walk(CHECKOUT):
        below[:] = [name for name in below if name == ".github" or not name.startswith(".")]
        found += [Path(folder, name) for name in names if name.endswith(".md")]
    return sorted(found)


def section(text: str, heading: str) -> str:
    """Return what is below a heading, subsections included. AssertionError if there is no such heading."""
    prose = without_code(text)
    found = [each for each in _HEADING.finditer(prose) if each[2] == heading]
    assert len(found) == 1, f"{len(found)} headings are {heading!r}"
    level, start = len(found[0][1]), found[0].end()
    ends = [each.start() for each in _HEADING.finditer(prose, start) if len(each[1]) <= level]
    return text[start : min(ends, default=len(text))]


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return language and content of each fenced code block, in order."""
    return _FENCED.findall(text)


def without_code(text: str) -> str:
    """Return a text of the same length in which code blocks are blank: a comment in one is no heading."""
    return _FENCED.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)


def table_rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a text's tables, without the headings."""
    lines = without_code(text).splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("|") and not _is_rule(line) and not _is_rule(below):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def links(text: str) -> Iterator[str]:
    for found in _LINK.finditer(re.sub(r"`[^`\n]*`", "", without_code(text))):
        yield found[1] or found[2]


def anchors(text: str) -> set[str]:
    return {_anchor(each[2]) for each in _HEADING.finditer(without_code(text))}


def _is_rule(line: str) -> bool:
    return re.fullmatch(r"\|[-:|]+\|", line) is not None


def _anchor(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", heading.lower())
    return words.replace(" ", "-")
