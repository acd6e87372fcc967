"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass

from .fast_clock import PACE


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run. Several workers share a table; a single one may use one, too."""

    kills: int
    alerts: int
    seed: int
    minutes: float | None = None  #: stop killing after this many
    workers: int = 1
    pace: float = PACE  #: seconds of the torture's time in one of ours
    store: str = "sqlite"  #: or `dynamodb`
    dynamodb: str = ""  #: the address of a local DynamoDB that runs already; empty: a table in memory
    factor: bool = False  #: some alerts need a proof with a second factor
    flood: bool = False  #: people may have few questions open
    fifo: bool = False  #: the response queue keeps order
    without_look_up: bool = False
    outbox_after_ack: bool = False
    busy: bool = False  #: the machine has other work, too
    sabotage: str = ""  #: one of `FACTOR_SABOTAGES`, or empty
    log_level: str = "INFO"

    @property
    def is_broken(self) -> bool:
        """Whether the worker is broken on purpose, to be found out."""
        return self.without_look_up or self.outbox_after_ack or bool(self.sabotage)
