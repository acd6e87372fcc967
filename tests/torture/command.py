"""Runs what `python -m tests.torture` runs."""

from __future__ import annotations

from pathlib import Path

from .__main__ import parse
from .trial import Result, Trial


async def run(folder: Path, *arguments: str) -> Result:
    """Return the result of a run with these arguments; `folder` is where log and store are kept."""
    options, _ = parse(arguments)
    folder.mkdir(parents=True, exist_ok=True)
    return await Trial(options, folder).run()
