"""The wording: the default `messages.toml`, and the engineer's own file that overrides it.

`find_own`, `read_toml`, `text_problem` and `list_names` serve other configuration files too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from bot.errors import ConfigError
from bot.triage.outcomes import TEXTS
from bot.triage.untrusted_text import clean

#: Table → key → text; each text is a template for `str.format`.
Messages = dict[str, dict[str, str]]

_MESSAGES = "messages.toml"


def defaults_folder() -> Path:
    """Return the folder of the default files: `bot/defaults/` in a wheel, `config/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "defaults"
    return in_wheel if in_wheel.is_dir() else package.parent / "config"


def load_messages(config_dir: Path | None = None, *, defaults: Path | None = None) -> Messages:
    """Return the wording of all messages: the defaults, overridden key by key by a file in `config_dir`.

    A text may use any of the placeholders that its default uses, and no others. Raises `ConfigError` with all
    problems of a file; each names file, table and key, and says what is expected.
    """
    shipped = (defaults or defaults_folder()) / _MESSAGES
    messages = {table: dict(keys) for table, keys in read_toml(shipped).items()}
    if missing := list(_find_missing(messages)):
        raise ConfigError([f"{shipped}: {problem}" for problem in missing])
    path = find_own(config_dir, _MESSAGES)
    if path:
        problems = list(_overlay(messages, read_toml(path)))
        if problems:
            raise ConfigError([f"{path}: {problem}" for problem in problems])
    return messages


def find_own(config_dir: Path | None, name: str) -> Path | None:
    """Return the path of the engineer's own file; None if there is none.

    A link that leads nowhere, or a folder that this user may not search, is not nothing: `read_toml` says
    what is wrong. Otherwise the defaults would count unnoticed, without the second factor, for instance.
    """
    path = config_dir / name if config_dir else None
    try:
        return path if path and path.lstat() else None
    except FileNotFoundError:
        return None
    except OSError:
        return path


def read_toml(path: Path) -> Mapping[str, Any]:
    """Return the tables of a file. Raises `ConfigError` if it cannot be read or is not TOML in UTF-8."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError([f"{path} cannot be read ({why}); expected a TOML file in UTF-8"]) from error


def _find_missing(messages: Messages) -> Iterator[str]:
    """Yield the texts that an outcome needs and that are missing."""
    for table, keys in TEXTS.items():
        for key in keys:
            if key not in messages.get(table, {}):
                yield f"[{table}] {key} is missing; expected a text for this outcome"


def _overlay(messages: Messages, overrides: Mapping[str, object]) -> Iterator[str]:
    """Add the valid entries of `overrides` to `messages`, and yield the problems."""
    for table, keys in overrides.items():
        known = messages.get(table)
        if known is None:
            yield f"[{table}] is not known; expected one of {list_names(messages)}"
        elif not isinstance(keys, dict):
            yield f"{table} is not a table; expected [{table}] with keys below it"
        else:
            yield from _overlay_table(table, known, keys)


def _overlay_table(table: str, known: dict[str, str], keys: Mapping[str, object]) -> Iterator[str]:
    for key, text in keys.items():
        if key not in known:
            yield f"[{table}] {key} is not known; expected one of {list_names(known)}"
        elif problem := text_problem(text, _placeholders(known[key])):
            yield f"[{table}] {key} {problem}"
        else:
            # Texts with placeholders are formatted when shown; in the others, {{ is resolved here.
            known[key] = str(text) if _placeholders(known[key]) else str(text).format()


def text_problem(text: object, allowed: frozenset[str]) -> str:
    """Return what is wrong with a text that may use the `allowed` placeholders; "" if it is valid."""
    if not isinstance(text, str) or not clean(text).text:
        return f"is {text!r}; expected a text in quotes"
    expected = list_names(f"{{{name}}}" for name in allowed) or "no placeholder"
    try:
        unknown = _placeholders(text) - allowed
    except ValueError:
        return "has an unmatched brace; expected {{ or }} for a literal brace"
    if unknown:
        return f"has the placeholder {{{min(unknown)}}}; expected {expected}"
    return ""


def _placeholders(text: str) -> frozenset[str]:
    """Return what is between the braces of a template, including conversions and format specifications."""
    return frozenset(
        field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        for _, field, spec, conversion in Formatter().parse(text)
        if field is not None
    )


def list_names(known: Iterable[str]) -> str:
    """Return the known names, sorted and separated by commas."""
    return ", ".join(sorted(known))
