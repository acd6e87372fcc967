"""The bench still works: a quick run of all of it. No figure is judged, for none means anything then."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

import pytest

from bench.measures import MEASURES
from bot.slack.render.home import OPEN_MAX

pytestmark = pytest.mark.slow

_HOME: Final = Path(__file__).resolve().parents[2]


async def _run(*options: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", *options),
        cwd=_HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_every_contestant_completes_every_cycle_and_is_measured_in_all_respects(tmp_path: Path) -> None:
    figures, plot = tmp_path / "figures.json", tmp_path / "plot.svg"

    code, output = await _run("--quick", "--json", str(figures), "--plot", str(plot))

    assert code == 0, output
    medians = json.loads(figures.read_text(encoding="utf-8"))["medians"]
    assert set(medians) == {"ours", "plain", "floor"}
    assert all(set(measured) == {each.name for each in MEASURES} for measured in medians.values())
    assert ET.parse(plot).getroot().tag.endswith("svg")  # noqa: S314 - written by the bench itself
    assert max(len(line) for line in output.splitlines()) <= 100


async def test_a_store_that_grew_is_measured(tmp_path: Path) -> None:
    code, output = await _run("growth", "--quick", "--folder", str(tmp_path))

    assert code == 0, output
    assert "1,000" in output


async def test_hostile_texts_are_measured() -> None:
    code, output = await _run("texts", "--quick")

    assert code == 0, output
    assert f"Home of {OPEN_MAX}" in output


async def test_workers_that_share_a_table_are_measured_beside_one() -> None:
    code, output = await _run("workers", "--quick")

    assert code == 0, output
    assert "refused with 429" in output
    assert max(len(line) for line in output.splitlines()) <= 100
