"""The three that are compared, and the process of each with what the kernel counts of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from .slack import APP_TOKEN, BOT_TOKEN

HOME: Final = Path(__file__).resolve().parents[2]

#: In clock_gettime(2) the processor time of another process is a clock whose number is made of its id: the
#: kernel's own sum over all its threads, in nanoseconds, those that have ended included.
_CPU_CLOCK: Final = 2

_MIB: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One that is compared. `share` is how much of the work it gets where the work of all would take ages."""

    name: str
    program: Sequence[str]  #: what Python is told to run
    variables: Mapping[str, str] = field(default_factory=dict)  #: of its environment, beside those of all
    share: float = 1.0
    #: The SDK's synchronous client speaks TLS to port 443 only: its link goes without.
    link_has_tls: bool = True
    needs_provider: bool = False  #: of a second factor


OURS: Final = Contestant(name="ours", program=("-m", "bot", "run"))
CONTESTANTS: Final = (
    OURS,
    Contestant(name="plain", program=("-m", "tests.bench.plain_app"), share=0.05, link_has_tls=False),
    Contestant(name="floor", program=("-m", "tests.bench.floor_app")),
)


@cache  # before anything here is bound to one of them
def cores() -> tuple[set[int], set[int]]:
    """Return where a contestant runs, and where all else does: apart, if there are two cores at least."""
    first, *others = sorted(os.sched_getaffinity(0))
    return ({others[0]}, {first}) if others else ({first}, {first})


class ContestantProcess:
    """One run of a contestant, alone on its core, in a folder that is its own."""

    def __init__(
        self, contestant: Contestant, folder: Path, addresses: Mapping[str, str], trusted: Path | None
    ) -> None:
        self._contestant = contestant
        self._folder = folder
        self._environment = {**_environment(addresses, trusted), **contestant.variables}
        self._log = folder / f"{contestant.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0  #: on the machine's monotonic clock

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        own, others = cores()
        os.sched_setaffinity(0, own)  # inherited: so not even its first instruction runs elsewhere
        try:
            with self._log.open("wb") as output:
                self.started_at = time.monotonic()
                self._process = subprocess.Popen(  # noqa: S603 - a program of the bench's own
                    [sys.executable, "-P", *self._contestant.program],
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
        finally:
            os.sched_setaffinity(0, others)

    def cpu_seconds(self) -> float:
        """Return the processor time of all its threads so far."""
        return time.clock_gettime((~self.pid << 3) | _CPU_CLOCK)

    def memory(self) -> tuple[float, float]:
        """Return what is resident, and its proportional share of that, in MiB."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        fields = {line.split(":")[0]: line.split()[1] for line in rollup.splitlines()[1:]}
        return int(fields["Rss"]) / _MIB, int(fields["Pss"]) / _MIB

    def log_end(self) -> str:
        """Return the last lines that it has written."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        """End it as systemd does."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def kill(self) -> None:
        """End it, if it runs: it has nothing to lose here."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _environment(addresses: Mapping[str, str], trusted: Path | None) -> dict[str, str]:
    environment = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(HOME),
        "SLACK_BOT_TOKEN": BOT_TOKEN,
        "SLACK_APP_TOKEN": APP_TOKEN,
        **addresses,
        "OPEN_PER_PERSON": "100",  # few people get all questions, and answer them at once
        "MOZDEF_SYNC_SECONDS": "0",  # the wait for MozDef costs nothing and would take 90 s of each run
        "AWS_REGION": "us-west-2",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_EC2_METADATA_DISABLED": "true",
        **_allocator_settings(),
    }
    if trusted is not None:
        environment |= {"SSL_CERT_FILE": str(trusted), "AWS_CA_BUNDLE": str(trusted)}
    return environment


def _allocator_settings() -> dict[str, str]:
    """Return the unit's settings of glibc's allocator, which all contestants get."""
    unit = (HOME / "systemd/triage-bot.service").read_text(encoding="utf-8")
    return dict(re.findall(r"^Environment=(MALLOC_\w+)=(\w+)$", unit, re.MULTILINE))
