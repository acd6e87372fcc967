"""How often the stand-in SQS fails, and in which way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .sqs_queue import Oddities


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """How often what goes wrong: probabilities for a call, or for an entry of a batch."""

    error: float = 0.0  #: HTTP 500, nothing done
    reset: float = 0.0  #: the connection breaks, nothing done
    lost_reply: float = 0.0  #: done, and the answer is lost
    hang_before: float = 0.0  #: nothing done, the answer never comes
    hang_after: float = 0.0  #: done, the answer comes late
    hang_seconds: float = 1.0  #: of ours, at the most
    page: float = 0.0  #: nothing done, a proxy's page with status 200 is the answer
    page_after: float = 0.0  #: done, and such a page is the answer
    empty: float = 0.0  #: a poll is answered at once with nothing, whatever is there
    entry_failed: float = 0.0  #: one entry of a batch is not done, for now
    oddities: Oddities = field(default_factory=Oddities)


CALM: Final = Knobs()
STORMY: Final = Knobs(
    error=0.02,
    reset=0.015,
    lost_reply=0.03,
    hang_before=0.005,
    hang_after=0.01,
    page=0.01,
    page_after=0.01,
    empty=0.02,
    entry_failed=0.03,
    oddities=Oddities(duplicate=0.03, resurrect=0.03, undeleted=0.01),
)
