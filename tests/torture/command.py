"""Runs `python -m tests.torture` as a process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Final

_HOME: Final = Path(__file__).resolve().parents[2]


async def run(folder: Path, *options: str) -> tuple[int, str]:
    """Return its exit code and its output; `folder` is where log and store are kept."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.torture", "--folder", str(folder), *options),
        cwd=_HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()
