"""The table of a run, at the port `Caller`: one in memory, with faults, and indexes that follow later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from dynamodb_replies import action_of, refusal
from memory_table import Key, MemoryTable, Wire, items_of
from torture.dynamodb_faults import draw_fault

from bot.aws.responses import NotFromAws
from bot.store.dynamodb.schema import table_description

from .machines import BEGINNING, LIFE, Died, Life
from .virtual_loop import VirtualLoop

#: How much later an index follows, in seconds; often at once.
_LAGS: Final = (0.0, 0.0, 0.0, 0.01, 0.3, 2.0, 6.0)

#: How long a call may take that is slow. The worker gives up after three seconds.
_SLOW: Final = 4.0
_TIMEOUT: Final = 3.0

#: The most items on one page.
_PAGE: Final = 25

_WRITES: Final = frozenset({"put_item", "update_item", "delete_item", "transact_write_items"})
_PLACE: Final = "http://dynamodb.simulated"


class SharedTable(MemoryTable):
    """The table of a run. `on_write` is told before and after each write of a life."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        created = datetime.fromtimestamp(BEGINNING, UTC)
        super().__init__(table_description("simulated"), created_at=created, page_max=_PAGE)
        self.loop = loop
        self.random = random
        self.raging = True
        self.gate: Callable[[str], bool] = lambda _: True
        self.on_write: Callable[[Life | None, str], None] = lambda *_: None
        self._follows_at: dict[Key, float] = {}

    def is_claim(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a write says that a question or a reminder is about to be posted."""
        for item in items_of(arguments):
            stands = self.find(item) or {}
            if item.get("st") == {"S": "posting"} or item.get("rm") != stands.get("rm", item.get("rm")):
                return True
        return False

    def _follow(self, key: Key, item: Wire | None) -> None:
        moment = self.loop.now + (self.random.choice(_LAGS) if self.raging else 0.0)
        # An index shows the writes of an item in their order: no two at one moment.
        self._follows_at[key] = moment = max(moment, self._follows_at.get(key, -1.0) + 1e-6)
        if moment == self.loop.now:
            super()._follow(key, item)
        else:
            self.loop.call_in_world(moment - self.loop.now, super()._follow, key, item)


#: How often a call that was under way when its sender died does not arrive.
_NEVER_LEFT: Final = 0.5


class SimulatedCaller:
    """One worker's way to the table, with the torture's faults on it."""

    def __init__(self, table: SharedTable) -> None:
        self._table = table

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """See `bot.store.dynamodb.table.Caller`."""
        life = LIFE.get()
        if life is not None:
            life.require_alive()
        loop, answered = self._table.loop, asyncio.get_running_loop().create_future()
        loop.call_in_world(_draw(self._table.random), self._arrive, life, operation, arguments, answered)
        timer = loop.call_later(_TIMEOUT, _give_up, answered)
        try:
            done: dict[str, Any] | Exception = await answered
        finally:
            timer.cancel()
        if isinstance(done, Exception):
            raise done
        return done

    def close(self) -> None:
        """See `bot.store.dynamodb.table.Caller`."""

    def _arrive(
        self, life: Life | None, operation: str, arguments: dict[str, Any], answered: asyncio.Future[Any]
    ) -> None:
        table, random = self._table, self._table.random
        fault = draw_fault(random, action_of(operation)) if table.raging else ""
        if fault and not table.gate(f"table {fault}"):
            fault = ""
        done = self._do(life, operation, arguments, fault)
        takes = random.uniform(0, _SLOW) if fault == "slow" else _draw(random)
        table.loop.call_in_world(takes, _answer, answered, _AFTER[fault]() if fault in _AFTER else done)

    def _do(
        self, life: Life | None, operation: str, arguments: dict[str, Any], fault: str
    ) -> dict[str, Any] | Exception:
        table = self._table
        if life is not None and life.is_over and table.random.random() < _NEVER_LEFT:
            return _closed()
        if life is not None and table.loop.now < life.offline_until:
            return _closed()
        if fault in _INSTEAD:
            return _INSTEAD[fault]()
        try:
            if operation in _WRITES:
                table.on_write(life, "before")
            if life is not None and life.claimed is not None and table.is_claim(arguments):
                life.claimed.set()
            done = table.do(operation, arguments)
            if operation in _WRITES:
                table.on_write(life, "after")
        except ClientError as error:
            return error
        except Died:
            return _closed()
        return done


def _give_up(answered: asyncio.Future[Any]) -> None:
    _answer(answered, ReadTimeoutError(endpoint_url=_PLACE))


def _answer(answered: asyncio.Future[Any], done: dict[str, Any] | Exception) -> None:
    if not answered.done():
        answered.set_result(done)


def _draw(random: Random) -> float:
    return random.choice((0.0, 0.0, 0.002, random.random() * 0.02, random.random() * 0.2))


def _conflict() -> ClientError:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    return refusal("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)


def _closed() -> Exception:
    return ConnectionClosedError(endpoint_url=_PLACE)


def _no_answer() -> Exception:
    return NotFromAws(what="something answered with text/html")


def _server_error() -> Exception:
    return refusal("InternalServerError")


_INSTEAD: Final[Mapping[str, Callable[[], Exception]]] = {
    "throttled": lambda: refusal("ProvisionedThroughputExceededException"),
    "server error": _server_error,
    "conflict": _conflict,
    "reset before": _closed,
    "page before": _no_answer,
}
_AFTER: Final[Mapping[str, Callable[[], Exception]]] = {
    "error after": _server_error,
    "lost reply": _closed,
    "page after": _no_answer,
}
