"""A short torture, for every check of the project; the long ones are run by hand (see `__main__`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from .command import run
from .promises import Promise
from .summary import render
from .trial import Result


async def _run_until_found_out(promise: Promise, folder: Path, *options: str) -> Result:
    """Run a broken worker, again with another seed where it was lucky: by chance it is found out."""
    for seed in range(8, 12):
        result = await run(folder / str(seed), "--seed", str(seed), *options)
        if promise in _broken(result):
            break
    return result


async def _run_all(folder: Path) -> list[Result]:
    """Run a sound worker and broken ones, two at a time: they mostly wait.

    More would leave each other no time: their seconds are a tenth of ours, so every call would time out.
    """
    at_a_time = asyncio.Semaphore(2)

    async def in_turn(trial: Awaitable[Result]) -> Result:
        async with at_a_time:
            return await trial

    # Most alerts need no second factor, so one run covers both kinds.
    sound = ("--busy", "--kills", "8", "--alerts", "80", "--seed", "7", "--factor")
    broken = ("--kills", "6", "--alerts", "150")
    gullible = ("--kills", "4", "--alerts", "200", "--factor", "--sabotage", "approve anybody")
    runs = (
        run(folder / "sound", *sound),
        _run_until_found_out(Promise.TWICE, folder / "blind", *broken, "--without-look-up"),
        _run_until_found_out(Promise.UNREPORTED, folder / "careless", *broken, "--outbox-after-ack"),
        _run_until_found_out(Promise.UNAPPROVED, folder / "gullible", *gullible),
    )
    return list(await asyncio.gather(*map(in_turn, runs)))


def _broken(result: Result) -> set[Promise]:
    return {violation.promise for violation in result.violations}


@pytest.mark.slow
def test_a_tortured_worker_keeps_every_promise_and_a_broken_one_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, blind, careless, gullible = asyncio.run(_run_all(tmp_path))

    with capsys.disabled():
        print("\n" + render(sound))
    assert not sound.violations, render(sound)
    assert Promise.TWICE in _broken(blind), render(blind)
    assert Promise.UNREPORTED in _broken(careless), render(careless)
    assert Promise.UNAPPROVED in _broken(gullible), render(gullible)
