from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOON, a_request

from bot.triage.model import Question
from bot.triage.unknown_errors import PATIENCE, UnknownErrorHistory

MINUTE = timedelta(minutes=1)
LATE = PATIENCE / MINUTE

#: What happens: who meets a code (none: is asked; a dash: is forgotten), and how many minutes after noon.
Event = tuple[str, str, float]


def after(*events: Event) -> UnknownErrorHistory:
    history = UnknownErrorHistory()
    for number, (user, code, minutes) in enumerate(events):
        # Ada's first question is the one that is in trouble.
        question = question_of(user, 0 if (user, code) == ("ada", "strange") else number)
        if code == "-":
            history.forget(question_of(user))
        elif code:
            history.note(question, code, NOON + minutes * MINUTE)
        else:
            history.note_success(question, NOON + minutes * MINUTE)
    return history


def question_of(user: str, number: int = 0) -> Question:
    request = a_request(f"{user}-{number}", user=f"{user}@example.com")
    return Question(request=request, ref=f"{user}-{number}.secret", accepted_at=NOON, due_at=NOON)


STRANGE: Event = ("ada", "strange", 0)


@pytest.mark.parametrize(
    ("events", "minutes", "is_final"),
    [
        pytest.param([STRANGE, ("grace", "", 1)], LATE - 1 / 60, False, id="too soon"),
        pytest.param([STRANGE, ("grace", "", 1)], LATE, True, id="somebody else was asked"),
        pytest.param([("grace", "", -1 / 60), STRANGE, ("ada", "", 1)], 100 * LATE, False, id="nobody else"),
        pytest.param(
            [STRANGE, ("grace", "", 1), *(("ada", "", minutes) for minutes in (2, 3, 4))],
            *(LATE, True),
            id="somebody else, and the same person since",
        ),
        pytest.param(
            [("ada", "stranger", 0), ("ada", "strange", LATE), ("grace", "", LATE + 1 / 60)],
            *(LATE + 1 / 60, False),
            id="another code has a quarter of an hour of its own",
        ),
        pytest.param(
            [STRANGE, ("alan", "", 1), *((user, "strange", 2) for user in ("ada", "grace", "edsger"))],
            *(LATE, False),
            id="what three people meet is never believed",
        ),
        pytest.param(
            [STRANGE, ("grace", "", LATE), ("ada", "-", LATE)], LATE, False, id="one that ended is forgotten"
        ),
    ],
)
def test_a_code_is_believed_after_a_quarter_of_an_hour_in_which_somebody_else_was_asked(
    events: list[Event], minutes: float, *, is_final: bool
) -> None:
    history, now = after(*events), NOON + minutes * MINUTE

    history.note(question_of("ada"), "strange", now)

    assert history.is_final(question_of("ada"), "strange", now) is is_final


@pytest.mark.parametrize(
    ("events", "is_trouble"),
    [
        pytest.param([STRANGE, ("grace", "strange", 0), ("edsger", "strange", 0)], True, id="three people"),
        pytest.param([("grace", "strange", 0)] * 3, False, id="one person three times"),
        pytest.param([STRANGE, ("grace", "odd", 0), ("edsger", "weird", 0)], False, id="three codes"),
        pytest.param(
            [STRANGE, ("grace", "strange", 0), ("edsger", "", 0), ("alan", "strange", 0)],
            False,
            id="somebody is asked in between",
        ),
        pytest.param(
            [("grace", "strange", 0), ("edsger", "strange", 0), ("ada", "strange", 2 * LATE + 1 / 60)],
            False,
            id="long ago",
        ),
    ],
)
def test_a_code_that_three_people_meet_is_the_workers(events: list[Event], *, is_trouble: bool) -> None:
    history = after(*events)

    assert history.is_worker_trouble("strange") is is_trouble
    assert not any(history.is_worker_trouble(code) for code in ("odd", "weird"))
