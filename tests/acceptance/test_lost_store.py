"""The store's file is taken from a running worker: nobody is asked twice, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from world import World


@pytest.mark.slow
def test_a_worker_whose_file_is_deleted_rescues_it_and_nobody_is_asked_again(
    create_world: Callable[..., World],
) -> None:
    world = create_world()
    world.start()
    identifier = world.send()
    question = world.slack.question(identifier)
    world.until_asked(identifier)
    store = world.worker.folder / "triage-bot.db"
    rescue = store.with_name("triage-bot.db.rescue")

    store.unlink()

    assert not world.slack.press(question, "no").acknowledged
    assert world.worker.exit_code() == 78
    assert f"all that it held is in {rescue}" in world.worker.log.splitlines()[-1]
    checked = world.worker.command("check")
    assert checked.returncode == 1
    assert "is not what it was: it is gone or empty" in " ".join(checked.stdout.split())
    for _ in ("no file", "a backup"):  # is in its place
        assert world.worker.command("run").returncode == 78
        if not store.exists():
            rescue.rename(store)
    assert identifier in world.worker.command("list").stdout

    world.start("--restored")

    assert world.slack.press(question, "no").acknowledged
    assert world.status(identifier) == "escalated"
    assert len(world.slack.questions(identifier)) == 1
    assert world.worker.stop() == 0
    world.start()
    assert world.worker.until_logged("store.opened", "the store was last written 0:00:")
