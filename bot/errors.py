"""Every error that this program raises on purpose.

The leaf names the problem, its parent the remedy::

    TriageBotError
    ├── WrongUsage             the command line must be changed      exit 2
    ├── ConfigError            a setting must be changed             exit 78
    │   └── StoreUnusable      … or the store's file or folder repaired
    ├── StartRefused           the other side must be fixed          exit 1
    ├── StoreError             the store operation failed; nothing was written
    │   └── StoreReplaced      … its file is gone, or another is in its place: nobody is told anything
    ├── PermanentError         retrying cannot help
    │   ├── Undeliverable      nobody can be asked
    │   └── NoDevice           the second factor's provider knows no device of the person
    ├── TransientError         it was not done; try again
    │   ├── NoConversation     the person has none with the bot yet: open one first
    │   ├── UnknownErrorCode     Slack gave a code that may concern one person or text alone
    │   └── AppRejected         Slack refuses the worker itself (token, scope)
    └── AmbiguousError         perhaps it was done: look before trying again

Errors that only one command can meet are defined next to it, directly below the root: `NoWorker` and
`CallFailed` of `worker.control`, `UnknownAlert` and `BackupRunning` of `worker.handlers`,
`worker.descriptors.OutOfDescriptors`, `cli.files.BackupFailed`, `cli.output.plot.PlotNotWritten`,
`store.migration.migrate.MigrationRefused`.
A command that raises one of these exits with code 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class TriageBotError(Exception):
    """The root: catching it catches all errors of this program, and no others."""


class WrongUsage(TriageBotError):
    """The arguments of a command are wrong in a way that its parser cannot see."""


class ConfigError(TriageBotError):
    """Settings are wrong. `problems` has one sentence for each problem, to be shown together.

    `warnings` may say why: a misspelled name, for instance, next to the setting that is missing.
    """

    def __init__(self, problems: Sequence[str], *, warnings: Sequence[str] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)


class StoreUnusable(ConfigError):
    """The store's folder is missing or forbidden, or its file is corrupt or has another version."""

    def __init__(self, problem: str) -> None:
        super().__init__([problem])


class StartRefused(TriageBotError):
    """Slack, SQS or the store refuses this worker for now; systemd restarts it."""


class StoreError(TriageBotError):
    """The store could not read or write (disk full, read-only …). Nothing of the change was saved."""


class DamagedRow(StoreError):
    """A row does not hold what this release writes: it is damaged, or a later release wrote it."""


class StoreReplaced(StoreError):
    """The store's file is gone, or another is at its path. What was committed is kept for a rescue."""

    def __init__(self) -> None:
        super().__init__("the store's file was removed or replaced while the worker runs")


class PermanentError(TriageBotError):
    """The call failed, and retrying cannot help."""


class Undeliverable(PermanentError):
    """The person cannot be asked. `reason` is a code from our closed list, or Slack's own error code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoDevice(PermanentError):
    """The provider of the second factor knows nobody of this name, or no device of theirs."""


class TransientError(TriageBotError):
    """It was definitely not done. `retry_after` is the wait that the other side asked for, if any."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoConversation(TransientError):
    """Slack has no conversation with the person yet: open one, and post to that."""

    def __init__(self) -> None:
        super().__init__("Slack has no conversation with this person yet")


class UnknownErrorCode(TransientError):
    """Slack refused with `code`, which is unknown, blames the message, or may concern one person alone.

    `remedy` is a sentence; "" where we know none.
    """

    def __init__(self, code: str, *, remedy: str = "") -> None:
        super().__init__(f"Slack refused with {code!r}{remedy and f'. {remedy}'}")
        self.code = code
        self.remedy = remedy


class AppRejected(TransientError):
    """Slack rejects the app itself with `code`: requests must wait, not fail. `remedy` is a sentence."""

    def __init__(self, code: str, *, remedy: str) -> None:
        super().__init__(f"Slack refuses this app with {code!r}")
        self.code = code
        self.remedy = remedy


class AmbiguousError(TriageBotError):
    """The reply was lost, so the work may have been done. `status` is the HTTP status; 0 if no reply came."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
