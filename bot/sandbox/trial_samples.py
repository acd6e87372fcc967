"""The two kinds of alert that exist only in the sandbox. Their policies are in `config/alerts.toml`."""

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

TRIAL_SAMPLES: Final = (
    Sample(
        alert=THIRTY_SECONDS,
        summary="Your password was changed just now from 192.0.2.44, a network you have never used before.",
        confidence="high",
    ),
    Sample(
        alert=NOTE_REQUIRED,
        summary="The source code of the payroll system was downloaded with your account, today at 06:58 UTC.",
        confidence="high",
    ),
)

#: What is special about an alert, shown to the person who sends it from the page.
HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        THIRTY_SECONDS: "The bot sends a reminder after 10 seconds and gives up after 30. Send it and wait.",
        NOTE_REQUIRED: "“No” and “not sure” open a form for a note. The answer counts even if it is closed.",
    }
)
