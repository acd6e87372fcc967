"""From SQLite to DynamoDB: open questions continue, and a migration may die at any point."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from wording import WORDING
from world import World, until

from bot.cli.parser import main
from bot.clock import utc_now
from bot.store import open_store
from bot.triage import asking_rules
from bot.triage.model import Change, Confidence, TriageRequest
from bot.triage.policy import Policy

#: How long a report waits for MozDef here: one that was written just before the move goes after it.
HOLD_SECONDS = 20

#: Rows that take the local DynamoDB a few seconds.
MANY = 300


@pytest.fixture
def world(create_world: Callable[..., World], sqs_endpoint: str) -> World:
    return create_world(AWS_ENDPOINT_URL_DYNAMODB=sqs_endpoint)


def migration(table: str) -> Sequence[str]:
    return ("migrate", "--from", "sqlite:///triage-bot.db", "--to", table)


def shown(world: World, identifier: str) -> Mapping[str, Any]:
    view: Mapping[str, Any] = json.loads(world.worker.command("show", identifier, "--json").stdout)
    return view


def start_on(world: World, table: str) -> None:
    world.worker.environment["STORE_URL"] = table
    world.worker.start()
    until(lambda: world.worker.log.count("worker.started") == 2, what="the worker runs on the table")
    world.slack.until_linked()


@pytest.mark.slow
def test_what_was_asked_before_the_move_is_answered_after_it_and_reported_once(
    world: World, create_table: Callable[[], str]
) -> None:
    table = create_table()
    world.worker.environment["MOZDEF_SYNC_SECONDS"] = str(HOLD_SECONDS)
    world.start()
    asked, answered = world.send(), world.send(user="grace@example.com")
    world.until_asked(asked)
    world.until_asked(answered)
    assert world.slack.press(world.slack.question(answered), "no").acknowledged
    hold = world.slack.hold("chat.postMessage", after_work=True)
    in_doubt = world.send(user="katherine@example.com")
    hold.wait_until_reached()
    world.worker.kill()
    world.slack.forget_held()
    hold.release()
    before = [shown(world, identifier) for identifier in (asked, answered, in_doubt)]
    assert before[2]["state"] == "posting"

    moved = world.worker.command(*migration(table))

    assert (moved.returncode, "DIFFERENT" in moved.stdout) == (0, False), moved.stderr
    assert f"Everything matches. Set STORE_URL={table}" in moved.stdout
    assert "3 of 3 questions copied" in moved.stderr
    start_on(world, table)
    assert world.slack.press(world.slack.question(asked), "yes").acknowledged
    assert world.slack.redrawn(asked, WORDING["answer"]["yes"])
    world.worker.until_logged("question.asked", in_doubt)
    assert world.slack.press(world.slack.question(in_doubt), "wrongUser").acknowledged
    assert world.status(asked) == "acknowledged"
    assert world.status(answered) == "escalated"
    assert world.status(in_doubt) == "manual"
    for identifier in (asked, answered, in_doubt):
        assert len(world.slack.questions(identifier)) == 1
        assert len(world.reports(identifier)) == 1
    assert world.worker.stop() == 0


@pytest.mark.slow
def test_a_second_run_after_the_worker_has_used_the_table_changes_nothing(
    world: World, create_table: Callable[[], str]
) -> None:
    table = create_table()
    world.start()
    identifier = world.send()
    world.until_asked(identifier)
    assert world.worker.stop() == 0
    assert world.worker.command(*migration(table)).returncode == 0
    start_on(world, table)
    assert world.slack.press(world.slack.question(identifier), "no").acknowledged

    again = world.worker.command(*migration(table))

    assert again.returncode == 1
    assert again.stderr.startswith("triage-bot: error: a worker has used the table")
    assert identifier in again.stderr
    assert world.status(identifier) == "escalated"


@pytest.mark.slow
def test_a_worker_that_runs_holds_the_file_and_goes_on(world: World, create_table: Callable[[], str]) -> None:
    table = create_table()
    world.start()

    refused = world.worker.command(*migration(table))

    assert refused.returncode == 1
    assert "is held by another process; stop it first" in refused.stderr
    identifier = world.send()
    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged


REFUSED = {
    ("sqlite:///missing.db", "dynamodb://questions"): (78, "there is no store at"),
    ("sqlite:///triage-bot.db", "dynamodb://questions"): (1, "there is no table questions"),
    ("sqlite:///triage-bot.db", "sqlite:///triage-bot.db"): (2, "only SQLite to DynamoDB is supported"),
    ("dynamodb://questions", "dynamodb://questions"): (2, "only SQLite to DynamoDB is supported"),
    ("dynamodb://questions", "sqlite:///triage-bot.db"): (2, "only SQLite to DynamoDB is supported"),
    ("triage-bot.db", "dynamodb://questions"): (2, "--from expects sqlite:///…, not"),
    ("sqlite:///triage-bot.db", "postgres://questions"): (2, "--to expects dynamodb://…, not"),
    ("sqlite:///triage-bot.db", "dynamodb://q"): (2, "--to expects dynamodb://TABLE, with 3 to 255 letters"),
}


@pytest.mark.usefixtures("in_aws_environment")
@pytest.mark.parametrize("urls", REFUSED)
def test_what_cannot_be_moved_is_refused_in_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sqs_endpoint: str,
    urls: tuple[str, str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", sqs_endpoint)
    monkeypatch.chdir(tmp_path)
    asyncio.run(_fill(tmp_path / "triage-bot.db", 1))
    code, words = REFUSED[urls]

    try:
        ended: object = main(["migrate", "--from", urls[0], "--to", urls[1]])
    except SystemExit as error:
        ended = error.code

    assert ended == code
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_migration_that_is_killed_in_the_middle_goes_on_and_no_worker_begins_on_half_of_it(
    world: World, create_table: Callable[[], str]
) -> None:
    table = create_table()
    asyncio.run(_fill(world.worker.folder / "triage-bot.db", MANY))
    _kill_in_the_middle(world, migration(table))
    world.worker.environment["STORE_URL"] = table

    early = world.worker.command("run")
    moved = world.worker.command(*migration(table))
    once_more = json.loads(world.worker.command(*migration(table), "--json").stdout)
    listed = json.loads(world.worker.command("list", "--json", "--limit", str(2 * MANY)).stdout)

    assert early.returncode == 1
    assert "is an unfinished copy of" in early.stderr
    assert moved.returncode == 0, moved.stderr
    assert "questions of an earlier run: resuming from there" in moved.stderr
    assert f"{MANY:,} of {MANY:,} questions copied" in moved.stderr
    rows = {one["kind"]: (one["file"]["rows"], one["table"]["rows"], one["equal"]) for one in once_more}
    assert rows["questions accepted"] == (MANY, MANY, True)
    assert sorted(one["identifier"] for one in listed) == sorted(f"alert-{number}" for number in range(MANY))


def _kill_in_the_middle(world: World, arguments: Sequence[str]) -> None:
    """Run a migration until it says that a first part is copied."""
    process = subprocess.Popen(  # noqa: S603 - the program under test
        [sys.executable, "-P", "-m", "bot", *arguments],
        cwd=world.worker.folder,
        env=world.worker.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("questions copied" in line for line in lines)
        process.kill()
    assert process.returncode < 0


async def _fill(path: Path, count: int) -> None:
    """Make a store with this many alerts that nobody was asked about yet."""
    store = await open_store(f"sqlite:///{path}", create=True)
    now = utc_now()
    for number in range(count):
        request = TriageRequest(
            identifier=f"alert-{number}",
            alert="sensitive_host_session",
            summary="A session was opened on a sensitive host.",
            user="ada@example.com",
            confidence=Confidence.LOW,
        )
        ref = asking_rules.new_ref(request.identifier, uuid4().hex)
        step = asking_rules.accept(request, ref, now - timedelta(seconds=number), Policy())
        await store.add([Change(question=step.question)])
    await store.close()
