"""A *yes* that needs a proof counts once it is proved, and by nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from fakes import NOON, ToldClock, a_request
from proving_scene import IDENTIFIER, REQUIRED, Scene, Told, in_scene
from wiring import CLIENT, WORDING

from bot.errors import AmbiguousError, NoDevice, PermanentError, StoreError, TransientError
from bot.slack.home_and_modals import SlackViews
from bot.slack.render.question import question_message
from bot.triage import asking_rules
from bot.triage.answer_rules import Refusal
from bot.triage.asking_rules import accept
from bot.triage.factor import CODE_LETTERS, Push, Verdict
from bot.triage.factor_rules import ProofContext, start_attempt
from bot.triage.model import Answer, Choice, MessageRef, Note, Shown, State, Work
from bot.triage.outcomes import OUTCOMES, Outcome, Status
from bot.triage.people import PeopleRules
from bot.triage.policy import AlertPolicies, AlertPolicy, Factor, NoteRule, Policy

ADA = "U0ADA"
YES = Told(outcome="yes", reason="", is_note=False, slack=ADA)
OFF = Policy()


def unproven(reason: str, *, is_note: bool = False) -> Told:
    return Told(outcome="unproven", reason=f"factor_{reason}", is_note=is_note, slack="")


def test_a_yes_counts_once_it_is_proved_and_the_proof_is_reported() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        await scene.pass_time(19)
        waiting = await scene.question()
        assert (waiting.said, waiting.standing, await scene.told()) == (Choice.YES, None, [])
        assert waiting.outdated

        await scene.pass_time(10)

        question = await scene.question()
        assert (question.standing, question.deadline) == (Outcome.YES, None)
        assert await scene.told() == [YES]
        [row] = await scene.store.reports_of(IDENTIFIER)
        assert json.loads(row.body)["details"]["triagebot"]["factor"] == {
            "method": "ciba",
            "provider": "login.example.com ",
            "at": "2026-11-24T12:00:20+00:00",
        }
        assert (await scene.events())[-2:] == ["answered", "proved"]
        assert scene.factor
        [device] = scene.factor.pushes
        assert len(device.code) == 6
        assert set(device.code) <= set(CODE_LETTERS)
        assert device.code == waiting.proof_code

    in_scene(play)


@pytest.mark.parametrize(
    ("reaction", "after", "told"),
    [
        (Verdict.REFUSED, 20, unproven("refused")),
        (Verdict.TIMED_OUT, 100, unproven("timed_out")),
        (Verdict.OTHER_PERSON, 20, unproven("unavailable")),
        (Verdict.UNAVAILABLE, 20, unproven("unavailable")),
        (Verdict.LOST, 20, unproven("unavailable")),
        (Verdict.FRAUD, 20, Told(outcome="no", reason="factor_fraud", is_note=False, slack="")),
    ],
)
def test_whatever_else_the_provider_says_is_reported_and_is_no_yes(
    reaction: Verdict, after: int, told: Told
) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(reaction, after)
        await scene.pass_time(120)

        assert await scene.told() == [told]
        question = await scene.question()
        assert (question.standing, question.proof_code) == (told.outcome, "")
        assert OUTCOMES[Outcome(told.outcome)].status is not Status.ACKNOWLEDGED
        assert (await scene.events())[-1] == "notProved"

    in_scene(play)


@pytest.mark.parametrize(
    ("end", "seconds", "told"),
    [
        (NoDevice(), 1, unproven("no_device")),
        (PermanentError("invalid_client"), 1, unproven("unavailable")),
        (AmbiguousError("reset"), 301, unproven("unavailable")),
    ],
)
def test_a_push_that_the_provider_does_not_take_is_sent_once(
    end: Exception, seconds: int, told: Told
) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 1)
        await scene.pass_time(seconds - 1)
        if seconds > 1:
            assert await scene.told() == []

        await scene.pass_time(10)

        assert await scene.told() == [told]
        assert scene.factor
        assert scene.factor.moments("push") == [0]

    in_scene(play, push_ends=[end])


def test_a_provider_that_cannot_be_reached_is_tried_for_a_minute_and_counts_towards_no_limit() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 10)
        await scene.pass_time(59)
        assert await scene.told() == []
        await scene.pass_time(10)

        assert await scene.told() == [unproven("unavailable")]
        question = await scene.question()
        assert (question.proofs, question.retry_at) == (0, None)
        await scene.click(Choice.YES)
        await scene.pass_time(20)
        assert (await scene.told())[-1] == YES

    in_scene(play, push_ends=[TransientError("refused")] * 12)


def test_without_a_provider_nobody_can_prove_anything_and_all_else_counts() -> None:
    async def play(scene: Scene) -> None:
        scene.factor = None
        scene.restart()
        await scene.ask()
        await scene.click(Choice.YES)
        await scene.pass_time(1)
        await scene.click(Choice.NO)

        assert await scene.told() == [
            unproven("unavailable"),
            Told(outcome="no", reason="", is_note=False, slack=ADA),
        ]

    in_scene(play)


@pytest.mark.parametrize("choice", [Choice.NO, Choice.NOT_SURE, Choice.WRONG_USER])
def test_another_answer_counts_at_once_and_an_approval_after_it_only_enters_the_trail(choice: Choice) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        await scene.pass_time(10)
        await scene.click(choice)
        told = [Told(outcome=choice.value, reason="", is_note=False, slack=ADA)]
        assert await scene.told() == told

        await scene.pass_time(30)

        assert await scene.told() == told
        assert (await scene.question()).standing == choice.value
        assert (await scene.events())[-1] == "proofIgnored"

    in_scene(play)


@pytest.mark.parametrize(
    ("choice", "is_note"), [(Choice.NO, True), (Choice.NOT_SURE, False), (Choice.WRONG_USER, False)]
)
def test_a_report_of_fraud_counts_whenever_it_comes(choice: Choice, is_note: bool) -> None:  # noqa: FBT001
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.FRAUD, 20)
        await scene.pass_time(10)
        await scene.click(choice)
        await scene.pass_time(20)

        *_, last = await scene.told()
        assert (last.outcome, last.reason, last.is_note) == ("no", "factor_fraud", is_note)
        assert (await scene.question()).standing is Outcome.NO

    in_scene(play)


def test_a_proof_that_fails_makes_a_report_of_fraud_no_milder() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.FRAUD, 20)
        await scene.pass_time(16 * 60)
        assert scene.factor
        scene.factor.reactions.append((Verdict.REFUSED, 20))
        await scene.click(Choice.YES)
        await scene.pass_time(60)

        fraud = Told(outcome="no", reason="factor_fraud", is_note=False, slack="")
        assert await scene.told() == [fraud, fraud._replace(reason="factor_refused", is_note=True)]
        question = await scene.question()
        assert (question.standing, question.reason) == (Outcome.NO, "factor_fraud")

    in_scene(play, replace(REQUIRED, allow_deescalation=True))


def test_a_no_after_a_report_of_fraud_is_a_note_and_a_yes_is_a_retraction_without_a_push() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.FRAUD, 5)
        await scene.pass_time(10)
        await scene.click(Choice.NO)
        await scene.click(Choice.YES)
        await scene.pass_time(5)

        assert [(each.outcome, each.is_note) for each in await scene.told()] == [
            ("no", False),
            ("no", True),
            ("no", True),
        ]
        assert scene.factor
        assert len(scene.factor.pushes) == 1

    in_scene(play)


@pytest.mark.parametrize("choice", [Choice.NOT_SURE, Choice.WRONG_USER])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_milder_answer_after_a_report_of_fraud_is_a_retraction_and_one_before_it_is_none(
    choice: Choice,
    is_late: bool,  # noqa: FBT001
) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.FRAUD, 20)
        await scene.pass_time(10 if is_late else 30)
        await scene.click(choice)
        await scene.pass_time(20)

        bodies = [json.loads(row.body) for row in await scene.store.reports_of(IDENTIFIER)]
        first, last = [body["details"]["triagebot"] for body in bodies]
        assert "retracted" not in first
        assert last["outcome"] == "no"
        assert (last["said"], last.get("retracted", False)) == (choice, not is_late)

    in_scene(play)


@pytest.mark.parametrize("choice", [Choice.NO, Choice.NOT_SURE, Choice.WRONG_USER])
@pytest.mark.parametrize("allowed", [False, True])
def test_a_yes_after_another_answer_is_taken_back_unproved_or_proved_if_it_may_count(
    choice: Choice,
    allowed: bool,  # noqa: FBT001
) -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        scene.factor.reactions.append((Verdict.APPROVED, 10))
        await scene.ask()
        await scene.click(choice)
        await scene.click(Choice.YES)
        assert (await scene.question()).standing == choice.value
        await scene.pass_time(20)

        assert len(scene.factor.pushes) == allowed
        assert (await scene.question()).standing == ("yes" if allowed else choice.value)
        assert (await scene.told())[-1].is_note is not allowed

    in_scene(play, replace(REQUIRED, allow_deescalation=allowed))


def test_a_refusal_where_a_persons_answer_stands_is_a_note_and_that_stays() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        scene.factor.reactions.append((Verdict.REFUSED, 10))
        await scene.ask()
        await scene.click(Choice.NO)
        await scene.click(Choice.YES)
        await scene.pass_time(20)

        assert (await scene.told())[-1] == Told(
            outcome="no", reason="factor_refused", is_note=True, slack=ADA
        )
        assert (await scene.question()).standing is Outcome.NO

    in_scene(play, replace(REQUIRED, allow_deescalation=True))


@pytest.mark.parametrize(
    ("reaction", "last"),
    [(Verdict.APPROVED, YES), (Verdict.REFUSED, unproven("refused", is_note=True))],
)
def test_the_deadline_runs_on_while_a_proof_is_awaited(reaction: Verdict, last: Told) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(reaction, 50)
        await scene.pass_time(60)

        assert await scene.told() == [Told(outcome="timedOut", reason="", is_note=False, slack=""), last]

    in_scene(play, replace(REQUIRED, expire_after=timedelta(seconds=30)))


def test_a_yes_that_is_pressed_while_a_proof_is_awaited_starts_none() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        for _ in range(5):
            await scene.click(Choice.YES)
            await scene.pass_time(1)
        await scene.pass_time(20)
        await scene.click(Choice.YES)

        assert await scene.told() == [YES]
        assert scene.factor
        assert len(scene.factor.pushes) == 1

    in_scene(play)


def test_after_a_push_there_is_none_for_half_a_minute_and_after_a_refusal_none_for_fifteen() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        scene.factor.reactions += [(Verdict.TIMED_OUT, 100), (Verdict.REFUSED, 5), (Verdict.APPROVED, 5)]
        await scene.ask()
        begin = scene.clock()
        clicks = [(0, 1, None), (80, 1, 90), (100, 2, None), (300, 2, 1005), (1006, 3, None)]
        for seconds, pushes, retry_at in clicks:
            await scene.pass_time(seconds - (scene.clock() - begin).total_seconds())
            question = await scene.click(Choice.YES)
            await scene.pass_time(1)

            assert not isinstance(question, Refusal)
            waits = (question.retry_at - begin).total_seconds() if question.retry_at else None
            assert (len(scene.factor.pushes), waits) == (pushes, retry_at)
        await scene.pass_time(20)

        assert len(scene.factor.pushes) == 3
        assert (await scene.told())[-1] == YES

    in_scene(play)


def test_one_person_has_one_push_at_a_time_whatever_they_are_asked_about_and_others_have_theirs() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        for name, user in (
            ("one", "ada@example.com"),
            ("two", "ADA@example.com"),
            ("three", "bo@example.com"),
        ):
            await scene.ask(name, user=user)
            await scene.click(Choice.YES, name)
        await scene.pass_time(10)

        assert [device.subject for device in scene.factor.pushes] == ["ada@example.com", "bo@example.com"]
        second = await scene.question("two")
        assert (second.said, second.standing) == (Choice.YES, None)
        assert second.retry_at is not None

    in_scene(play)


def test_there_are_six_pushes_an_hour_for_a_person_and_five_attempts_for_an_alert() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        for name in ("one", "two"):
            await scene.ask(name)
            for _ in range(7):
                await scene.click(Choice.YES, name)
                await scene.pass_time(120)

        assert len(scene.factor.pushes) == 6
        first, second = await scene.question("one"), await scene.question("two")
        assert (first.proofs, first.retry_at) == (5, None)
        assert (second.proofs, second.retry_at) == (1, scene.factor.pushes[0].at + timedelta(hours=1))

    in_scene(play)


def test_a_yes_that_was_not_proved_counts_once_none_has_to_be() -> None:
    async def play(scene: Scene) -> None:
        await scene.ask()
        scene.restart(REQUIRED)
        await scene.click(Choice.YES)
        await scene.pass_time(5)
        assert await scene.told() == [unproven("no_device")]

        scene.restart(OFF)
        await scene.click(Choice.YES)

        assert await scene.told() == [unproven("no_device"), YES]
        await scene.click(Choice.YES)
        assert len(await scene.told()) == 2

    in_scene(play, OFF, push_ends=[NoDevice()])


@pytest.mark.parametrize("at_acceptance", [REQUIRED, OFF], ids=["required", "off"])
@pytest.mark.parametrize("now", [REQUIRED, OFF], ids=["required", "off"])
def test_the_stricter_of_the_policy_at_acceptance_and_now_holds(at_acceptance: Policy, now: Policy) -> None:
    async def play(scene: Scene) -> None:
        await scene.ask()
        scene.restart(now)
        await scene.click(Choice.YES)

        is_needed = REQUIRED in (at_acceptance, now)
        assert await scene.told() == ([] if is_needed else [YES])

    in_scene(play, at_acceptance)


@pytest.mark.parametrize(
    ("rules", "subject"),
    [
        (PeopleRules(), "ada@example.com"),
        (PeopleRules(people={"ada@example.com": "lovelace@example.com"}), "lovelace@example.com"),
        (PeopleRules(people={"ada@example.com": ADA}), "ada@example.com"),
        (PeopleRules(domains={"example.com": "example.org"}), "ada@example.org"),
        (
            PeopleRules(factor={"ada@example.com": "auth0|1815"}, people={"ada@example.com": ADA}),
            "auth0|1815",
        ),
    ],
)
def test_the_subject_is_the_files_or_the_requests_and_nothing_of_slacks(
    rules: PeopleRules, subject: str
) -> None:
    async def play(scene: Scene) -> None:
        for address in ("lovelace@example.com", "ada@example.org"):
            scene.messenger.people[address] = scene.messenger.people["ada@example.com"]
        await scene.ask()
        await scene.click(Choice.YES)
        await scene.pass_time(1)

        assert scene.factor
        assert [device.subject for device in scene.factor.pushes] == [subject]

    in_scene(play, replace(REQUIRED, people=rules))


@pytest.mark.parametrize("killed_after", [0, 2, 7, 19, 21])
def test_a_worker_that_dies_is_followed_by_another_which_sends_no_push_again(killed_after: int) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        await scene.pass_time(killed_after)
        await scene.kill()
        scene.restart()
        await scene.pass_time(120)

        assert await scene.told() == [YES]
        assert scene.factor
        assert len(scene.factor.pushes) == 1

    in_scene(play)


def test_a_push_whose_id_died_with_its_worker_is_over_once_it_must_be_dead_and_is_not_sent_again() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        await scene.say_yes(Verdict.APPROVED, 20)
        attempt = await scene.store.find_attempt("ada@example.com")
        assert attempt
        await scene.kill()
        now = scene.clock()
        dead_at = now + timedelta(seconds=315)
        lost = replace(attempt, version=attempt.version + 1, sent_at=now, dead_at=dead_at, due_at=now)
        await scene.store.save_attempt(lost)
        scene.restart()
        await scene.pass_time(310)
        await scene.click(Choice.YES)
        assert await scene.told() == []
        await scene.pass_time(20)

        assert await scene.told() == [unproven("unavailable")]
        assert scene.factor.pushes == []

    in_scene(play)


def test_a_worker_that_does_not_know_the_time_yet_gives_no_push_up_for_dead() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        await scene.pass_time(2)
        await scene.kill()
        right, ahead = scene.clock, [timedelta(hours=2)]
        scene.clock = ToldClock(lambda: right() + ahead[0])
        scene.clock.is_known = False
        scene.restart()
        await scene.pass_time(6)
        ahead[0], scene.clock.is_known = timedelta(0), True
        await scene.pass_time(120)

        assert await scene.told() == [YES]

    in_scene(play)


@pytest.mark.parametrize("interval", [5, 60])
def test_two_workers_do_not_poll_for_the_same_person(interval: int) -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        await scene.say_yes(Verdict.APPROVED, 55)
        scene.restart()
        await scene.pass_time(130)

        assert await scene.told() == [YES]
        polls = scene.factor.moments("poll")
        assert min(later - sooner for sooner, later in pairwise([0, *polls])) >= interval

    in_scene(play, interval=timedelta(seconds=interval))


def test_nobody_who_has_said_yes_is_reminded_of_it() -> None:
    question = accept(a_request(), "ref", NOON, REQUIRED).question
    said = replace(question, state=State.ASKED, said=Choice.YES, ts="1764000000.000100", due_at=NOON)

    assert replace(said, said=None).work is Work.REMIND
    assert asking_rules.remind(replace(said, said=None), NOON, REQUIRED) is not None
    assert asking_rules.remind(said, NOON, REQUIRED) is None
    assert REQUIRED.remind_at(said, NOON) is None
    stopped = asking_rules.stop_reminding(said)
    assert stopped is not None
    assert stopped.question.work is None, "it is not due over and over again"


@pytest.mark.parametrize(("takes", "polls_apart"), [({"poll": 41}, 41), ({"push": 90}, 5)])
def test_a_provider_that_answers_slowly_is_waited_for_and_no_other_worker_asks_meanwhile(
    takes: Mapping[str, float], polls_apart: float
) -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        await scene.say_yes(Verdict.APPROVED, 30)
        scene.restart()
        await scene.pass_time(200)

        assert await scene.told() == [YES]
        polls = scene.factor.moments("poll")
        assert all(later - sooner >= polls_apart for sooner, later in pairwise(polls))

    in_scene(play, takes=takes, lasts=timedelta(seconds=90))


def test_the_time_to_answer_of_a_question_that_a_yes_proves_to_be_asked_is_not_too_short() -> None:
    question = accept(a_request(), "ref", NOON, REQUIRED).question
    place = MessageRef(channel="D0ADA", ts="1764000000.000100")
    click = Answer(
        ref="ref", choice=Choice.YES, slack_id=ADA, same_workspace=True, message_ref=place, at=NOON
    )
    ticket = ProofContext(subject="ada@example.com", code="CODE23", last=None, lag=timedelta(seconds=2))

    step = start_attempt(question, click, ticket, REQUIRED)

    assert step
    assert step.question.deadline == NOON + timedelta(hours=24, seconds=2)


@pytest.mark.parametrize("fails", [1, 10])
def test_a_proof_that_the_store_cannot_take_is_kept_until_it_can(fails: int) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        await scene.pass_time(19)
        scene.store.fails += [StoreError("disk full")] * fails
        await scene.pass_time(20)

        assert await scene.told() == [YES]

    in_scene(play)


@pytest.mark.parametrize("end", [TransientError("HTTP 503"), PermanentError("gone"), RuntimeError("a bug")])
def test_polls_that_tell_nothing_are_made_again_until_the_push_is_dead(end: Exception) -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        await scene.say_yes(Verdict.APPROVED, 20)
        await scene.pass_time(60)
        assert await scene.told() == []
        await scene.pass_time(60)

        assert await scene.told() == [unproven("unavailable")]

    in_scene(play, poll_ends=[end] * 100)


def test_a_push_that_lasts_too_long_is_no_proof_and_blocks_the_next_until_it_is_dead() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        await scene.pass_time(40)

        assert await scene.told() == [unproven("unavailable")]
        assert (await scene.events())[-1] == "proofIgnored"

    in_scene(play, lasts=timedelta(seconds=301))


def test_a_kind_of_alert_that_needs_none_is_answered_at_once() -> None:
    policies = AlertPolicies(
        default=AlertPolicy(factor=Factor.REQUIRED), by_label={"duo_bypass_codes_generated": AlertPolicy()}
    )

    async def play(scene: Scene) -> None:
        await scene.ask()
        await scene.click(Choice.YES)

        assert await scene.told() == [YES]

    in_scene(play, replace(REQUIRED, alerts=policies))


@pytest.mark.slow
def test_a_thousand_people_in_proof_hold_up_nobody_and_leave_nothing_behind() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        crowd = [f"person-{number}" for number in range(1000)]
        scene.factor.reactions += [(Verdict.APPROVED, 30)] * len(crowd)
        for name in (*crowd, "other"):
            await scene.ask(name, user=f"{name}@example.com")
        await asyncio.gather(*(scene.click(Choice.YES, name) for name in crowd))
        await scene.pass_time(10)
        before = scene.clock()
        await scene.click(Choice.NO, "other")

        assert scene.clock() == before
        assert [each.outcome for each in await scene.told("other")] == ["no"]
        await scene.pass_time(40)
        assert [await scene.told(name) for name in crowd] == [
            [YES._replace(slack=f"U0{name}@example.com")] for name in crowd
        ]
        assert len(scene.factor.pushes) == len(crowd)
        assert scene.prover._tasks == {}

    in_scene(play)


def test_what_a_dead_worker_has_not_ended_is_not_replaced_by_the_next_attempt() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        await scene.say_yes(Verdict.APPROVED, 65)
        await scene.ask("another")
        await scene.pass_time(20)
        await scene.kill()
        await scene.pass_time(80)  # its push is dead for more than half a minute

        held = await scene.click(Choice.YES, "another")
        scene.restart()
        await scene.pass_time(60)

        assert not isinstance(held, Refusal)
        assert held.retry_at is not None
        assert await scene.told() == [unproven("timed_out")]
        assert len(scene.factor.pushes) == 1

    in_scene(play)


def test_a_stop_waits_a_little_for_a_call_and_no_longer() -> None:
    async def play(scene: Scene) -> None:
        answered = asyncio.Event()

        async def push(_: str, __: str) -> Push:
            await answered.wait()
            raise AmbiguousError("never")

        scene.factor.push = push  # type: ignore[method-assign, union-attr]
        await scene.ask()
        await scene.click(Choice.YES)
        await scene.pass_time(1)
        stop, before = asyncio.Event(), scene.clock()
        stop.set()
        await scene.prover.run(stop)

        assert scene.clock() - before == timedelta(seconds=3)
        answered.set()

    in_scene(play)


def test_a_note_waits_until_the_yes_counts_or_has_ended() -> None:
    noted = AlertPolicy(factor=Factor.REQUIRED, notes={Choice.YES: NoteRule.REQUIRED})

    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 20)
        question = await scene.question()
        note = Note(ref=question.ref, slack_id=ADA, same_workspace=True, text="It was me.", at=scene.clock())
        assert await scene.service.add_note(note) is Refusal.NOT_ANSWERED
        shown = question_message(question, WORDING, scene.policy)["blocks"]
        assert "note" not in [block.get("block_id") for block in shown]
        assert not SlackViews(CLIENT, WORDING, scene.policy).requires_note(question)  # type: ignore[arg-type]

        await scene.pass_time(30)
        await scene.service.add_note(note)

        assert await scene.told() == [YES, YES._replace(is_note=True)]

    in_scene(play, replace(REQUIRED, alerts=AlertPolicies(default=noted)))


def test_a_click_that_slack_delivers_again_is_no_further_click() -> None:
    async def play(scene: Scene) -> None:
        question, at = await scene.ask(), scene.clock()
        click = Answer(
            ref=question.ref,
            choice=Choice.YES,
            slack_id=ADA,
            same_workspace=True,
            message_ref=question.message_ref,
            at=at,
            clicked_at=at,
        )
        await scene.service.answer(click)
        await scene.pass_time(120)
        await scene.service.answer(replace(click, at=scene.clock()))
        await scene.pass_time(1)

        assert scene.factor
        assert len(scene.factor.pushes) == 1

    in_scene(play)


def test_a_proof_replaces_no_answer_that_it_may_not_replace_any_more() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        scene.factor.reactions.append((Verdict.APPROVED, 20))
        await scene.ask()
        await scene.click(Choice.NO)
        await scene.click(Choice.YES)
        await scene.kill()
        scene.restart(REQUIRED)
        await scene.pass_time(90)

        assert (await scene.question()).standing is Outcome.NO
        assert (await scene.told())[-1] == Told(outcome="no", reason="", is_note=True, slack=ADA)

    in_scene(play, replace(REQUIRED, allow_deescalation=True))


def test_a_provider_that_asks_to_wait_for_long_is_given_up_after_a_minute() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 10)
        await scene.pass_time(62)

        assert await scene.told() == [unproven("unavailable")]

    in_scene(play, push_ends=[TransientError("429", retry_after=timedelta(minutes=5))])


def test_a_poll_is_not_put_off_beyond_the_end_of_its_push() -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(Verdict.APPROVED, 10)
        await scene.pass_time(100)

        assert await scene.told() == [unproven("unavailable")]

    in_scene(play, poll_ends=[TransientError("429", retry_after=timedelta(minutes=5))] * 2)


@pytest.mark.parametrize("reaction", [Verdict.APPROVED, Verdict.REFUSED, Verdict.TIMED_OUT])
@pytest.mark.parametrize("is_readable", [True, False], ids=["readable", "unreadable"])
def test_what_became_of_a_push_of_the_backup_makes_nothing_milder_that_was_said_since(
    reaction: Verdict,
    is_readable: bool,  # noqa: FBT001
) -> None:
    async def play(scene: Scene) -> None:
        await scene.say_yes(reaction, 20)
        await scene.pass_time(10)
        no = Shown(reports=1, standing=Outcome.NO, said=Choice.NO, answered_at=scene.clock())
        await scene.restore(no if is_readable else None)
        await scene.pass_time(120)

        *_, last = await scene.told()
        assert last.outcome == "no" if is_readable else last.is_note
        if is_readable:
            assert (await scene.question()).standing is Outcome.NO

    in_scene(play)


def test_a_yes_on_what_could_not_be_read_after_a_restore_is_not_proved_any_more() -> None:
    async def play(scene: Scene) -> None:
        await scene.ask()
        await scene.restore(None)
        await scene.pass_time(2 * 3600)
        await scene.click(Choice.YES)
        await scene.pass_time(90)

        question = await scene.question()
        assert (question.is_unsure, question.said, question.standing) == (True, Choice.YES, None)
        assert scene.factor
        assert scene.factor.pushes == []
        assert "cannot be confirmed any more" in str(question_message(question, WORDING, scene.policy))

    in_scene(play)


def test_after_a_restore_nobody_gets_a_push_before_the_longest_limit_has_passed() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        scene.factor.reactions.append((Verdict.REFUSED, 10))
        await scene.ask()
        await scene.restore(Shown(reports=0))
        restored = scene.clock()
        await scene.pass_time(60)
        await scene.click(Choice.YES)
        await scene.pass_time(3500)

        question = await scene.question()
        assert (question.said, question.standing) == (Choice.YES, None)
        assert question.retry_at == restored + timedelta(hours=1)
        assert scene.factor.pushes == []
        await scene.pass_time(60)
        await scene.click(Choice.YES)
        await scene.pass_time(30)
        assert await scene.told() == [unproven("refused")]

    in_scene(play)


def test_a_push_that_a_backup_has_not_sent_may_have_been_sent_since() -> None:
    async def play(scene: Scene) -> None:
        assert scene.factor
        await scene.say_yes(Verdict.APPROVED, 1)
        await scene.pass_time(1)
        await scene.restore(Shown(reports=0))
        await scene.pass_time(300)

        assert (scene.factor.pushes, await scene.told()) == ([], [])
        await scene.pass_time(240)
        assert await scene.told() == [unproven("unavailable")]
        question = await scene.question()
        assert (question.proofs, question.retry_at) == (1, scene.factor.calls[0][1] + timedelta(seconds=3601))

    in_scene(play, push_ends=[TransientError("429")])


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (
            Shown(reports=1, standing=Outcome.NO, said=Choice.YES, proofs=2, reason="factor_fraud"),
            [Told(outcome="no", reason="factor_fraud", is_note=False, slack="")],
        ),
        (
            Shown(reports=1, standing=Outcome.UNPROVEN, said=Choice.YES, proofs=2, reason="factor_refused"),
            [unproven("refused")],
        ),
        (Shown(reports=1, standing=Outcome.UNPROVEN, said=Choice.YES, proofs=0), [unproven("unavailable")]),
        (Shown(reports=0, said=Choice.YES, proofs=2), []),
    ],
    ids=["fraud", "refused", "of an earlier draft", "awaited"],
)
def test_what_a_message_shows_of_a_proof_is_taken_over_after_a_restore(
    shown: Shown, told: list[Told]
) -> None:
    async def play(scene: Scene) -> None:
        await scene.ask()
        restored = scene.clock()
        await scene.restore(replace(shown, answered_at=restored))
        scene.restart(OFF)  # what was required when it was accepted holds
        await scene.work()
        await scene.pass_time(40)
        await scene.work()
        await scene.work()

        question = await scene.question()
        assert await scene.told() == told
        assert (question.said, question.proofs) == (Choice.YES, shown.proofs)
        assert question.needs_factor
        if shown.standing is None:
            assert question.retry_at == restored + timedelta(hours=1)
            assert "does not count yet" in str(question_message(question, WORDING, scene.policy))

    in_scene(play)
