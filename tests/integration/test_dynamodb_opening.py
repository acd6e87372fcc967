"""Opening a table: what keeps a worker from beginning, and what does not."""

from __future__ import annotations

from random import Random

import pytest
from dynamodb_replies import UNREACHED, Unreliable
from local_dynamodb import REGION, connection, create_table, endpoint

from bot.errors import ConfigError, StartRefused, StoreError
from bot.store.address import Address, parse_address
from bot.store.dynamodb.opening import open_table, require_usable
from bot.store.dynamodb.table import Table


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
