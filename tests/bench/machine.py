"""The machine that figures belong to."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

#: Others that take more of the machine than this are told of.
_DISTURBED: Final = 0.05

_LIBRARIES: Final = ("slack-bolt", "slack-sdk", "aiohttp", "boto3")


def machine() -> Mapping[str, str]:
    """Return what a reader must know to compare figures."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}",
        "libraries": f"{libraries}, SQLite {sqlite3.sqlite_version}",
    }


def binding(contestant: set[int], others: set[int]) -> str:
    """Say which cores were whose."""
    if contestant == others:
        return "There is one core only: the stand-ins take their part of it, so that rates are too low."
    return f"Each contestant ran on core {_list(contestant)}, stand-ins and bench on core {_list(others)}."


class Others:
    """What else the machine does from now on."""

    def __init__(self) -> None:
        self._total, self._busy = _jiffies()
        self._own = _own_seconds()

    def sentence(self) -> str:
        """Say how much of the machine others took since then, which slows down what the clock measures."""
        total, busy = _jiffies()
        own = (_own_seconds() - self._own) * os.sysconf("SC_CLK_TCK")
        share = max(0.0, busy - self._busy - own) / max(total - self._total, 1)
        advice = ": times and rates are worse for it, CPU hardly" if share > _DISTURBED else ""
        return f"Meanwhile other processes took {share:.0%} of the machine{advice}."


def _jiffies() -> tuple[int, int]:
    """Return the ticks of all cores so far, and those of them in which something ran."""
    first, *_ = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    ticks = [int(word) for word in first.split()[1:9]]  # what follows is in the first two already
    return sum(ticks), sum(ticks) - ticks[3] - ticks[4]


def _own_seconds() -> float:
    """Return the processor time of this process and of those of its children that have ended."""
    return sum(os.times()[:4])


def _list(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _processor() -> str:
    lines: Sequence[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
