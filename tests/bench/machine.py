"""The machine that figures belong to."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def _list(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _processor() -> str:
    lines: Sequence[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
