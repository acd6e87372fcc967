"""MozDef's side of the trial: the alerts that it raised, and all that came back for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bot.sandbox.mozdef import AlertBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.sandbox.mozdef import Verdict

#: The status of an alert that nobody has answered for.
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


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One body that arrived.

    On the response queue it has MozDef's verdict, on the dead-letter queue (`verdict` is None) a reason.
    """

    number: int
    body: str
    received_at: datetime
    verdict: Verdict | None
    reason: str | None = None


class Ledger:
    """Both lists, oldest first. `changed` is called after each entry."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.alerts: list[SentAlert] = []
        self.receipts: list[Receipt] = []
        self._book = AlertBook()
        self._changed = changed

    def raise_alert(self, alert: SentAlert) -> None:
        """Enter an alert, before its request is sent: an answer may be fast."""
        self._book.add(alert.identifier)
        self.alerts.append(alert)
        self._changed()

    def take_response(self, body: str) -> None:
        """Enter a body of the response queue."""
        self._take(body, verdict=self._book.receive(body))

    def take_dead_letter(self, body: str, reason: str | None) -> None:
        """Enter a request that the bot refused."""
        self._take(body, verdict=None, reason=reason or "no reason given")

    def status(self, identifier: str) -> str:
        """Return the status that the alert has by now."""
        return self._book.status(identifier) or OPEN

    def responses(self, identifier: str) -> list[Receipt]:
        """Return what the response queue brought for one alert."""
        return [one for one in self.receipts if one.verdict and one.verdict.identifier == identifier]

    def _take(self, body: str, *, verdict: Verdict | None, reason: str | None = None) -> None:
        number = len(self.receipts) + 1
        self.receipts.append(
            Receipt(number=number, body=body, received_at=datetime.now(UTC), verdict=verdict, reason=reason)
        )
        self._changed()
