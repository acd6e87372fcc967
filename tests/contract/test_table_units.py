"""What alerts and workers take of the table: what docs/operate.md says, no more and no less."""

from __future__ import annotations

from pathlib import Path

import pytest
from table_costs import documented_lines
from table_crew import crew_of

GUIDE = Path(__file__).parents[2] / "docs" / "operate.md"


@pytest.mark.slow
async def test_the_guide_says_what_the_table_is_measured_to_cost() -> None:
    said = GUIDE.read_text(encoding="utf-8").splitlines()

    measured = await documented_lines()

    assert [line for line in measured if line not in said] == []


async def test_a_worker_that_asks_again_what_is_due_reads_nothing() -> None:
    async with crew_of(1) as crew:
        await crew.pass_time(seconds=0)
        looked = crew.meter.looked

        await crew.pass_time(seconds=1)

        assert (crew.meter.looked, crew.meter.read, crew.meter.written) == (looked, 0, 0)
