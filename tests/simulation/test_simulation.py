"""The simulation says the same of a seed in every process, finds what is broken, and finds nothing else."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import pytest

from .__main__ import corpus, find_broken
from .run import Plan, simulate
from .shrinking import shrink, tell

_HOME: Final = Path(__file__).resolve().parents[2]

#: Some of the broken programs; each is found within a few seeds.
_SAMPLE: Final = (
    "never look",
    "write the head before commit",
    "hold nothing",
    "forget the report before",
    "write without conditions",
)
_FOUND_WITHIN: Final = 5


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", "dynamodb"])
def test_every_promise_is_kept(store: str) -> None:
    assert simulate(Plan(seed=7, store=store, factor=True, flood=True)).violations == []


@pytest.mark.slow
@pytest.mark.parametrize("plan", list(corpus()), ids=str)
def test_what_once_failed_does_not_fail_again(plan: Plan) -> None:
    assert simulate(plan).violations == []


async def _log_of(seed: int, store: str, *, hash_seed: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.simulation", "--seed", str(seed), "--store", store, "--log"),
        cwd=_HOME,
        env={"PYTHONHASHSEED": hash_seed},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    return output


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", "dynamodb"])
async def test_two_processes_write_the_same_log(store: str) -> None:
    logs = await asyncio.gather(*(_log_of(2, store, hash_seed=hash_seed) for hash_seed in ("1", "2")))

    assert logs[0] == logs[1]
    assert logs[0].count(b"\n") > 500


@pytest.mark.slow
@pytest.mark.parametrize("name", _SAMPLE)
def test_a_broken_program_is_found_by_a_promise_that_it_breaks(name: str) -> None:
    assert find_broken(name, most=_FOUND_WITHIN) is not None


@pytest.mark.slow
def test_a_failing_run_is_made_smaller_and_tells_its_story() -> None:
    found = simulate(Plan(seed=1, count=4, sabotage="hold nothing"))

    smallest = shrink(found)

    assert len(smallest.plan.alerts or ()) < 4
    assert smallest.faults == []
    assert any("report.sent" in line for line in tell(smallest))
