"""Who is meant by an address: the engineer's `people.toml`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from bot.errors import ConfigError
from bot.settings.messages import defaults_folder, find_own, list_names, read_toml
from bot.triage.people import PeopleRules

_PEOPLE = "people.toml"

#: In characters: the longest address that a request may have.
_ADDRESS_MAX = 254

_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_ADDRESS: Final = re.compile(r"[!-?A-~]+@" + _DOMAIN.pattern)
_SUBJECT: Final = re.compile(r"[!#-\[\]-~](?:[ !#-\[\]-~]{0,253}[!#-\[\]-~])?")
_SLACK_ID: Final = re.compile(r"[UW][A-Z0-9]{2,}")


def load_people_rules(config_dir: Path | None = None) -> PeopleRules:
    """Return the rules of the file in `config_dir`, or else of the one that ships, which has none.

    Raises `ConfigError` with all problems of the file; each names file, table and key, and says what is
    expected.
    """
    path = find_own(config_dir, _PEOPLE) or defaults_folder() / _PEOPLE
    content = read_toml(path)
    tables: dict[str, dict[str, str]] = {name: {} for name in _TABLES}
    problems = list(_read(content, tables))
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return PeopleRules(
        people=tables["people"],
        domains=tables["domains"],
        factor=tables["factor"],
        strict=content.get("strict", False),
    )


def _read(content: Mapping[str, object], tables: Mapping[str, dict[str, str]]) -> Iterator[str]:
    """Add the valid entries of the file to `tables`, and yield the problems."""
    for name, value in content.items():
        if name == "strict":
            if not isinstance(value, bool):
                yield f"strict is {value!r}; expected true or false"
        elif name not in _TABLES:
            yield f"{name} is not known; expected one of {list_names([*_TABLES, 'strict'])}"
        elif not isinstance(value, dict):
            yield f"{name} is not a table; expected [{name}] with keys below it"
        else:
            yield from _read_table(name, value, tables[name])


def _read_table(name: str, entries: Mapping[str, object], table: dict[str, str]) -> Iterator[str]:
    kinds = _TABLES[name]
    for key, value in entries.items():
        where = f"[{name}] {json.dumps(key)}"
        if key == "strict":
            yield f"{where} is below a table; expected it above the first one"
        elif isinstance(value, dict):
            yield f"{where} is cut at a dot; expected the whole key in quotes"
        elif not kinds.is_key(key):
            yield f"{where} is not {kinds.key}; expected {kinds.key} in quotes"
        elif key.lower() in table:
            yield f"{where} appears twice, ignoring case; expected once"
        elif not isinstance(value, str) or not kinds.is_value(value):
            yield f"{where} is {value!r}; expected {kinds.value} in quotes"
        else:
            table[key.lower()] = value


def _is_domain(text: str) -> bool:
    return len(text) < _ADDRESS_MAX and _DOMAIN.fullmatch(text) is not None


def _is_address(text: str) -> bool:
    return len(text) <= _ADDRESS_MAX and _ADDRESS.fullmatch(text) is not None


def _is_address_or_id(text: str) -> bool:
    return _is_address(text) or _SLACK_ID.fullmatch(text) is not None


def _is_subject(text: str) -> bool:
    return _SUBJECT.fullmatch(text) is not None


class _Kinds(NamedTuple):
    """What the keys and the values of a table must be, and what those are called."""

    is_key: Callable[[str], bool]
    key: str
    is_value: Callable[[str], bool]
    value: str


_TABLES: Final[Mapping[str, _Kinds]] = {
    "factor": _Kinds(
        _is_address, "an address", _is_subject, "one line of up to 255 ASCII characters without quotes,"
    ),
    "domains": _Kinds(_is_domain, "a domain", _is_domain, "a domain"),
    "people": _Kinds(_is_address, "an address", _is_address_or_id, "an address, or a Slack id (U… or W…),"),
}
