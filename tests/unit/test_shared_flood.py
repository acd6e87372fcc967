"""Several workers in one workspace: Slack's limit is for all of them, and each sees but its own refusals."""

from __future__ import annotations

import pytest
from flooded_workspace import Limit, flood

#: How many people are asked, and what Slack takes.
LIMITS = [
    pytest.param(200, Limit(messages=5, seconds=1), id="300 a minute, no bursts", marks=pytest.mark.slow),
    pytest.param(80, Limit(messages=30, seconds=10), id="180 a minute, in bursts"),
    pytest.param(120, Limit(messages=20, seconds=20), id="60 a minute, in bursts", marks=pytest.mark.slow),
    pytest.param(80, Limit(messages=30, seconds=1), id="more than one worker asks"),
]


@pytest.mark.parametrize(("requests", "limit"), LIMITS)
def test_a_flood_shared_by_three_workers_ends_no_later_than_with_one(requests: int, limit: Limit) -> None:
    alone = flood(requests, limit, workers=1)
    shared = flood(requests, limit, workers=3)

    assert shared.seconds <= alone.seconds
    assert alone.posts == shared.posts == {f"U0p{number}": 1 for number in range(requests)}


@pytest.mark.slow
def test_a_worker_learns_how_much_slack_takes() -> None:
    requests = 200

    course = flood(requests, Limit(messages=5, seconds=1), workers=1)

    assert course.refused < 2 * requests
