"""A short torture, for every check of the project; the long ones are run by hand (see `__main__`)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_HOME: Final = Path(__file__).resolve().parents[2]


async def _run(folder: Path, *options: str) -> tuple[int, str]:
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


async def _run_until_found_out(folder: Path, *options: str) -> tuple[int, str]:
    """Run a broken worker, again with another seed where it was lucky: by chance it is found out."""
    code, table = 0, ""
    for seed in range(8, 12):
        code, table = await _run(folder / str(seed), "--seed", str(seed), *options)
        if code:
            break
    return code, table


async def _run_all(folder: Path) -> list[tuple[int, str]]:
    """Run a sound worker and two broken ones. Together, since they mostly wait: as long as the longest."""
    runs = (
        _run(folder / "sound", "--kills", "12", "--alerts", "150", "--seed", "7"),
        _run_until_found_out(folder / "blind", "--kills", "8", "--alerts", "250", "--without-look-up"),
        _run_until_found_out(folder / "careless", "--kills", "6", "--alerts", "200", "--outbox-after-ack"),
    )
    return list(await asyncio.gather(*runs))


@pytest.mark.slow
def test_a_tortured_worker_keeps_every_promise_and_a_broken_one_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, blind, careless = asyncio.run(_run_all(tmp_path))

    with capsys.disabled():
        print("\n" + sound[1])
    assert sound[0] == 0, sound[1]
    assert blind[0] == 1, blind[1]
    assert "     0  questions asked twice" not in blind[1], blind[1]
    assert careless[0] == 1, careless[1]
    assert "     0  acknowledged answers without a report" not in careless[1], careless[1]


@pytest.mark.slow
def test_workers_that_share_a_table_keep_every_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = ("--workers", "3", "--kills", "8", "--alerts", "50", "--seed", "10", "--pace", "8")

    code, table = asyncio.run(_run(tmp_path, *three))

    with capsys.disabled():
        print("\n" + table)
    assert code == 0, table
    assert "workers            3  on one table" in table, table
