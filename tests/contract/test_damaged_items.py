"""Items of a table that somebody has edited by hand: each is named, and nothing else waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from any_store import SECOND, a_question, add, due, names, overdue, report_times, sendable
from fakes import NOON, SteppedClock
from local_dynamodb import create_table, dynamodb, store_in

from bot.errors import DamagedRow
from bot.store.dynamodb.leases import LEASE
from bot.store.dynamodb.store import DynamoStore
from bot.triage.asking_rules import row_key
from bot.triage.factor import Attempt
from bot.triage.model import Change, Question, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.places import Places

ADA = "U0ADA"
DAY = timedelta(days=1)


@pytest.fixture
def table() -> str:
    return create_table()


def damage(table: str, pk: str, sk: str = "question", /, **attribute: Mapping[str, object]) -> None:
    """Write something into an item that no release of this program writes there."""
    [(name, value)] = attribute.items()
    dynamodb().update_item(
        TableName=table,
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="SET #a = :v",
        ExpressionAttributeNames={"#a": name},
        ExpressionAttributeValues={":v": value},
        ConditionExpression="attribute_exists(pk)",
    )


async def written(table: str, *questions: Question) -> None:
    """Store questions as a worker that is gone before anybody reads them."""
    store = store_in(table)
    await add(store, *questions)
    await store.close()


def named(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Return what was left out, by the first words of the lines that say so."""
    assert {vars(each)["event"] for each in caplog.records} <= {"store.damaged"}
    return {each.message.partition(" cannot be read: its row is damaged")[0] for each in caplog.records}


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param({"st": {"S": "askee"}}, id="a state that there is not"),
        pytest.param({"ag": {"S": "["}}, id="half a list"),
        pytest.param({"at": {"N": "9" * 30}}, id="a time beyond the calendar"),
        pytest.param({"ak": {"S": "noon"}}, id="a time in words"),
        pytest.param({"n": {"S": "many"}}, id="a count in words"),
        pytest.param({"rf": {"N": "1.5"}}, id="half a count"),
        pytest.param({"u": {"N": "7"}}, id="a number for an address"),
        pytest.param({"s": {"N": "1"}}, id="a number for a secret"),
        pytest.param({"dl": {"N": "-" + "9" * 30}}, id="a deadline before the calendar"),
    ],
)
async def test_a_damaged_question_is_named_and_keeps_nothing_else_waiting(
    table: str, caplog: pytest.LogCaptureFixture, harm: dict[str, dict[str, str]]
) -> None:
    open_ = {"state": State.ASKED, "slack_id": ADA, "asked_at": NOON}
    await written(
        table, *(a_question(f"alert-{number}", deadline=NOON + DAY, **open_) for number in range(3))
    )
    damage(table, row_key("alert-0"), **harm)
    clock = SteppedClock(now=NOON + LEASE)
    store = store_in(table, clock=clock)
    others = ["alert-1", "alert-2"]

    assert sorted(await due(store, clock(), Work.REMIND)) == others
    assert await store.oldest_open() == NOON
    clock.now = NOON + DAY
    assert sorted(await overdue(store, clock())) == others
    assert sorted(names(await store.list_questions(limit=9))) == others
    assert sorted(names(await store.open_for(ADA, limit=9))) == others
    assert [each.asked for each in await store.statistics(NOON)] == [2]
    with pytest.raises(DamagedRow, match="the question of 'alert-0' cannot be read"):
        await store.find("alert-0")
    await store.close()

    # A time that orders an index is named by the item's key.
    assert "the question of 'alert-0'" in named(caplog)
    assert named(caplog) <= {"the question of 'alert-0'", f"the moment of {row_key('alert-0')!r}"}


async def test_a_place_in_the_index_that_no_worker_wrote_keeps_nothing_else_waiting(
    table: str, caplog: pytest.LogCaptureFixture
) -> None:
    await written(table, a_question("alert-0"), a_question("alert-1"))
    damage(table, row_key("alert-0"), m={"N": "-" + "9" * 30})
    clock = SteppedClock(now=NOON + LEASE)
    store = store_in(table, clock=clock)

    assert await due(store, clock()) == ["alert-1"]
    await store.close()

    assert named(caplog) == {f"the moment of {row_key('alert-0')!r}"}


