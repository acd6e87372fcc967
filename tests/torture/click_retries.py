"""How long people wait before they press again what Slack calls failed."""

from __future__ import annotations

from typing import Final

#: Seconds of ours before the second try; each further wait is longer, and none is longer than the last.
_FIRST: Final = 0.3
_LAST: Final = 5.0
_GROWS: Final = 1.4

#: How often somebody presses at the most, in about two minutes. All who wait together are no flood of presses
#: then, in which a worker that has much to do would do nothing else.
TRIES: Final = 30


def wait_after(tries: int) -> float:
    """Return how many real seconds somebody waits after this many tries."""
    return float(min(_FIRST * _GROWS ** (tries - 1), _LAST))
