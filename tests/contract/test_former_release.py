"""The release before this one, on one table and one file with it: nothing is lost, erased or asked twice."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, ToldClock
from former_release import CHECKOUT, RELEASES, WorkerOfRelease, unpack_release
from journey_promises import Promises
from local_dynamodb import KEEP, connection, create_table
from released_worker import POLICY, message_from
from truthful_slack import Message

from bot.cli.verification import Verification, export_bytes, verify_export
from bot.sqs.wire import read_report
from bot.store import open_store
from bot.store.dynamodb.table import Table
from bot.store.dynamodb.trails import read_trail
from bot.store.migration.copies import Copies
from bot.store.migration.inventory import Row, digest_of
from bot.store.migration.source import SqliteSource
from bot.triage.asking_rules import row_key
from bot.triage.model import Choice, OutboxRow, Question, State
from bot.triage.outcomes import Outcome, Reason
from bot.worker.export_lines import alert_lines, first_line

pytestmark = pytest.mark.slow

MINUTE = timedelta(minutes=1)
MINUTES_SHARED = 60

#: How a post may end. A lost one is looked up by the next worker, of either release.
POST_ENDS = [
    *["answered"] * 6,
    *("done, answer lost", "not done, answer lost", "done, then killed", "rate limit"),
]


@pytest.fixture(scope="module")
def former() -> Path:
    return unpack_release(max(RELEASES))


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that a table holds at a moment."""

    questions: Sequence[Question]
    reports: Sequence[OutboxRow]

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        found = [row for row in self.reports if row.identifier == identifier]
        return sorted(found, key=lambda row: row.sequence)


