"""The one error of the sandbox: a part did not start, or ended by itself."""

from __future__ import annotations


class SandboxFailed(Exception):
    """The trial cannot go on. `reason` is one sentence, `log` the failed part's last lines, or empty."""

    def __init__(self, reason: str, *, log: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log