async def test_reports_go_out_whatever_their_questions_and_neighbours_are_like(
    table: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer = store_in(table)
    rows = [
        *(await report_times(writer, "damaged question", NOON)),
        *(await report_times(writer, "damaged report", NOON, NOON + SECOND)),
        *(await report_times(writer, "sound", NOON)),
    ]
    await writer.close()
    damage(table, row_key("damaged question"), st={"S": "askee"})
    damage(table, row_key("damaged report"), "report#000000", pa={"S": "noon"})
    clock = SteppedClock(now=NOON + LEASE + SECOND)
    store = store_in(table, clock=clock)

    assert sorted(await sendable(store, clock())) == ["event-damaged question-0", "event-sound-0"]
    await store.mark_sent([rows[0], rows[-1]], clock())
    assert await sendable(store, clock()) == []
    await store.close()

    after = store_in(table)
    assert [row.sent_at for row in await after.reports_of("damaged question")] == [clock()]
    await after.close()
    assert named(caplog) == {"the report of 'damaged report'", "the question of 'damaged question'"}


async def test_the_oldest_report_is_told_though_another_has_no_time(table: str) -> None:
    store = store_in(table)
    await report_times(store, "damaged", NOON)
    await report_times(store, "sound", NOON + SECOND)
    damage(table, row_key("damaged"), "report#000000", d={"S": "noon"})

    assert await store.oldest_unsent() == NOON + SECOND
    await store.close()


async def with_waiting(table: str) -> DynamoStore:
    """Return a store with three questions that wait for a place."""
    store = store_in(table)
    for number in range(3):
        plain = replace(a_question(f"alert-{number}", due_at=None), accepted_at=NOON + number * SECOND)
        await add(store, plain)
        waits = replace(plain, version=1, waits_for=ADA, waited_since=NOON)
        assert await store.save(Change(question=waits, before=plain))
    return store


async def test_a_damaged_question_that_waits_for_a_place_keeps_its_neighbours_and_its_entry(
    table: str,
) -> None:
    store = await with_waiting(table)
    damage(table, row_key("alert-0"), st={"S": "askee"})

    assert names(await store.first_waiting(ADA)) == ["alert-1"]
    assert (await store.count_waiting(ADA, limit=9)).first == ["alert-0", "alert-1", "alert-2"]
    await store.close()


async def test_a_damaged_entry_that_waits_keeps_its_neighbours(
    table: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = await with_waiting(table)
    key = f"waiting#{ADA}"
    [first, *_] = dynamodb().query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": key}},
    )["Items"]
    damage(table, key, first["sk"]["S"], r={"BOOL": True})
    damage(table, key, first["sk"]["S"], at={"S": "noon"})

    assert names(await store.first_waiting(ADA)) == ["alert-1"]
    counted = await store.count_waiting(ADA, limit=9)
    assert (sum(counted.kinds.values()), counted.first) == (2, ["alert-1", "alert-2"])
    await store.close()

    assert named(caplog) == {f"the ref of {key!r}", f"the waiting of {key!r}"}


async def test_damaged_places_keep_nobody_else_waiting(table: str, caplog: pytest.LogCaptureFixture) -> None:
    store = store_in(table)
    for person in (ADA, "U0GRACE"):
        places = Places(person=person, slack_id=person, version=1, touched_at=NOON, due_at=NOON)
        assert await store.save_places(places)
    damage(table, f"places#{ADA}", "places", v={"S": "one"})

    assert [each.person for each in await store.due_places(NOON, limit=9)] == ["U0GRACE"]
    await store.close()

    assert named(caplog) == {f"the places of {f'places#{ADA}'!r}"}


async def test_a_damaged_attempt_keeps_no_other_waiting(table: str, caplog: pytest.LogCaptureFixture) -> None:
    store = store_in(table)
    for subject in ("ada@example.com", "grace@example.com"):
        attempt = Attempt(
            subject=subject, version=1, ref=a_question().ref, code="CODE23", started_at=NOON, due_at=NOON
        )
        assert await store.save_attempt(attempt)
    damaged = Attempt(subject="ada@example.com", version=1, ref="", code="", started_at=NOON)
    damage(table, f"attempt#{damaged.key}", "attempt", t={"S": "noon"})

    assert [each.subject for each in await store.due_attempts(NOON, limit=9)] == ["grace@example.com"]
    await store.close()

    assert named(caplog) == {f"the attempt of {f'attempt#{damaged.key}'!r}"}


async def test_what_has_ended_is_removed_but_for_an_alert_with_a_damaged_report(table: str) -> None:
    store = store_in(table)
    for name in ("damaged", "sound"):
        [report] = await report_times(store, name, NOON)
        await store.mark_sent([report], NOON)
        question = await store.find(name)
        assert question
        ended = replace(
            question, version=question.version + 1, state=State.CLOSED, standing=Outcome.NO, settled_at=NOON
        )
        assert await store.save(Change(question=replace(ended, due_at=None), before=question))
    damage(table, row_key("damaged"), "report#000000", sn={"S": "noon"})

    assert await store.remove_ended(NOON + 90 * DAY, limit=9) == 1
    assert await store.find("sound") is None
    assert await store.find("damaged")
    await store.close()
