"""A table: what keeps a worker from beginning on it, and lost replies, refusals and too much to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dynamodb_replies import LOST, UNREACHED, Unreliable
from fakes import NOON, ToldClock, a_request
from local_dynamodb import KEEP, REGION, connection, create_table, dynamodb, endpoint, store_in
from store_files import fill

from bot.errors import ConfigError, StartRefused, StoreError, StoreUnusable
from bot.store.address import Address, parse_address
from bot.store.dynamodb.opening import open_table, require_usable, verify_identity
from bot.store.dynamodb.past import restored_at
from bot.store.dynamodb.store import DynamoStore
from bot.store.dynamodb.table import Retries, Table
from bot.store.migration.migrate import migrate_store
from bot.triage.asking_rules import new_ref
from bot.triage.model import Change, OutboxRow, Question, Work


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead boto3's own chain to the local DynamoDB, and to no region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint())


def unreliable_table(name: str, **plan: list[str]) -> Table:
    caller = Unreliable(connection(name))
    caller.plan = plan
    return Table(name, caller, random=Random(0))


@pytest.mark.usefixtures("aws")
async def test_a_table_is_opened_where_its_url_says() -> None:
    store = await open_table(parse_address(f"dynamodb://{create_table()}?region={REGION}"))

    await store.probe()

    await store.close()


@pytest.mark.usefixtures("aws")
async def test_a_table_without_a_region_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigError, match="AWS_REGION"):
        await open_table(parse_address("dynamodb://questions"))


async def test_a_table_that_is_not_there_refuses_the_start_and_says_where_to_get_one() -> None:
    with pytest.raises(StartRefused, match="there is no table missing"):
        await require_usable(Table("missing", connection("missing"), random=Random(0)))


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("AccessDeniedException", "grant this worker dynamodb:DescribeTable"),
        ("UnrecognizedClientException", "AWS does not accept the credentials"),
    ],
)
async def test_what_somebody_must_mend_refuses_the_start(code: str, sentence: str) -> None:
    with pytest.raises(StartRefused, match=sentence):
        await require_usable(unreliable_table(create_table(), describe_table=[code]))


async def test_a_table_of_another_program_refuses_the_start() -> None:
    name = create_table(without="listed")

    with pytest.raises(StartRefused, match="the index listed is missing"):
        await require_usable(Table(name, connection(name), random=Random(0)))


async def test_a_table_that_is_out_of_reach_is_no_refusal_for_it_may_come_back() -> None:
    table = unreliable_table(create_table(), describe_table=[UNREACHED] * 99, get_item=[UNREACHED] * 6)

    await require_usable(table)

    with pytest.raises(StoreError, match="cannot be reached"):
        await table.get({"pk": "a", "sk": "b"})
    assert await table.get({"pk": "a", "sk": "b"}) is None


@pytest.mark.parametrize(
    ("url", "region", "address"),
    [
        ("dynamodb://questions", None, Address(table="questions", region=None)),
        ("dynamodb://questions", "eu-west-1", Address(table="questions", region="eu-west-1")),
        ("dynamodb://a.b-c_d?region=us-west-2", "eu-west-1", Address(table="a.b-c_d", region="us-west-2")),
    ],
)
def test_the_region_of_the_url_counts_before_that_of_the_settings(
    url: str, region: str | None, address: Address
) -> None:
    assert parse_address(url, region=region) == address


@pytest.mark.parametrize("url", ["dynamodb://", "dynamodb://ab", "dynamodb://a/b", "dynamodb://abc?x=1"])
def test_a_url_that_names_no_table_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected dynamodb://TABLE"):
        parse_address(url)


THROTTLED = "ProvisionedThroughputExceededException"


def a_question(identifier: str = "alert", **changes: Any) -> Question:
    ref = new_ref(identifier, "0123456789abcdef" * 2)
    question = Question(request=a_request(identifier), ref=ref, accepted_at=NOON, due_at=NOON)
    return replace(question, **changes)


def a_report() -> OutboxRow:
    return OutboxRow(identifier="alert", sequence=0, event_id="event", body="{}", due_at=NOON)


@asynccontextmanager
async def unreliable_store(
    *questions: Question, **plan: list[str]
) -> AsyncIterator[tuple[DynamoStore, Unreliable]]:
    """A store that has these questions, and what happens to the next calls."""
    name = create_table()
    caller = Unreliable(connection(name))
    store = store_in(name, caller=caller)
    try:
        await store.add([Change(question=each) for each in questions])
        caller.plan, caller.calls = plan, Counter()
        yield store, caller
    finally:
        await store.close()


async def test_a_request_whose_storing_was_not_confirmed_is_new_all_the_same() -> None:
    async with unreliable_store(put_item=[LOST]) as (store, _):
        assert list(await store.add([Change(question=a_question())])) == [True]
        assert list(await store.add([Change(question=a_question())])) == [False]


async def test_a_save_that_was_not_confirmed_is_known_by_what_stands_there() -> None:
    async with unreliable_store(a_question(), put_item=[LOST]) as (store, _):
        assert await store.save(Change(question=a_question(version=1, slack_id="U0ADA")))


async def test_a_save_that_another_overtook_while_its_reply_was_lost_was_not_first() -> None:
    async with unreliable_store() as (store, caller):
        await store.add([Change(question=a_question())])
        assert await store.save(Change(question=a_question(version=1, slack_id="U0EVE")))
        caller.plan["put_item"] = [UNREACHED]

        assert not await store.save(Change(question=a_question(version=1, slack_id="U0ADA")))


async def test_an_answer_whose_reply_was_lost_is_told_as_stored_and_stands_once() -> None:
    async with unreliable_store(a_question(), transact_write_items=[LOST]) as (store, _):
        assert await store.save(Change(question=a_question(version=1, reports=1), report=a_report()))

        assert list(await store.reports_of("alert")) == [a_report()]


@pytest.mark.parametrize(
    "code", [THROTTLED, "ThrottlingException", "RequestLimitExceeded", "InternalServerError"]
)
async def test_what_goes_by_is_waited_for(code: str) -> None:
    async with unreliable_store(put_item=[code, code], get_item=[code], query=[code]) as (store, _):
        assert list(await store.add([Change(question=a_question())])) == [True]
        assert await store.find("alert") == a_question()
        assert [row.ref for row in await store.list_questions(limit=1)] == [a_question().ref]


async def test_two_transactions_on_one_row_wait_for_each_other() -> None:
    conflicts = ["TransactionConflictException", "TransactionInProgressException"]
    async with unreliable_store(a_question(), transact_write_items=conflicts) as (store, _):
        assert await store.save(Change(question=a_question(version=1, reports=1), report=a_report()))


async def test_patience_with_a_table_that_is_throttled_for_good_has_an_end() -> None:
    async with unreliable_store(get_item=[THROTTLED] * 99) as (store, caller):
        with pytest.raises(StoreError, match=THROTTLED):
            await store.find("alert")

        assert caller.calls["get_item"] == Retries().attempts


async def test_what_is_denied_is_not_tried_again_and_says_what_to_allow() -> None:
    async with unreliable_store(get_item=["AccessDeniedException"]) as (store, caller):
        with pytest.raises(StoreError, match="grant this worker dynamodb:GetItem"):
            await store.find("alert")

        assert caller.calls["get_item"] == 1


async def test_one_request_of_a_batch_that_cannot_be_stored_has_its_error_in_its_place() -> None:
    async with unreliable_store() as (store, _):
        too_big = replace(a_question("big"), request=a_request("big", summary="\U0001f511" * 120_000))

        added = await store.add([Change(question=each) for each in (a_question(), too_big)])

        assert added[0] is True
        assert isinstance(added[1], StoreError)
        assert "ValidationException" in str(added[1])


async def test_rows_that_a_batch_leaves_out_are_asked_for_again() -> None:
    async with unreliable_store() as (store, caller):
        caller_call = caller.call
        halves: list[object] = []

        async def half(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
            answer = await caller_call(operation, arguments)
            if operation == "batch_get_item" and not halves:
                halves.append(answer)
                return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}
            return answer

        caller.call = half  # type: ignore[method-assign] # the one answer that no emulator gives
        await store.add([Change(question=a_question())])

        assert len(await store.list_questions(limit=5)) == 1


async def test_whoever_asks_what_is_due_is_told_that_the_table_is_away_and_works_when_it_is_back() -> None:
    async with unreliable_store(a_question(due_at=None), query=[UNREACHED] * 999) as (store, caller):
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.due(Work.ASK, NOON, limit=5)

        caller.plan.clear()
        assert list(await store.due(Work.ASK, NOON, limit=5)) == []


async def test_a_lease_that_was_lost_on_the_way_is_nobodys_until_it_ends() -> None:
    async with unreliable_store() as (store, caller):
        await store.add([Change(question=a_question())])
        later = NOON.replace(hour=13)
        caller.plan["update_item"] = [LOST]

        assert list(await store.due(Work.ASK, later, limit=5)) == []

        later = NOON.replace(hour=14)
        assert len(await store.due(Work.ASK, later, limit=5)) == 1


# Only the table that the rows were written to

PAST = {"pk": {"S": "past"}, "sk": {"S": "past"}}


async def open_once(name: str, *, restored: bool = False, read_only: bool = False) -> DynamoStore:
    store = await open_table(
        parse_address(f"dynamodb://{name}?region={REGION}"), restored=restored, read_only=read_only
    )
    await store.close()
    return store


def recover(source: str, target: str) -> None:
    """Copy into a new table what identifies the old one, as point-in-time recovery copies everything."""
    item = dynamodb().get_item(TableName=source, Key=PAST)["Item"]
    dynamodb().put_item(TableName=target, Item=item)


@pytest.mark.usefixtures("aws")
async def test_a_table_is_opened_again_and_again() -> None:
    name = create_table()

    assert [(await open_once(name)).is_known for _ in range(3)] == [True] * 3


@pytest.mark.usefixtures("aws")
async def test_a_recovered_table_is_refused_until_it_is_restored(caplog: pytest.LogCaptureFixture) -> None:
    source, target = create_table(), create_table()
    await open_once(source)
    recover(source, target)

    with pytest.raises(StoreUnusable, match=f"table/{source} of .*run --restored"):
        await open_once(target)
    assert not caplog.text
    await open_once(target, read_only=True)
    assert "is not what it was" in caplog.text

    store = await open_table(parse_address(f"dynamodb://{target}?region={REGION}"), restored=True)
    await store.reset_after_restore(NOON)
    await store.close()
    await open_once(target)
    table = Table(target, connection(target), random=Random(0))
    assert await restored_at(table) == NOON
    table.close()


@pytest.mark.usefixtures("aws")
async def test_a_table_that_was_renewed_under_its_name_is_another_one() -> None:
    name = create_table()
    await open_once(name)
    item = dynamodb().get_item(TableName=name, Key=PAST)["Item"]
    item["created"] = {"S": "2025-01-01T00:00:00+00:00"}
    dynamodb().put_item(TableName=name, Item=item)

    with pytest.raises(StoreUnusable, match="of 2025-01-01"):
        await open_once(name)


@pytest.mark.usefixtures("aws")
async def test_where_the_table_was_not_described_it_is_asked_again() -> None:
    source, target = create_table(), create_table()
    await open_once(source)
    recover(source, target)
    for name, is_same in ((source, True), (target, False)):
        caller = Unreliable(connection(name))
        caller.plan = {"describe_table": [UNREACHED] * 12}
        table = Table(name, caller, random=Random(0))
        store = DynamoStore(
            table, clock=ToldClock(lambda: NOON), verify_identity=partial(verify_identity, table)
        )

        assert [await store.confirm() for _ in range(2)] == [False, False]
        if is_same:
            assert await store.confirm()
        else:
            with pytest.raises(StoreUnusable):
                await store.confirm()
        await store.close()


@pytest.mark.usefixtures("aws")
async def test_a_table_that_was_filled_from_a_backup_is_one(tmp_path: Path) -> None:
    path, table = tmp_path / "store.db", create_table()
    await fill(path)
    path.with_name("store.db.head").unlink()
    urls = (f"sqlite:///{path}", f"dynamodb://{table}?region={REGION}")

    with pytest.raises(StoreUnusable, match="missing"):
        await migrate_store(*urls, region=None, keep=KEEP, tell=print)
    result = await migrate_store(*urls, region=None, keep=KEEP, tell=print, restored=True)

    assert result.differs is None
    with pytest.raises(StoreUnusable, match="from a backup"):
        await open_once(table)
