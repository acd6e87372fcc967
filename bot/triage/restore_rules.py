"""The decisions after a restore: pure functions, like those of `asking_rules`.

A restored store does not know what was asked and answered after its backup. Slack does: the messages are
there, and a block's id in each says what it shows. Nothing milder ever replaces what MozDef may have been
told.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.triage.asking_rules import offered_choices, row_key
from bot.triage.factor_rules import PUSHES_WITHIN
from bot.triage.inquiry import Delivery, Inquiry
from bot.triage.model import (
    FOUND_LINE,
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

#: How far before the backup's last commit to begin reading: Slack's clock and ours may differ.
LOOK_BACK = timedelta(minutes=30)

#: How far back to read if the time of the last commit is unknown: as long as SQS keeps a message.
UNKNOWN_AGE = timedelta(days=14)

#: How long a deadline waits for the question's message to be read: after the restore, and after a worker
#: first finds the deadline due, which may be long after the restore.
READ_WITHIN = timedelta(hours=1)
TRIED_FOR = timedelta(minutes=2)

#: How long a deadline is put off at a time while it waits.
DEADLINE_WAIT = timedelta(seconds=30)

#: If it is unknown how many reports were sent, sequences continue from the next multiple of this.
SEQUENCE_STEP = 100

#: The reasons of outcomes that the bot decided, for messages that do not name the reason.
_DEFAULT_REASONS = {
    Outcome.UNDELIVERABLE: Reason.NOT_ASKED_IN_TIME,
    Outcome.UNPROVEN: Reason.FACTOR_UNAVAILABLE,
}


def put_inquiry_in_doubt(inquiry: Inquiry, now: datetime) -> Inquiry | None:
    """Mark an inquiry of a backup as possibly posted since the backup; None if it is asked or has failed."""
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


def put_line_in_doubt(places: Places, now: datetime) -> Places | None:
    """Mark the line of a burst in a backup as possibly posted since; None if it is over, or there is none."""
    burst = places.burst
    if burst is None or burst.line.is_over:
        return None
    line = replace(burst.line, claimed_at=burst.line.claimed_at or burst.since, in_doubt_since=now)
    return replace(places, version=places.version + 1, burst=replace(burst, line=line))


def restore_window(earlier: Restore | None, written_at: datetime | None, now: datetime) -> Restore:
    """Return the window of a restore at `now`. `written_at`: the backup's last commit; None: unknown.

    The window includes that of an earlier restore while SQS may still deliver what was lost then.
    """
    since = (written_at or now - UNKNOWN_AGE) - LOOK_BACK
    if earlier is not None and earlier.until > now - UNKNOWN_AGE:
        since = min(since, earlier.since)
    return Restore(since=since, until=now)


def is_old_line(found: FoundQuestion, restore: Restore) -> bool:
    """Whether this line about waiting questions was posted before the backup, so that the store knows it."""
    return found.ref.startswith(FOUND_LINE) and found.posted_at < restore.since + LOOK_BACK


def reset(question: Question, now: datetime, *, longest: timedelta | None) -> Question:
    """Prepare a question of a backup for a restored store: see `store.OpenStore`."""
    since = question.asked_at or question.accepted_at
    if question.deadline is not None:
        span = question.deadline - since
        question = replace(question, deadline=now + min(span, longest or span))
    if question.state is State.ASKED and question.standing is None and not question.outdated and question.ts:
        # Its message has to be read, which uses the due time of reminders.
        question = replace(question, due_at=now + RESTORE_SETTLES, paced=False, attempts=0)
    if question.state in (State.ACCEPTED, State.POSTING):
        question = replace(question, in_doubt_since=now, due_at=now, paced=False)
    # A clock that was ahead: the request did come before the restore.
    return question if question.accepted_at <= now else replace(question, accepted_at=now)


def is_unread(question: Question, restore: Restore | None) -> bool:
    """Whether a question may have been asked or answered after the backup, and was not read since."""
    if restore is None or question.accepted_at > restore.until:
        return False
    return question.read_at is None or question.read_at < restore.until


def find_earliest_push(restore: Restore | None) -> datetime | None:
    """Return when people may get pushes again after a restore; None: the store was not restored.

    The store does not know which pushes were sent after the backup, so the longest limit, an hour, applies.
    """
    return None if restore is None else restore.until + PUSHES_WITHIN


def may_be_lost(question: Question, restore: Restore) -> bool:
    """Whether a question that was not asked yet may be one that the store lost and SQS has delivered again.

    That holds for every request that came soon after the restore.
    """
    is_unasked = question.state in (State.ACCEPTED, State.POSTING) and question.standing is None
    is_new = question.accepted_at > restore.until and question.read_at is None
    came_soon = question.accepted_at <= restore.until + READ_WITHIN
    return is_unasked and came_soon and (is_new or question.read_at == restore.until)  # see `note_new`


def wait_to_settle(question: Question, restore: Restore) -> Step | None:
    """Postpone asking until Slack's history has settled; None if the question is not waiting to be asked.

    Its turn among the person's messages is reserved after that.
    """
    if question.state not in (State.ACCEPTED, State.POSTING) or question.in_doubt_since is not None:
        return None
    return Step(question=change_question(question, due_at=restore.settled_at, paced=False))


def postpone_deadline(
    question: Question, restore: Restore, now: datetime, *, met_at: datetime
) -> Step | None:
    """Postpone a deadline until the question is read; None if that is done, or was tried for long enough.

    `met_at`: when a worker first found it due.
    """
    is_tried = now >= restore.until + READ_WITHIN and now >= met_at + TRIED_FOR
    if is_tried or not (is_unread(question, restore) or may_be_lost(question, restore)):
        return None
    deadline = max(now + DEADLINE_WAIT, restore.settled_at)
    return Step(question=change_question(question, deadline=deadline))


def give_up_reading(question: Question, restore: Restore | None, now: datetime) -> Question:
    """Return the question; if it is still unread, with its standing marked as unknown."""
    if not is_unread(question, restore):
        return question
    return make_unsure(question, now)


def give_up_search(question: Question, restore: Restore, now: datetime) -> Step | None:
    """Stop searching for a lost message of this question; None if that is no longer in question."""
    return Step(question=make_unsure(question, now)) if may_be_lost(question, restore) else None


def make_unsure(question: Question, now: datetime) -> Question:
    """Mark the standing of a question as unknown: see `Question.is_unsure`.

    Sequences continue from the next hundred, so that no report repeats the sequence of one that was sent.
    """
    skipped = (question.reports // SEQUENCE_STEP + 1) * SEQUENCE_STEP - question.reports
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

    `question` has been read.
    """
    if report.note or report.at > restore.until or question.standing is None:
        return False
    if question.is_unsure:
        return report.outcome is not Outcome.NO
    return OUTCOMES[report.outcome].rank < OUTCOMES[question.standing].rank


