"""Checks the DynamoDB table of a store. Creates and changes nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.errors import BAD_CREDENTIALS, DENIED, NO_CREDENTIALS, action_of, code_of, is_of_kms, kms_remedy
from bot.cli.checks.findings import Finding, Verdict, skipped_finding
from bot.errors import ConfigError, StoreError
from bot.store.dynamodb import schema
from bot.store.dynamodb.connection import Connection
from bot.store.dynamodb.copy_marker import find_unfinished_copy
from bot.store.dynamodb.errors import MISSING_TABLE, RIGHTS_WITH_KEY
from bot.store.dynamodb.permissions import denied_actions
from bot.store.dynamodb.schema import find_faults
from bot.store.dynamodb.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.store.address import Address
    from bot.store.dynamodb.table import Caller

SUBJECT = "store"
COPY = "store's copy"
EXPIRY = "store's expiry"
RECOVERY = "store's recovery"
ENCRYPTION = "store's encryption"
PERMISSIONS = "store permissions"

_TEMPLATE = "config/cloudformation.yaml with CreateTable=true"


async def check_table(address: Address, *, caller: Caller | None = None) -> Sequence[Finding]:
    """Judge the table, its settings, and the permissions that the worker has on it. Raises nothing."""
    try:
        table = Table(
            address.table, caller or Connection(address), random=random.Random(), shown=address.shown
        )
    except ConfigError as error:
        remedy = "correct STORE_URL, AWS_REGION, AWS_PROFILE or AWS_ENDPOINT_URL_DYNAMODB"
        return [_finding(SUBJECT, Verdict.FAILED, str(error), remedy)]
    try:
        return await _inspect(table)
    except StoreError as error:
        return [_explain_failure(table, error)]
    finally:
        table.close()


async def _inspect(table: Table) -> Sequence[Finding]:
    described = (await table.call("describe_table"))["Table"]
    faults = find_faults(described)
    if faults:
        remedy = f"create another table ({_TEMPLATE}) and name it in STORE_URL, or add what is missing"
        return [
            _finding(SUBJECT, Verdict.FAILED, f"{table.shown}: {'; '.join(faults)}", remedy),
            skipped_finding(PERMISSIONS, [f"the {SUBJECT}"]),
        ]
    return [
        _describe(table, described),
        await _check_permissions(table),
        *await _check_unfinished_copy(table),
        await _check_expiry(table),
        await _check_recovery(table),
        _check_encryption(described),
    ]


def _describe(table: Table, described: Mapping[str, Any]) -> Finding:
    mode = described.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    facts = {"ARN": str(described["TableArn"])}
    which = f"the table {table.shown}, about {described.get('ItemCount', 0):,} items"
    if mode == "PAY_PER_REQUEST":
        return Finding(subject=SUBJECT, verdict=Verdict.OK, detail=f"{which}, on demand", facts=facts)
    return Finding(
        subject=SUBJECT,
        verdict=Verdict.WARNING,
        detail=f"{which}, with provisioned throughput: a flood of alerts will be throttled",
        remedy=f"aws dynamodb update-table --table-name {table.name} --billing-mode PAY_PER_REQUEST",
        facts=facts,
    )


async def _check_permissions(table: Table) -> Finding:
    denied = await denied_actions(table)
    if denied:
        return _finding(
            PERMISSIONS,
            Verdict.FAILED,
            f"denied: {', '.join(denied)}",
            f"grant them to the worker's role on {table.name} and its indexes; see WorkerTablePolicy in"
            " config/cloudformation.yaml",
        )
    return _finding(
        PERMISSIONS, Verdict.OK, "every action that the worker needs was tried, and none is denied"
    )


async def _check_unfinished_copy(table: Table) -> Sequence[Finding]:
    """Report an unfinished copy, on which no worker starts; nothing if there is none."""
    try:
        source = await find_unfinished_copy(table)
    except StoreError:
        return []  # reported with the permissions
    if source is None:
        return []
    remedy = "run `triage-bot migrate` again until it says that everything matches"
    return [_finding(COPY, Verdict.FAILED, f"{table.shown} is an unfinished copy of {source}", remedy)]


async def _check_expiry(table: Table) -> Finding:
    try:
        answer = await table.call("describe_time_to_live")
    except StoreError as error:
        return _unknown_finding(EXPIRY, error)
    described = answer["TimeToLiveDescription"]
    enabled = described.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    if enabled and described.get("AttributeName") == schema.EXPIRES:
        return _finding(EXPIRY, Verdict.OK, "DynamoDB deletes what was kept long enough")
    setting = f"Enabled=true,AttributeName={schema.EXPIRES}"
    return _finding(
        EXPIRY,
        Verdict.WARNING,
        "off: the workers delete what was kept long enough, which costs writes",
        f"aws dynamodb update-time-to-live --table-name {table.name} --time-to-live-specification {setting}",
    )


async def _check_recovery(table: Table) -> Finding:
    try:
        answer = await table.call("describe_continuous_backups")
    except StoreError as error:
        return _unknown_finding(RECOVERY, error)
    recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
        return _finding(RECOVERY, Verdict.OK, "point-in-time recovery is on")
    return _finding(
        RECOVERY,
        Verdict.WARNING,
        "off: anything that is deleted from the table is lost",
        f"aws dynamodb update-continuous-backups --table-name {table.name}"
        " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
    )


def _check_encryption(described: Mapping[str, Any]) -> Finding:
    # DynamoDB encrypts every table; what differs is whose key it uses, and so who can audit its use.
    key = described.get("SSEDescription", {}).get("KMSMasterKeyArn", "")
    whose = f"the key {key}" if key else "a key that AWS owns"
    return _finding(ENCRYPTION, Verdict.OK, f"at rest, with {whose}")


def _unknown_finding(subject: str, error: StoreError) -> Finding:
    return _finding(
        subject, Verdict.WARNING, f"cannot be determined: {error}", "grant it to the worker's role"
    )


def _explain_failure(table: Table, error: StoreError) -> Finding:
    remedy = "try again in a minute; for outages see https://health.aws.amazon.com/health/status"
    match error.__cause__:
        case ClientError() as cause if code_of(cause) == MISSING_TABLE:
            region = f" --region {table.shown.rpartition(' in ')[2]}" if " in " in table.shown else ""
            remedy = (
                f"create it ({_TEMPLATE}), or correct STORE_URL; `aws dynamodb list-tables{region}` lists"
                " those that exist"
            )
        case ClientError() as cause if is_of_kms(code_of(cause)):
            remedy = kms_remedy(code_of(cause), RIGHTS_WITH_KEY)
        case ClientError() as cause if code_of(cause) in DENIED:
            action = action_of(cause, "dynamodb")
            on_table = " on it" if action.startswith("dynamodb:") else ""
            remedy = f"grant the worker's role {action}{on_table}"
        case ClientError() as cause if code_of(cause) in BAD_CREDENTIALS:
            remedy = "renew the credentials: an instance profile, AWS_PROFILE, or keys in .env"
        case BotoCoreError() as cause if isinstance(cause, NO_CREDENTIALS):
            remedy = "provide an instance profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret in .env"
        case BotoCoreError():
            remedy = (
                "check the region, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; AWS_ENDPOINT_URL_DYNAMODB"
                " if DynamoDB has another endpoint)"
            )
    return _finding(SUBJECT, Verdict.FAILED, str(error).partition(": ")[0], remedy)


def _finding(subject: str, verdict: Verdict, detail: str, remedy: str = "") -> Finding:
    return Finding(subject=subject, verdict=verdict, detail=detail, remedy=remedy)
