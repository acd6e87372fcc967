"""The one file that settings come from: which it is, and what it sets, read as systemd reads it.

systemd passes the worker what `EnvironmentFile=` names. Commands read the same file, so they follow the same
rules (systemd.exec(5)), which are not those of a shell: there is no `export`, and no comment after a value.
"""

from __future__ import annotations

import difflib
import errno
import io
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

#: Names the file to read, which must exist. /dev/null: none.
FILE_VARIABLE = "TRIAGE_BOT_ENV"

#: In the current folder.
LOCAL_FILE = ".env"

#: Below /etc: the file that the unit names, and the folder of the tokens next to it.
INSTALLED_FILE = "triage-bot.env"
INSTALLED_TOKENS = "triage-bot"

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")

#: What some editors put in front of UTF-8.
_BYTE_ORDER_MARK = "\ufeff"

_SPACES = " \t\n\r"

#: How similar to an existing name a name must be to count as a misspelling of it (see `difflib`).
_ALIKE = 0.8


class Assignment(NamedTuple):
    """One assignment of a file."""

    name: str
    value: str
    line: int  #: on which it begins, from 1


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvFile:
    """The file that settings come from, and what it sets. `path` is None if there is none."""

    path: Path | None = None
    values: Mapping[str, str] = field(default_factory=dict, repr=False)  #: without empty ones
    meant: Collection[str] = ()  #: the names that a shell would set from it, but systemd does not
    unreadable: str = ""  #: why this user cannot read it; "": it was read
    tokens: Path | None = None  #: the folder of the tokens that belong to it
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  #: each with its remedy after a `; `

    @property
    def description(self) -> str:
        """Where settings come from, for people."""
        return f"{self.path} and the environment" if self.values else "the environment alone"


def find_env_file(
    surroundings: Mapping[str, str], folder: Path, known: Collection[str], *, etc: Path = Path("/etc")
) -> EnvFile:
    """Return the first of: the file that TRIAGE_BOT_ENV names, `.env` in `folder`, /etc/triage-bot.env.

    `.env` counts only if it sets one of the `known` variables, or was meant to. Raises nothing: see
    `EnvFile.problems`.
    """
    named = surroundings.get(FILE_VARIABLE, "")
    if named:
        return _read(folder / named, missing=f"{FILE_VARIABLE} names {folder / named}")
    local = _read(folder / LOCAL_FILE)
    is_ours = any(name in known or suggest(name, known) for name in (*local.values, *local.meant))
    if is_ours or local.unreadable or local.problems:
        return local
    return _read(etc / INSTALLED_FILE, tokens=etc / INSTALLED_TOKENS)


def suggest(name: str, known: Collection[str]) -> str:
    """Return the known name that this one may be a misspelling of; "" if it is like none."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)), "")


def _read(path: Path, *, missing: str = "", tokens: Path | None = None) -> EnvFile:
    """Read a file; if it does not exist, that is a problem only if `missing` says who wants it."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode) and not missing:
            return EnvFile()  # a virtual environment, for instance
        foreign = tuple(_judge_owner(path, status))
        if foreign and not stat.S_ISREG(status.st_mode):
            return EnvFile(path=path, problems=foreign)  # a pipe may never end
        text = _read_text(path)
    except FileNotFoundError:
        if path.is_symlink():
            missing = missing or f"{path} is a link to a file"
        wanted = (
            f"{missing}, which does not exist; expected a file of NAME=value lines, or /dev/null for none"
        )
        return EnvFile(problems=(wanted,)) if missing else EnvFile()
    except PermissionError as error:
        return EnvFile(path=path, unreadable=error.strerror or str(error), tokens=tokens)
    except (OSError, UnicodeDecodeError) as error:
        # A codec's error shows part of the file, which may be a token.
        why = error.strerror if isinstance(error, OSError) else f"not UTF-8 at byte {error.start}"
        return EnvFile(
            path=path, problems=(f"{path} cannot be read ({why}); expected NAME=value lines in UTF-8",)
        )
    assignments = list(parse_env_file(text))
    values = {name: value.strip() for name, value, _ in assignments if value.strip()}
    meant = frozenset(_list_shell_names(text)) - set(values)
    return EnvFile(
        path=path,
        values=values,
        meant=meant,
        tokens=tokens,
        problems=(*foreign, *_judge_mode(path, status)) if values or meant else (),
        warnings=tuple(_warn_of_other_readers(path, text, assignments)),
    )


def _read_text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if "\0" in text:  # which no variable may have; systemd refuses such a file, too
        raise OSError(errno.EINVAL, "it has NUL bytes, as UTF-16 does")
    return text


