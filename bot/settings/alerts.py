"""The policy of each kind of alert: the default `alerts.toml`, and the engineer's file that overrides it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from bot.errors import ConfigError
from bot.settings.messages import defaults_folder, find_own, list_names, read_toml, text_problem
from bot.settings.parsers import duration
from bot.triage.model import Choice
from bot.triage.outcomes import CARDS, Outcome
from bot.triage.policy import NOTES, WORDS, AlertPolicies, AlertPolicy, AskWhen, Factor, NoteRule, Wait
from bot.triage.untrusted_text import clean

#: Parses a value of the file, or raises `ValueError` with a sentence that continues after the key.
_Reader = Callable[[object], object]

#: The entries for one kind of alert: (table, or "" for the alert's own; key) → parsed value.
_Facts = dict[tuple[str, str], Any]

#: The entries of a file: label → facts; None is the default.
_Entries = dict[str | None, _Facts]

_ALERTS = "alerts.toml"

#: In characters: Slack's limit for a header.
_TITLE_MAX = 150

#: In characters: the longest label that a request may have.
_LABEL_MAX = 255

#: A value of the greatest length that each placeholder can have.
_LONGEST = {"user": "x" * 254, "summary": "x" * 300}

#: The placeholders that each text may use, and Slack's limit in characters once they are filled in.
_ROOM: Mapping[str, tuple[frozenset[str], int]] = {
    "no_advice": (frozenset(), 2000),
    "ask": (frozenset({"user"}), 3000),
    "notification": (frozenset({"user", "summary"}), 1000),
    **{f"button_{choice}": (frozenset(), 75) for choice in Choice},
}


def load_alert_policies(config_dir: Path | None = None, *, defaults: Path | None = None) -> AlertPolicies:
    """Return the policies of all alerts: the defaults, overridden key by key by a file in `config_dir`.

    A key that an alert leaves out is taken from `[default]`, and one that is missing there from
    `AlertPolicy`. Raises `ConfigError` with all problems of a file; each names file, table and key, and says
    what is expected.
    """
    entries = _read_file((defaults or defaults_folder()) / _ALERTS)
    path = find_own(config_dir, _ALERTS)
    if path:
        for label, facts in _read_file(path).items():
            entries.setdefault(label, {}).update(facts)
    default = entries.pop(None, {})
    by_label = {str(label): _make_policy(default | facts) for label, facts in entries.items()}
    return AlertPolicies(default=_make_policy(default), by_label=by_label)


def _make_policy(facts: _Facts) -> AlertPolicy:
    rules = {choice: facts.get(("note", choice.value), rule) for choice, rule in NOTES.items()}
    cards = [each for each in Outcome if facts.get(("security_channel", each.value), each in CARDS)]
    own = {key: value for (table, key), value in facts.items() if not table}
    words = {key: text for (table, key), text in facts.items() if table == "words"}
    return AlertPolicy(**own, wording=words, notes=rules, cards=frozenset(cards))


def _read_file(path: Path) -> _Entries:
    entries: _Entries = {}
    problems = list(_read_tables(read_toml(path), entries))
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return entries


def _read_tables(tables: Mapping[str, object], entries: _Entries) -> Iterator[str]:
    """Add the valid entries of a file to `entries`, and yield the problems."""
    for name, table in tables.items():
        if name not in {"default", "alert"}:
            yield f"[{name}] is not known; expected one of alert, default"
        elif not isinstance(table, dict):
            yield f"{name} is not a table; expected [{name}] with keys below it"
        elif name == "default":
            yield from _read_alert(name, table, entries.setdefault(None, {}))
        else:
            yield from _read_labels(table, entries)


def _read_labels(alerts: Mapping[str, object], entries: _Entries) -> Iterator[str]:
    for label, table in alerts.items():
        name = label if re.fullmatch("[A-Za-z0-9_-]+", label) else json.dumps(label)
        if not isinstance(table, dict):
            yield f"[alert] {name} is not a table; expected [alert.LABEL] with keys below it"
        elif not 1 <= len(label) <= _LABEL_MAX:
            yield f"[alert.{name}] has a label of the wrong length; expected 1 to {_LABEL_MAX} characters"
        else:
            yield from _read_alert(f"alert.{name}", table, entries.setdefault(label, {}))


def _read_alert(name: str, alert: Mapping[str, object], facts: _Facts) -> Iterator[str]:
    for key, value in alert.items():
        if key not in _TABLES:
            yield from _read_key(name, ("", key), value, facts)
        elif isinstance(value, dict):
            for below, each in value.items():
                yield from _read_key(f"{name}.{key}", (key, below), each, facts)
        else:
            yield f"[{name}] {key} is not a table; expected [{name}.{key}] with keys below it"


def _read_key(name: str, place: tuple[str, str], value: object, facts: _Facts) -> Iterator[str]:
    table, key = place
    readers = _TABLES[table] if table else _OWN_KEYS
    if key not in readers:
        known = readers if table else [*_OWN_KEYS, *_TABLES]
        yield f"[{name}] {key} is not known; expected one of {list_names(known)}"
        return
    try:
        facts[place] = readers[key](value)
    except ValueError as error:
        yield f"[{name}] {key} {error}"


def _read_title(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not clean(text).text or not text.isprintable() or len(text) > _TITLE_MAX:
        raise ValueError(f"is {value!r}; expected one line in quotes, at most {_TITLE_MAX} characters")
    return text


def _read_advice(value: object) -> str:
    return "" if value == "" else _read_text(value, word="no_advice")


def _read_wait(value: object) -> Wait:
    return Wait(is_set=True, after=duration(str(value)))


def _read_flag(value: object) -> bool:
    if value is True or value is False:
        return value
    raise ValueError(f"is {value!r}; expected true or false")


def _read_word(value: object, *, words: Sequence[StrEnum]) -> StrEnum:
    found = next((word for word in words if word.value == value), None)
    if found is None:
        raise ValueError(f"is {value!r}; expected " + " or ".join(f'"{word}"' for word in words))
    return found


def _read_text(value: object, *, word: str) -> str:
    """Parse a text for the person. One without placeholders is shown exactly as it is returned here."""
    placeholders, room = _ROOM[word]
    problem = text_problem(value, placeholders)
    if problem:
        raise ValueError(problem)
    text = str(value) if placeholders else str(value).format()
    length = len(text.format(**_LONGEST)) if placeholders else len(text)
    if length > room:
        raise ValueError(f"has up to {length} characters; expected at most {room}")
    return text


#: The answers after which a note must always be possible: somebody may have been attacked.
_ALWAYS_NOTED = frozenset({Choice.NO, Choice.NOT_SURE})

#: The rules that each choice may have.
_NOTE_RULES = {
    choice: [rule for rule in NoteRule if rule is not NoteRule.NEVER or choice not in _ALWAYS_NOTED]
    for choice in Choice
}

_OWN_KEYS: Mapping[str, _Reader] = {
    "title": _read_title,
    "ask": partial(_read_word, words=list(AskWhen)),
    "factor": partial(_read_word, words=list(Factor)),
    "remind_after": _read_wait,
    "expire_after": _read_wait,
    "no_advice": _read_advice,
}

_TABLES: Mapping[str, Mapping[str, _Reader]] = {
    "words": {word: partial(_read_text, word=word) for word in WORDS},
    "note": {choice.value: partial(_read_word, words=_NOTE_RULES[choice]) for choice in Choice},
    "security_channel": {outcome.value: _read_flag for outcome in Outcome},
}
