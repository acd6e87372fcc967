"""A backup is made while people click, and a restored one asks nobody twice."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from world import World, newcomer, until

from bot.sandbox.fake_slack.server import Click
from bot.sandbox.fake_slack.workspace import Message

#: How old the backup is made to look.
AGE = timedelta(days=2)


def test_a_backup_is_whole_while_clicks_go_on_and_no_click_waits_for_it(world: World) -> None:
    names = [f"person-{number}" for number in range(10)]
    for name in names:
        world.slack.admit(newcomer(name))
    world.start()
    identifiers = world.send_many([f"{name}@example.com" for name in names] * 3)
    questions = [world.slack.question(identifier) for identifier in identifiers]

    with Clicking(world, questions) as clicks:
        copies = [_backed_up(world, f"copy-{number}.db") for number in range(3)]

    assert len(clicks) == len(questions)
    assert all(click.acknowledged for click in clicks)
    for copy in copies:
        assert _facts(copy, "PRAGMA integrity_check") == [("ok",)]
        assert _facts(copy, "SELECT count(*) FROM question") == [(len(questions),)]
        # An outcome and its report are of one transaction, in the copy too.
        assert _facts(copy, "SELECT sum(reports) FROM question") == _facts(
            copy, "SELECT count(*) FROM report"
        )
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(file.name for file in world.worker.folder.glob("*.part")) == []


def test_without_a_worker_the_command_copies_the_store_itself_and_replaces_an_earlier_copy(
    world: World,
) -> None:
    world.start()
    world.slack.question(world.send())
    world.worker.stop()
    (world.worker.folder / "copy.db").write_text("an earlier one", encoding="utf-8")

    copy = _backed_up(world, "copy.db")

    assert sorted(file.name for file in world.worker.folder.iterdir()) == [
        "copy.db",
        "triage-bot.db",
        "triage-bot.db.head",
    ]
    assert _facts(copy, "SELECT count(*) FROM question") == [(1,)]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("triage-bot.db", "the store itself"),
        ("./triage-bot.db-wal", "the store itself"),
        (".", "a folder"),
        ("missing/copy.db", "No such file"),
    ],
)
def test_a_copy_that_cannot_be_is_refused_in_one_line_and_the_worker_goes_on(
    running: World, target: str, words: str
) -> None:
    refused = running.worker.command("backup", target)

    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert words in refused.stderr
    running.slack.question(running.send())


@pytest.fixture(scope="module")
def running(create_shared_world: Callable[..., World]) -> World:
    world = create_shared_world()
    world.start()
    return world


@pytest.mark.slow
def test_a_restored_backup_asks_nobody_twice_and_its_questions_go_on(world: World) -> None:
    world.start()
    open_question, question = world.ask()
    world.until_asked(open_question)
    look_up = world.slack.hold("users.lookupByEmail")
    asked_since = world.send(user="grace@example.com")
    unknown_to_all = world.send(user="nobody@example.com")
    look_up.wait_until_reached()
    world.until_taken()
    copy = _backed_up(world, "copy.db")
    assert world.known_row(asked_since)["state"] == "accepted"
    world.slack.faults.heal()
    world.until_asked(asked_since)
    world.reports(unknown_to_all)

    _restore(world, copy)
    refused = world.worker.command("run")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (78, 1)
    assert "it is a backup" in refused.stderr
    assert "run --restored" in refused.stderr
    world.start("--restored")

    click = world.slack.press(question, "no")
    assert click.acknowledged
    assert world.status(open_question) == "escalated"
    found = world.until_asked(asked_since)
    assert len(world.slack.questions(asked_since)) == 1
    assert (found["outcome"], found["reports"]) == (None, [])
    assert world.slack.press(world.slack.question(asked_since), "yes").acknowledged
    assert world.status(asked_since) == "acknowledged"
    # What had not been reported by then is reported again, byte-identical or not: it is the same outcome.
    assert world.status(unknown_to_all, 2) == "manual"
    world.worker.until_logged("store.restored")


def _backed_up(world: World, name: str) -> Path:
    done = world.worker.command("backup", name)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    return world.worker.folder / name


def _restore(world: World, copy: Path) -> None:
    """Put a backup in the store's place as docs/operate.md says it, made to look older than a deadline."""
    assert world.worker.stop() == 0
    store = world.worker.folder / "triage-bot.db"
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    shutil.copy(copy, store)
    with closing(sqlite3.connect(store)) as connection:
        for column in ("accepted_at", "deadline", "claimed_at", "asked_at"):
            connection.execute(
                f"UPDATE question SET {column} = {column} - ?", (AGE // timedelta(microseconds=1),)
            )
        connection.commit()


def _facts(copy: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


class Clicking:
    """Clicks on one question after another, in the background, until it is left or all are clicked."""

    def __init__(self, world: World, questions: Sequence[Message]) -> None:
        self._world = world
        self._questions = questions
        self._clicks: list[Click] = []
        self._thread = threading.Thread(target=self._click)

    def __enter__(self) -> list[Click]:
        self._thread.start()
        until(lambda: self._clicks, what="the first click")
        return self._clicks

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _click(self) -> None:
        for question in self._questions:
            self._clicks.append(self._world.slack.press(question, "no"))
