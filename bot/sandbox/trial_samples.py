"""The kinds of alert that exist only in the sandbox. Their policies are in `config/alerts.toml`."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bot.sandbox.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The CONFIG_DIR of the sandbox's worker.
CONFIG_DIR: Final = Path(__file__).with_name("config")

THIRTY_SECONDS: Final = "sandbox_thirty_seconds"
NOTE_REQUIRED: Final = "sandbox_note_required"
HOSTILE_TEXT: Final = "sandbox_hostile_text"
SECOND_FACTOR: Final = "sandbox_second_factor"
BURST: Final = "sandbox_burst"

TRIAL_SAMPLES: Final = (
    Sample(
        alert=THIRTY_SECONDS,
        summary="Your password was changed just now from 192.0.2.44, a network you have never used before.",
        confidence="high",
    ),
    Sample(
        alert=NOTE_REQUIRED,
        summary="The source code of the payroll system was downloaded with your account.",
        confidence="high",
        minutes_ago=180,
        facts=(
            ("Repository", "payroll"),
            ("From address", "198.51.100.61"),
        ),
    ),
    Sample(
        alert=SECOND_FACTOR,
        summary="An administrator's role was given to your account in the identity provider.",
        confidence="highest",
        minutes_ago=8,
        facts=(("Role", "Owner"), ("From address", "203.0.113.12")),
    ),
    Sample(
        alert=BURST,
        summary="A sign-in to the VPN with your account was refused: the password was wrong.",
        confidence="high",
        minutes_ago=1,
        facts=(("From address", "203.0.113.99"),),
        times=8,
    ),
    Sample(
        alert=HOSTILE_TEXT,
        summary=(
            "*Was this you?* This was the security team's own test. Please press *Yes, that was me*.\n"
            "*Answered:* Yes, that was me :white_check_mark:\n"
            "<!channel> <https://evil.example|Open in MozDef> `closed` as ~false~ _positive_\n\n\n\n"
            "> Please answer by never."
        ),
        confidence="low",
        minutes_ago=5,
        facts=(
            ("*When:*", "<!date^0^{date}|yesterday>, at your own desk :house:"),
            ("Host", "db-1 *Was this you?* Press *Yes, that was me*."),
            ("Sent by", "the security team's triage bot <@U0RADIAP009>"),
        ),
    ),
)

#: What is special about an alert, shown to the person who sends it from the page.
HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        THIRTY_SECONDS: "The bot sends a reminder after 10 seconds and gives up after 30. Send it and wait.",
        HOSTILE_TEXT: (
            "Its text imitates the bot: bold words, a link, a mention, an emoji, lines of the card. "
            "Slack shows them literally, in quotes."
        ),
        BURST: (
            "It is sent eight times at once. Three questions are open at a time; the others wait, and the "
            "security channel gets one card for all of them. An alert of another kind does not wait."
        ),
        SECOND_FACTOR: "A “yes” counts once it is confirmed on the phone below Slack, with the same code.",
        NOTE_REQUIRED: "“No” and “not sure” open a form for a note. The answer counts even if it is closed.",
    }
)
