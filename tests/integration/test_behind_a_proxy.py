"""The whole program behind a proxy: Slack's API, its websockets, response_url, AWS, and `check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from world import World
from world.forward_proxy import ForwardProxy


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as proxy:
        yield proxy


def test_a_proxy_without_a_scheme_is_the_way_for_every_part_of_the_program(
    create_world: Callable[..., World], proxy: ForwardProxy
) -> None:
    world = create_world(HTTP_PROXY=proxy.address)
    world.start()

    identifier = world.send()
    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.status(identifier) == "acknowledged"

    asked_for = "\n".join(proxy.requested)
    for part in (f"{world.slack.api_url}auth.test", "ticket=", world.settings["AWS_ENDPOINT_URL_SQS"]):
        assert part in asked_for
    proxy.requested.clear()
    checked = world.worker.command("check")
    assert "✓ ok       bot token" in checked.stdout
    assert "✓ ok       request queue" in checked.stdout
    assert len(proxy.requested) > 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_ends_the_worker_for_good(
    create_world: Callable[..., World], name: str
) -> None:
    world = create_world(**{name: "socks5://127.0.0.1:1080"})

    world.worker.start()

    assert world.worker.exit_code() == 78
    assert world.worker.log == (
        f"triage-bot: error: {name} is 'socks5://127.0.0.1:1080'; expected http://HOST:PORT, or HOST:PORT\n"
    )
