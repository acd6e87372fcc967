"""The table that several workers share, in a local DynamoDB, with the faults before it.

They are processes of their own: whoever plays Slack and SQS has enough to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import boto3

from bot.sandbox.child_process import bare_environment
from bot.store.dynamodb.schema import table_description

from .orders import ACCESS_KEY, REGION, SECRET_KEY

#: The checkout, from which the proxy is imported.
_HOME: Final = Path(__file__).resolve().parents[2]

#: moto's server, behind a lock: it is the one that a check of the project needs nothing more for.
_MOTO: Final = _HOME / "tests" / "support" / "moto_in_turn.py"

#: Seconds in which it must answer. It imports a great deal.
_STARTED_WITHIN: Final = 60.0


class RemoteProxy:
    """The proxy as its run sees it. `calls` and `counts` are as old as the last `tell`."""

    def __init__(self, process: Process) -> None:
        self.address = ""
        self.calls = 0
        self.counts: Counter[str] = Counter()
        self._process = process

    async def tell(self, *, raging: bool) -> None:
        """Say whether it is to spoil calls, and hear what it has done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"raging": raging}).encode() + b"\n")
        await self._process.stdin.drain()
        await self.hear()

    async def hear(self) -> None:
        """Wait for its next line. `RuntimeError` if it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the proxy before DynamoDB ended")
        facts = json.loads(line)
        self.address, self.calls, self.counts = facts["address"], facts["calls"], Counter(facts["counts"])


@contextlib.asynccontextmanager
async def remote_proxy(upstream: str, seed: str, folder: Path) -> AsyncIterator[RemoteProxy]:
    """Run a proxy before `upstream` while the block runs; it is calm at first."""
    async with _running(folder, "-m", "tests.torture.dynamodb_faults", upstream, seed) as process:
        proxy = RemoteProxy(process)
        await proxy.hear()
        yield proxy


@contextlib.asynccontextmanager
async def moto_server(folder: Path) -> AsyncIterator[str]:
    """Run moto's server while the block runs; yield its address."""
    async with _running(folder, str(_MOTO)) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_STARTED_WITHIN):
            port = (await process.stdout.readline()).decode().strip()
        yield f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def _running(folder: Path, *program: str) -> AsyncIterator[Process]:
    """Run a program while the block runs; its log is in `folder`."""
    with (folder / "dynamodb.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *program),
            cwd=folder,
            env={**bare_environment(folder), "PYTHONPATH": str(_HOME)},
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def create_table(endpoint: str) -> str:
    """Create a table that no other run has; return its name."""
    name = f"torture-{uuid4().hex[:12]}"
    make: Any = boto3.client  # its types know the services by name, and not this one
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    client = make("dynamodb", endpoint_url=endpoint, region_name=REGION, **keys)
    try:
        await asyncio.to_thread(client.create_table, **table_description(name))
    finally:
        client.close()
    return name
