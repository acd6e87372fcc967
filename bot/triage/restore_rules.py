"""The decisions after a restore: pure functions, like those of `asking_rules`.

A restored store does not know what was asked and answered after its backup. Slack does: the messages are
there, and each says what it shows. What MozDef may have been told is never replaced by a milder word.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.triage.asking_rules import offered_choices, row_key
from bot.triage.factor_rules import PUSHES_WITHIN
from bot.triage.inquiry import Delivery, Inquiry
from bot.triage.model import (
    RESTORE_SETTLES,
    Choice,
    FoundQuestion,
    Person,
    Question,
    Report,
    Restore,
    Shown,
    State,
    Step,
    change_question,
    make_question,
)
from bot.triage.outcomes import OUTCOMES, Outcome, Reason
from bot.triage.places import Places
from bot.triage.policy import Policy
from bot.triage.reporting import report_on, with_card

#: How far before the backup's last commit Slack may have dated a message: its clock differs from ours.
LOOK_BACK = timedelta(minutes=30)

#: How far back to read if the backup's last commit is unknown: as long as SQS keeps a message.
UNKNOWN_AGE = timedelta(days=14)

#: How long a deadline waits for the question's message to be read: from the restore, and from when a process
#: first meets it, which may come after a long sleep.
READ_WITHIN = timedelta(hours=1)
TRIED_FOR = timedelta(minutes=2)

#: How long a deadline is put off at a time while it waits.
DEADLINE_WAIT = timedelta(seconds=30)

#: If nobody knows how many reports were sent, sequences continue from the next multiple of this.
SEQUENCES_APART = 100

#: The reason of an outcome that the bot decided, if the message does not name it.
_UNTOLD = {
    Outcome.UNDELIVERABLE: Reason.NOT_ASKED_IN_TIME,
    Outcome.UNPROVEN: Reason.FACTOR_UNAVAILABLE,
}


def doubt_inquiry(inquiry: Inquiry, now: datetime) -> Inquiry | None:
    """Return an inquiry of a restored backup as one that may have been asked since; None if it was asked."""
    if inquiry.delivery not in (Delivery.WAITING, Delivery.CLAIMED):
        return None
    return replace(
        inquiry,
        version=inquiry.version + 1,
        delivery=Delivery.CLAIMED,
        claimed_at=inquiry.claimed_at or inquiry.accepted_at,
        in_doubt_since=now,
        due_at=now,
    )


def doubt_line(places: Places, now: datetime) -> Places | None:
    """Return a person's places of a restored backup with a line that may have been posted since; None if it
    was posted, or if there is none.
    """
    burst = places.burst
    if burst is None or burst.line.is_over:
        return None
    line = replace(burst.line, claimed_at=burst.line.claimed_at or burst.since, in_doubt_since=now)
    return replace(places, version=places.version + 1, burst=replace(burst, line=line))


def widen(earlier: Restore | None, written_at: datetime | None, now: datetime) -> Restore:
    """Return the window of a restore at `now`, of a backup last written to at `written_at`; None: unknown.

    It includes that of an earlier restore, as long as SQS may still deliver what was lost then.
    """
    since = (written_at or now - UNKNOWN_AGE) - LOOK_BACK
    if earlier is not None and earlier.until > now - UNKNOWN_AGE:
        since = min(since, earlier.since)
    return Restore(since=since, until=now)


def reset(question: Question, now: datetime, *, longest: timedelta | None) -> Question:
    """Return a question as a store that was restored has to have it: see `store.OpenStore`."""
    since = question.asked_at or question.accepted_at
    if question.deadline is not None:
        span = question.deadline - since
        question = replace(question, deadline=now + min(span, longest or span))
    if question.state is State.ASKED and question.standing is None and not question.outdated and question.ts:
        # It is read in Slack, which is due as a reminder is.
        question = replace(question, due_at=now + RESTORE_SETTLES, paced=False, attempts=0)
    if question.state in (State.ACCEPTED, State.POSTING):
        question = replace(question, in_doubt_since=now, due_at=now, paced=False)
    # By a clock that was ahead: it came before the restore, whatever that clock said.
    return question if question.accepted_at <= now else replace(question, accepted_at=now)


def is_unread(question: Question, restore: Restore | None) -> bool:
    """Whether a question may have been asked or answered without the store's knowing."""
    if restore is None or question.accepted_at > restore.until:
        return False
    return question.read_at is None or question.read_at < restore.until


def find_push_rest(restore: Restore | None) -> datetime | None:
    """Return until when nobody gets a push: the store does not know how many there were before the restore.

    None: it was not restored. The limit for an hour is the longest of all.
    """
    return None if restore is None else restore.until + PUSHES_WITHIN


