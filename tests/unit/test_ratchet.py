from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

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
CLAIMED = asking_rules.claim(
    asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question, ADA, NOON
).question
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


def test_a_first_answer_is_the_outcome() -> None:
    question, report = said(Choice.YES)

    assert (question.said, question.standing) == (Choice.YES, Outcome.YES)
    assert (question.answers, question.reports, question.idle_changes) == (1, 1, 0)
    assert question.answered_at == CLICK.at
    assert question.outdated
    assert (report.outcome, report.sequence, report.note) == (Outcome.YES, 0, False)
    assert (report.slack_id, report.slack_name) == ("U0ADA", "ada")


def test_the_message_is_due_for_a_redraw_after_an_answer() -> None:
    question, _ = said(Choice.YES)

    assert question.due_at is not None
    assert question.due_at > CLICK.at


@pytest.mark.parametrize("choice", list(Choice))
def test_the_same_click_again_is_no_news(choice: Choice) -> None:
    question, _ = said(choice)

    assert answer_question(question, a_click(choice), POLICY) is None


def test_no_after_yes_escalates() -> None:
    question, report = said(Choice.YES, Choice.NO)

    assert (question.said, question.standing) == (Choice.NO, Outcome.NO)
    assert question.idle_changes == 0
    assert (report.outcome, report.sequence, report.note, report.retracted) == (Outcome.NO, 1, False, False)


def test_yes_after_no_stays_escalated_and_is_noted() -> None:
    question, report = said(Choice.NO, Choice.YES)

    assert (question.said, question.standing) == (Choice.YES, Outcome.NO)
    assert question.retracted
    assert question.idle_changes == 1
    assert (report.outcome, report.said) == (Outcome.NO, Choice.YES)
    assert (report.note, report.retracted, report.sequence) == (True, True, 1)


def test_no_again_after_it_was_taken_back_is_noted_without_a_retraction() -> None:
    question, report = said(Choice.NO, Choice.YES, Choice.NO)

    assert (question.said, question.standing, question.retracted) == (Choice.NO, Outcome.NO, False)
    assert (report.note, report.retracted, report.sequence) == (True, False, 2)


def test_an_equal_rank_replaces_the_outcome() -> None:
    question, report = said(Choice.NOT_SURE, Choice.WRONG_USER)

    assert question.standing is Outcome.WRONG_USER
    assert question.idle_changes == 1
    assert report.note  # MozDef has "wrongUser" by this person already


def test_an_equal_rank_is_news_where_its_word_is_another() -> None:
    policy = Policy(profile=Profile.VERBATIM)

    _, report = said(Choice.NOT_SURE, Choice.WRONG_USER, policy=policy)

    assert (report.note, report.response) == (False, "wrongUser")


def test_with_deescalation_the_last_word_wins() -> None:
    question, report = said(Choice.NO, Choice.YES, policy=Policy(allow_deescalation=True))

    assert (question.standing, question.retracted) == (Outcome.YES, False)
    assert (report.outcome, report.note, report.retracted) == (Outcome.YES, False, False)


@pytest.mark.parametrize("choice", list(Choice))
@pytest.mark.parametrize("standing", [Outcome.TIMED_OUT, Outcome.UNDELIVERABLE])
def test_any_answer_replaces_what_the_bot_decided(choice: Choice, standing: Outcome) -> None:
    question = replace(ASKED, standing=standing, reason="x", reports=1, idle_changes=IDLE_CHANGES_MAX)

    after, report = taken(question, choice)

    assert (after.standing, after.reason) == (Outcome(choice.value), "")
    assert (report.sequence, report.note, report.reason) == (1, False, "")


def test_idle_changes_end_after_twenty() -> None:
    question, _ = said(Choice.NO)
    for turn in range(IDLE_CHANGES_MAX):
        question, _ = taken(question, Choice.YES if turn % 2 == 0 else Choice.NOT_SURE)

    refused = answer_question(question, a_click(Choice.YES), POLICY)

    assert refused is Refusal.TOO_MANY_CHANGES
    assert question.reports == 1 + IDLE_CHANGES_MAX


def test_a_rise_is_taken_after_any_number_of_changes() -> None:
    question = replace(ASKED, said=Choice.NOT_SURE, standing=Outcome.NOT_SURE, idle_changes=99, reports=100)

    after, report = taken(question, Choice.NO)

    assert (after.standing, report.sequence) == (Outcome.NO, 100)


