"""`python tests/support/table_costs.py`: what the table costs, measured by what goes over the wire.

The emulator of `local_dynamodb` keeps the table; the units are those that `request_units` reckons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from table_crew import PROVED, Crew, crew_of

from bot.store.dynamodb.leases import LOOK_INTERVAL
from bot.triage.model import Choice, Fact
from bot.triage.proving import LOOK_INTERVAL as PROOF_INTERVAL

#: Dollars for a million, on demand, in us-east-1 (AWS's price pages, read 2026-11).
WRITES = 0.625
READS = 0.125
SQS_REQUESTS = 0.4

#: Long polls of 20 s in an hour; an alert takes a receive, a delete and a send at most.
POLLS_AN_HOUR = 180
SQS_AN_ALERT = 3

HOURS_A_MONTH = 730
HOUR = timedelta(hours=1)
SCRAPES_A_MINUTE = 4
DAYS_KEPT = 30
MINUTE, FOUR_HOURS, TWENTY_HOURS = 60, 4 * 3600, 20 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """What something takes: units of writing and of reading, and bytes that stay."""

    written: float
    read: float
    kept: int = 0


async def answered(crew: Crew, *facts: Fact, remind: bool = False) -> None:
    await crew.ask(*facts)
    if remind:
        await crew.pass_time(seconds=FOUR_HOURS)
    crew.clock.advance(seconds=10 * MINUTE)
    await crew.answer(Choice.YES)
    await crew.pass_time(seconds=0)


async def noted(crew: Crew) -> None:
    await answered(crew)
    crew.clock.advance(seconds=MINUTE)
    await crew.write_note()
    await crew.pass_time(seconds=0)


async def changed(crew: Crew) -> None:
    await answered(crew)
    crew.clock.advance(seconds=MINUTE)
    await crew.answer(Choice.NO)
    await crew.pass_time(seconds=0)


async def proved(crew: Crew) -> None:
    await crew.ask(alert=PROVED)
    crew.clock.advance(seconds=10 * MINUTE)
    await crew.prove()
    await crew.pass_time(seconds=0)


async def unanswered(crew: Crew) -> None:
    await crew.ask()
    await crew.pass_time(seconds=FOUR_HOURS)
    await crew.pass_time(seconds=TWENTY_HOURS)
    await crew.pass_time(seconds=MINUTE)


async def taken_over(crew: Crew) -> None:
    await crew.die_while_asking()
    for _ in range(12):
        await crew.pass_time(seconds=5)
    await crew.answer(Choice.YES)
    await crew.pass_time(seconds=MINUTE)


#: A scenario → what happens in it, and how many reports it causes.
WAYS: Mapping[str, tuple[Callable[[Crew], Awaitable[None]], int]] = {
    "answered": (answered, 1),
    "with facts, answered": (lambda crew: answered(crew, Fact(name="Host", value="db1.example.com")), 1),
    "reminded once, then answered": (lambda crew: answered(crew, remind=True), 1),
    "answered, with a note": (noted, 2),
    "answered, then another answer": (changed, 2),
    "reminded once, never answered": (unanswered, 1),
    "its worker dies while it asks, another asks": (taken_over, 1),
}


#: It takes a unit more or less by what comes first: the message's redraw, or the push.
PROVED_WAY: Mapping[str, tuple[Callable[[Crew], Awaitable[None]], int]] = {
    "answered with a yes that is proved within 20 s": (proved, 1)
}


#: By which way, and which hours, the costs of a month are reckoned.
USUAL = "an alert: reminded once, then answered"
IDLE = "an hour of a worker that has nothing to do"
SCRAPED = "an hour of metrics, read every 15 s"


async def measure(way: str, workers: int) -> Units:
    """Run an alert through this many workers; return what it costs besides their periodic queries."""
    go, reports = {**WAYS, **PROVED_WAY}[way]
    async with crew_of(workers) as crew:
        await go(crew)
        units = Units(written=crew.meter.written, read=crew.meter.read, kept=crew.stored_bytes)
        assert await crew.reports_sent() == reports
        return units


async def measure_attempts() -> Units:
    """Return what a worker consumes in an hour to look for attempts."""
    async with crew_of(1) as crew:
        await crew.look_for_attempts()
        looks = HOUR / PROOF_INTERVAL
        return Units(written=crew.meter.written * looks, read=(crew.meter.read + crew.meter.looked) * looks)


async def measure_hours() -> tuple[Units, Units, Units]:
    """Return what a worker takes to start, in an hour in which nothing happens, and for metrics in one."""
    async with crew_of(1) as crew:
        await crew.pass_time(seconds=0)
        look = crew.meter.looked
        start = Units(written=crew.meter.written, read=look + crew.meter.read)
        await crew.look_for_old_ones()
        looks = look * (HOUR / LOOK_INTERVAL - 1) + crew.meter.looked
        idle = Units(written=crew.meter.written, read=looks + crew.meter.read)
    async with crew_of(1) as crew:
        await crew.be_scraped(SCRAPES_A_MINUTE)
        meter = crew.meter
        return start, idle, Units(written=meter.written * 60, read=(meter.read + meter.looked) * 60)


def dollars_a_month(alerts_a_day: int, workers: int, *, alert: Units, hour: Units) -> float:
    """Return what DynamoDB and SQS charge for these alerts and workers, each of which costs `hour`."""
    alerts, hours = alerts_a_day * HOURS_A_MONTH / 24, workers * HOURS_A_MONTH
    writes = alerts * alert.written + hours * hour.written
    reads = alerts * alert.read + hours * hour.read
    requests = alerts * SQS_AN_ALERT + hours * POLLS_AN_HOUR
    return (writes * WRITES + reads * READS + requests * SQS_REQUESTS) / 1_000_000


async def units_table() -> tuple[Mapping[str, Units], Sequence[str]]:
    """Measure everything; return it, and the lines of docs/operate.md that say so."""
    ways = {way: await measure(way, 3) for way in WAYS}
    start, idle, scraped = await measure_hours()
    rows = {
        **{f"an alert: {way}": units for way, units in ways.items()},
        "the start of a worker": start,
        IDLE: idle,
        "in addition, if a kind of alert needs a proof": await measure_attempts(),
        SCRAPED: scraped,
    }
    return rows, [f"| {name} | {units.written:,.0f} | {units.read:,.0f} |" for name, units in rows.items()]


def costs_table(rows: Mapping[str, Units]) -> Sequence[str]:
    """Return the lines of docs/operate.md that say what a month costs."""
    alert, idle, scraped = (rows[name] for name in (USUAL, IDLE, SCRAPED))
    hour = Units(written=idle.written + scraped.written, read=idle.read + scraped.read)
    lines = []
    for alerts in (100, 1_000, 10_000):
        one, three = (dollars_a_month(alerts, workers, alert=alert, hour=hour) for workers in (1, 3))
        gigabytes = alert.kept * alerts * DAYS_KEPT / 1e9
        lines.append(f"| {alerts:,} | ${one:.2f} | ${three:.2f} | {gigabytes:.2g} GB |")
    return lines


async def documented_lines() -> Sequence[str]:
    """Measure everything, and return all lines of docs/operate.md that say so."""
    rows, lines = await units_table()
    return [*lines, *costs_table(rows)]


if __name__ == "__main__":
    print(*asyncio.run(documented_lines()), sep="\n")
    print(*(f"{way}: {asyncio.run(measure(way, 3))}" for way in PROVED_WAY), sep="\n")
