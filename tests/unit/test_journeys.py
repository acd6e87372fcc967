"""Any journey of a few requests, over the stores of one worker."""

from __future__ import annotations

from effort import effort
from hypothesis import Phase, settings
from journeys import Journeys
from mortal_store import Home, MemoryHome, SqliteHome


class JourneysInMemory(Journeys):
    def new_home(self) -> Home:
        return MemoryHome()


class JourneysInSqlite(Journeys):
    def new_home(self) -> Home:
        return SqliteHome()


TestJourneysInMemory = JourneysInMemory.TestCase
TestJourneysInMemory.settings = settings(max_examples=effort(12, 60), stateful_step_count=25)
TestJourneysInSqlite = JourneysInSqlite.TestCase
# Without shrinking: it would take minutes here, and most failures are shrunk in memory anyway.
TestJourneysInSqlite.settings = settings(
    max_examples=effort(3, 12), stateful_step_count=25, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
