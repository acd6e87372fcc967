"""Broken programs, each in one place: what proves that the simulation finds what it is there to find."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from torture.promises import Promise
from torture.sabotage import FACTOR_SABOTAGES, CarelessStore, Replacements

from bot.clock import Clock
from bot.slack.messenger import LOOK_BACK, SlackMessenger
from bot.sqs.dead_letters import DeadLetters
from bot.sqs.poller import Poller
from bot.store.dynamodb.table import Table, to_wire
from bot.store.sqlite import connection as sqlite_connection
from bot.store.sqlite import opening
from bot.store.sqlite import store as sqlite_store
from bot.store.sqlite.store import SqliteStore
from bot.triage import (
    answer_rules,
    asking_rules,
    inquiry_rules,
    look_ups,
    place_rules,
    recorder,
    reminding,
    responder_rules,
    restore_rules,
    service,
    trail,
)
from bot.triage.asking import Asker
from bot.triage.bursts import Bursts
from bot.triage.cards import Cards
from bot.triage.inquiring import Inquirer
from bot.triage.look_ups import LookUpResult
from bot.triage.policy import Policy
from bot.triage.restores import Restores
from bot.triage.service import TriageService
from bot.worker.app import App

from .disk import Connection

#: What a store that forgets causes.
_LOSSES: Final = (Promise.LOST, Promise.TWICE, Promise.UNREPORTED, Promise.FALLEN)

#: What two writers who do not see each other cause.
_CONTRADICTIONS: Final = (Promise.OVERRULED, Promise.UNREPORTED, Promise.CONFLICTING, Promise.DISORDERLY)


def _never_look() -> Replacements:
    async def look(*_: Any, **__: Any) -> LookUpResult:
        return LookUpResult.NOT_POSTED

    return {(look_ups.LookUps, "look"): look}


def _report_in_a_second_step() -> Replacements:
    open_store = SqliteStore.open

    async def careless(*given: Any, **options: Any) -> Any:
        return CarelessStore(await open_store(*given, **options))

    return {(SqliteStore, "open"): careless}


def _commit_last(before: Callable[[Any, Any], None]) -> Replacements:
    """Do something before a COMMIT that has to come after it."""

    def commit(database: Any, jobs: Any) -> bool:
        connection, past = database._connection, database._past
        connection.execute("BEGIN IMMEDIATE")
        past.begin()
        if not all(sqlite_connection._attempt(job, connection) for job in jobs):
            sqlite_connection._roll_back(connection)
            return False
        past.count(connection)
        before(database, jobs)
        connection.execute("COMMIT")
        past.note_commit()
        return True

    return {(sqlite_connection.Database, "_commit"): commit}


def _acknowledge_before_commit() -> Replacements:
    def acknowledge(database: Any, jobs: Any) -> None:
        database._tell_loop(database._settle, jobs)
        time.sleep(0.5)

    return _commit_last(acknowledge)


def _write_head_before_commit() -> Replacements:
    return _commit_last(lambda database, _: database._past.note_commit())


def _sync_nothing() -> Replacements:
    execute = Connection.execute

    def without_sync(connection: Connection, sql: str, *values: Any) -> Any:
        return execute(connection, sql.replace("synchronous=FULL", "synchronous=OFF"), *values)

    return {(Connection, "execute"): without_sync}


def _delete_before_storing() -> Replacements:
    store = Poller._store

    async def process(poller: Any, ready: Any) -> Any:
        messages = [message for message, _ in ready]
        await poller._queue.delete_batch(messages)
        return await store(poller, ready)

    return {(Poller, "_store"): process}


def _hold_nothing() -> Replacements:
    return {(recorder, "report_due_at"): lambda _, now, *__, **___: now}


def _apart_by_nothing() -> Replacements:
    return {(sqlite_store, "REPORTS_APART"): timedelta(0)}


def _shorten_deadlines() -> Replacements:
    deadline = Policy.deadline

    def early(policy: Policy, question: Any, since: datetime) -> datetime | None:
        found = deadline(policy, question, since)
        return found and found - timedelta(seconds=30)

    return {(Policy, "deadline"): early}


def _lengthen_deadlines() -> Replacements:
    deadline = Policy.deadline

    def late(policy: Policy, question: Any, since: datetime) -> datetime | None:
        found = deadline(policy, question, since)
        return found and found + timedelta(seconds=20)

    return {(Policy, "deadline"): late}


def _expire_nothing() -> Replacements:
    async def overdue(*_: Any, **__: Any) -> list[Any]:
        return []

    return {(SqliteStore, "overdue"): overdue}


def _remind_without_counting() -> Replacements:
    remind = asking_rules.remind

    def uncounted(question: Any, now: datetime, policy: Policy) -> Any:
        step = remind(question, now, policy)
        return step and replace(step, question=replace(step.question, reminders=0))

    return {(asking_rules, "remind"): uncounted}


def _redraw_nothing() -> Replacements:
    async def redraw(*_: Any, **__: Any) -> None:
        pass

    return {(SlackMessenger, "redraw"): redraw}


def _show_no_cards() -> Replacements:
    async def show(cards: Any, question: Any) -> None:
        await cards._postpone(question, None)

    return {(Cards, "_show"): show}


def _take_clicks_of_anybody() -> Replacements:
    return {(answer_rules, "why_not_answer"): lambda *_: None}


def _let_anybody_act() -> Replacements:
    return {(responder_rules, "why_not_act"): lambda *_: None}


def _lose_hand_overs() -> Replacements:
    return {(responder_rules, "hand_over"): lambda *_: None}


def _deescalate() -> Replacements:
    return {(answer_rules, "_compare_ranks"): lambda *_: 0}


def _lose_notes() -> Replacements:
    return {(service, "add_note"): lambda *_: None}


def _lose_replies() -> Replacements:
    return {(inquiry_rules, "take_reply"): lambda *_: None}


def _ask_back_again_after_a_doubt() -> Replacements:
    """Post what may have been posted once more, without a look."""

    async def look(inquirer: Any, inquiry: Any) -> None:
        await inquirer._save(inquiry_rules.record_not_posted(inquiry, inquirer._clock()))

    return {(Inquirer, "_look"): look}


def _ask_back_before_claiming() -> Replacements:
    async def post(inquirer: Any, inquiry: Any, question: Any) -> None:
        await inquirer._record(inquiry, await inquirer._post(inquiry, question))

    return {(Inquirer, "_claim_and_post"): post}


def _forget_windows() -> Replacements:
    """Know no reply again that Slack delivers twice."""
    counted = count()
    return {(inquiry_rules, "window_key"): lambda *_: f"{next(counted):016x}"}


def _ignore_versions() -> Replacements:
    """Let the last write win."""
    save = sqlite_store._save

    def overwrite(connection: Any, change: Any) -> bool:
        key = change.question.ref.partition(".")[0]
        [version] = connection.execute("SELECT version FROM question WHERE key = ?", (key,)).fetchone()
        question = replace(change.question, version=version + 1)
        return save(connection, replace(change, question=question, before=None))

    return {(sqlite_store, "_save"): overwrite}


def _copy_nothing() -> Replacements:
    async def copy(*_: Any, **__: Any) -> bool:
        return True

    return {(DeadLetters, "copy"): copy}


def _post_again_after_a_doubt() -> Replacements:
    async def doubt(asker: Any, question: Any, _: Exception) -> None:
        await asker._ask_again(question)

    return {(Asker, "_leave_in_doubt"): doubt}


def _claim_after_asking() -> Replacements:
    async def post(asker: Any, question: Any, person: Any, _: Any) -> None:
        claim = asking_rules.claim(question, person, asker._clock())
        message_ref = await asker._send(claim.question)
        claimed = await asker._recorder.save(question, claim)
        if claimed is not None:
            await asker._record(claimed, message_ref)

    return {(Asker, "_claim_and_post"): post}


def _keep_machine_time() -> Replacements:
    def read(clock: Any) -> datetime:
        return datetime.fromtimestamp(clock._machine.wall(), UTC)

    return {(Clock, "__call__"): read}


def _pause_by_the_machines_clock() -> Replacements:
    def monotonic(clock: Any) -> timedelta:
        return timedelta(seconds=clock._machine.wall())

    return {(Clock, "monotonic"): monotonic}


def _hold_a_claim_through_a_suspend() -> Replacements:
    async def never(*_: Any) -> bool:
        return False

    return {(Asker, "_give_up_stale"): never}


def _begin_spans_at_the_lower_end() -> Replacements:
    return {(Clock, "lag"): timedelta(0)}


def _write_without_conditions() -> Replacements:
    async def put_all(
        table: Any, item: Any, _: Any, others: Any, *, guarded: Any = (), gone: Any = ()
    ) -> bool:
        for each in (item, *others, *(other for other, _ in guarded)):
            await table.call("put_item", Item=to_wire(each))
        for each in gone:
            await table.call("delete_item", Key=to_wire(each))
        return True

    return {(Table, "put_all"): put_all}


def _log_addresses() -> Replacements:
    expire = TriageService.expire

    async def tell(triage: Any, question: Any) -> None:
        service.log.info("expires for %s", question.request.user)
        await expire(triage, question)

    return {(TriageService, "expire"): tell}


def _stop_late() -> Replacements:
    close = SqliteStore.close

    async def slowly(store: Any) -> None:
        await asyncio.sleep(15)
        await close(store)

    return {(SqliteStore, "close"): slowly}


def _look_by_the_machines_clock() -> Replacements:
    read = SlackMessenger._read_history

    async def bounded(messenger: Any, channel: str, page: Mapping[str, object]) -> Any:
        oldest = max(float(str(page["oldest"])), time.time() - LOOK_BACK.total_seconds())
        is_a_look = "latest" not in page
        return await read(messenger, channel, {**page, **({"oldest": f"{oldest:.6f}"} if is_a_look else {})})

    return {(SlackMessenger, "_read_history"): bounded}


def _remind_after_a_suspend() -> Replacements:
    return {(reminding, "COUNT_HOLDS"): timedelta.max}


def _believe_any_store() -> Replacements:
    return {(opening, "find_mismatch"): lambda *_, **__: ""}


def _ask_at_once_after_a_restore() -> Replacements:
    async def before_asking(*_: Any) -> bool:
        return True

    return {(Restores, "before_asking"): before_asking}


def _read_nothing_after_a_restore() -> Replacements:
    """Decide without a look at Slack; what is reported then is a note, for the standing is unknown."""

    async def pass_on(_: Any, question: Any, *__: Any) -> Any:
        return question

    names = ("before_work", "before_deadline", "before_click")
    return {(Restores, name): pass_on for name in names}


def _believe_the_backup() -> Replacements:
    """Read nothing, and take what the backup says about a question as current."""
    return {
        **_read_nothing_after_a_restore(),
        (restore_rules, "give_up_reading"): lambda question, *_: question,
    }


def _restore_by_the_machines_clock() -> Replacements:
    async def not_at_all(*_: Any) -> None:
        pass

    return {(App, "_await_time"): not_at_all}


def _forget_the_report_before() -> Replacements:
    return {(recorder, "previous_report"): lambda *_: ""}


def _restart_each_trail() -> Replacements:
    make = trail.make_event
    return {
        (recorder, "make_event"): lambda identifier, version, _, **told: make(identifier, version, "", **told)
    }


def _reserve_without_looking() -> Replacements:
    return {(place_rules, "reserve"): lambda places, question, _: place_rules._add(places, question)}


def _post_lines_again() -> Replacements:
    return {
        (place_rules, "end_line"): lambda places, line: place_rules.record_line_not_posted(
            places, line, places.touched_at
        )
    }


def _show_no_bursts() -> Replacements:
    async def show(*_: Any) -> None:
        pass

    return {(Bursts, "_show"): show}


def _report_no_waits() -> Replacements:
    return {(Policy, "report_waiting_at"): lambda _, __, since: since - timedelta(hours=1)}


@dataclass(frozen=True)
class Sabotage:
    """A broken program: with which store it is tried, and the promises of which it breaks one."""

    store: str
    break_it: Callable[[], Replacements]
    promises: frozenset[Promise]
    factor: bool = False  #: whether a run has to have a second factor to find it
    flood: bool = False  #: whether it has to have a flood


def _of(
    store: str,
    break_it: Callable[[], Replacements],
    *promises: Promise,
    flood: bool = False,
) -> Sabotage:
    return Sabotage(store, break_it, frozenset(promises), flood=flood)


def _of_factor(name: str, promise: Promise) -> Sabotage:
    return Sabotage("sqlite", FACTOR_SABOTAGES[name], frozenset({promise}), factor=True)


#: What each is called.
SABOTAGES: Final[Mapping[str, Sabotage]] = {
    "never look": _of("sqlite", _never_look, Promise.TWICE),
    "look by the machine's clock": _of("sqlite", _look_by_the_machines_clock, Promise.TWICE),
    "post again after a doubt": _of("sqlite", _post_again_after_a_doubt, Promise.TWICE),
    "claim after asking": _of("sqlite", _claim_after_asking, Promise.TWICE),
    "hold a claim through a suspend": _of("dynamodb", _hold_a_claim_through_a_suspend, Promise.TWICE),
    "write without conditions": _of("dynamodb", _write_without_conditions, Promise.TWICE),
    "delete before storing": _of("sqlite", _delete_before_storing, Promise.LOST),
    "report in a second step": _of("sqlite", _report_in_a_second_step, Promise.UNREPORTED),
    "acknowledge before commit": _of("sqlite", _acknowledge_before_commit, Promise.UNREPORTED),
    "sync nothing": _of("sqlite", _sync_nothing, *_LOSSES),
    "write the head before commit": _of("sqlite", _write_head_before_commit, Promise.FALLEN),
    "believe any store": _of("sqlite", _believe_any_store, Promise.UNNOTICED),
    "ask at once after a restore": _of("sqlite", _ask_at_once_after_a_restore, Promise.TWICE),
    "read nothing after a restore": _of("sqlite", _read_nothing_after_a_restore, Promise.OVERRULED),
    "believe the backup": _of("sqlite", _believe_the_backup, Promise.SILENCED),
    "restore by the machine's clock": _of(
        "sqlite", _restore_by_the_machines_clock, Promise.TWICE, Promise.LOST, Promise.OPEN
    ),
    "hold nothing": _of("sqlite", _hold_nothing, Promise.UNHEARD),
    "reports apart by nothing": _of("sqlite", _apart_by_nothing, Promise.DISORDERLY),
    "ignore versions": _of("sqlite", _ignore_versions, *_CONTRADICTIONS),
    "take clicks of anybody": _of("sqlite", _take_clicks_of_anybody, Promise.FORGED),
    "let anybody act on a card": _of("sqlite", _let_anybody_act, Promise.INTRUDED),
    "lose hand-overs": _of("sqlite", _lose_hand_overs, Promise.STALE),
    "lose replies": _of("sqlite", _lose_replies, Promise.UNSPOKEN),
    "ask back again after a doubt": _of("sqlite", _ask_back_again_after_a_doubt, Promise.ECHOED),
    "ask back before claiming": _of("sqlite", _ask_back_before_claiming, Promise.ECHOED),
    "forget windows": _of("sqlite", _forget_windows, Promise.UNSPOKEN, Promise.ECHOED),
    "de-escalate": _of("sqlite", _deescalate, Promise.SILENCED),
    "lose notes": _of("sqlite", _lose_notes, Promise.UNNOTED),
    "copy nothing": _of("sqlite", _copy_nothing, Promise.UNCOPIED),
    "redraw nothing": _of("sqlite", _redraw_nothing, Promise.UNSHOWN),
    "show no cards": _of("sqlite", _show_no_cards, Promise.CARDLESS),
    "shorten deadlines": _of("sqlite", _shorten_deadlines, Promise.EARLY),
    "lengthen deadlines": _of("sqlite", _lengthen_deadlines, Promise.LATE),
    "expire nothing": _of("sqlite", _expire_nothing, Promise.OPEN),
    "keep the machine's time": _of("sqlite", _keep_machine_time, Promise.EARLY, Promise.LATE),
    "pause by the machine's clock": _of("sqlite", _pause_by_the_machines_clock, Promise.LOST),
    "begin spans at the lower end": _of("sqlite", _begin_spans_at_the_lower_end, Promise.EARLY),
    "remind without counting": _of("sqlite", _remind_without_counting, Promise.NAGGED),
    "remind after a suspend": _of("dynamodb", _remind_after_a_suspend, Promise.REMINDED_LATE),
    "forget the report before": _of("sqlite", _forget_the_report_before, Promise.UNPROVED),
    "restart each trail": _of("sqlite", _restart_each_trail, Promise.UNPROVED),
    "log addresses": _of("sqlite", _log_addresses, Promise.LEAKED),
    "stop late": _of("sqlite", _stop_late, Promise.FALLEN),
    "approve anybody": _of_factor("approve anybody", Promise.UNAPPROVED),
    "take unavailable for approved": _of_factor("take unavailable for approved", Promise.UNAPPROVED),
    "push again": _of_factor("push again", Promise.PESTERED),
    "limit no pushes": _of_factor("limit no pushes", Promise.PESTERED),
    "count a late proof": _of_factor("count a late proof", Promise.UNAPPROVED),
    "reserve without looking": _of("sqlite", _reserve_without_looking, Promise.CROWDED, flood=True),
    "post the line again": _of("sqlite", _post_lines_again, Promise.UNANNOUNCED, flood=True),
    "show no bursts": _of("sqlite", _show_no_bursts, Promise.UNANNOUNCED, flood=True),
    "report waits at once": _of("sqlite", _report_no_waits, Promise.EARLY, flood=True),
}
