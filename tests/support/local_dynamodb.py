"""A local DynamoDB for the tests of one process: a program of its own, started when it is first needed.

That is the table in memory that simulation, torture and bench use as well; or moto, one request at a time,
for what needs time to live or recovery, and in the slow run once more for the contract of a store. With
TEST_DYNAMODB_ENDPOINT it is whatever answers there. Of the tests that use it (tests/contract,
tests/integration/test_dynamodb_* and test_check_table.py, with the option `-k "not memory and not sqlite"`)
there passed, in November 2026, with

- Amazon's DynamoDB local (a Java program): 168 of 188. It knows no point-in-time recovery, and the other 20
  need that: those of what `check` says of a table;
- the table in memory, in December: 289 of 313. It has neither time to live nor recovery, and the other 24, of
  `check`, need those; with moto all 313;
- ministack 1.5.33 (PyPI): all of the 154 that there were;
- dynalite 4.0.0 (npm): 78 of those. It knows no TransactWriteItems (54 fail by that, among them the
  journeys), has no time to live (19), does not return the item on which a condition failed, by which a write
  is known whose reply was lost (2), and takes an item of 480 KB (1). No failure was a mistake of ours.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config
from fakes import SteppedClock
from world.waiting import PATIENCE_SECONDS
from world.worker import bare_environment

from bot.aws.access import Access
from bot.clock import Clock
from bot.store.address import Address
from bot.store.dynamodb.schema import table_description
from bot.store.dynamodb.store import DynamoStore, TableOptions
from bot.store.dynamodb.table import Caller, Connection, Table

REGION = "us-west-2"
KEEP = timedelta(days=30)

#: The variable that names another emulator, which runs already: `http://127.0.0.1:4567`.
OTHER = "TEST_DYNAMODB_ENDPOINT"


#: The programs that are DynamoDB here, each on a port that it prints.
IN_MEMORY = "table_server.py"
MOTO = "moto_server.py"


def endpoint(program: str = IN_MEMORY) -> str:
    """Return the address of the other emulator, or else of our own server, which ends with this process."""
    return os.environ.get(OTHER) or _own_server(program)


@cache
def _own_server(program: str) -> str:
    folder = tempfile.TemporaryDirectory()
    server = subprocess.Popen(  # noqa: S603 - a program of our own environment
        [sys.executable, str(Path(__file__).with_name(program))],
        cwd=folder.name,
        env=bare_environment(Path(folder.name)),
        stdin=subprocess.PIPE,  # the server ends when this closes, however this process ends
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for end in (folder.cleanup, server.communicate):
        atexit.register(end)  # the last of them is called first
    assert server.stdout
    port = server.stdout.readline().strip()
    assert port, "the local DynamoDB has not started"
    return f"http://127.0.0.1:{port}"


@cache
def session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)


def dynamodb(program: str = IN_MEMORY) -> Any:
    """Return a plain client, for what is done without the store."""
    return _client(endpoint(program))


@cache
def _client(url: str) -> Any:
    make: Any = session().client
    return make("dynamodb", endpoint_url=url)


def create_table(*, without: str = "", program: str = IN_MEMORY, **changes: Any) -> str:
    """Create a table that no other test has, `without` one of its indexes; return its name."""
    name = f"triage-{uuid4().hex}"
    wanted = {**table_description(name), **changes}
    indexes = [one for one in wanted["GlobalSecondaryIndexes"] if one["IndexName"] != without]
    keys = [key for one in (wanted, *indexes) for key in one["KeySchema"]]
    used = {key["AttributeName"] for key in keys}
    attributes = [one for one in wanted["AttributeDefinitions"] if one["AttributeName"] in used]
    dynamodb(program).create_table(
        **{**wanted, "GlobalSecondaryIndexes": indexes, "AttributeDefinitions": attributes}
    )
    return name


class _PatientSession:
    """Has one client for each server, which waits longer than a worker may: the machine may be busy."""

    region_name = REGION

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def client(self, service: str, *, config: Config, endpoint_url: str, **more: Any) -> Any:
        if endpoint_url not in self._made:
            make: Any = session().client
            patient = config.merge(Config(read_timeout=PATIENCE_SECONDS))
            self._made[endpoint_url] = make(service, config=patient, endpoint_url=endpoint_url, **more)
        return self._made[endpoint_url]


_SESSION: Any = _PatientSession()
_PATIENT = Access(lambda: _SESSION)


def connection(name: str, program: str = IN_MEMORY) -> Connection:
    address = Address(table=name, region=REGION)
    return Connection(address, access=_PATIENT, endpoint_url=endpoint(program))


def store_in(
    name: str,
    *,
    clock: Clock | None = None,
    caller: Caller | None = None,
    look_interval: timedelta = timedelta(milliseconds=100),
) -> DynamoStore:
    """Return one worker's store in a table. Its clock stands still at noon unless the test has another."""
    table = Table(name, caller or connection(name), random=Random(0))
    upkeep = TableOptions(keep=KEEP, lateness=timedelta(0), look_interval=look_interval)
    return DynamoStore(table, clock=clock or SteppedClock(), upkeep=upkeep, rng=Random(0))


@asynccontextmanager
async def two_workers(clock: Clock) -> AsyncIterator[tuple[DynamoStore, DynamoStore]]:
    """The stores of two workers that share a table and a clock."""
    name = create_table()
    stores = store_in(name, clock=clock), store_in(name, clock=clock)
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


@asynccontextmanager
async def dynamodb_store(program: str = IN_MEMORY) -> AsyncIterator[DynamoStore]:
    """A store in a table of its own, from which nothing expires but by its own hand."""
    name = create_table(program=program)
    store = store_in(name, caller=connection(name, program))
    try:
        yield store
    finally:
        await store.close()
