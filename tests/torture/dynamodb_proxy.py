"""The table, and the faults before it, in a process of their own: the one with Slack and SQS is busy enough.

`python -m tests.torture.dynamodb_proxy URL SEED ORIGIN PACE` says where it is, and then answers each line of
its standard input, which says whether it is to rage, with what it has done so far. It ends with its input.
The table is in memory, unless URL is the address of a local DynamoDB.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

import boto3

from bot.sandbox.child_process import bare_environment
from bot.store.dynamodb.schema import table_description

from .dynamodb_faults import DynamoProxy
from .fast_clock import FastClock
from .orders import ACCESS_KEY, REGION, SECRET_KEY

#: The checkout, from which the proxy is imported.
_HOME: Final = Path(__file__).resolve().parents[2]


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
async def remote_proxy(
    upstream: str, seed: str, folder: Path, *, clock: FastClock
) -> AsyncIterator[RemoteProxy]:
    """Run a proxy while the block runs; it is calm at first, and dates by `clock`.

    It is before the DynamoDB at `upstream`, or where that is empty before tables in memory.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.torture.dynamodb_proxy", upstream, seed, str(clock.origin), str(clock.pace)),
        cwd=_HOME,
        env={**bare_environment(folder), "PYTHONPATH": str(_HOME)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    proxy = RemoteProxy(process)
    try:
        await proxy.hear()
        yield proxy
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def create_table(endpoint: str) -> str:
    """Create a table that no other run has; return its name."""
    name = f"torture-{uuid4().hex[:12]}"
    make: Any = boto3.client  # its types know the services by name, and not this one
    client = make(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    try:
        await asyncio.to_thread(client.create_table, **table_description(name))
    finally:
        client.close()
    return name


async def serve(upstream: str, seed: str, origin: str, pace: str) -> None:
    """Be the proxy, until standard input ends."""
    clock = FastClock(origin=float(origin), pace=float(pace))
    proxy = DynamoProxy(upstream, Random(seed), clock)
    await proxy.start()
    _say(proxy)
    while line := await asyncio.to_thread(sys.stdin.readline):
        orders: dict[str, Any] = json.loads(line)
        proxy.raging = orders["raging"]
        _say(proxy)
    await proxy.stop()


def _say(proxy: DynamoProxy) -> None:
    facts = {"address": proxy.address, "calls": proxy.calls, "counts": proxy.counts}
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