def may_be_lost(question: Question, restore: Restore) -> bool:
    """Whether a question that was not asked yet may be one that the restored store has lost.

    So may each whose request came soon after the restore: it may have been delivered again.
    """
    is_unasked = question.state in (State.ACCEPTED, State.POSTING) and question.standing is None
    is_new = question.accepted_at > restore.until and question.read_at is None
    came_soon = question.accepted_at <= restore.until + READ_WITHIN
    return is_unasked and came_soon and (is_new or question.read_at == restore.until)  # see `note_new`


def wait_to_settle(question: Question, restore: Restore) -> Step | None:
    """Ask once Slack's history has settled; None if the question does not wait to be asked any more.

    Its turn among the person's messages is reserved then.
    """
    if question.state not in (State.ACCEPTED, State.POSTING) or question.in_doubt_since is not None:
        return None
    return Step(question=change_question(question, due_at=restore.settled_at, paced=False))


def postpone_deadline(
    question: Question, restore: Restore, now: datetime, *, met_at: datetime
) -> Step | None:
    """Let a deadline, first met then, wait until the question was read; None if it does not wait any more."""
    is_tried = now >= restore.until + READ_WITHIN and now >= met_at + TRIED_FOR
    if is_tried or not (is_unread(question, restore) or may_be_lost(question, restore)):
        return None
    deadline = max(now + DEADLINE_WAIT, restore.settled_at)
    return Step(question=change_question(question, deadline=deadline))


def give_up_reading(question: Question, restore: Restore | None, now: datetime) -> Question:
    """Return the question; if it was not read, as one whose standing nobody knows."""
    if not is_unread(question, restore):
        return question
    return make_unsure(question, now)


def give_up_search(question: Question, restore: Restore, now: datetime) -> Step | None:
    """Stop asking whether the store has lost a question; None if that is settled."""
    return Step(question=make_unsure(question, now)) if may_be_lost(question, restore) else None


