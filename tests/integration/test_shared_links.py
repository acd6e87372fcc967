"""The links of workers that share a store: each may answer any click, but Slack lets only so many work."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sandbox_world import APP_TOKEN, SettableClock, running

from bot.slack.connection import bolt_app
from bot.slack.identity import Identity
from bot.slack.links import LINKS_MAX, Link, Links

if TYPE_CHECKING:
    import pytest


async def told(counts: list[int], *, shared: bool) -> Links:
    """Return links of a worker to which Slack has counted so many, one hello after another."""
    async with running() as world:
        app = bolt_app(world.client, Identity())
        link = Link(app, APP_TOKEN, world.client, spread=lambda: 0.1)
        clock = SettableClock()
        links = Links([link], clock=clock, shared=shared)
        for count in counts:
            link.on_hello(count)
        return links


async def test_other_workers_that_share_the_store_are_no_strangers(caplog: pytest.LogCaptureFixture) -> None:
    links = await told([2, LINKS_MAX], shared=True)

    assert not links.others_listen()
    assert not [record for record in caplog.records if record.name.startswith("bot.")]


async def test_too_many_links_are_explained_once_and_again_when_they_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "bot")

    await told([LINKS_MAX + 1, LINKS_MAX + 2, LINKS_MAX, LINKS_MAX + 1], shared=True)

    messages = [record.getMessage() for record in caplog.records if record.name.startswith("bot.")]
    assert len(messages) == 2
    assert messages[0].startswith("9 links listen with this app's token")
    assert messages[0].endswith("run at most 4 workers")
