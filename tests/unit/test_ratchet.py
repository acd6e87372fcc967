"""What an answer changes: what stands may rise and not fall, and every change is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, NOON, a_request
from hypothesis import given
from hypothesis import strategies as st

from bot.triage import asking_rules
from bot.triage.answer_rules import IDLE_CHANGES_MAX, Refusal, answer_question, why_not_answer
from bot.triage.model import Answer, Choice, MessageRef, Question, Report, State, Step
from bot.triage.outcomes import OUTCOMES, Outcome, Profile
from bot.triage.policy import Policy

POLICY = Policy()
PLACE = MessageRef(channel="D0ADA", ts="1764000000.000100")
UNCLAIMED = asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question
CLAIMED = asking_rules.claim(UNCLAIMED, ADA, NOON).question
ASKED = replace(CLAIMED, state=State.ASKED, channel="D0ADA", ts=PLACE.ts, asked_at=NOON, in_doubt_since=None)
UNASKED = replace(CLAIMED, standing=Outcome.UNDELIVERABLE, reason="not_asked_in_time", reports=1, shown=1)
CLICK = Answer(
    ref="key.secret",
    choice=Choice.YES,
    slack_id="U0ADA",
    same_workspace=True,
    message_ref=PLACE,
    at=NOON + timedelta(minutes=5),
)


def a_click(choice: Choice) -> Answer:
    return replace(CLICK, choice=choice)


def taken(question: Question, choice: Choice, policy: Policy = POLICY) -> tuple[Question, Report]:
    step = answer_question(question, a_click(choice), policy)
    assert isinstance(step, Step)
    assert step.report is not None
    return step.question, step.report


def said(*choices: Choice, policy: Policy = POLICY) -> tuple[Question, Report]:
    """Return what stands after these clicks, one after the other, and the last report."""
    assert choices
    question = ASKED
    for choice in choices:
        question, report = taken(question, choice, policy)
    return question, report


@pytest.mark.parametrize("choice", Choice)
def test_a_first_answer_is_the_outcome_and_the_same_click_again_is_no_news(choice: Choice) -> None:
    question, report = said(choice)

    assert (question.said, question.standing) == (choice, Outcome(choice.value))
    assert (question.answers, question.reports, question.idle_changes) == (1, 1, 0)
    assert question.answered_at == CLICK.at
    assert question.outdated
    assert question.due_at is not None
    assert question.due_at > CLICK.at
    assert (report.outcome, report.sequence, report.note) == (Outcome(choice.value), 0, False)
    assert (report.slack_id, report.slack_name) == ("U0ADA", "ada")
    assert answer_question(question, a_click(choice), POLICY) is None


@pytest.mark.parametrize(
    ("policy", "choices", "standing", "retracted", "idle_changes", "note"),
    [
        pytest.param(POLICY, "yes no", Outcome.NO, False, 0, False, id="a no after a yes escalates"),
        pytest.param(POLICY, "no yes", Outcome.NO, True, 1, True, id="a yes after a no is only noted"),
        pytest.param(POLICY, "no yes no", Outcome.NO, False, 2, True, id="and so is the no again"),
        # MozDef has "wrongUser" by this person already.
        pytest.param(POLICY, "notSure wrongUser", Outcome.WRONG_USER, False, 1, True, id="an equal rank"),
        pytest.param(
            Policy(profile=Profile.VERBATIM),
            *("notSure wrongUser", Outcome.WRONG_USER, False, 1, False),
            id="an equal rank, but another word",
        ),
        pytest.param(
            Policy(allow_deescalation=True),
            *("no yes", Outcome.YES, False, 1, False),
            id="with de-escalation the last word wins",
        ),
    ],
)
def test_what_stands_after_a_change_of_mind_and_what_mozdef_is_told(  # noqa: PLR0913 - a table
    policy: Policy, choices: str, standing: Outcome, *, retracted: bool, idle_changes: int, note: bool
) -> None:
    clicks = [Choice(word) for word in choices.split()]

    question, report = said(*clicks, policy=policy)

    assert (question.said, question.standing) == (clicks[-1], standing)
    assert (question.retracted, question.idle_changes) == (retracted, idle_changes)
    assert (report.outcome, report.sequence) == (standing, len(clicks) - 1)
    assert (report.note, report.retracted) == (note, retracted)
    assert report.said == (clicks[-1] if note else None)


@pytest.mark.parametrize("choice", list(Choice))
@pytest.mark.parametrize("standing", [Outcome.TIMED_OUT, Outcome.UNDELIVERABLE])
def test_any_answer_replaces_what_the_bot_decided(choice: Choice, standing: Outcome) -> None:
    question = replace(ASKED, standing=standing, reason="x", reports=1, idle_changes=IDLE_CHANGES_MAX)

    after, report = taken(question, choice)

    assert (after.standing, after.reason) == (Outcome(choice.value), "")
    assert (report.sequence, report.note, report.reason) == (1, False, "")


def test_idle_changes_end_after_twenty_but_a_rise_is_taken_after_any_number() -> None:
    question, _ = said(Choice.NOT_SURE)
    for turn in range(IDLE_CHANGES_MAX):
        question, _ = taken(question, Choice.YES if turn % 2 == 0 else Choice.WRONG_USER)

    refused = answer_question(question, a_click(Choice.YES), POLICY)
    risen, report = taken(question, Choice.NO)

    assert refused is Refusal.TOO_MANY_CHANGES
    assert question.reports == 1 + IDLE_CHANGES_MAX
    assert (risen.standing, report.sequence) == (Outcome.NO, 1 + IDLE_CHANGES_MAX)


@pytest.mark.parametrize(
    ("question", "changes", "refusal"),
    [
        (ASKED, {"same_workspace": False}, Refusal.OTHER_WORKSPACE),
        (ASKED, {"slack_id": "U0EVE"}, Refusal.OTHER_PERSON),
        (ASKED, {"slack_id": ""}, Refusal.OTHER_PERSON),
        (ASKED, {"slack_id": "U0EVE", "message_ref": None}, Refusal.OTHER_PERSON),  # in a stranger's Home
        (ASKED, {"message_ref": MessageRef(channel="D0EVE", ts=PLACE.ts)}, Refusal.OTHER_CONVERSATION),
        # A click that proves the post must come from a direct message.
        (CLAIMED, {"message_ref": MessageRef(channel="C0PUBLIC", ts=PLACE.ts)}, Refusal.OTHER_CONVERSATION),
        (UNCLAIMED, {"slack_id": ""}, Refusal.OTHER_PERSON),
        (replace(ASKED, offered=(Choice.NO,)), {}, Refusal.NOT_OFFERED),
    ],
)
def test_a_click_that_is_not_the_asked_persons_own_is_refused(
    question: Question, changes: dict[str, Any], refusal: Refusal
) -> None:
    click = replace(CLICK, **changes)

    assert answer_question(question, click, POLICY) is refusal
    assert refusal is Refusal.NOT_OFFERED or why_not_answer(question, click) is refusal


def test_the_asked_persons_own_home_is_as_good_as_the_conversation() -> None:
    assert isinstance(answer_question(ASKED, replace(CLICK, message_ref=None), POLICY), Step)


@pytest.mark.parametrize(
    "question",
    [CLAIMED, UNASKED, replace(UNASKED, state=State.CLOSED, reason="delivery_unknown", in_doubt_since=None)],
)
def test_a_click_proves_the_post_however_the_row_stands(question: Question) -> None:
    after, report = taken(question, Choice.NO)

    assert (after.state, after.message_ref, after.asked_at) == (State.ASKED, PLACE, CLICK.at)
    assert after.in_doubt_since is None
    assert (report.sequence, report.outcome) == (question.reports, Outcome.NO)


def test_a_click_on_a_question_that_is_known_to_be_asked_does_not_move_it() -> None:
    elsewhere = replace(CLICK, message_ref=replace(PLACE, ts="1764000099.000100"))

    step = answer_question(ASKED, elsewhere, POLICY)

    assert isinstance(step, Step)
    assert (step.question.asked_at, step.question.message_ref) == (NOON, PLACE)


@given(choices=st.lists(st.sampled_from(Choice), min_size=1, max_size=80), allow=st.booleans())
def test_a_standing_never_falls_unless_it_may(choices: list[Choice], *, allow: bool) -> None:
    policy = Policy(allow_deescalation=allow)
    question = ASKED
    for choice in choices:
        step = answer_question(question, a_click(choice), policy)
        if not isinstance(step, Step):
            continue
        assert step.report is not None
        assert step.report.sequence == question.reports == step.question.reports - 1
        assert step.question.said is choice
        assert step.report.outcome is step.question.standing
        if question.standing and step.question.standing and not allow:
            assert OUTCOMES[step.question.standing].rank >= OUTCOMES[question.standing].rank
        question = step.question

    assert question.idle_changes <= IDLE_CHANGES_MAX
    assert question.standing is not None
    highest = max(OUTCOMES[Outcome(choice.value)].rank for choice in choices)
    assert allow or OUTCOMES[question.standing].rank == highest


def clicked(choice: Choice, seconds: float) -> Answer:
    """Return a click of which Slack says when it was made, in seconds after noon."""
    return replace(a_click(choice), clicked_at=NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("first", "late", "said"),
    [
        pytest.param(Choice.NOT_SURE, (Choice.YES, 3), None, id="earlier: takes nothing back"),
        pytest.param(Choice.YES, (Choice.NO, 3), Choice.NO, id="earlier, but raises what stands"),
        pytest.param(Choice.NOT_SURE, (Choice.YES, 9), Choice.YES, id="the same moment"),
        pytest.param(Choice.NOT_SURE, (Choice.YES, 9.5), Choice.YES, id="later"),
    ],
)
def test_a_click_that_comes_late_counts_by_the_moment_at_which_it_was_made(
    first: Choice, late: tuple[Choice, float], said: Choice | None
) -> None:
    question = after_click(ASKED, clicked(first, 9))

    if said is None:
        assert answer_question(question, clicked(*late), POLICY) is None
    else:
        after = after_click(question, clicked(*late))
        assert after.said is said
        assert after.standing is (Outcome.NO if said is Choice.NO else Outcome.NOT_SURE)


def test_a_click_whose_moment_slack_does_not_tell_changes_the_answer() -> None:
    question = after_click(ASKED, clicked(Choice.NOT_SURE, 9))

    untold = after_click(question, a_click(Choice.YES))

    assert (untold.said, untold.clicked_at) == (Choice.YES, question.clicked_at)


def after_click(question: Question, click: Answer) -> Question:
    step = answer_question(question, click, POLICY)
    assert isinstance(step, Step)
    return step.question
