"""A short torture of workers that share a table; by itself, since it takes longest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from .command import run


@pytest.mark.slow
def test_workers_that_share_a_table_keep_every_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = ("--workers", "3", "--kills", "8", "--alerts", "50", "--seed", "10", "--pace", "8")

    code, table = asyncio.run(run(tmp_path, *three))

    with capsys.disabled():
        print("\n" + table)
    assert code == 0, table
    assert "workers            3  on one table" in table, table
