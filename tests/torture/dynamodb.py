"""The table that several workers share, in a local DynamoDB, with the faults before it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import boto3

from bot.sandbox.child_process import bare_environment
from bot.store.dynamodb.schema import table_description

from .orders import ACCESS_KEY, REGION, SECRET_KEY

#: moto's server, behind a lock: it is the one that a check of the project needs nothing more for.
_MOTO: Final = Path(__file__).resolve().parents[1] / "support" / "moto_in_turn.py"

#: Seconds in which it must answer. It imports a great deal.
_STARTED_WITHIN: Final = 60.0


@contextlib.asynccontextmanager
async def moto_server(folder: Path) -> AsyncIterator[str]:
    """Run moto's server while the block runs, its log in `folder`; yield its address."""
    with (folder / "dynamodb.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", str(_MOTO)),
            cwd=folder,
            env=bare_environment(folder),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_STARTED_WITHIN):
            port = (await process.stdout.readline()).decode().strip()
        yield f"http://127.0.0.1:{port}"
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
