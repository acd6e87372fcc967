"""How the worker that runs is, told to `check` over the control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bot.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from bot.worker.control import Handler

#: The command's name on the socket.
COMMAND = "condition"


class Probed(Protocol):
    """What is asked of the store."""

    async def probe(self) -> None:
        """See `triage.ports.Store`."""


def condition_handler(store: Probed, look: Callable[[], Mapping[str, Any]]) -> Handler:
    """Return the handler of `condition`, which yields one object.

    `store`: why it takes no writes, empty if it does. While the worker starts, `starting`: what it waits for;
    after that `card`: as `Cards.last_trouble`, and `links`: how many work. Those are what `look` returns.
    """

    async def condition(_: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"store": await _store_trouble(store), **look()}

    return condition


async def _store_trouble(store: Probed) -> str:
    try:
        await store.probe()
    except StoreError as error:
        return str(error)
    return ""
