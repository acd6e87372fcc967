"""A short torture of workers that share a table; by itself, since it takes long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from .command import run
from .summary import render


@pytest.mark.slow
def test_workers_that_share_a_table_keep_every_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Most alerts need no second factor, so one run covers both kinds.
    options = ("--busy", "--workers", "3", "--kills", "5", "--alerts", "32", "--seed", "10", "--pace", "10")

    result = asyncio.run(run(tmp_path, *options, "--factor"))

    with capsys.disabled():
        print("\n" + render(result))
    assert not result.violations, render(result)
    assert result.options.workers == 3
    assert result.table_calls > 0
