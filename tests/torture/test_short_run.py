"""A short torture, for every check of the project; the long ones are run by hand (see `__main__`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from .command import run


async def _run_until_found_out(folder: Path, *options: str) -> tuple[int, str]:
    """Run a broken worker, again with another seed where it was lucky: by chance it is found out."""
    code, table = 0, ""
    for seed in range(8, 12):
        code, table = await run(folder / str(seed), "--seed", str(seed), *options)
        if code:
            break
    return code, table


async def _run_all(folder: Path) -> list[tuple[int, str]]:
    """Run sound workers and broken ones, two at a time: they mostly wait.

    More would leave each other no time: their seconds are a tenth of ours, so every call would time out.
    """
    at_a_time = asyncio.Semaphore(2)

    async def in_turn(trial: Awaitable[tuple[int, str]]) -> tuple[int, str]:
        async with at_a_time:
            return await trial

    proofs = ("--factor", "--alerts", "200")
    runs = (
        run(folder / "sound", "--busy", "--kills", "12", "--alerts", "150", "--seed", "7"),
        run(folder / "factored", "--busy", "--kills", "12", "--seed", "7", *proofs),
        _run_until_found_out(folder / "blind", "--kills", "8", "--alerts", "250", "--without-look-up"),
        _run_until_found_out(folder / "careless", "--kills", "6", "--alerts", "200", "--outbox-after-ack"),
        _run_until_found_out(folder / "gullible", "--kills", "4", "--sabotage", "approve anybody", *proofs),
        _run_until_found_out(
            folder / "lenient", "--kills", "4", "--sabotage", "take unavailable for approved", *proofs
        ),
    )
    return list(await asyncio.gather(*map(in_turn, runs)))


@pytest.mark.slow
def test_a_tortured_worker_keeps_every_promise_and_a_broken_one_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, factored, blind, careless, *unproved = asyncio.run(_run_all(tmp_path))

    for code, table in (sound, factored):
        with capsys.disabled():
            print("\n" + table)
        assert code == 0, table
    assert blind[0] == 1, blind[1]
    assert "     0  questions asked twice" not in blind[1], blind[1]
    assert careless[0] == 1, careless[1]
    assert "     0  acknowledged answers without a report" not in careless[1], careless[1]
    for code, table in unproved:
        assert code == 1, table
        assert "     0  answers that nobody has approved" not in table, table
