"""Adds questions to a store as fast as it can, and prints the number of each that is stored."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from bot.store import open_store
from bot.triage.asking_rules import new_ref
from bot.triage.model import Change, Confidence, OutboxRow, Question, TriageRequest

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_change(number: int) -> Change:
    name = f"alert-{number}"
    request = TriageRequest(
        identifier=name, alert="a", summary="s" * 500, user="ada@example.com", confidence=Confidence.LOW
    )
    question = Question(
        request=request, ref=new_ref(name, "0" * 32), accepted_at=NOON, due_at=NOON, reports=1
    )
    report = OutboxRow(identifier=name, sequence=0, event_id=name, body="{}", due_at=NOON)
    return Change(question=question, report=report)


async def write(url: str) -> None:
    store = await open_store(url, create=True)

    async def stream(first: int) -> None:
        for number in range(first, 10**9, 3):
            assert list(await store.add([a_change(number)])) == [True]
            print(number, flush=True)

    await asyncio.gather(*(stream(first) for first in range(3)))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))
