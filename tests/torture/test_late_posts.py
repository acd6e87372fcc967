"""What the torture found, once more without chance: a post that Slack does after its sender was killed."""

from __future__ import annotations

from datetime import datetime, timedelta

from fakes import ADA, NOON, ScriptedMessenger, SteppedClock, a_request
from memory_store import MemoryStore
from wiring import instead, wired

from bot.sqs.wire import write_report
from bot.triage import asking_rules
from bot.triage.inquiry import Inquiry
from bot.triage.model import Bookmark, MessageRef, Question, Work
from bot.triage.policy import Policy
from bot.triage.recorder import Recorder

#: Seconds after the claim at which Slack does the post, later than a restart and two looks may take.
_DONE_AFTER = 18
_PLACE = MessageRef(channel="D0ADA", ts="1764000018.000100")

#: No clock runs once the question is known to be asked.
_QUIET = Policy(remind_after=None, expire_after=None)


class LateSlack(ScriptedMessenger):
    """Holds a dead worker's post back for a while."""

    async def look_up(
        self, question: Question | Inquiry, *, after: Bookmark | None = None
    ) -> MessageRef | None:
        await super().look_up(question, after=after)
        return _PLACE if self.clock() - NOON >= timedelta(seconds=_DONE_AFTER) else None


async def test_a_post_that_slack_does_after_its_sender_was_killed_is_not_repeated() -> None:
    clock = SteppedClock()
    store, slack = MemoryStore(), LateSlack(clock=clock)
    recorder = Recorder(store, write_report, policy=_QUIET, clock=clock)
    service = wired(store, _QUIET, clock=clock, messenger=instead(slack)).service
    await service.receive([a_request()])
    [accepted] = store.questions.values()
    await recorder.save(accepted, asking_rules.claim(accepted, ADA, NOON))

    # The store hands the dead worker's claims to the next one at its start, one second later.
    due: datetime | None = NOON + timedelta(seconds=1)
    while due is not None:
        clock.now = due
        [question] = store.questions.values()
        await service.work_on(question, Work.ASK)
        [question] = store.questions.values()
        due = question.due_at

    assert slack.posts == []
    assert question.message_ref == _PLACE
