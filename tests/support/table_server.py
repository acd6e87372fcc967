"""`python tests/support/table_server.py`: DynamoDB with its tables in memory, on a port that it prints.

It serves until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import ClientError
from dynamodb_replies import action_of, refusal
from lean_http import LeanServer, Reply, Request, aws_reply
from memory_table import OPERATIONS, MemoryTable, Wire, items_of
from request_units import item_bytes

_ITEM_BYTES_MAX: Final = 400 * 1024
_PREFIX: Final = "com.amazonaws.dynamodb.v20120810#"
_OPERATIONS: Final = {action_of(operation): operation for operation in OPERATIONS}


class TableServer:
    """Answers DynamoDB's calls; over HTTP, once `http` is started.

    `on_fault` is told of each call that is not understood: the caller hears that it is not valid.
    """

    def __init__(self, on_fault: Callable[[str], None]) -> None:
        self.http = LeanServer(self._serve)
        self._on_fault = on_fault
        self._tables: dict[str, MemoryTable] = {}

    def create(self, description: Any) -> Any:
        """Create a table; return its description."""
        table = MemoryTable(description, created_at=time.time())
        self._tables[description["TableName"]] = table
        return table.description

    def reply(self, action: str, body: bytes) -> Reply:
        """Return the answer to a call such as `PutItem`."""
        try:
            arguments = json.loads(body)
            if len(body) > _ITEM_BYTES_MAX:
                _require_small(items_of(arguments))
            return aws_reply(self._do(action, arguments))
        except ClientError as error:
            response: Any = error.response
        except (LookupError, NotImplementedError, TypeError, ValueError) as error:
            self._on_fault(f"DynamoDB does not understand {action}: {error!r}")
            response = refusal("ValidationException").response
        told = {"__type": _PREFIX + response["Error"]["Code"], "message": response["Error"]["Message"]}
        facts = {name: response[name] for name in ("Item", "CancellationReasons") if name in response}
        return aws_reply({**told, **facts}, status=HTTPStatus.BAD_REQUEST)

    def _serve(self, request: Request, answer: Callable[[Reply], None]) -> None:
        answer(self.reply(request.aws_action, request.body))

    def _do(self, action: str, arguments: Any) -> Any:
        if action == "CreateTable":
            return {"TableDescription": self.create(arguments)}
        name = _table_of(arguments)
        if name not in self._tables:
            raise refusal("ResourceNotFoundException", message=f"there is no table {name}")
        if action == "DeleteTable":
            return {"TableDescription": self._tables.pop(name).description}
        return self._tables[name].do(_OPERATIONS[action], arguments)


def _require_small(items: Sequence[Wire]) -> None:
    if any(item_bytes(item) > _ITEM_BYTES_MAX for item in items):
        raise refusal("ValidationException", message="Item size has exceeded the maximum allowed size")


def _table_of(arguments: Any) -> str:
    """Return the name of the table that a call is about: there is one for all of its parts."""
    if "RequestItems" in arguments:
        return str(next(iter(arguments["RequestItems"])))
    if "TransactItems" in arguments:
        [part] = arguments["TransactItems"][0].values()
        return str(part["TableName"])
    return str(arguments["TableName"])


async def _serve_alone() -> None:
    server = TableServer(on_fault=lambda fault: print(fault, file=sys.stderr, flush=True))
    await server.http.start(None)
    print(server.http.address.rpartition(":")[2], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve_alone())
