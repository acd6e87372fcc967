"""Which answer counts after each report, by the contract alone, and how Slack must show it. Pure."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .case import BY_BOT, Receipt

#: What each outcome makes of an alert in MozDef, the mildest first.
_RANKS: Final = {
    "yes": 0,
    "wrongUser": 1,
    "notSure": 1,
    "timedOut": 1,
    "undeliverable": 1,
    "unproven": 1,
    "no": 2,
}

#: What a report says to a stock MozDef, which knows three words only.
RESPONSES: Final = {
    "yes": "yes",
    "no": "no",
    "wrongUser": "wrongUser",
    "notSure": "wrongUser",
    "timedOut": "wrongUser",
    "undeliverable": "wrongUser",
    "unproven": "wrongUser",
}

_WORDS: Final = Path(__file__).resolve().parents[2] / "config" / "messages.toml"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Which answer of an alert counts. `said` is the person's last choice, empty as long as there is none."""

    outcome: str
    said: str = ""
    choices: int = 0  #: how often the person chose, each time differently

    @property
    def retracted(self) -> bool:
        """Whether the person takes back a sterner answer, which still counts."""
        return bool(self.said) and self.said != self.outcome


def standings(receipts: Sequence[Receipt]) -> Iterator[Standing]:
    """Yield which answer must count after each report, without repeats.

    A choice replaces what the bot decided, and whatever ranks no higher than it does. Who reports to the
    provider of the second factor that somebody else asked them says *no*.
    """
    now = Standing(outcome="")
    for receipt in receipts:
        if receipt.by_bot:
            now = Standing(outcome=receipt.outcome, said=now.said, choices=now.choices)
        elif receipt.reason == "factor_fraud":
            now = Standing(outcome="no", said=now.said, choices=now.choices)
        elif not receipt.is_text:
            keeps = now.outcome not in ("", *BY_BOT) and _RANKS[receipt.said] < _RANKS[now.outcome]
            outcome = now.outcome if keeps else receipt.said
            now = Standing(outcome=outcome, said=receipt.said, choices=now.choices + 1)
        yield now


def answer_text(standing: Standing) -> str:
    """Return what the question's message must say below the buttons, "" for nothing."""
    texts = _words()["answer"]
    if not standing.said:
        return texts[standing.outcome] if standing.outcome in ("timedOut", "unproven") else ""
    if standing.retracted:
        return texts["retracted"]
    answer = texts[standing.said]
    return texts["changed"].format(answer=answer) if standing.choices > 1 else answer


def headline_fits(text: str, outcome: str) -> bool:
    """Tell whether this is what a card says of the outcome, of whichever alert and person."""
    parts = re.split(r"\{\w+\}", _words()["card"][outcome].replace("*", ""))
    return re.fullmatch(".+".join(map(re.escape, parts)), text) is not None


@functools.cache
def _words() -> dict[str, dict[str, str]]:
    return tomllib.loads(_WORDS.read_text(encoding="utf-8"))
