"""A short torture of workers that share a table; by itself, since it takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from .command import run


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--factor",)], ids=["", "with a second factor"])
def test_workers_that_share_a_table_keep_every_promise(
    options: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = ("--busy", "--workers", "3", "--kills", "5", "--alerts", "32", "--seed", "10", "--pace", "10")

    code, table = asyncio.run(run(tmp_path, *three, *options))

    with capsys.disabled():
        print("\n" + table)
    assert code == 0, table
    assert "workers            3  on one table" in table, table
