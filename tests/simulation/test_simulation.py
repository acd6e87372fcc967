"""The simulation says the same of a seed in every process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from .run import Plan, simulate

_HOME: Final = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_promise_is_kept(seed: int) -> None:
    assert simulate(Plan(seed=seed)).violations == []


def test_two_processes_write_the_same_log() -> None:
    logs = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "1", "--log"],
            cwd=_HOME,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(logs) == 1
