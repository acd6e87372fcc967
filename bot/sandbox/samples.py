"""Sample alerts: one for each label that MozDef is known to send. Data only, without addresses."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An alert without a person: its label, the text for the person, and MozDef's identity confidence."""

    alert: str
    summary: str
    confidence: str


_SAMPLES = (
    Sample(
        alert="sensitive_host_session",
        summary=(
            "A terminal session was opened on admin-bastion-1.example.com, a server that holds sensitive "
            "data, today at 09:14 UTC. It came from 198.51.100.23 and is still open."
        ),
        confidence="highest",
    ),
    Sample(
        alert="duo_bypass_codes_used",
        summary=(
            "A Duo bypass code was used in place of your phone to sign in to the VPN, today at 08:52 UTC, "
            "from 203.0.113.80 (Lisbon, Portugal)."
        ),
        confidence="moderate",
    ),
    Sample(
        alert="duo_bypass_codes_generated",
        summary=(
            "Ten new Duo bypass codes were created for your account, today at 08:31 UTC. "
            "Anybody who has one of them can sign in without your phone."
        ),
        confidence="lowest",
    ),
    Sample(
        alert="ssh_access_sign_releng",
        summary=(
            "Somebody signed in over SSH to signing-4.releng.example.com, a machine that signs releases, "
            "today at 07:45 UTC, with the key called “work-laptop”."
        ),
        confidence="high",
    ),
)

#: The sample of each known alert label.
SAMPLES: Final[Mapping[str, Sample]] = MappingProxyType({sample.alert: sample for sample in _SAMPLES})
