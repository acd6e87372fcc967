"""Alerts with trails, as a worker leaves them in any store."""

from __future__ import annotations

from datetime import timedelta

from fakes import ADA, NOON, SteppedClock, a_request
from memory_store import AnyStore

from bot.sqs.wire import write_report
from bot.triage.answer_rules import answer_question, count_refusal
from bot.triage.asking_rules import accept, claim, new_ref, record_asked
from bot.triage.model import Answer, Choice, MessageRef, Question, RefusedClick, Step
from bot.triage.policy import Policy
from bot.triage.recorder import Recorder

PLACE = MessageRef(channel="D0ADA", ts="1764000001.000100")
POLICY = Policy(hold=timedelta(0))


def recorder_of(store: AnyStore) -> Recorder:
    return Recorder(store, write_report, policy=POLICY, clock=SteppedClock())


def refuse(question: Question) -> Step:
    return count_refusal(question, RefusedClick(slack_id="U0EVE", reason="other_person"))


def answer(question: Question, choice: Choice) -> Step:
    click = Answer(
        ref=question.ref,
        choice=choice,
        slack_id=ADA.slack_id,
        same_workspace=True,
        message_ref=PLACE,
        at=NOON,
    )
    step = answer_question(question, click, POLICY)
    assert isinstance(step, Step)
    return step


async def answered_question(store: AnyStore, identifier: str, *more: Choice) -> Question:
    """Accept, claim and ask a question, answer it with *yes*, and then with something else."""
    recorder = recorder_of(store)
    first = accept(a_request(identifier), new_ref(identifier, "0123456789abcdef" * 2), NOON, POLICY)
    assert list(await recorder.add([first])) == [True]
    question = await store.find(identifier)
    assert question
    steps = [
        lambda row: claim(row, ADA, NOON),
        lambda row: record_asked(row, PLACE, NOON, POLICY),
        *(lambda row, choice=choice: answer(row, choice) for choice in (Choice.YES, *more)),
    ]
    for decide in steps:
        saved, _ = await recorder.decide(question, decide)
        assert saved
        question = saved
    return question