def report_standing(question: Question, now: datetime, policy: Policy) -> Step | None:
    """Report an unknown standing as a note, unless something was reported since; None: nothing to report."""
    if not question.is_unsure or question.reports % SEQUENCE_STEP or question.read_at is None:
        return None
    told = change_question(question, reports=question.reports + 1, shown=question.shown + 1)
    after = change_question(told, card_shown=question.card_shown + 1)
    return Step(question=after, report=report_on(question, after, at=now, policy=policy))


def note_certain(question: Question, restore: Restore | None, now: datetime) -> Question:
    """Mark a question as read: certainly nobody has answered it, as it was not asked, or only just now."""
    return change_question(question, read_at=now) if is_unread(question, restore) else question


def note_new(step: Step, restore: Restore | None) -> Step:
    """Mark a request that has just arrived as read, even if by the clock it is older than the restore."""
    if restore is None or not is_unread(step.question, restore):
        return step
    return replace(step, question=change_question(step.question, read_at=restore.until))


def read_soon(step: Step, restore: Restore | None, now: datetime) -> Step:
    """Schedule an early read of a question that was found in Slack: it may have been answered."""
    question = step.question
    if question.standing is not None or not is_unread(question, restore):
        return step
    return Step(question=change_question(question, due_at=now), report=step.report)


