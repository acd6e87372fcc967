"""A SQLite store with alerts in every state, to be copied; and the way there for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

from any_store import a_question, a_report, add
from fakes import NOON, SteppedClock
from local_dynamodb import KEEP, connection

from bot.store import OpenStore, open_store
from bot.store.dynamodb.table import Caller, Table
from bot.store.migration.copies import Copies
from bot.store.migration.migrate import Migration, MigrationResult, patient_retries
from bot.store.migration.source import SqliteSource
from bot.triage.asking_rules import CLAIM_LEASE, row_key
from bot.triage.assignments import Assignment, AssignmentKind
from bot.triage.factor import Attempt
from bot.triage.inquiry import Delivery, Inquiry
from bot.triage.model import Change, Choice, OutboxRow, Question, State
from bot.triage.outcomes import Outcome

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

ASKED = {
    "state": State.ASKED,
    "slack_id": "U0ADA",
    "slack_name": "ada",
    "time_zone": "Europe/London",
    "offered": tuple(Choice),
    "claimed_at": NOON - 2 * HOUR,
    "channel": "D0ADA",
    "ts": "1764000000.000100",
    "asked_at": NOON - 2 * HOUR,
}
ANSWERED = {
    **ASKED,
    "due_at": None,
    "standing": Outcome.NO,
    "said": Choice.YES,
    "answered_at": NOON - HOUR,
    "first_answered_at": NOON - HOUR - SECOND,
    "answers": 2,
    "idle_changes": 1,
    "settled_at": NOON - HOUR,
    "reports": 2,
    "shown": 2,
}
PROVING = {
    "needs_factor": True,
    "proofs": 1,
    "proof_code": "CODE23",
    "retry_at": NOON,
    "proved_at": NOON,
    "unreported": 1,
}
ATTEMPT = Attempt(
    subject="ada@example.com",
    version=1,
    ref="ref",
    code="CODE23",
    started_at=NOON,
    due_at=NOON,
    sent_at=NOON,
    push_id="push-1",
    interval=SECOND,
    dead_at=NOON + SECOND,
    pushes=(NOON,),
    refused_at=NOON,
)
INQUIRY = Inquiry(
    identifier="asked-back",
    number=1,
    ref=f"{row_key('asked-back')}.{'ab' * 16}",
    version=1,
    text="Was it the *laptop*? 🦊",
    slack_id="U0GRACE",
    slack_name="grace",
    window="0123456789abcdef",
    sequence=1,
    accepted_at=NOON - HOUR,
    delivery=Delivery.CLAIMED,
    due_at=NOON - SECOND,
    attempts=1,
    claimed_at=NOON - SECOND,
    in_doubt_since=NOON - SECOND,
    channel="D0ADA",
    ts="1764000009.000100",
    asked_at=NOON,
    reason="user_disabled",
    replies=("0011223344556677", "8899aabbccddeeff"),
)
CLOSED = {
    "state": State.CLOSED,
    "standing": Outcome.UNDELIVERABLE,
    "reason": "users_not_found",
    "due_at": None,
    "settled_at": NOON - HOUR,
    "reports": 1,
}


def questions() -> Sequence[Question]:
    """Alerts in every state, and with every column filled by one of them."""
    card = {"card_due_at": NOON - SECOND, "card_ts": "1764000000.000200", "card_shown": 1}
    grace = {"by": "U0RADIA", "by_name": "radia", "to": "U0GRACE", "to_name": "grace", "key": "V1"}
    taken = {
        "taken_by": "U0GRACE",
        "taken_name": "grace",
        "taken_at": NOON - HOUR,
        "card_secret": "5" * 32,
        "assignments": (Assignment(kind=AssignmentKind.HANDED_OVER, at=NOON - HOUR, **grace),),
    }
    doubt = NOON - SECOND
    return [
        a_question("accepted", deadline=NOON + DAY),
        a_question("paced", due_at=NOON + 3 * SECOND, paced=True, deadline=NOON + DAY),
        a_question("claimed", **_posting(doubt, due_at=doubt + CLAIM_LEASE)),
        a_question("in-doubt", **_posting(doubt, due_at=doubt), attempts=3),
        a_question("refused-by-slack", state=State.POSTING, due_at=NOON, claimed_at=NOON - HOUR),
        a_question("asked", **ASKED, due_at=NOON + HOUR, deadline=NOON + DAY, reminders=1),
        a_question("overdue", **ASKED, due_at=None, deadline=NOON - SECOND),
        a_question("answered", **ANSWERED, **card, **taken, note="It was my brother's 🐙 phone.", notes=1),
        a_question("outdated", **{**ANSWERED, "shown": 1, "due_at": NOON}, **PROVING),
        a_question("at-rest", **ANSWERED),
        a_question("asked-back", **ANSWERED),
        a_question("sent-again", **ANSWERED),
        a_question("closed", **CLOSED, accepted_at=NOON - 40 * DAY),
        a_question("parked", **CLOSED),
    ]


def _posting(in_doubt_since: object, **changes: object) -> dict[str, object]:
    person = {"slack_id": "U0ADA", "slack_name": "ada", "offered": (Choice.YES, Choice.NO)}
    claimed = {"claimed_at": NOON - HOUR, "in_doubt_since": in_doubt_since, "deadline": NOON + DAY}
    return {"state": State.POSTING, **person, **claimed, **changes}


async def fill(store: OpenStore) -> None:
    """Put them into a store, with reports that wait, are sent, parked, or to be sent again."""
    for question in questions():
        await _add(store, question)
    await store.mark_sent(await store.reports_of("at-rest"), NOON - HOUR + 2 * SECOND)
    await store.mark_sent((await store.reports_of("answered"))[:1], NOON - HOUR)
    await store.mark_sent(await store.reports_of("sent-again"), NOON - HOUR)
    await store.replay(["sent-again"], NOON - SECOND)
    await store.mark_sent(await store.reports_of("closed"), NOON - 35 * DAY)
    await store.mark_parked(await store.reports_of("parked"), NOON - HOUR)


async def _add(store: OpenStore, question: Question) -> None:
    """Add a question as a worker would: one save for each further report."""
    identifier = question.request.identifier
    reports = [_report(identifier, number) for number in range(question.reports)]
    await add(store, question, report=reports[0] if reports else None)
    for version, report in enumerate(reports[1:], start=1):
        inquiry = INQUIRY if identifier == INQUIRY.identifier else None
        changed = replace(question, version=version)
        assert await store.save(Change(question=changed, report=report, inquiry=inquiry))


def _report(identifier: str, number: int) -> OutboxRow:
    body = f'{{"details":{{"identifier":"{identifier}","comment":"\\u00e9 \\\\ {number}"}}}}'
    report = replace(a_report(number, identifier=identifier, due_at=NOON - HOUR), body=body)
    # Some are left of a release that kept no facts.
    return replace(report, report=None) if len(identifier) % 2 else report


@asynccontextmanager
async def the_file(path: Path) -> AsyncIterator[OpenStore]:
    """The source as a worker has it, made where there is none."""
    store = await open_store(f"sqlite:///{path}", create=True)
    try:
        yield store
    finally:
        await store.close()


async def migrate(
    path: Path, table: str, *, caller: Caller | None = None
) -> tuple[MigrationResult, list[str]]:
    """Go the whole way by a clock that stands at noon; return the verdict and what was told."""
    told: list[str] = []
    source = await SqliteSource.open(path)
    retries = patient_retries(told.append, shortest_wait=0.0001)
    target = Table(table, caller or connection(table), random=Random(0), retries=retries)
    try:
        copies = Copies(target, keep=KEEP, clock=SteppedClock())
        return await Migration(source, copies, tell=told.append).run(), told
    finally:
        target.close()
        source.close()
