"""What is counted, and that nothing is counted twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, NOON, SteppedClock, a_request
from memory_store import MemoryStore
from prometheus_client.parser import text_string_to_metric_families

from bot.errors import StoreError
from bot.sqs.wire import decode_request, write_report
from bot.triage import asking_rules
from bot.triage.model import Choice, InvalidBody, Question, State, Step
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy
from bot.triage.recorder import Recorder
from bot.worker.health import StoreHealth, Trouble, WorkerHealth
from bot.worker.metrics import LABELS_MAX, OTHER, Metrics

MINUTE = timedelta(minutes=1)
ALERT = a_request().alert
WORKER_HEALTH = WorkerHealth(
    links_up=2, link_shared=False, rejection_code="", polled_at=NOON, store=StoreHealth()
)


def metrics() -> Metrics:
    return Metrics(alerts=[ALERT], version="1.2.3")


def value(
    metrics: Metrics, name: str, *, worker_health: WorkerHealth = WORKER_HEALTH, **labels: str
) -> float | None:
    text = metrics.exposition(worker_health, NOON + MINUTE).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return next((each.value for each in samples if each.name == name and each.labels == labels), None)


def accepted(**changes: Any) -> Question:
    ref = asking_rules.new_ref(a_request().identifier, "0123456789abcdef" * 2)
    return replace(Question(request=a_request(), ref=ref, accepted_at=NOON, due_at=NOON), **changes)


def asked(**changes: Any) -> Question:
    return accepted(**{"state": State.ASKED, "asked_at": NOON + MINUTE, **changes})


def answered(choice: Choice, *, answers: int = 1, **changes: Any) -> Question:
    moment = NOON + 3 * MINUTE
    said = {"said": choice, "standing": Outcome(choice.value), "answered_at": moment}
    return asked(**{**said, "answers": answers, **changes})


def test_a_new_question_is_an_accepted_request() -> None:
    meter = metrics()

    meter.count_stored(None, accepted())

    assert value(meter, "triage_requests_accepted_total") == 1


def test_a_request_that_ends_as_it_arrives_is_not_accepted_but_undeliverable() -> None:
    meter = metrics()

    meter.count_stored(None, accepted(standing=Outcome.UNDELIVERABLE, reason="invalid_request"))

    assert value(meter, "triage_requests_accepted_total") == 0
    assert value(meter, "triage_questions_undeliverable_total", reason="invalid_request") == 1


def test_a_question_that_a_valid_request_reopens_is_an_accepted_request() -> None:
    meter = metrics()
    closed = accepted(standing=Outcome.UNDELIVERABLE, reason="invalid_request", state=State.CLOSED)

    meter.count_stored(closed, accepted(reports=1))
    meter.count_stored(accepted(reports=1), asked(reports=1))

    assert value(meter, "triage_requests_accepted_total") == 1


def test_a_request_in_conflict_with_another_is_counted() -> None:
    meter = metrics()

    meter.count_conflicted()

    assert value(meter, "triage_requests_conflicting_total") == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "not_json"),
        ("[]", "not_an_object"),
        ("{}", "several_fields"),
        ('{"identifier": "1", "alert": "a", "summary": "s", "user": "N/A"}', "user"),
    ],
)
def test_what_is_rejected_is_counted_by_what_was_wrong(body: str, reason: str) -> None:
    meter = metrics()
    decoded = decode_request(body)
    assert isinstance(decoded, InvalidBody)

    meter.count_rejected(decoded)

    assert value(meter, "triage_requests_rejected_total", reason=reason) == 1


def test_a_question_is_asked_once_and_the_way_there_is_measured() -> None:
    meter = metrics()

    meter.count_stored(accepted(), asked())
    meter.count_stored(asked(), asked(reminders=1))

    assert value(meter, "triage_questions_asked_total") == 1
    assert value(meter, "triage_ask_seconds_sum", alert=ALERT) == 60
    assert value(meter, "triage_ask_seconds_count", alert=ALERT) == 1


def test_a_click_that_proves_the_post_is_asked_and_answered_in_one() -> None:
    meter = metrics()

    meter.count_stored(accepted(), answered(Choice.YES, asked_at=NOON + 3 * MINUTE))

    assert value(meter, "triage_questions_asked_total") == 1
    assert value(meter, "triage_questions_answered_total", choice="yes") == 1
    assert value(meter, "triage_answer_seconds_sum", alert=ALERT) == 0


def test_every_choice_is_counted_but_only_the_first_answer_is_timed() -> None:
    meter = metrics()

    meter.count_stored(asked(), answered(Choice.YES))
    meter.count_stored(answered(Choice.YES), answered(Choice.NO, answers=2, answered_at=NOON + 9 * MINUTE))
    meter.count_stored(answered(Choice.NO, answers=2), answered(Choice.NO, answers=2, notes=1))

    assert value(meter, "triage_questions_answered_total", choice="yes") == 1
    assert value(meter, "triage_questions_answered_total", choice="no") == 1
    assert value(meter, "triage_questions_answered_total", choice="notSure") == 0
    assert value(meter, "triage_answer_seconds_sum", alert=ALERT) == 120
    assert value(meter, "triage_answer_seconds_count", alert=ALERT) == 1


def test_a_deadline_counts_once_however_late_the_answer_is() -> None:
    meter = metrics()
    expired = asked(standing=Outcome.TIMED_OUT)

    meter.count_stored(asked(), expired)
    meter.count_stored(expired, replace(expired, shown=1))
    meter.count_stored(expired, answered(Choice.YES))

    assert value(meter, "triage_questions_expired_total") == 1


def test_an_alert_that_the_policies_do_not_know_is_counted_with_all_the_others() -> None:
    meter = Metrics(alerts=["something_else"], version="1")

    meter.count_stored(accepted(), asked())

    assert value(meter, "triage_ask_seconds_count", alert=OTHER) == 1
    assert value(meter, "triage_ask_seconds_count", alert=ALERT) is None


@pytest.mark.parametrize("reason", ["ada@example.com", "U0123 456", "", "a" * 65, "new\nline"])
def test_a_reason_that_is_no_code_becomes_no_label(reason: str) -> None:
    meter = metrics()

    meter.count_stored(accepted(), accepted(standing=Outcome.UNDELIVERABLE, reason=reason))

    assert value(meter, "triage_questions_undeliverable_total", reason=OTHER) == 1


def test_the_number_of_labels_is_bounded() -> None:
    meter = metrics()
    letters = [chr(ord("a") + number // 26) + chr(ord("a") + number % 26) for number in range(LABELS_MAX + 9)]

    for letter in letters:
        meter.count_retried(letter)

    assert value(meter, "triage_retries_total", method=letters[0]) == 1
    assert value(meter, "triage_retries_total", method=OTHER) == 9


def test_reports_are_counted_by_what_became_of_them() -> None:
    meter = metrics()

    meter.count_sent(3)
    meter.count_parked(2)

    assert value(meter, "triage_reports_sent_total") == 3
    assert value(meter, "triage_reports_parked_total") == 2


def test_ages_are_those_of_the_moment_of_looking() -> None:
    signs = StoreHealth(oldest_open=NOON, oldest_unsent=NOON + 2 * MINUTE)
    worker_health = replace(WORKER_HEALTH, store=signs, links_up=0)
    meter = metrics()

    assert value(meter, "triage_oldest_open_question_seconds", worker_health=worker_health) == 60
    assert value(meter, "triage_oldest_unsent_report_seconds", worker_health=worker_health) == 0
    assert value(meter, "triage_last_successful_poll_timestamp_seconds") == NOON.timestamp()
    assert value(meter, "triage_problem", worker_health=worker_health, problem=Trouble.NO_LINK) == 1
    assert value(meter, "triage_problem", worker_health=worker_health, problem=Trouble.LINK_SHARED) == 0


def test_every_name_has_the_prefix() -> None:
    meter = metrics()
    meter.count_stored(accepted(), asked())

    text = meter.exposition(WORKER_HEALTH, NOON).decode()

    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert names
    assert all(name.startswith("triage_") for name in names)
    assert "_created" not in text
    assert 'triage_build_info{version="1.2.3"} 1.0' in text


async def test_only_what_is_durable_is_counted() -> None:
    meter, store = metrics(), MemoryStore()
    recorder = Recorder(store, write_report, policy=Policy(), clock=SteppedClock(), meter=meter)
    step = asking_rules.accept(a_request(), accepted().ref, NOON, Policy())

    first, repeated = await recorder.add([step]), await recorder.add([step])
    store.fails.append(StoreError("disk full"))
    with pytest.raises(StoreError):
        await recorder.save(step.question, asking_rules.claim(step.question, ADA, NOON))

    assert (list(first), list(repeated)) == ([True], [False])
    assert value(meter, "triage_requests_accepted_total") == 1
    assert value(meter, "triage_questions_asked_total") == 0


async def test_a_step_that_lost_the_race_is_not_counted() -> None:
    meter, store = metrics(), MemoryStore()
    recorder = Recorder(store, write_report, policy=Policy(), clock=SteppedClock(), meter=meter)
    stale = asked(version=7)

    saved = await recorder.save(accepted(), Step(question=stale))

    assert saved is None
    assert value(meter, "triage_questions_asked_total") == 0
