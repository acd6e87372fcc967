"""Every error that this program raises on purpose.

The leaf names the trouble, the parent names the remedy::

    TriageBotError
    ├── ConfigError            the engineer changes a setting        exit 78
    │   └── StoreUnusable      … or mends the store's file or folder
    ├── StartRefused           the engineer mends the other side     exit 1
    ├── StoreError             the store could not do it: nothing was written
    ├── PermanentError         trying again cannot help
    │   └── Undeliverable      nobody can be asked
    ├── TransientError         it was not done; try again
    │   ├── NoConversation     the person has none with the bot yet: open one first
    │   ├── UnknownRefusal     Slack gave a code that says too little to be believed at once
    │   └── CannotGoOn         Slack refuses the worker itself (token, scope)
    └── AmbiguousError         perhaps it was done: look before trying again

What only one command can meet stands beside it, right below the root: `NoWorker` and `CallFailed` of
`worker.control`, `UnknownAlert` and `BackupRunning` of `worker.handlers`, `cli.backup.BackupFailed`,
`cli.output.plot.PlotNotWritten`, `store.migration.migrate.MigrationRefused`. A command that raises one of
those ends with exit code 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


class TriageBotError(Exception):
    """The root: catching it catches all that is ours, and nothing else."""


class ConfigError(TriageBotError):
    """A setting is wrong. `problems` has one sentence for each, to be shown together."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class StoreUnusable(ConfigError):
    """The store's folder is missing or not permitted, or its file is corrupt or of another version."""

    def __init__(self, problem: str) -> None:
        super().__init__([problem])


class StartRefused(TriageBotError):
    """Slack, SQS or the store refuses this worker for now; systemd tries again."""


class StoreError(TriageBotError):
    """The store could not read or write (disk full, read-only …). Nothing of the change was kept."""


class PermanentError(TriageBotError):
    """Trying again cannot help."""


class Undeliverable(PermanentError):
    """The person cannot be asked. `reason` is a code of the closed list, or Slack's own."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TransientError(TriageBotError):
    """It was definitely not done. `retry_after` is how long the other side asked us to wait, if it did."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoConversation(TransientError):
    """Slack does not open the conversation with somebody by itself: it has to be opened, and posted to."""

    def __init__(self) -> None:
        super().__init__("Slack knows no conversation with this person yet")


class UnknownRefusal(TransientError):
    """Slack refused with `code`, which is new to us, blames the message, or may concern one person alone.

    `remedy` is a sentence; "" where we know none.
    """

    def __init__(self, code: str, *, remedy: str = "") -> None:
        super().__init__(f"Slack refused with {code!r}{remedy and f'. {remedy}'}")
        self.code = code
        self.remedy = remedy


class CannotGoOn(TransientError):
    """Slack refuses the worker itself with `code`; no request may suffer for it. `remedy` is a sentence."""

    def __init__(self, code: str, *, remedy: str) -> None:
        super().__init__(f"Slack refuses this app with {code!r}")
        self.code = code
        self.remedy = remedy


class AmbiguousError(TriageBotError):
    """The answer was lost: the work may have been done. `status` is HTTP's; 0: there was no answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
