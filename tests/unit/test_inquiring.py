"""A follow-up question is posted once: it is claimed before, and looked up when in doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, NOON
from service_harness import PLACE, ServiceHarness, a_click

from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.sqs.wire import read_report
from bot.triage import inquiry_rules
from bot.triage.answer_rules import Refusal
from bot.triage.assignments import CardClick
from bot.triage.inquiry import Delivery, Inquiry, Reply
from bot.triage.model import Bookmark, Choice, MessageRef, Person, Question, Report, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

CHANNEL = "C0CARDS"
LOST = AmbiguousError("the answer was lost")
LATE = MessageRef(channel="D0ADA", ts="1764000099.000300")


class Scene(ServiceHarness):
    """An alert whose person said no, with its card."""

    def __init__(self) -> None:
        super().__init__(Policy(security_channel=CHANNEL))

    async def begin(self) -> Question:
        question = await self.ask()
        said_no = replace(a_click(question, Choice.NO), at=self.clock())
        assert isinstance(await self.service.answer(said_no), Question)
        await self.service.work_on(await self.question(), Work.CARD)
        return await self.question()

    async def ask_back(self, text: str = "Which laptop?", **changes: Any) -> Question | Refusal:
        question = await self.question()
        known: dict[str, Any] = {"slack_id": "U0GRACE", "slack_name": "grace", "key": "V1"}
        click = CardClick(
            card=question.card,
            channel=CHANNEL,
            ts=question.card_ts,
            same_workspace=True,
            at=self.clock(),
            **(known | changes),
        )
        return await self.responders.ask_back(click, text)

    async def reply(self, text: str = "The blue one.", **changes: Any) -> Question | Refusal:
        inquiry = await self.inquiry()
        given: dict[str, Any] = {"ref": inquiry.ref, "slack_id": "U0ADA", "view_id": "V2"}
        return await self.service.reply(
            Reply(text=text, same_workspace=True, at=self.clock(), **(given | changes))
        )

    async def inquiry(self) -> Inquiry:
        [inquiry] = await self.store.inquiries_of((await self.question()).ref)
        return inquiry

    async def let_pass(self, *, seconds: float) -> None:
        """Advance the clock, and continue with whatever falls due."""
        end = self.clock() + timedelta(seconds=seconds)
        while True:
            for _ in range(5):
                for inquiry in await self.store.due_inquiries(self.clock(), limit=10):
                    await self.inquirer.advance(inquiry)
            due = [each.due_at for each in self.store.inquiries.values() if each.due_at]
            coming = [moment for moment in due if moment > self.clock()]
            if not coming or min(coming) > end:
                break
            self.clock.now = min(coming)
        self.clock.now = end

    async def read_reports(self) -> list[Report]:
        question = await self.question()
        return [read_report(row) for row in await self.store.reports_of(question.identifier)]

    @property
    def posts(self) -> list[float]:
        return [(moment - NOON).total_seconds() for moment, _ in self.messenger.asked_back]


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


async def test_a_question_is_durable_before_it_is_posted_and_posted_once(scene: Scene) -> None:
    assert isinstance(await scene.ask_back(), Question)
    assert (await scene.inquiry()).delivery is Delivery.WAITING
    assert scene.posts == []

    await scene.let_pass(seconds=60)

    inquiry = await scene.inquiry()
    assert scene.posts == [0.0]
    assert (inquiry.delivery, inquiry.channel, inquiry.due_at) == (Delivery.ASKED, PLACE.channel, None)
    claimed = scene.messenger.asked_back[0][1]
    assert (claimed.delivery, claimed.in_doubt_since) == (Delivery.CLAIMED, NOON)


async def test_a_lost_answer_is_looked_up_and_the_post_not_repeated(scene: Scene) -> None:
    scene.messenger.ask_back_ends, scene.messenger.look_ends = [LOST], [None, LATE]
    await scene.ask_back()

    await scene.let_pass(seconds=60)

    inquiry = await scene.inquiry()
    assert (inquiry.delivery, inquiry.ts) == (Delivery.ASKED, LATE.ts)
    assert len(scene.posts) == 1
    looks = [(moment - NOON).total_seconds() for moment in scene.messenger.looks]
    assert looks == [5.0, 15.0]


async def test_what_two_complete_looks_do_not_find_is_posted_again(scene: Scene) -> None:
    page = Bookmark(channel="D0ADA", cursor="next")
    scene.messenger.ask_back_ends, scene.messenger.look_ends = [LOST], [page, None, None]
    await scene.ask_back()

    await scene.let_pass(seconds=60)

    assert scene.posts == [0.0, 15.0]
    assert (await scene.inquiry()).delivery is Delivery.ASKED


async def test_what_a_dead_worker_has_claimed_is_looked_up_first(scene: Scene) -> None:
    await scene.ask_back()
    claimed = inquiry_rules.claim(await scene.inquiry(), scene.clock())
    assert await scene.store.save_inquiry(claimed)
    scene.restart()
    scene.messenger.look_ends = [LATE]

    await scene.let_pass(seconds=120)

    assert scene.posts == []
    assert (await scene.inquiry()).ts == LATE.ts
    assert [(moment - NOON).total_seconds() for moment in scene.messenger.looks] == [65.0]


async def test_a_claim_that_grew_old_is_given_up(scene: Scene) -> None:
    await scene.ask_back()
    save = scene.store.save_inquiry

    async def slowly(inquiry: Inquiry) -> bool:
        scene.clock.advance(seconds=11 if inquiry.delivery is Delivery.CLAIMED else 0)
        scene.store.save_inquiry = save  # type: ignore[method-assign]
        return await save(inquiry)

    scene.store.save_inquiry = slowly  # type: ignore[method-assign]

    await scene.let_pass(seconds=60)

    assert scene.posts == [11.0]


async def test_two_workers_post_it_once(scene: Scene) -> None:
    await scene.ask_back()
    inquiry = await scene.inquiry()

    await scene.inquirer.advance(inquiry)
    scene.restart()
    await scene.inquirer.advance(inquiry)

    assert len(scene.posts) == 1


@pytest.mark.parametrize(
    "end",
    [
        TransientError("no network"),
        TransientError("429", retry_after=timedelta(seconds=30)),
        AppRejected("token_revoked", remedy="Renew it."),
        UnknownErrorCode("strange_code"),
    ],
    ids=str,
)
async def test_what_was_certainly_not_posted_is_tried_again(scene: Scene, end: Exception) -> None:
    scene.messenger.ask_back_ends = [end, end]
    await scene.ask_back()

    await scene.let_pass(seconds=300)

    assert len(scene.posts) == 3
    assert scene.messenger.looks == []
    assert (await scene.inquiry()).delivery is Delivery.ASKED


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ([Undeliverable("user_disabled")], "user_disabled"),
        ([UnknownErrorCode("strange_code")] * 99, "strange_code"),
    ],
)
async def test_one_that_cannot_be_asked_ends_and_says_so(
    scene: Scene, ends: list[Exception | MessageRef], reason: str
) -> None:
    scene.messenger.ask_back_ends = ends
    await scene.ask_back()

    await scene.let_pass(seconds=3600)

    inquiry, [*_, asked, failed] = await scene.inquiry(), await scene.read_reports()
    assert (inquiry.delivery, inquiry.reason) == (Delivery.FAILED, reason)
    assert (failed.in_reply_to, failed.reason, failed.note) == (asked.sequence, reason, True)
    assert [event.kind for event in scene.store.events[inquiry.identifier]][-2:] == [
        "askedBack",
        "notAskedBack",
    ]


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (replace(ADA, deactivated=True), "user_deactivated"),
        (Undeliverable("user_not_found"), "user_not_found"),
    ],
)
async def test_nobody_is_asked_back_whose_account_was_closed_meanwhile(
    scene: Scene, person: Person | Exception, reason: str
) -> None:
    scene.messenger.people["U0ADA"] = person
    await scene.ask_back()

    await scene.let_pass(seconds=60)

    assert scene.posts == []
    inquiry, failed = await scene.inquiry(), (await scene.read_reports())[-1]
    assert (inquiry.delivery, inquiry.reason, failed.reason) == (Delivery.FAILED, reason, reason)


async def test_where_slack_does_not_say_whether_they_are_active_it_is_asked_later(scene: Scene) -> None:
    scene.messenger.people["U0ADA"] = TransientError("no network", retry_after=timedelta(seconds=20))
    await scene.ask_back()
    await scene.let_pass(seconds=10)
    assert scene.posts == []

    scene.messenger.people["U0ADA"] = ADA
    await scene.let_pass(seconds=60)

    assert scene.posts == [20.0]


async def test_without_the_scope_one_in_doubt_ends_and_is_not_repeated(scene: Scene) -> None:
    scene.messenger.ask_back_ends, scene.messenger.can_look_up = [LOST], False
    await scene.ask_back()

    await scene.let_pass(seconds=3600)

    assert len(scene.posts) == 1
    assert (await scene.inquiry()).reason == "delivery_unknown"


async def test_a_reply_to_one_that_was_given_up_in_doubt_shows_that_it_was_asked(scene: Scene) -> None:
    scene.messenger.ask_back_ends, scene.messenger.can_look_up = [LOST], False
    await scene.ask_back()
    await scene.let_pass(seconds=3600)

    assert isinstance(await scene.reply(), Question)

    inquiry = await scene.inquiry()
    assert (inquiry.delivery, inquiry.reason) == (Delivery.ASKED, "")


async def test_a_reply_that_comes_before_the_post_has_answered_settles_it(scene: Scene) -> None:
    async def quickly(_: Question | None) -> None:
        assert isinstance(await scene.reply(), Question)

    scene.messenger.before["ask back"] = quickly
    scene.messenger.ask_back_ends = [LOST]
    await scene.ask_back()

    await scene.let_pass(seconds=120)

    inquiry = await scene.inquiry()
    assert (inquiry.delivery, len(inquiry.replies), inquiry.due_at) == (Delivery.ASKED, 1, None)
    assert (len(scene.posts), scene.messenger.looks) == (1, [])


async def test_question_and_reply_reach_the_cards_thread_and_mozdef_in_order(scene: Scene) -> None:
    await scene.ask_back()
    await scene.let_pass(seconds=5)
    await scene.service.work_on(await scene.question(), Work.CARD)
    await scene.reply()
    await scene.reply()  # once more, as Slack delivers it
    await scene.service.work_on(await scene.question(), Work.CARD)

    told = [each for each in scene.team.told if isinstance(each, Report)]
    assert [(each.inquiry and each.inquiry.text, each.comment) for each in told] == [
        ("Which laptop?", ""),
        (None, "The blue one."),
    ]
    assert told == (await scene.read_reports())[1:]
    assert [each.in_reply_to for each in told] == [None, told[0].sequence]
    question = await scene.question()
    assert (question.standing, question.said, question.notes) == (Outcome.NO, Choice.NO, 0)
    kinds = [event.kind for event in scene.store.events[question.identifier]]
    assert kinds[-2:] == ["askedBack", "replied"]


async def test_a_card_that_is_posted_again_tells_the_exchange_in_its_thread(scene: Scene) -> None:
    await scene.ask_back()
    await scene.reply()
    scene.team.gone = True

    await scene.service.work_on(await scene.question(), Work.CARD)

    told = [each for each in scene.team.told if isinstance(each, Report)]
    assert [each.comment for each in told if each.is_exchange] == ["", "The blue one."]
    assert (await scene.question()).card_due_at is None


async def test_only_who_may_act_asks_back(scene: Scene) -> None:
    card = (await scene.question()).card
    forged = f"{card.partition('.')[0]}.{'f' * 32}"

    refusals = [
        await scene.ask_back(slack_id="U0ADA"),
        await scene.ask_back(text=""),
        await scene.ask_back(text="x" * 501),
    ]
    for changes in ({"card": forged}, {"card": (await scene.question()).ref}, {"channel": "C0ELSE"}):
        click = CardClick(
            card=card,
            channel=CHANNEL,
            ts="1.1",
            slack_id="U0GRACE",
            slack_name="grace",
            same_workspace=True,
            at=scene.clock(),
        )
        refusals.append(await scene.responders.ask_back(replace(click, **changes), "Which laptop?"))  # type: ignore[arg-type]

    assert refusals == [
        Refusal.PERSON_ASKED,
        Refusal.NO_TEXT,
        Refusal.TOO_LONG,
        Refusal.OLD_CARD,
        Refusal.OLD_CARD,
        Refusal.OTHER_CHANNEL,
    ]
    assert scene.store.inquiries == {}


async def test_a_reply_to_a_question_that_the_store_has_lost_is_refused_with_words(scene: Scene) -> None:
    await scene.ask_back()
    await scene.let_pass(seconds=5)
    ref = (await scene.inquiry()).ref
    scene.store.inquiries.clear()

    for lost in (ref, f"{'0' * 32}.{'1' * 32}", "nonsense"):
        click = Reply(
            ref=lost, text="x", slack_id="U0ADA", same_workspace=True, at=scene.clock(), view_id="V"
        )
        assert await scene.service.reply(click) is Refusal.LOST_INQUIRY
        assert await scene.service.find_inquiry(click) is Refusal.LOST_INQUIRY


async def test_after_a_restore_one_that_is_there_is_not_asked_again(scene: Scene) -> None:
    await scene.ask_back()  # as in the backup; it was posted after that
    await scene.store.reset_after_restore(scene.clock(), since=scene.clock())
    scene.restart()
    scene.messenger.look_ends = [LATE]

    await scene.let_pass(seconds=300)

    assert scene.posts == []
    assert (await scene.inquiry()).ts == LATE.ts
