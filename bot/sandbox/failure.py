"""The sandbox's only error: a part did not start, or ended unexpectedly."""

from __future__ import annotations


class SandboxFailed(Exception):
    """The trial cannot continue. `reason` is one sentence, `log` the failed part's last lines, or empty."""

    def __init__(self, reason: str, *, log: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log