def make_unsure(question: Question, now: datetime) -> Question:
    """Return a question that was not read as one whose standing nobody knows: see `Question.is_unsure`.

    Sequences go on from the next hundred, so that no report has the sequence of one that was sent.
    """
    skipped = (question.reports // SEQUENCES_APART + 1) * SEQUENCES_APART - question.reports
    return change_question(
        question,
        reports=question.reports + skipped,
        shown=question.shown + skipped,
        card_shown=question.card_shown + skipped,
        read_at=now,
        is_unsure=question.standing is not Outcome.NO,
    )


def is_overtaken(question: Question, report: Report, restore: Restore) -> bool:
    """Whether a report of the backup is milder than what MozDef was told since, or may have been told.

    The question was read.
    """
    if report.note or report.at > restore.until or question.standing is None:
        return False
    if question.is_unsure:
        return report.outcome is not Outcome.NO
    return OUTCOMES[report.outcome].rank < OUTCOMES[question.standing].rank


def tell_again(question: Question, now: datetime, policy: Policy) -> Step | None:
    """Report as a note what overtook a report, unless something was reported since the question was read."""
    if not question.is_unsure or question.reports % SEQUENCES_APART or question.read_at is None:
        return None
    told = change_question(question, reports=question.reports + 1, shown=question.shown + 1)
    after = change_question(told, card_shown=question.card_shown + 1)
    return Step(question=after, report=report_on(question, after, at=now, policy=policy))


def note_certain(question: Question, restore: Restore | None, now: datetime) -> Question:
    """Return a question that certainly nobody has answered: it was not asked, or only just now."""
    return change_question(question, read_at=now) if is_unread(question, restore) else question


def note_new(step: Step, restore: Restore | None) -> Step:
    """Keep a request that has just come from counting as part of the backup, even if the time went back."""
    if restore is None or not is_unread(step.question, restore):
        return step
    return replace(step, question=change_question(step.question, read_at=restore.until))


def read_soon(step: Step, restore: Restore | None, now: datetime) -> Step:
    """Let a question that was found in Slack be read at once: it may have been answered."""
    question = step.question
    if question.standing is not None or not is_unread(question, restore):
        return step
    return Step(question=change_question(question, due_at=now), report=step.report)


def take_over(
    question: Question, found: FoundQuestion | None, restore: Restore | None, now: datetime, policy: Policy
) -> Step | None:
    """Make the question's standing certain: take over what its message shows, if that is more than is stored.

    `found` is the message; None: it cannot be read. An outcome that the message shows is reported again: its
    report may have been lost with the store. Returns None if the standing is certain.
    """
    if not is_unread(question, restore):
        return None
    placed = _place(question, found, now, policy) if found else question
    if found is None or found.shown is None:
        return Step(question=_go_on(give_up_reading(placed, restore, now), now, policy))
    shown = found.shown
    certain = change_question(
        placed,
        read_at=now,
        card_ts=placed.card_ts or shown.card_ts,
        needs_factor=question.needs_factor or shown.proofs is not None,
        proofs=max(question.proofs, shown.proofs or 0),
    )
    was_given_up = question.is_unsure and not question.ts  # its reports are not those that the message counts
    if shown.reports > question.reports or was_given_up:
        return _catch_up(question, certain, shown, now, policy)
    if certain.proofs > question.proofs and shown.standing is None and shown.said is Choice.YES:
        certain = _lose_proof(certain, shown, restore, now)
    return Step(question=_go_on(certain, now, policy))


def adopt(
    question: Question, found: FoundQuestion, person: Person, now: datetime, policy: Policy
) -> Step | None:
    """Let a request that is delivered again take over the message that was posted for it; None if it has one.

    From then on it is under the message's ref, which the buttons have.
    """
    if question.ts or question.state not in (State.ACCEPTED, State.POSTING):
        return None
    known = change_question(
        _with_person(question, person), claimed_at=question.claimed_at or found.posted_at, read_at=None
    )
    return take_over(known, found, Restore(since=now, until=max(now, question.accepted_at)), now, policy)


def make_anew(found: FoundQuestion, person: Person, now: datetime, policy: Policy) -> Step | None:
    """Recreate the row of a question that the store has lost; None if the message does not say which.

    Somebody has clicked on it who is certain to be the person.
    """
    request = found.request
    if request is None or row_key(request.identifier) != found.ref.partition(".")[0]:
        return None
    made = make_question(request=request, ref=found.ref, accepted_at=found.posted_at, due_at=None)
    question = change_question(made, needs_factor=policy.needs_factor(made))
    known = change_question(_with_person(question, person), claimed_at=found.posted_at)
    return take_over(known, found, Restore(since=now, until=max(now, found.posted_at)), now, policy)


def _with_person(question: Question, person: Person) -> Question:
    return change_question(
        question,
        slack_id=person.slack_id,
        other_slack_id=person.other_slack_id,
        slack_name=person.slack_name,
        time_zone=person.time_zone,
        found_by=person.found_by,
        offered=offered_choices(question.request.confidence),
    )


def _place(question: Question, found: FoundQuestion, now: datetime, policy: Policy) -> Question:
    """Return the question with its message, if it did not know of that."""
    if question.ts:
        return question
    return change_question(
        question,
        ref=found.ref,
        state=State.ASKED,
        channel=found.message_ref.channel,
        ts=found.message_ref.ts,
        asked_at=question.asked_at or found.posted_at,
        waits_for="",
        in_doubt_since=None,
        attempts=0,
        paced=False,
        due_at=None,
        deadline=None if question.standing else policy.deadline(question, now),
        shown=question.changes,
    )


def _catch_up(question: Question, certain: Question, shown: Shown, now: datetime, policy: Policy) -> Step:
    """Take over what the message shows. Its outcome is reported, which the message does not show yet."""
    count = max(shown.reports, question.reports)
    numbered = change_question(certain, reports=count, unreported=0, shown=count, is_unsure=shown.is_unsure)
    if shown.standing is None:
        return Step(question=_go_on(numbered, now, policy))
    told = change_question(
        numbered,
        standing=shown.standing,
        reason=shown.reason or _UNTOLD.get(shown.standing, ""),
        said=shown.said,
        proof_code="",
        retry_at=None,
        proved_at=None,
        answered_at=shown.answered_at,
        first_answered_at=question.first_answered_at or shown.answered_at,
        answers=max(question.answers, int(shown.said is not None)),
        deadline=None,
        settled_at=now,
        reports=count + 1,
        due_at=now,
    )
    known = change_question(told, card_shown=told.events) if told.card_ts else told
    after = with_card(known, now, policy)
    report = report_on(question, after, at=now, policy=policy)
    # MozDef may not have got it: it is no note, though it may be a repeat. MozDef drops those itself.
    is_note = after.is_unsure
    return Step(question=after, report=report if is_note else replace(report, note=False, said=None))


def _lose_proof(question: Question, shown: Shown, restore: Restore | None, now: datetime) -> Question:
    """Return a question whose message awaits a proof that the store knows nothing of: it is to be redrawn."""
    return change_question(
        question,
        said=shown.said,
        answered_at=shown.answered_at,
        first_answered_at=question.first_answered_at or shown.answered_at,
        answers=max(question.answers, 1),
        proof_code="",
        retry_at=find_push_rest(restore),
        unreported=question.unreported + 1,
        due_at=now,
    )


def _go_on(question: Question, now: datetime, policy: Policy) -> Question:
    """Return the question, which is not answered as far as anybody knows, with its next reminder due."""
    if question.state is not State.ASKED or question.standing is not None or question.outdated:
        return question
    return change_question(question, due_at=policy.remind_at(question, now), paced=False, attempts=0)
