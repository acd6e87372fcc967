"""MozDef's side of the trial: the alerts it raised, and everything that came back for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.mozdef import AlertBook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bot.sandbox.mozdef import Assessment

#: The status of an alert without an answer.
OPEN: Final = "open"


@dataclass(frozen=True, kw_only=True)
class SentAlert:
    """One request as it was put on the request queue."""

    identifier: str
    alert: str
    summary: str
    user: str
    confidence: str
    sent_at: datetime
    optional: Mapping[str, Any] = field(default_factory=dict)  #: `occurredAt` and `facts`, as sent


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One message that arrived: a response with MozDef's verdict, or a dead letter with a reason.

    `number` counts from 1. `verdict` is None for a dead letter.
    """

    number: int
    body: str
    received_at: datetime
    verdict: Assessment | None
    reason: str | None = None


class Ledger:
    """The alerts sent and the messages received, oldest first. `changed` is called after each entry."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.alerts: list[SentAlert] = []
        self.receipts: list[Receipt] = []
        self._book = AlertBook()
        self._changed = changed

    def raise_alert(self, alert: SentAlert) -> None:
        """Record an alert. Call this before its request is sent, because the answer may be fast."""
        self._book.add(alert.identifier)
        self.alerts.append(alert)
        self._changed()

    def take_response(self, body: str) -> None:
        """Record a message of the response queue."""
        self._take(body, verdict=self._book.receive(body))

    def take_dead_letter(self, body: str, reason: str | None) -> None:
        """Record a request that the bot rejected."""
        self._take(body, verdict=None, reason=reason or "no reason given")

    def status(self, identifier: str) -> str:
        """Return the current status of the alert."""
        return self._book.status(identifier) or OPEN

    def responses(self, identifier: str) -> list[Receipt]:
        """Return the messages of the response queue about one alert, oldest first."""
        return [one for one in self.receipts if one.verdict and one.verdict.identifier == identifier]

    def _take(self, body: str, *, verdict: Assessment | None, reason: str | None = None) -> None:
        number = len(self.receipts) + 1
        self.receipts.append(
            Receipt(number=number, body=body, received_at=datetime.now(UTC), verdict=verdict, reason=reason)
        )
        self._changed()
