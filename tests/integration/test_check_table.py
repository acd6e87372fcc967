"""What `check` says of a table, and how it says to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

import pytest
from botocore import xform_name
from dynamodb_replies import UNREACHED, Unreliable
from local_dynamodb import MOTO, REGION
from local_dynamodb import connection as connection_to
from local_dynamodb import create_table as create_table_of
from local_dynamodb import dynamodb as dynamodb_of

from bot.cli.checks.dynamodb import (
    COPY,
    ENCRYPTION,
    EXPIRY,
    PAST,
    PERMISSIONS,
    RECOVERY,
    SUBJECT,
    check_table,
)
from bot.cli.checks.findings import CheckStatus, Finding
from bot.store.address import Address
from bot.store.dynamodb.opening import mark_finished, mark_unfinished
from bot.store.dynamodb.past import mark_as_backup
from bot.store.dynamodb.schema import table_description
from bot.store.dynamodb.table import Table

# The table in memory has neither time to live nor recovery.
dynamodb = partial(dynamodb_of, MOTO)
create_table = partial(create_table_of, program=MOTO)
connection = partial(connection_to, program=MOTO)


async def look(name: str, **plan: list[str]) -> Mapping[str, Finding]:
    caller = Unreliable(connection(name))
    caller.plan = plan
    findings = await check_table(Address(table=name, region=REGION), caller=caller)
    return {finding.subject: finding for finding in findings}


def kept_table(**changes: Any) -> str:
    """Create a table as the template makes it, but for what the test changes."""
    name = create_table(**changes)
    expiry = {"Enabled": True, "AttributeName": "x"}
    dynamodb().update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    recovery = {"PointInTimeRecoveryEnabled": True}
    dynamodb().update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    return name


async def test_a_table_as_the_template_makes_it_is_sound_and_looking_leaves_nothing_in_it() -> None:
    name = kept_table()

    findings = await look(name)

    assert dynamodb().scan(TableName=name)["Items"] == []
    assert [*findings] == [SUBJECT, PERMISSIONS, EXPIRY, RECOVERY, ENCRYPTION]
    assert {finding.status for finding in findings.values()} == {CheckStatus.OK}
    assert findings[SUBJECT].facts["ARN"].startswith("arn:aws:dynamodb:us-west-2:")
    assert "on demand" in findings[SUBJECT].detail


async def test_half_of_a_copy_is_to_be_completed_first() -> None:
    name = kept_table()
    table = Table(name, connection(name), random=Random(2026), shown=f"{name} in {REGION}")
    await mark_unfinished(table, "/var/lib/triage-bot/triage-bot.db")

    found = (await look(name))[COPY]
    await mark_finished(table)

    assert found.status is CheckStatus.FAILED
    assert found.detail == f"{name} in {REGION} is an unfinished copy of /var/lib/triage-bot/triage-bot.db"
    assert found.remedy == "run `triage-bot migrate` again until it says that everything matches"
    assert COPY not in await look(name)


async def test_a_table_that_was_filled_from_a_backup_is_to_be_restored() -> None:
    name = kept_table()
    table = Table(name, connection(name), random=Random(2026))
    assert PAST not in await look(name)
    await mark_as_backup(table)

    found = (await look(name))[PAST]

    assert found.status is CheckStatus.FAILED
    assert found.detail.startswith(f"{name} in {REGION} is not what it was: it was copied from a backup")
    assert (
        found.remedy
        == "stop all workers, and start one with `triage-bot run --restored`: see docs/operate.md"
    )


async def test_a_table_that_is_not_there_is_to_be_created() -> None:
    findings = await look("missing")

    assert findings[SUBJECT].status is CheckStatus.FAILED
    assert findings[SUBJECT].remedy == (
        "create it (config/cloudformation.yaml with CreateTable=true), or correct STORE_URL;"
        f" `aws dynamodb list-tables --region {REGION}` lists those that exist"
    )


async def test_a_table_without_an_index_names_it() -> None:
    findings = await look(kept_table(without="deadline"))

    assert findings[SUBJECT].status is CheckStatus.FAILED
    assert "the index deadline is missing" in findings[SUBJECT].detail
    assert findings[SUBJECT].remedy == (
        "create another table (config/cloudformation.yaml with CreateTable=true) and name it in STORE_URL,"
        " or add what is missing"
    )
    assert findings[PERMISSIONS].status is CheckStatus.SKIPPED


def without_projections() -> list[dict[str, Any]]:
    projection = {"Projection": {"ProjectionType": "KEYS_ONLY"}}
    return [{**one, **projection} for one in table_description("x")["GlobalSecondaryIndexes"]]


OTHER_KEYS = [{"AttributeName": "w", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"GlobalSecondaryIndexes": without_projections()}, "the index due does not hold d"),
        ({"KeySchema": OTHER_KEYS}, "its keys are w, sk, not pk, sk"),
    ],
)
async def test_what_the_table_lacks_is_named(changes: dict[str, Any], detail: str) -> None:
    assert detail in (await look(kept_table(**changes)))[SUBJECT].detail


async def test_provisioned_throughput_is_a_warning_for_a_flood_is_throttled() -> None:
    few = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    indexes = [
        {**one, "ProvisionedThroughput": few} for one in table_description("x")["GlobalSecondaryIndexes"]
    ]
    name = kept_table(BillingMode="PROVISIONED", ProvisionedThroughput=few, GlobalSecondaryIndexes=indexes)

    findings = await look(name)

    assert findings[SUBJECT].status is CheckStatus.WARNING
    assert "with provisioned throughput: a flood of alerts will be throttled" in findings[SUBJECT].detail
    assert "PAY_PER_REQUEST" in findings[SUBJECT].remedy


async def test_without_expiry_or_recovery_the_command_to_switch_it_on_is_given() -> None:
    name = create_table()

    findings = await look(name)

    assert findings[EXPIRY].status is findings[RECOVERY].status is CheckStatus.WARNING
    assert findings[EXPIRY].detail == "off: the workers delete what was kept long enough, which costs writes"
    assert findings[EXPIRY].remedy == (
        f"aws dynamodb update-time-to-live --table-name {name}"
        " --time-to-live-specification Enabled=true,AttributeName=x"
    )
    assert findings[RECOVERY].detail == "off: anything that is deleted from the table is lost"
    assert findings[RECOVERY].remedy == (
        f"aws dynamodb update-continuous-backups --table-name {name}"
        " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
    )


@pytest.mark.parametrize(
    "named", ["GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem"]
)
async def test_what_is_denied_is_named(named: str) -> None:
    findings = await look(kept_table(), **{xform_name(named): ["AccessDeniedException"]})

    assert findings[PERMISSIONS].status is CheckStatus.FAILED
    assert findings[PERMISSIONS].detail == f"denied: dynamodb:{named}"
    assert "WorkerTablePolicy" in findings[PERMISSIONS].remedy


async def test_an_index_that_may_not_be_read_is_named() -> None:
    findings = await look(kept_table(), query=["", "", "AccessDeniedException"])

    assert findings[PERMISSIONS].detail == "denied: dynamodb:Query on the index deadline"


@pytest.mark.parametrize(
    ("refusal", "action", "where"),
    [
        ("AccessDeniedException", "dynamodb:DescribeTable", " on it"),
        ("AccessDenied in assume_role", "sts:AssumeRole", ""),
    ],
)
async def test_whoever_may_not_even_describe_the_table_is_told_so(
    refusal: str, action: str, where: str
) -> None:
    findings = await look(kept_table(), describe_table=[refusal])

    assert findings[SUBJECT].status is CheckStatus.FAILED
    assert findings[SUBJECT].remedy == f"grant the worker's role {action}{where}"


async def test_what_may_not_be_described_is_unknown_and_no_failure() -> None:
    denied = ["AccessDeniedException"]
    findings = await look(
        kept_table(), describe_time_to_live=denied, describe_continuous_backups=list(denied)
    )

    assert {findings[EXPIRY].status, findings[RECOVERY].status} == {CheckStatus.WARNING}
    reason = findings[EXPIRY].detail.partition(": ")[2]
    assert findings[EXPIRY].detail == f"cannot be determined: {reason}"
    assert "AccessDenied" in reason
    assert findings[EXPIRY].remedy == "grant it to the worker's role"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (
            "KMSAccessDeniedException",
            "grant this worker kms:Decrypt, kms:Encrypt, kms:ReEncrypt*, kms:GenerateDataKey*",
        ),
        ("KMSInvalidStateException", "enable that key again, or choose another one"),
    ],
)
@pytest.mark.parametrize("operation", ["describe_table", "get_item"])
async def test_what_kms_refuses_has_a_remedy_of_its_own(operation: str, code: str, remedy: str) -> None:
    findings = await look(kept_table(), **{operation: [code]})

    assert findings[SUBJECT].status is CheckStatus.FAILED
    assert findings[SUBJECT].detail.startswith("KMS refuses the key of the table")
    assert findings[SUBJECT].remedy.startswith(remedy)


async def test_credentials_that_are_refused_are_to_be_renewed_and_the_way_to_be_checked() -> None:
    refused = await look(kept_table(), describe_table=["UnrecognizedClientException"])
    away = await look(kept_table(), describe_table=[UNREACHED] * 9)

    assert "renew them" in refused[SUBJECT].remedy
    assert away[SUBJECT].status is CheckStatus.FAILED
    assert away[SUBJECT].remedy == (
        "check the region, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; AWS_ENDPOINT_URL_DYNAMODB"
        " if DynamoDB has another endpoint; AWS_CA_BUNDLE if a proxy intercepts TLS)"
    )


async def test_a_profile_that_does_not_exist_and_missing_credentials_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    profile, *_ = await check_table(Address(table="any", region=REGION))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    credentials, *_ = await check_table(Address(table="any", region=REGION))

    assert profile.status is credentials.status is CheckStatus.FAILED
    assert "nobody" in profile.detail
    assert profile.remedy == "correct STORE_URL, AWS_REGION, AWS_PROFILE or AWS_ENDPOINT_URL_DYNAMODB"
    assert credentials.remedy == (
        "provide an instance profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
        " settings file"
    )
