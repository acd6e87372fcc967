"""Sample alerts: one for each label that MozDef is known to send. Data only, without addresses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An alert without a person: its label, what helps the person to recognise it, and how sure MozDef is."""

    alert: str
    summary: str
    confidence: str
    minutes_ago: int | None = None  #: when it happened, before it is sent; None: it does not say
    facts: tuple[tuple[str, str], ...] = ()  #: a name and its value each
    times: int = 1  #: how often it is sent at once, as an alert of its own each time

    def optional(self, now: datetime) -> dict[str, Any]:
        """Return the optional fields of its request, as far as it has them."""
        fields: dict[str, Any] = {}
        if self.minutes_ago is not None:
            fields["occurredAt"] = (now - timedelta(minutes=self.minutes_ago)).isoformat()
        if self.facts:
            fields["facts"] = [{"name": name, "value": value} for name, value in self.facts]
        return fields


_SAMPLES = (
    Sample(
        alert="sensitive_host_session",
        summary=(
            "A terminal session was opened on admin-bastion-1.example.com, a server that holds sensitive "
            "data. It came from 198.51.100.23 and is still open."
        ),
        confidence="highest",
        minutes_ago=12,
        facts=(
            ("Host", "admin-bastion-1.example.com"),
            ("From address", "198.51.100.23"),
            ("Near", "Toronto, Canada"),
        ),
    ),
    Sample(
        alert="duo_bypass_codes_used",
        summary=(
            "A Duo bypass code was used in place of your phone to sign in to the VPN from 203.0.113.80 "
            "(Lisbon, Portugal)."
        ),
        confidence="moderate",
        minutes_ago=35,
        facts=(
            ("From address", "203.0.113.80"),
            ("Near", "Lisbon, Portugal"),
            ("Device", "Firefox on Windows"),
        ),
    ),
    Sample(
        alert="duo_bypass_codes_generated",
        summary=(
            "Ten new Duo bypass codes were created for your account. "
            "Anybody who has one of them can sign in without your phone."
        ),
        confidence="lowest",
        minutes_ago=58,
    ),
    Sample(
        alert="ssh_access_sign_releng",
        summary=(
            "Somebody signed in over SSH to signing-4.releng.example.com, a machine that signs releases, "
            "with the key called “work-laptop”."
        ),
        confidence="high",
        minutes_ago=90,
        facts=(
            ("Host", "signing-4.releng.example.com"),
            ("Key", "work-laptop"),
        ),
    ),
)

#: The sample of each known alert label.
SAMPLES: Final[Mapping[str, Sample]] = MappingProxyType({sample.alert: sample for sample in _SAMPLES})