def _judge_owner(path: Path, status: os.stat_result) -> Iterator[str]:
    """Yield a problem if the file, or the link to it, belongs to somebody else than this user and root."""
    # The owner of a link chooses the file, so both owners are checked.
    owners = {status.st_uid: path, path.lstat().st_uid: f"{path}, a link," if path.is_symlink() else path}
    for owner, what in owners.items():
        if owner not in {0, os.geteuid()}:
            yield (
                f"{what} belongs to another user (uid {owner}), who could change the settings; expected a"
                f" file of your own or root's: chown it, or name another file in {FILE_VARIABLE}"
            )


def _judge_mode(path: Path, status: os.stat_result) -> Iterator[str]:
    """Yield a problem if everybody may change the settings."""
    if status.st_mode & stat.S_IWOTH:
        yield (
            f"{path} can be changed by every user (mode {stat.S_IMODE(status.st_mode):04o}); expected a file"
            f" that only its owner can change: chmod 600 {path}"
        )


def _warn_of_other_readers(path: Path, text: str, assignments: Sequence[Assignment]) -> Iterator[str]:
    """Yield a warning that names the lines that a shell, and python-dotenv, read otherwise."""
    if text.startswith(_BYTE_ORDER_MARK):
        yield f"{path} begins with a byte order mark, so systemd ignores line 1; save the file without it"
    lines = sorted(_find_differences(text.removeprefix(_BYTE_ORDER_MARK), assignments))
    if lines:
        some = f"lines {', '.join(map(str, lines))} are" if len(lines) > 1 else f"line {lines[0]} is"
        yield (
            f"in {path}, {some} read as systemd reads them, which is not how a shell does; write NAME=value,"
            " without export, without a comment after the value, with quotes around all of it or none"
        )


def _list_shell_names(text: str) -> Iterator[str]:
    """Yield the names that python-dotenv sets from a file, also those that systemd does not see.

    These are behind `export` or a byte order mark.
    """
    for binding in parse_stream(io.StringIO(text.removeprefix(_BYTE_ORDER_MARK))):
        if binding.key and binding.value and binding.value.strip():
            yield binding.key


def _find_differences(text: str, assignments: Sequence[Assignment]) -> set[int]:
    ours = {each.name: each for each in assignments}
    theirs: dict[str, tuple[str, int]] = {}
    for binding in parse_stream(io.StringIO(text)):
        whole = binding.original.string
        skipped = len(whole) - len(whole.lstrip())
        line = binding.original.line + whole[:skipped].count("\n")
        if binding.error:
            theirs[f"line {line}"] = "error", line
        elif binding.key:
            theirs[binding.key] = binding.value or "", line
    lines = {
        each.line for name, each in ours.items() if theirs.get(name, ("", 0))[0].strip() != each.value.strip()
    }
    return lines | {line for name, (value, line) in theirs.items() if value.strip() and name not in ours}


#: A comment, an assignment, or something without meaning, as systemd reads it. Each may take several lines.
_LINE = re.compile(
    r"""[ \t\n\r]*(?:
        [#;](?:\\.|[^\\\n\r])*
        | (?P<name>[^ \t\n\r#;][^=\n\r]*)=
          (?P<quoted>(?:[ \t]*(?:'[^']*(?:'|\Z)|"(?:\\.|[^\\"])*(?:"|\\?\Z)))*)
          [ \t]*(?P<bare>(?:\\.|\\\Z|[^\\\n\r])*?)[ \t]*(?=[\n\r]|\Z)
        | [^\n\r]+
    )""",
    re.DOTALL | re.VERBOSE,
)
_QUOTED = re.compile(r"""'(?P<single>[^']*)'?|"(?P<double>(?:\\.|[^\\"])*)"?""", re.DOTALL)
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


def parse_env_file(text: str) -> Iterator[Assignment]:
    """Yield the assignments of an environment file, as systemd reads them.

    Those of empty values, too, but none whose name systemd refuses.
    """
    for found in _LINE.finditer(text):
        name = (found["name"] or "").rstrip(_SPACES)
        if _NAME.fullmatch(name):
            value = "".join(map(_unquote, _QUOTED.finditer(found["quoted"]))) + _unescape(found["bare"])
            yield Assignment(name, value, text.count("\n", 0, found.start("name")) + 1)


def _unquote(found: re.Match[str]) -> str:
    if found["single"] is not None:
        return found["single"]
    return _ESCAPED.sub(_unescape_quoted, found["double"])


def _unescape_quoted(found: re.Match[str]) -> str:
    if found[1] == "\n":
        return ""
    return found[1] if found[1] in '"\\`$' else found[0]


def _unescape(bare: str) -> str:
    return _ESCAPED.sub(lambda found: "" if found[1] in "\n\r" else found[1], bare)