class SharedTable:
    """Workers of both releases on one table, and what is true of it after each thing that they do."""

    def __init__(self, former: Path, homes: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = NOON
        self.messages: list[Message] = []
        self.accepted: list[str] = []
        self.facts: dict[str, str] = {}  #: of each request that was accepted with one
        self.sent: set[str] = set()
        self._promises = Promises()
        self._name = create_table()
        self._releases, self._homes = {"former": former, "present": CHECKOUT}, homes
        self._runner = asyncio.Runner()
        self._table = Table(self._name, connection(self._name), random=random.Random(0))
        self._copies = Copies(self._table, keep=KEEP, clock=ToldClock(lambda: self.now))
        self.workers = {release: self._start(release) for release in self._releases}
        self.rows = Snapshot(questions=[], reports=[])

    def close(self) -> None:
        for worker in self.workers.values():
            worker.kill()
        self._table.close()
        self._runner.close()

    def restart(self, release: str) -> None:
        """Kill a worker in the middle of its work, and start another one of its release."""
        self.workers[release].kill()
        self.workers[release] = self._start(release)

    def do(self, release: str, what: str, *arguments: str, post_ends: Sequence[str] = ()) -> Any:
        """Do one thing, and compare what is true now with what was true before."""
        answer = self.workers[release].do(
            what, *arguments, now=self.now, messages=self.messages, post_ends=post_ends
        )
        self.messages += [message_from(told) for told in answer["messages"]]
        self._check()
        if answer["result"] == "died":
            self.restart(release)
        elif what == "work":
            self._promises.deliver([OutboxRow(**sent, due_at=self.now) for sent in answer["result"]])
            self.sent.update(sent["event_id"] for sent in answer["result"])
        return answer["result"]

    def verify_trails(self) -> Verification:
        """Verify an export of the whole table."""

        async def export() -> list[Mapping[str, Any]]:
            trails = [await read_trail(self._table, row_key(name)) for name in self.accepted]
            lines = (line for trail in trails if trail for line in alert_lines(trail))
            return [first_line(NOON, self.now), *lines]

        return verify_export(export_bytes(self._runner.run(export())))

    def _check(self) -> None:
        self.rows = self._runner.run(self._look())
        assert {each.request.identifier for each in self.rows.questions} == set(self.accepted)
        self._runner.run(self._promises.check(self.rows.questions, self.rows, POLICY, now=self.now))
        told = {each.identifier: fact.value for each in self.rows.questions for fact in each.request.facts}
        assert told == self.facts
        asked = Counter(message.ref for message in self.messages)
        assert not asked or max(asked.values()) == 1
        for row in self.rows.reports:
            assert_body_and_facts_agree(row)

    async def _look(self) -> Snapshot:
        rows = [copy.row async for page in self._copies.pages() for copy in page]
        return Snapshot(
            questions=[row for row in rows if isinstance(row, Question)],
            reports=[row for row in rows if isinstance(row, OutboxRow)],
        )

    def _start(self, release: str) -> WorkerOfRelease:
        home = self._homes / release
        home.mkdir(exist_ok=True)
        return WorkerOfRelease(self._releases[release], self._name, home)


def assert_body_and_facts_agree(row: OutboxRow) -> None:
    """What was kept of a report is what its body says, and what a note's body leaves out besides."""
    if row.report is None:
        return
    from_body = read_report(replace(row, report=None))
    kept = read_report(row)
    if kept.note:
        left_out = ("response", "slack_name", "confidence")
        kept = replace(kept, **{name: getattr(from_body, name) for name in left_out})
    assert kept == from_body


def receive(table: SharedTable, release: str, identifier: str, *facts: str) -> None:
    """Receive a request with a worker."""
    table.accepted.append(identifier)
    table.facts |= dict.fromkeys([identifier][: len(facts)], "".join(facts))
    assert table.do(release, "receive", identifier, *facts) is True


@pytest.fixture
def table(seed: int, former: Path, tmp_path: Path) -> Iterator[SharedTable]:
    table = SharedTable(former, tmp_path, seed)
    yield table
    table.close()


def let_something_happen(table: SharedTable) -> None:
    """Do what may come between two looks at what is due, at a worker of either release."""
    dice, release = table.dice, table.dice.choice(list(table.workers))
    what = dice.choice(["receive", "receive", "click", "click", "click", "note", "replay", "restart"])
    if what == "receive":
        receive(table, release, f"alert-{len(table.accepted)}", *dice.choice([(), ("db1",)]))
    elif what == "restart":
        table.restart(release)
    elif what == "replay" and table.accepted:
        table.do(release, "replay", dice.choice(table.accepted))
    elif what in ("click", "note") and table.messages:
        told = ["I was on a train.", "V1"] if what == "note" else [dice.choice(list(Choice))]
        table.do(release, what, dice.choice(table.messages).ref, *told)


def until_all_is_done(table: SharedTable) -> None:
    """Advance past the deadlines of all questions, and send all reports."""
    for _ in range(50):
        table.now += 5 * MINUTE
        for release in table.workers:
            table.do(release, "work")
        waiting = [row for row in table.rows.reports if row.sent_at is None]
        if not waiting and all(each.standing for each in table.rows.questions):
            return
    raise AssertionError("something is never done")


@pytest.mark.parametrize("seed", [1])
def test_workers_of_both_releases_share_a_table_for_an_hour(table: SharedTable) -> None:
    for _ in range(MINUTES_SHARED):
        table.now += MINUTE
        let_something_happen(table)
        for release in table.dice.sample(list(table.workers), k=2):
            table.do(release, "work", post_ends=table.dice.choices(POST_ENDS, k=4))
    until_all_is_done(table)

    was_asked = {each.ref for each in table.rows.questions if each.state is State.ASKED}
    assert was_asked == {message.ref for message in table.messages}
    assert all(each.state in (State.ASKED, State.CLOSED) for each in table.rows.questions)
    assert {row.event_id for row in table.rows.reports} == table.sent
    assert 0 < len(table.facts) < len(table.accepted)
    verdict = table.verify_trails()
    assert verdict.faults == []
    assert verdict.gaps == []  # both releases keep the trail


@pytest.mark.parametrize("seed", [0])
def test_what_this_release_adds_to_a_question_stays_while_the_one_before_asks_it(table: SharedTable) -> None:
    receive(table, "present", "alert", "db1")
    table.restart("present")
    table.now += MINUTE
    table.do("former", "work")
    [message] = table.messages
    table.do("former", "click", message.ref, "no")
    for view_id in ("V1", "V1", "V2"):
        assert table.do("present", "note", message.ref, "I was on a train.", view_id) is True
        table.do("former", "click", message.ref, "yes" if view_id == "V2" else "notSure")
    assert table.do("present", "note", message.ref, "I was on a train.", "V1") is True

    [question] = table.rows.questions
    assert question.notes == 2
    until_all_is_done(table)


@pytest.mark.parametrize("seed", [0])
def test_a_yes_that_was_not_proved_stops_no_worker_of_the_release_before(table: SharedTable) -> None:
    receive(table, "present", "unproven")
    table.do("present", "work")
    table.do("present", "require_proofs")
    table.do("present", "click", table.messages[0].ref, "yes")
    receive(table, "former", "another")
    table.restart("present")
    table.now += 10 * MINUTE  # nobody else has the lease any more

    table.do("former", "work")

    assert [message.ref.partition(".")[0] for message in table.messages] == [
        row_key("unproven"),
        row_key("another"),
    ]
    assert len(table.sent) == 1
    ended = {each.request.identifier: each.standing for each in table.rows.questions}
    assert ended == {"unproven": Outcome.UNPROVEN, "another": None}
    assert [read_report(row).outcome for row in table.rows.reports] == [Outcome.UNPROVEN]
    until_all_is_done(table)


@pytest.mark.parametrize("seed", [0])
def test_a_card_gets_a_new_secret_where_the_release_before_has_dropped_it(table: SharedTable) -> None:
    receive(table, "present", "alert")
    [question] = table.rows.questions
    assert question.card_secret
    table.restart("present")
    table.now += MINUTE
    table.do("former", "work")
    table.do("former", "click", table.messages[0].ref, "no")
    [question] = table.rows.questions
    assert question.card_secret == ""
    table.restart("former")
    table.now += MINUTE

    table.do("present", "work")

    [question] = table.rows.questions
    assert question.card_ts
    assert len(question.card_secret) == 32
    until_all_is_done(table)


@pytest.mark.parametrize("seed", [0])
def test_what_waits_for_a_place_is_asked_although_the_release_before_wrote_it(table: SharedTable) -> None:
    for number in range(6):
        table.accepted.append(f"alert-{number}")
        assert table.do("present", "receive_for", "ada@example.com", f"alert-{number}") is True
    table.do("present", "work")
    assert len(table.messages) == 3
    table.now += 26 * MINUTE
    table.do("former", "work")
    assert {each.reason for each in table.rows.questions if each.state is State.ACCEPTED} == {
        Reason.NOT_ASKED_IN_TIME
    }
    assert not any(each.waits_for for each in table.rows.questions)

    for _ in range(20):
        table.now += MINUTE / 6
        table.do("present", "work")

    assert len(table.messages) == 6
    assert {each.state for each in table.rows.questions} == {State.ASKED}
    until_all_is_done(table)
    assert {row.event_id for row in table.rows.reports} == table.sent
    assert table.verify_trails().faults == []


@pytest.mark.parametrize("seed", [0])
def test_what_the_release_before_has_asked_takes_a_place(table: SharedTable) -> None:
    for number in range(5):
        release = "former" if number < 2 else "present"
        table.accepted.append(f"alert-{number}")
        assert table.do(release, "receive_for", "ada@example.com", f"alert-{number}") is True
        table.do(release, "work")

    assert len(table.messages) == 3

    table.do("former", "click", table.messages[0].ref, "no")
    for _ in range(3):
        table.now += MINUTE / 6
        table.do("present", "work")
    assert len(table.messages) == 4
    until_all_is_done(table)


def play_on_a_file(worker: WorkerOfRelease) -> None:
    """Make one question answered, changed and explained; leave one waiting, and let one expire."""
    messages: list[Message] = []

    def do(what: str, *arguments: str, now: datetime = NOON) -> None:
        answer = worker.do(what, *arguments, now=now, messages=messages)
        messages.extend(message_from(told) for told in answer["messages"])

    for name in ("answered", "silent"):
        do("receive", name)
        do("work")
    do("click", messages[0].ref, "yes", now=NOON + MINUTE)
    do("click", messages[0].ref, "no", now=NOON + 2 * MINUTE)
    do("note", messages[0].ref, "I was on a train.", now=NOON + 3 * MINUTE)
    for minutes in (4, 5, 30):
        do("work", now=NOON + minutes * MINUTE)
    do("receive", "waiting", now=NOON + 31 * MINUTE)
    do("work", now=NOON + 31 * MINUTE)


NAMES = ("answered", "silent", "waiting")


@dataclass(frozen=True, kw_only=True)
class Release:
    """A former release, and a file on which its worker has played."""

    version: int  #: of its store
    folder: Path
    played: Path


@pytest.fixture(scope="module", params=list(RELEASES))
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = unpack_release(request.param)
    home = tmp_path_factory.mktemp("played")
    with WorkerOfRelease(folder, f"sqlite:///{home / 'store.db'}", home) as worker:
        play_on_a_file(worker)
    return Release(version=request.param, folder=folder, played=home / "store.db")


@pytest.fixture
def path(release: Release, tmp_path: Path) -> Path:
    """A file of a former release, with the head that belongs next to it since version 4."""
    head = release.played.with_name(f"{release.played.name}.head")
    if head.exists():
        shutil.copy(head, tmp_path)
    return Path(shutil.copy(release.played, tmp_path))


def schema_of(path: Path) -> tuple[int, list[Any]]:
    """Return the version of a file, the columns of its tables in order, and its indexes."""
    with closing(sqlite3.connect(path)) as connection:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        tables = ("question", "report", "probe", "past", "event", "attempt", "inquiry", "places")
        columns = [connection.execute(f"PRAGMA table_xinfo({table})").fetchall() for table in tables]
        indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        return version, [*columns, connection.execute(indexes).fetchall()]


async def test_opening_a_former_file_migrates_it(release: Release, path: Path, tmp_path: Path) -> None:
    assert schema_of(path)[0] == release.version

    store = await open_store(f"sqlite:///{path}")
    reports = [row for name in NAMES for row in await store.reports_of(name)]
    await store.close()

    new = await open_store(f"sqlite:///{tmp_path / 'new.db'}", create=True)
    await new.close()
    assert schema_of(path) == schema_of(tmp_path / "new.db")
    assert [row.report is None for row in reports] == [release.version == 1] * 4
    assert [(read.outcome, read.note, read.comment) for read in map(read_report, reports)] == [
        ("yes", False, ""),
        ("no", False, ""),
        ("no", True, "I was on a train."),
        ("timedOut", False, ""),
    ]


def test_the_present_release_goes_on_with_a_former_file(release: Release, path: Path, tmp_path: Path) -> None:
    sent: set[str] = set()
    with WorkerOfRelease(CHECKOUT, f"sqlite:///{path}", tmp_path) as worker:
        for seconds in (0, 10, 20):
            now = NOON + 60 * MINUTE + timedelta(seconds=seconds)
            sent |= {report["identifier"] for report in worker.do("work", now=now)["result"]}

    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT identifier || sequence, report.facts != '', sent_at IS NOT NULL FROM report"
            " JOIN question USING (key) ORDER BY identifier, sequence"
        ).fetchall()
    kept = int(release.version > 1)
    former = [(name, kept, 1) for name in ("answered0", "answered1", "answered2", "silent0")]
    assert rows == [*former, ("waiting0", 1, 1)]
    assert "waiting" in sent


def test_a_former_release_leaves_our_file_alone(release: Release, path: Path, tmp_path: Path) -> None:
    with WorkerOfRelease(CHECKOUT, f"sqlite:///{path}", tmp_path) as worker:
        worker.do("work", now=NOON + 60 * MINUTE)
    before = path.read_bytes()

    worker = WorkerOfRelease(release.folder, f"sqlite:///{path}", tmp_path)
    worker.stop()

    assert re.search(f"has schema 6,.* this release reads .*{release.version}", worker.complaints)
    assert path.read_bytes() == before


async def test_a_former_file_is_copied_as_it_always_was(release: Release, path: Path, tmp_path: Path) -> None:
    with WorkerOfRelease(release.folder, f"sqlite:///{path}", tmp_path) as worker:
        known = {name: worker.do("digests", name, now=NOON)["result"] for name in NAMES}

    source = await SqliteSource.open(path)
    alerts = [alert async for page in source.pages() for alert in page]
    source.close()

    rows: dict[str, list[Row]] = {each.question.identifier: [each.question, *each.reports] for each in alerts}
    assert {name: list(map(digest_of, each)) for name, each in rows.items()} == known
    assert schema_of(path)[0] == release.version  # copying a file does not change it
