"""What the engineer decided for each kind of alert. Nouns: frozen and keyword-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bot.triage.model import Choice
from bot.triage.outcomes import CARDS, Outcome

if TYPE_CHECKING:
    from datetime import timedelta

#: Table → key → text, as `messages.toml` has it.
Wording = Mapping[str, Mapping[str, str]]


class NoteRule(StrEnum):
    """Whether a person is asked for a note with their answer."""

    NEVER = "never"
    OFFERED = "offered"  #: by a button of the answered message
    REQUIRED = "required"  #: by a form that opens at once


class AskWhen(StrEnum):
    """When a question is put to its person."""

    AT_ONCE = "at-once"
    WORKING_HOURS = "working-hours"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """How long an alert waits for something, as far as its policy says so."""

    said: bool = False  #: False: the policy says nothing, the setting counts
    after: timedelta | None = None  #: None, if said: never

    def over(self, setting: timedelta | None) -> timedelta | None:
        """Return what counts where the setting for all alerts is `setting`; None: never."""
        return self.after if self.said else setting


#: The rules for notes where no file says otherwise.
NOTES: Final[Mapping[Choice, NoteRule]] = MappingProxyType(
    {
        Choice.YES: NoteRule.NEVER,
        Choice.NO: NoteRule.OFFERED,
        Choice.NOT_SURE: NoteRule.OFFERED,
        Choice.WRONG_USER: NoteRule.NEVER,
    }
)

#: The words of the question that an alert may have of its own: their table and key in `messages.toml`.
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "ask": ("question", "ask"),
        "notification": ("question", "notification"),
        **{f"button_{choice}": ("button", choice.value) for choice in Choice},
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertPolicy:
    """How questions about one kind of alert are put, and who hears of the answers."""

    title: str = "Security alert"  #: plain text of one line, at most 150 characters
    wording: Mapping[str, str] = field(default_factory=dict)  #: the texts of its own, by the keys of `WORDS`
    remind_after: Wait = Wait()
    expire_after: Wait = Wait()
    ask: AskWhen = AskWhen.AT_ONCE
    notes: Mapping[Choice, NoteRule] = field(default_factory=lambda: NOTES)  #: a rule for each choice
    cards: frozenset[Outcome] = CARDS  #: the outcomes that the security team sees in its channel

    def reworded(self, wording: Wording) -> Wording:
        """Return the wording of all messages with this alert's own words in their places."""
        tables = dict(wording)
        for word, text in self.wording.items():
            table, key = WORDS[word]
            tables[table] = {**tables[table], key: text}
        return tables


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertPolicies:
    """The policies of all alerts."""

    default: AlertPolicy = field(default_factory=AlertPolicy)
    by_label: Mapping[str, AlertPolicy] = field(default_factory=dict)

    def of(self, label: str) -> AlertPolicy:
        """Return the policy of the alerts that MozDef labels so; an unknown label has the default."""
        return self.by_label.get(label, self.default)
