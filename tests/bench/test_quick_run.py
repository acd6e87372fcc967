"""The bench still works: a quick run of all of it. No figure is judged, for none means anything then."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.contestants import HOME
from bench.measures import MEASURES
from bot.slack.render.home import OPEN_MAX

pytestmark = pytest.mark.slow


async def _run(*options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", *options),
        cwd=HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return output


async def test_every_contestant_completes_every_cycle_and_is_measured_in_all_respects(tmp_path: Path) -> None:
    figures, plot = tmp_path / "figures.json", tmp_path / "plot.svg"

    output = await _run("--quick", "--json", str(figures), "--plot", str(plot))

    medians = json.loads(figures.read_text(encoding="utf-8"))["medians"]
    assert set(medians) == {"ours", "plain", "floor"}
    assert all(set(measured) == {each.name for each in MEASURES} for measured in medians.values())
    assert ET.parse(plot).getroot().tag.endswith("svg")  # noqa: S314 - written by the bench itself
    assert max(len(line) for line in output.splitlines()) <= 100


@pytest.mark.parametrize(
    ("command", "measured"),
    [
        ("growth", "1,000"),  # a store that grew
        ("texts", f"Home of {OPEN_MAX}"),  # hostile ones
        ("workers", "refused with 429"),  # that share a table, beside one
        ("proofs", "20 yes at once"),
    ],
)
async def test_each_other_measurement_is_made(command: str, measured: str) -> None:
    output = await _run(command, "--quick")

    assert measured in output
    assert max(len(line) for line in output.splitlines()) <= 100
