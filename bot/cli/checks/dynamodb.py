"""Checks the DynamoDB table of a store. Creates and changes nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from bot.aws.errors import DENIED, action_of, code_of
from bot.cli.checks.findings import RETRY_LATER, Finding
from bot.errors import ConfigError, StoreError
from bot.store.address import Address
from bot.store.dynamodb import schema
from bot.store.dynamodb.opening import find_unfinished_copy
from bot.store.dynamodb.past import TableIdentity, TablePast
from bot.store.dynamodb.permissions import denied_actions
from bot.store.dynamodb.schema import find_faults
from bot.store.dynamodb.table import Caller, Connection, Table

SUBJECT = "store"
COPY = "store's copy"
PAST = "store's past"
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
        return [Finding.failed(SUBJECT, str(error), remedy)]
    try:
        return await _inspect(table)
    except StoreError as error:
        return [_explain_failure(error)]
    finally:
        table.close()


async def _inspect(table: Table) -> Sequence[Finding]:
    described = (await table.call("describe_table"))["Table"]
    faults = find_faults(described)
    if faults:
        remedy = f"create another table ({_TEMPLATE}) and name it in STORE_URL, or add what is missing"
        wrong = Finding.failed(SUBJECT, f"{table.shown}: {'; '.join(faults)}", remedy)
        return [wrong, Finding.skipped(PERMISSIONS, f"the {SUBJECT}")]
    return [
        _describe(table, described),
        await _check_permissions(table),
        *await _check_unfinished_copy(table),
        *await _check_past(table, described),
        await _check_expiry(table),
        await _check_recovery(table),
        _check_encryption(described),
    ]


def _describe(table: Table, described: Mapping[str, Any]) -> Finding:
    mode = described.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    which = f"the table {table.shown}, about {described.get('ItemCount', 0):,} items"
    if mode == "PAY_PER_REQUEST":
        finding = Finding.ok(SUBJECT, f"{which}, on demand")
    else:
        detail = f"{which}, with provisioned throughput: a flood of alerts will be throttled"
        remedy = f"aws dynamodb update-table --table-name {table.name} --billing-mode PAY_PER_REQUEST"
        finding = Finding.warning(SUBJECT, detail, remedy)
    return replace(finding, facts={"ARN": str(described["TableArn"])})


async def _check_permissions(table: Table) -> Finding:
    denied = await denied_actions(table)
    if denied:
        return Finding.failed(
            PERMISSIONS,
            f"denied: {', '.join(denied)}",
            f"grant them to the worker's role on {table.name} and its indexes; see WorkerTablePolicy in"
            " config/cloudformation.yaml",
        )
    return Finding.ok(PERMISSIONS, "every action that the worker needs was tried, and none is denied")


async def _check_past(table: Table, described: Mapping[str, Any]) -> Sequence[Finding]:
    """Report rows of another table, or of a backup, on which no worker starts; nothing if there are none."""
    try:
        mismatch = await TablePast(table, TableIdentity.of(described)).find_mismatch()
    except StoreError:
        return []  # reported with the permissions
    remedy = "stop all workers, and start one with `triage-bot run --restored`: see docs/operate.md"
    return [Finding.failed(PAST, f"{table.shown} is not what it was: {mismatch}", remedy)] if mismatch else []


async def _check_unfinished_copy(table: Table) -> Sequence[Finding]:
    """Report an unfinished copy, on which no worker starts; nothing if there is none."""
    try:
        source = await find_unfinished_copy(table)
    except StoreError:
        return []  # reported with the permissions
    if source is None:
        return []
    remedy = "run `triage-bot migrate` again until it says that everything matches"
    return [Finding.failed(COPY, f"{table.shown} is an unfinished copy of {source}", remedy)]


async def _check_expiry(table: Table) -> Finding:
    try:
        answer = await table.call("describe_time_to_live")
    except StoreError as error:
        return _unknown_finding(EXPIRY, error)
    described = answer["TimeToLiveDescription"]
    enabled = described.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    if enabled and described.get("AttributeName") == schema.EXPIRES:
        return Finding.ok(EXPIRY, "DynamoDB deletes what was kept long enough")
    setting = f"Enabled=true,AttributeName={schema.EXPIRES}"
    return Finding.warning(
        EXPIRY,
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
        return Finding.ok(RECOVERY, "point-in-time recovery is on")
    return Finding.warning(
        RECOVERY,
        "off: anything that is deleted from the table is lost",
        f"aws dynamodb update-continuous-backups --table-name {table.name}"
        " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
    )


def _check_encryption(described: Mapping[str, Any]) -> Finding:
    # DynamoDB encrypts every table; what differs is whose key it uses, and so who can audit its use.
    key = described.get("SSEDescription", {}).get("KMSMasterKeyArn", "")
    whose = f"the key {key}" if key else "a key that AWS owns"
    return Finding.ok(ENCRYPTION, f"at rest, with {whose}")


def _unknown_finding(subject: str, error: StoreError) -> Finding:
    return Finding.warning(subject, f"cannot be determined: {error}", "grant it to the worker's role")


def _explain_failure(error: StoreError) -> Finding:
    detail, _, remedy = str(error).partition(": ")
    cause = error.__cause__
    if isinstance(cause, ClientError) and code_of(cause) in DENIED:
        action = action_of(cause, "dynamodb")
        remedy = f"grant the worker's role {action}{' on it' if action.startswith('dynamodb:') else ''}"
    return Finding.failed(SUBJECT, detail, remedy or RETRY_LATER)
