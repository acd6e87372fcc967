from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOON, UPTIME, a_request

from bot.triage.model import Question
from bot.triage.unknown_errors import PATIENCE, UnknownErrorHistory


def question_of(user: str, number: int = 1) -> Question:
    request = a_request(f"{user}-{number}", user=f"{user}@example.com")
    return Question(request=request, ref=f"{user}-{number}.secret", accepted_at=NOON, due_at=NOON)


ADAS = question_of("ada")
GRACES = question_of("grace")
SOON = UPTIME + PATIENCE - timedelta(seconds=1)
LATE = UPTIME + PATIENCE


@pytest.fixture
def refusals() -> UnknownErrorHistory:
    return UnknownErrorHistory()


def test_a_code_is_believed_after_a_quarter_of_an_hour_in_which_somebody_else_was_asked(
    refusals: UnknownErrorHistory,
) -> None:
    refusals.note(ADAS, "strange_code", UPTIME)
    refusals.note_success(GRACES, UPTIME + timedelta(minutes=1))

    refusals.note(ADAS, "strange_code", SOON)
    assert not refusals.is_final(ADAS, "strange_code", SOON)
    refusals.note(ADAS, "strange_code", LATE)
    assert refusals.is_final(ADAS, "strange_code", LATE)


def test_a_code_is_not_believed_while_nobody_else_is_asked(refusals: UnknownErrorHistory) -> None:
    refusals.note_success(GRACES, UPTIME - timedelta(seconds=1))
    refusals.note(ADAS, "strange_code", UPTIME)
    refusals.note_success(question_of("ada", 2), UPTIME + timedelta(minutes=1))

    assert not refusals.is_final(ADAS, "strange_code", UPTIME + 100 * PATIENCE)


def test_somebody_else_was_asked_however_often_the_same_person_was_asked_since(
    refusals: UnknownErrorHistory,
) -> None:
    refusals.note(ADAS, "strange_code", UPTIME)
    refusals.note_success(GRACES, UPTIME + timedelta(minutes=1))
    for number in range(2, 5):
        refusals.note_success(question_of("ada", number), UPTIME + timedelta(minutes=number))

    assert refusals.is_final(ADAS, "strange_code", LATE)


def test_another_code_has_a_quarter_of_an_hour_of_its_own(refusals: UnknownErrorHistory) -> None:
    refusals.note(ADAS, "strange_code", UPTIME)

    refusals.note(ADAS, "stranger_code", LATE)
    refusals.note_success(GRACES, LATE + timedelta(seconds=1))

    assert not refusals.is_final(ADAS, "stranger_code", LATE + timedelta(seconds=1))


def test_somebody_who_is_asked_in_between_clears_the_worker(refusals: UnknownErrorHistory) -> None:
    for user in ("ada", "grace"):
        refusals.note(question_of(user), "strange_code", UPTIME)

    refusals.note_success(question_of("edsger"), UPTIME)
    refusals.note(question_of("alan"), "strange_code", UPTIME)

    assert not refusals.is_worker_trouble("strange_code")


def test_what_three_people_meet_is_never_believed(refusals: UnknownErrorHistory) -> None:
    refusals.note(ADAS, "strange_code", UPTIME)
    refusals.note_success(question_of("alan"), UPTIME + timedelta(minutes=1))

    for user in ("ada", "grace", "edsger"):
        refusals.note(question_of(user), "strange_code", UPTIME + timedelta(minutes=2))

    assert refusals.is_worker_trouble("strange_code")
    assert not refusals.is_final(ADAS, "strange_code", LATE)


def test_one_person_three_times_is_one_person(refusals: UnknownErrorHistory) -> None:
    for number in range(3):
        refusals.note(question_of("ada", number), "strange_code", UPTIME)

    assert not refusals.is_worker_trouble("strange_code")


def test_three_people_with_three_codes_are_no_worker_trouble(refusals: UnknownErrorHistory) -> None:
    for number, user in enumerate(("ada", "grace", "edsger")):
        refusals.note(question_of(user), f"code_{number}", UPTIME)

    assert not any(refusals.is_worker_trouble(f"code_{number}") for number in range(3))


def test_what_people_met_long_ago_does_not_count(refusals: UnknownErrorHistory) -> None:
    refusals.note(question_of("grace"), "strange_code", UPTIME)
    refusals.note(question_of("edsger"), "strange_code", UPTIME)

    refusals.note(ADAS, "strange_code", UPTIME + 2 * PATIENCE + timedelta(seconds=1))

    assert not refusals.is_worker_trouble("strange_code")


def test_a_question_that_ended_is_forgotten(refusals: UnknownErrorHistory) -> None:
    refusals.note(ADAS, "strange_code", UPTIME)
    refusals.note_success(GRACES, LATE)

    refusals.forget(ADAS)
    refusals.note(ADAS, "strange_code", LATE)

    assert not refusals.is_final(ADAS, "strange_code", LATE)
