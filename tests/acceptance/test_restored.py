"""A backup is put in place of a store that had gone on: nobody is asked twice, and no answer is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from world import World, alert, until
from world.slack_views import open_home

from bot.sandbox.fake_slack.workspace import Message

KATHERINE, ALAN = "U0KATHER003", "U0ALANTU004"

#: Puts the store back as it was when this was made, with the worker stopped.
Restore = Callable[[], None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "table"])
def test_what_a_restored_store_does_not_know_is_read_in_slack(
    kind: str, create_world: Callable[..., World], request: pytest.FixtureRequest
) -> None:
    table = request.getfixturevalue("create_table")() if kind == "table" else ""
    endpoint = request.getfixturevalue("sqs_endpoint")
    store = {"STORE_URL": table, "AWS_ENDPOINT_URL_DYNAMODB": endpoint} if table else {}
    world = create_world(**store)
    world.start()
    answered = world.send()
    question = _asked(world, answered)
    restore = _back_up(world, request, table)

    # What the backup does not know.
    assert world.slack.press(question, "no").acknowledged
    assert world.status(answered) == "escalated"
    until(lambda: _shows(world.slack.question(answered)) == "1:no:no", what="the answer is drawn")
    repeated = json.dumps(alert(user="grace@example.com"))
    world.send_body(repeated)
    again = str(json.loads(repeated)["identifier"])
    lost, lost_in_home = world.send(user="katherine@example.com"), world.send(user="alan@example.com")
    for identifier in (again, lost, lost_in_home):
        _asked(world, identifier)
    open_home(world.slack, ALAN)
    world.until_taken()

    assert world.worker.stop() == 0
    restore()
    world.start("--restored")
    world.send_body(repeated)

    # A click on what is lost is an answer at once.
    assert world.slack.press(world.slack.question(lost), "no").acknowledged
    assert world.status(lost) == "escalated"
    assert "closed" not in " ".join(world.slack.told(KATHERINE))
    # The person's answer is taken over from the message, and reported again.
    until(lambda: _row(world, answered)["outcome"] == "no", what="the answer is read")
    assert world.status(answered, 2) == "escalated"
    assert _outcomes(world, answered, 2) == ["no", "no"]
    # A milder word afterwards is a note.
    assert world.slack.press(question, "yes").acknowledged
    assert world.status(answered, 3) == "escalated"
    # Who was asked is not asked again when the request is delivered again.
    _asked(world, again)
    assert len(world.slack.questions(again)) == 1
    assert world.slack.press(world.slack.question(again), "yes").acknowledged
    assert world.status(again) == "acknowledged"
    # In the Home, too.
    assert world.slack.press(world.slack.question(lost_in_home), "no", via="home").acknowledged
    assert world.status(lost_in_home) == "escalated"
    assert len(world.slack.all_questions()) == 4


@pytest.mark.parametrize("granted", [False, True])
def test_a_restored_store_needs_the_scope_to_read_what_it_does_not_know(
    create_world: Callable[..., World],
    granted: bool,  # noqa: FBT001 - of a table
) -> None:
    world = create_world()
    if granted:
        world.start("--restored")
        world.worker.until_logged("store.restored")
        return
    world.slack.without_scope("im:history")

    world.worker.start("--restored")

    assert world.worker.exit_code() == 1
    assert "add it to the app's bot scopes" in world.worker.log
    assert "store.restored" not in world.worker.log


def _asked(world: World, identifier: str) -> Message:
    question = world.slack.question(identifier)
    until(lambda: _row(world, identifier)["state"] == "asked", what=f"{identifier} is known to be asked")
    return question


def _row(world: World, identifier: str) -> Mapping[str, Any]:
    view: Mapping[str, Any] = json.loads(world.worker.command("show", identifier, "--json").stdout or "{}")
    return {"state": None, **view}


def _shows(message: Message) -> str:
    """Return the sequence, the standing and the last choice that a question's message names."""
    ids = [str(block["block_id"]) for block in message.blocks]
    [shown] = [each for each in ids if each.startswith("shows:")]
    return ":".join(shown.split(":")[1:4])


def _outcomes(world: World, identifier: str, count: int) -> list[Any]:
    return [one.details["triagebot"]["outcome"] for one in world.reports(identifier, count)]


def _back_up(world: World, request: pytest.FixtureRequest, table: str) -> Restore:
    if table:
        return _back_up_table(world, request, table)
    copy = world.worker.folder / "copy.db"
    assert world.worker.command("backup", copy.name).returncode == 0

    def restore() -> None:
        store: Path = world.worker.folder / "triage-bot.db"
        shutil.copy(copy, store)

    return restore


def _back_up_table(world: World, request: pytest.FixtureRequest, table: str) -> Restore:
    """Keep the table's items, as point-in-time recovery does, to put them into a new table."""
    session: boto3.Session = request.getfixturevalue("aws_session")
    client = session.client("dynamodb", endpoint_url=request.getfixturevalue("sqs_endpoint"))
    items = client.scan(TableName=table.removeprefix("dynamodb://"), ConsistentRead=True)["Items"]

    def restore() -> None:
        new = request.getfixturevalue("create_table")()
        for item in items:
            client.put_item(TableName=new.removeprefix("dynamodb://"), Item=item)
        world.worker.environment["STORE_URL"] = new

    return restore
