"""The words that people see: `messages.toml`, and what `alerts.toml` puts over it for one alert. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bot.errors import ConfigError
from bot.slack.render.blocks import BUTTON_MAX, CONFIRM_TEXT_MAX, SECTION_MAX
from bot.triage.model import Choice
from bot.triage.outcomes import Outcome

if TYPE_CHECKING:
    from bot.triage.policy import AlertPolicy

#: Table → key → text, as `messages.toml` has it.
Wording = Mapping[str, Mapping[str, str]]

#: Characters of a summary in a notification: a phone shows far fewer.
NOTIFICATION_MAX = 300

#: The confirm dialog of each choice that has one.
CONFIRMS = {Choice.NO: "confirm_no", Choice.WRONG_USER: "confirm_wrong_user"}

#: The longest value that each placeholder can have, to measure what a text can become.
_ADDRESS = "x" * 254
_TITLE = "x" * 150
_DATE = "x" * 80
_LONGEST = {
    "user": _ADDRESS,
    "summary": "x" * NOTIFICATION_MAX,
    "title": _TITLE,
    "who": _ADDRESS,
    "receiver": _ADDRESS,
    "date": _DATE,
    "deadline": _DATE,
    "choice": "x" * BUTTON_MAX,
    "provider": "x" * 261,
    "reason": "x" * 255,
    "code": "x" * 6,
    "count": "x" * 9,
    "waiting": "x" * 9,
    "open": "xxx",
}

#: In a confirm dialog the address is cut to the room that is left.
_CUT = {"user": ""}

#: The names of the facts in a card's block of facts.
_CARD_FACTS = (
    "alert",
    "identifier",
    "address",
    "confidence",
    "left_out",
    "reason",
    "asked",
    "answered",
    "retracted",
)

#: The windows in which somebody says something.
_WINDOWS = ("note", "reply", "hand_over", "ask_back")

#: The limits, in characters with all placeholders filled in, of texts for which `_LIMIT` does not apply.
_LIMITS = {
    **{("button", choice.value): BUTTON_MAX for choice in Choice},
    **{(table, "title"): 100 for table in CONFIRMS.values()},
    **{(table, key): 30 for table in CONFIRMS.values() for key in ("confirm", "deny")},
    ("confirm_no", "text"): CONFIRM_TEXT_MAX,
    ("confirm_wrong_user", "text"): 250,
    ("text", "cut"): 100,
    ("text", "empty"): 100,
    ("question", "ask"): SECTION_MAX,
    ("question", "notification"): 1000,
    ("answer", "changed"): SECTION_MAX,
    ("note", "button"): BUTTON_MAX,
    **{("card", key): BUTTON_MAX for key in ("take", "hand_over", "release", "ask")},
    ("burst", "take"): BUTTON_MAX,
    **{("burst", key): 100 for key in ("since", "kinds", "first", "denied")},
    ("home", "has"): SECTION_MAX,
    **{("card", key): 100 for key in _CARD_FACTS},
    ("inquiry", "reply"): BUTTON_MAX,
    **{(table, key): 24 for table in _WINDOWS for key in ("title", "submit", "close")},
    ("reply", "done"): 24,
    **{("home", key): 150 for key in ("open", "answered", "taken", "real")},
}
_LIMIT = 2000


def check_wording(wording: Wording) -> None:
    """Refuse texts that Slack would refuse. `ConfigError` names table, key and limit of each."""
    problems = [
        f"messages.toml: [{table}] {key} has up to {length} characters; expected at most {limit}"
        for table, texts in wording.items()
        for key, text in texts.items()
        if (length := _length(table, text, wording)) > (limit := _LIMITS.get((table, key), _LIMIT))
    ]
    if problems:
        raise ConfigError(problems)


def words_for(policy: AlertPolicy, wording: Wording) -> Wording:
    """Return the wording for one alert."""
    return policy.reword(wording) if policy.wording else wording


def _length(table: str, text: str, wording: Wording) -> int:
    """Return how long a text can get."""
    if table in CONFIRMS.values():
        return len(text.format(**_CUT))
    answer = max((words for key, words in wording["answer"].items() if key != "changed"), key=len)
    outcome = max((wording["card"][key] for key in Outcome), key=len)
    values = {**_LONGEST, "answer": answer}
    return len(text.format(**values, outcome=outcome.format(**_LONGEST)))
