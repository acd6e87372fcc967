"""What is counted in the SQLite store: the port `Backlog` of `triage.ports`, and the statistics."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.store.records.rows import microseconds, moment
from bot.triage.model import Outcome
from bot.triage.statistics import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.store.sqlite.connection import Database
    from bot.triage.statistics import AlertStatistics

_OLDEST_OPEN = "SELECT min(accepted_at) FROM question WHERE standing = ''"
_OLDEST_UNSENT = "SELECT min(due_at) FROM report WHERE sent_at IS NULL AND parked_at IS NULL"

#: All keys, in slices: they begin with hex digits of a hash, so that slices are about even. A million rows
#: in one query would keep every click waiting for a second; a slice of them takes some milliseconds.
_SLICES = [f"{number:02x}" for number in range(256)]

_ASKED = """SELECT alert, standing, first_answered_at - asked_at FROM question
    WHERE key >= :slice AND key < :slice || 'g' AND asked_at >= :since"""


class SqliteFigures:
    """Figures of the file that `SqliteStore` holds."""

    _database: Database

    async def oldest_open(self) -> datetime | None:
        """See `triage.ports.Backlog`."""
        return await self._moment(_OLDEST_OPEN)

    async def oldest_unsent(self) -> datetime | None:
        """See `triage.ports.Backlog`."""
        return await self._moment(_OLDEST_UNSENT)

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        """See `triage.ports.Archive`."""
        tally = Tally()
        for each in _SLICES:
            for alert, standing, taken in await self._asked(each, since):
                tally.add(
                    alert,
                    standing=Outcome(standing) if standing else None,
                    taken=None if taken is None else timedelta(microseconds=taken),
                )
        return tally.result()

    async def _asked(self, key_slice: str, since: datetime) -> list[Any]:
        values = {"slice": key_slice, "since": microseconds(since)}
        return await self._database.read(lambda connection: connection.execute(_ASKED, values).fetchall())

    async def _moment(self, query: str) -> datetime | None:
        row = await self._database.read(lambda connection: connection.execute(query).fetchone())
        return moment(row[0])