def take_over(
    question: Question, found: FoundQuestion | None, restore: Restore | None, now: datetime, policy: Policy
) -> Step | None:
    """Make the standing certain: take over what the message shows, if that is more than is stored.

    `found` is the message; None: it cannot be read. An outcome that only the message shows is reported again,
    because its report may have been lost with the store. Returns None if the standing was certain already.
    """
    if not is_unread(question, restore):
        return None
    placed = _add_message(question, found, now, policy) if found else question
    if found is None or found.shown is None:
        return Step(question=_schedule_reminder(give_up_reading(placed, restore, now), now, policy))
    shown = found.shown
    certain = change_question(
        placed,
        read_at=now,
        card_ts=placed.card_ts or shown.card_ts,
        needs_factor=question.needs_factor or shown.proofs is not None,
        proofs=max(question.proofs, shown.proofs or 0),
    )
    was_given_up = question.is_unsure and not question.ts  # the message does not count its reports
    if shown.reports > question.reports or was_given_up:
        return _catch_up(question, certain, shown, now, policy)
    if certain.proofs > question.proofs and shown.standing is None and shown.said is Choice.YES:
        certain = _lose_proof(certain, shown, restore, now)
    return Step(question=_schedule_reminder(certain, now, policy))


def adopt(
    question: Question, found: FoundQuestion, person: Person, now: datetime, policy: Policy
) -> Step | None:
    """Assign the message that was posted for it to a redelivered request; None if it already has one.

    From then on it has the message's ref, which the buttons carry.
    """
    if question.ts or question.state not in (State.ACCEPTED, State.POSTING):
        return None
    known = change_question(
        _with_person(question, person), claimed_at=question.claimed_at or found.posted_at, read_at=None
    )
    return take_over(known, found, Restore(since=now, until=max(now, question.accepted_at)), now, policy)


def recreate(found: FoundQuestion, person: Person, now: datetime, policy: Policy) -> Step | None:
    """Recreate the row of a question that the store has lost; None if the message does not name its request.

    The caller is certain that `person` is who was asked.
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


def _add_message(question: Question, found: FoundQuestion, now: datetime, policy: Policy) -> Question:
    """Add to the question where its message is, unless it is known."""
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
    """Take over what the message shows, and report its outcome again.

    The message does not show that report.
    """
    count = max(shown.reports, question.reports)
    numbered = change_question(certain, reports=count, unreported=0, shown=count, is_unsure=shown.is_unsure)
    if shown.standing is None:
        return Step(question=_schedule_reminder(numbered, now, policy))
    told = change_question(
        numbered,
        standing=shown.standing,
        reason=shown.reason or _DEFAULT_REASONS.get(shown.standing, ""),
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
    # Not a note, because MozDef may not have received it. If it has, it drops the repeat.
    is_note = after.is_unsure
    return Step(question=after, report=report if is_note else replace(report, note=False, said=None))


def _lose_proof(question: Question, shown: Shown, restore: Restore | None, now: datetime) -> Question:
    """Give up a proof that only the message knows of, and have the message redrawn."""
    return change_question(
        question,
        said=shown.said,
        answered_at=shown.answered_at,
        first_answered_at=question.first_answered_at or shown.answered_at,
        answers=max(question.answers, 1),
        proof_code="",
        retry_at=find_earliest_push(restore),
        unreported=question.unreported + 1,
        due_at=now,
    )


def _schedule_reminder(question: Question, now: datetime, policy: Policy) -> Question:
    """Schedule the next reminder of a question that is not answered as far as is known."""
    if question.state is not State.ASKED or question.standing is not None or question.outdated:
        return question
    return change_question(question, due_at=policy.remind_at(question, now), paced=False, attempts=0)