@pytest.mark.parametrize(
    ("click", "refusal"),
    [
        (replace(CLICK, same_workspace=False), Refusal.OTHER_WORKSPACE),
        (replace(CLICK, slack_id="U0EVE"), Refusal.OTHER_PERSON),
        (replace(CLICK, slack_id=""), Refusal.OTHER_PERSON),
        (replace(CLICK, message_ref=MessageRef(channel="D0EVE", ts=PLACE.ts)), Refusal.OTHER_CONVERSATION),
    ],
)
def test_a_click_that_is_not_the_asked_persons_own_is_refused(click: Answer, refusal: Refusal) -> None:
    assert why_not_answer(ASKED, click) is refusal
    assert answer_question(ASKED, click, POLICY) is refusal


def test_the_asked_persons_own_home_is_as_good_as_the_conversation() -> None:
    assert isinstance(answer_question(ASKED, replace(CLICK, message_ref=None), POLICY), Step)
    stranger = replace(CLICK, message_ref=None, slack_id="U0EVE")
    assert why_not_answer(ASKED, stranger) is Refusal.OTHER_PERSON


def test_a_choice_that_was_not_offered_is_refused() -> None:
    question = replace(ASKED, offered=(Choice.YES, Choice.NO, Choice.NOT_SURE))

    assert answer_question(question, a_click(Choice.WRONG_USER), POLICY) is Refusal.NOT_OFFERED


def test_nobody_can_answer_what_nobody_was_asked() -> None:
    unclaimed = asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question

    assert answer_question(unclaimed, replace(CLICK, slack_id=""), POLICY) is Refusal.OTHER_PERSON


@pytest.mark.parametrize(
    "question",
    [
        CLAIMED,
        UNASKED,
        replace(UNASKED, state=State.CLOSED, reason="delivery_unknown", in_doubt_since=None),
    ],
)
def test_a_click_proves_the_post_however_the_row_stands(question: Question) -> None:
    after, report = taken(question, Choice.NO)

    assert after.state is State.ASKED
    assert after.message_ref == PLACE
    assert after.asked_at == CLICK.at
    assert after.in_doubt_since is None
    assert report.sequence == question.reports
    assert report.outcome is Outcome.NO


def test_a_click_on_a_question_that_is_known_to_be_asked_does_not_move_it() -> None:
    elsewhere = replace(CLICK, message_ref=replace(PLACE, ts="1764000099.000100"))

    step = answer_question(ASKED, elsewhere, POLICY)

    assert isinstance(step, Step)
    assert (step.question.asked_at, step.question.message_ref) == (NOON, PLACE)


def test_a_click_that_proves_the_post_must_come_from_a_direct_message() -> None:
    click = replace(CLICK, message_ref=MessageRef(channel="C0PUBLIC", ts=PLACE.ts))

    assert answer_question(CLAIMED, click, POLICY) is Refusal.OTHER_CONVERSATION


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


def after_click(question: Question, click: Answer) -> Question:
    step = answer_question(question, click, POLICY)
    assert isinstance(step, Step)
    return step.question


def test_a_click_that_comes_after_a_later_one_takes_nothing_back() -> None:
    question = after_click(ASKED, clicked(Choice.NOT_SURE, 9))

    assert answer_question(question, clicked(Choice.YES, 3), POLICY) is None


def test_a_click_that_raises_what_stands_counts_however_late_it_comes() -> None:
    question = after_click(ASKED, clicked(Choice.YES, 9))

    late = after_click(question, clicked(Choice.NO, 3))

    assert (late.said, late.standing) == (Choice.NO, Outcome.NO)


@pytest.mark.parametrize("seconds", [9, 9.5])
def test_a_click_of_the_same_moment_or_later_changes_the_answer(seconds: float) -> None:
    question = after_click(ASKED, clicked(Choice.NOT_SURE, 9))

    assert after_click(question, clicked(Choice.YES, seconds)).said is Choice.YES


def test_a_click_whose_moment_slack_does_not_tell_changes_the_answer() -> None:
    question = after_click(ASKED, clicked(Choice.NOT_SURE, 9))

    untold = after_click(question, a_click(Choice.YES))

    assert (untold.said, untold.clicked_at) == (Choice.YES, question.clicked_at)
