"""Opening a table: what keeps a worker from beginning, and what does not."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import pytest
from dynamodb_replies import UNREACHED, Unreliable
from fakes import NOON, ToldClock
from local_dynamodb import KEEP, REGION, connection, create_table, dynamodb, endpoint
from store_files import fill

from bot.errors import ConfigError, StartRefused, StoreError, StoreUnusable
from bot.store.address import Address, parse_address
from bot.store.dynamodb.opening import open_table, recognise, require_usable
from bot.store.dynamodb.past import restored_at
from bot.store.dynamodb.store import DynamoStore
from bot.store.dynamodb.table import Table
from bot.store.migration.migrate import migrate_store


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


# Only the table that the rows were written to

PAST = {"pk": {"S": "past"}, "sk": {"S": "past"}}


async def open_once(name: str, *, restored: bool = False, read_only: bool = False) -> DynamoStore:
    store = await open_table(
        parse_address(f"dynamodb://{name}?region={REGION}"), restored=restored, read_only=read_only
    )
    await store.close()
    return store


def recover(source: str, target: str) -> None:
    """Copy into a new table what tells the old one, as point-in-time recovery copies everything."""
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
async def test_a_table_that_was_made_anew_under_its_name_is_another_one() -> None:
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
        store = DynamoStore(table, clock=ToldClock(lambda: NOON), recognise=partial(recognise, table))

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
