"""The decisions about places and bursts: pure functions, like those of `asking_rules`.

The policy limits how many questions of one person are open at a time. The others wait; together they are a
burst. A decision returns the changed row, or None if nothing changes.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from bot.triage.answer_rules import Refusal
from bot.triage.assignments import CardClick
from bot.triage.model import Confidence, Question, State, Step, TriageRequest, change_question, make_question
from bot.triage.outcomes import Outcome, Reason
from bot.triage.places import Burst, Line, Place, Places, WaitingCount
from bot.triage.policy import Policy
from bot.triage.responder_rules import why_not_click

#: Extra places, each for the first waiting alert of a label that has no question open.
EXTRA_MAX: Final = 10

#: How many identifiers the card of a burst names; `triage-bot list` shows the others.
IDENTIFIERS_MAX: Final = 20

#: How many labels a burst counts separately: its row must fit into one DynamoDB item.
LABELS_MAX: Final = 50

#: The label under which it counts all others. No alert has it.
OTHER_LABELS: Final = ""

#: How often a burst is looked at, in addition to whenever a question of its person ends.
LOOK_INTERVAL: Final = timedelta(seconds=5)

#: A burst ends when no question was found waiting for this long. It is a little longer than another worker
#: may take from seeing the burst to storing that a question waits.
ENDS_AFTER: Final = timedelta(seconds=30)

#: The shortest time between two updates of a burst's card.
CARD_INTERVAL: Final = timedelta(seconds=10)

#: How long a worker's claim on the card lasts: as long as a call may take.
CARD_LEASE: Final = timedelta(seconds=30)

#: The reasons of outcomes that the bot decided, and after which it may still ask.
UNASKED: Final = frozenset({Reason.TOO_MANY_OPEN, Reason.NOT_ASKED_IN_TIME})


def person_key(slack_id: str, other_slack_id: str) -> str:
    """Return the one key of a person: on Enterprise Grid they have two ids, and Slack uses either."""
    return min(slack_id, other_slack_id or slack_id)


def reserve(places: Places, question: Question, limit: int) -> Places | None:
    """Return the places with one reserved for this question; None if none is free.

    The extra places are for labels that have no question open, so that decoys of one kind cannot hide an
    alert of another kind.
    """
    if is_full(places, limit):
        return None
    is_extra = len(places.held) - _count_extra(places) >= limit
    if is_extra and _has_label(places, question):
        return None
    return _add(places, question, is_extra=is_extra)


def is_full(places: Places, limit: int) -> bool:
    """Whether there is no place for any question, whatever its label."""
    extra = _count_extra(places)
    return extra >= EXTRA_MAX and len(places.held) - extra >= limit


def is_open(question: Question, places: Places, now: datetime, policy: Policy) -> bool:
    """Whether a question needs its place among these: it must be asked now, or is unanswered.

    A question that was asked after it had been reported as not asked has an outcome, but the person still
    sees it: it keeps its place for as long as any question may stay unanswered.
    """
    if question.state is State.CLOSED or question.said is not None or question.waits_for:
        return False
    is_theirs = places.is_for(question.slack_id) or places.is_for(question.other_slack_id)
    if question.slack_id and not is_theirs:
        return False
    if question.state is not State.ASKED and question.in_doubt_since is None:
        return policy.may_ask(question, now)  # outside its working hours it needs no place yet
    if question.standing is None:
        return True
    is_unasked = question.standing is Outcome.UNDELIVERABLE and question.reason in UNASKED
    asked_at = question.asked_at
    return is_unasked and (asked_at is None or now < policy.give_up_at(question, asked_at))


def drop_ended(places: Places, questions: Mapping[str, Question], now: datetime, policy: Policy) -> Places:
    """Return the places without those that are not needed any more. `questions`: those that exist, by ref."""
    held = tuple(
        each
        for each in places.held
        if each.ref in questions and is_open(questions[each.ref], places, now, policy)
    )
    return places if len(held) == len(places.held) else replace(places, held=held)


def add_open(places: Places, asked: Sequence[Question], now: datetime, policy: Policy) -> Places:
    """Return the places with one for each of these open questions; the row may not know of them."""
    for each in asked:
        if not places.holds(each.ref) and is_open(each, places, now, policy):
            places = _add(places, each)
    return places


def wait_for_place(
    question: Question, person: str, now: datetime, policy: Policy, *, lag: timedelta
) -> Step | None:
    """Make a question wait for a place of this person; None if it need not be asked now, or waits already.

    A question that gets none within an hour of the person's working time, or by its deadline if that is
    sooner, is reported. `lag` is that of the clock.
    """
    is_unasked = question.state in (State.ACCEPTED, State.POSTING) and question.in_doubt_since is None
    if not is_unasked or question.waits_for:
        return None
    waits = change_question(
        question,
        state=State.ACCEPTED,
        waits_for=person,
        waited_since=question.waited_since or now,
        due_at=None,
        attempts=0,
        paced=False,
    )
    if question.standing is not None:
        return Step(
            question=change_question(waits, due_at=policy.give_up_at(waits, waits.waited_since or now))
        )
    if question.waited_since is not None:
        return Step(question=waits)
    report_at = policy.report_waiting_at(waits, now + lag)
    return Step(question=change_question(waits, deadline=min(report_at, question.deadline or report_at)))


def call(question: Question, places: Places, now: datetime, policy: Policy) -> Step:
    """Make a waiting question due now. `places`, in which its place is reserved, is stored with it.

    From here on it has as much time to be asked as any other.
    """
    called = change_question(question, waits_for="", due_at=now, attempts=0, paced=False)
    if question.standing is None and question.deadline is not None:
        deadline = policy.asking_deadline(question)
        called = change_question(called, deadline=deadline and max(deadline, question.deadline))
    return Step(question=called, places=places)


def hold(places: Places, question: Question, limit: int) -> Places | None:
    """Return the places with one more, for a question that may already be in Slack.

    Returns None if the question has a place, or if all places are taken, extra ones included.
    """
    if places.holds(question.ref) or len(places.held) >= limit + EXTRA_MAX:
        return None
    return _add(places, question)


def release(places: Places, question: Question) -> Places | None:
    """Return the places without the one of this question; None if it has none."""
    held = tuple(each for each in places.held if each.ref != question.ref)
    return replace(places, held=held) if places.holds(question.ref) else None


def stop_waiting(question: Question, now: datetime, policy: Policy) -> Step | None:
    """Give up a question that was reported and still has no place; None if it does not wait any more."""
    if not question.waits_for or question.waited_since is None:
        return None
    give_up_at = policy.give_up_at(question, question.waited_since)
    if question.standing is None or now < give_up_at:
        return Step(question=change_question(question, due_at=give_up_at if question.standing else None))
    closed = change_question(question, state=State.CLOSED, waits_for="", due_at=None)
    return Step(question=change_question(closed, shown=closed.changes))


def begin(places: Places, now: datetime, *, line_ref: str, card_secret: str) -> Places | None:
    """Begin a burst, because a question waits; None if one is already in progress."""
    if places.burst is None:
        line = Line(ref=line_ref)
        return replace(places, burst=Burst(since=now, line=line, card_secret=card_secret), due_at=now)
    if places.burst.ended_at is None and places.burst.idle_since is None:
        return None
    return change_burst(replace(places, due_at=now), ended_at=None, idle_since=None)


def change_burst(places: Places, **fields: object) -> Places:
    """Return the row with some fields of its burst changed; `places` itself if there is none."""
    if places.burst is None:
        return places
    return replace(places, burst=replace(places.burst, **fields))  # type: ignore[arg-type] # they are its own


def choose(
    places: Places, waiting: Sequence[Question], now: datetime, policy: Policy
) -> tuple[Question, Places] | None:
    """Return the waiting question that gets a place next, and the places with it; None if none does.

    `waiting` has the first of each label. The oldest is chosen, unless it has to wait for working hours.
    """
    for each in sorted(waiting, key=lambda one: one.accepted_at):
        reserved = reserve(places, each, policy.open_per_person)
        if reserved is not None and policy.may_ask(each, now):
            return each, _count_called(reserved, each.request.alert)
    return None


def record_look(places: Places, *, any_waiting: bool, now: datetime) -> Places:
    """Record whether any question waits: set when to look again, and whether the burst is over."""
    burst = places.burst
    if burst is None:
        return places
    again = replace(places, due_at=now + LOOK_INTERVAL)
    if any_waiting:
        return change_burst(again, idle_since=None, ended_at=None)
    if burst.ended_at is not None:
        return again
    if burst.idle_since is None:
        return change_burst(again, idle_since=now, card_due_at=burst.card_due_at or now)
    if now < burst.idle_since + ENDS_AFTER:
        return again
    return change_burst(again, ended_at=now, card_due_at=now)


def forget_burst(places: Places, *, has_channel: bool) -> Places | None:
    """Remove the burst once it is over and its card says so; None if it is not yet."""
    burst = places.burst
    if burst is None or burst.ended_at is None or (has_channel and burst.card_due_at is not None):
        return None
    return replace(places, burst=None, due_at=None)


def record_denied(places: Places, question: Question, now: datetime) -> Places | None:
    """Record for the card that a question was answered *no*; None if that is known, or if there is no burst.

    Nothing else changes: a *no* does not answer the questions that wait.
    """
    burst, identifier = places.burst, question.identifier
    if burst is None or identifier in burst.denied or len(burst.denied) >= IDENTIFIERS_MAX:
        return None
    denied = change_burst(places, denied=(*burst.denied, identifier), card_due_at=burst.card_due_at or now)
    return replace(denied, due_at=now)


def count_waiting(places: Places, count: WaitingCount, now: datetime) -> Places:
    """Record the counts that the burst's card shows; the card is due if they have changed."""
    burst = places.burst
    if burst is None:
        return places
    labels = {**burst.kinds, **burst.called, **count.kinds}
    named = [label for label in labels if label != OTHER_LABELS][:LABELS_MAX]
    found = {label: burst.called.get(label, 0) + count.kinds.get(label, 0) for label in labels}
    kinds = {label: max(burst.kinds.get(label, 0), found.pop(label)) for label in named}
    if others := max(burst.kinds.get(OTHER_LABELS, 0), sum(found.values())):
        kinds[OTHER_LABELS] = others
    first = tuple(dict.fromkeys((*burst.first, *count.first)))[:IDENTIFIERS_MAX]
    waiting = sum(count.kinds.values())
    if (kinds, first, waiting) == (burst.kinds, burst.first, burst.waiting):
        return places
    return change_burst(
        places, kinds=kinds, first=first, waiting=waiting, card_due_at=burst.card_due_at or now
    )


def claim_card(places: Places, now: datetime) -> Places | None:
    """Claim the burst's card before it is shown; None if it is not due, or another worker has claimed it."""
    burst = places.burst
    if burst is None or burst.card_due_at is None or burst.card_due_at > now:
        return None
    return change_burst(places, card_due_at=now + CARD_LEASE)


def record_card(places: Places, shown: Places, ts: str, now: datetime) -> Places | None:
    """Record that the card shows the row `shown`.

    If the row has changed since, the card is due again soon.
    """
    burst, then = places.burst, shown.burst
    if burst is None or then is None or burst.card_secret != then.card_secret:
        return None
    is_whole = _what_card_shows(burst) == _what_card_shows(then)
    due_at = None if is_whole else now + CARD_INTERVAL
    return change_burst(places, card_ts=ts, card_due_at=due_at)


def refuse_card(places: Places, due_at: datetime) -> Places | None:
    """Retry a refused card at `due_at`, or never if the burst is over: it must not keep the burst alive."""
    is_over = places.burst is not None and places.burst.ended_at is not None
    return change_burst(places, card_due_at=None if is_over else due_at) if places.burst else None


def postpone_card(places: Places, due_at: datetime) -> Places | None:
    """Show the card at `due_at`; None if there is no burst any more."""
    return None if places.burst is None else change_burst(places, card_due_at=due_at)


def why_not_take(places: Places, click: CardClick, policy: Policy) -> Refusal | None:
    """Return why this person may not take this whole burst; None if they may.

    The rules are those of any card.
    """
    refusal = why_not_click(click, policy, is_asked=places.is_for(click.slack_id))
    return refusal or (None if is_card(places, click.card) else Refusal.OLD_CARD)


def take_burst(places: Places, click: CardClick, now: datetime) -> Places | None:
    """Record who took a whole burst; None if it is over, or somebody has taken it.

    This answers no question, and stops none.
    """
    burst = places.burst
    if burst is None or not is_card(places, click.card) or burst.taken_by:
        return None
    taken = change_burst(
        places,
        taken_by=click.slack_id,
        taken_name=click.slack_name,
        taken_at=now,
        card_ts=burst.card_ts or click.own_ts,
        card_due_at=now,
    )
    return replace(taken, due_at=now)


def why_not_taken(places: Places, click: CardClick) -> Refusal | None:
    """Return why a click on *Take all* has changed nothing; None if this person has all of it.

    The card that was clicked may be another than the one which is updated, and say nothing of them.
    """
    if places.burst is None:
        return Refusal.CLOSED
    if not is_card(places, click.card):
        return Refusal.OLD_CARD
    return None if places.burst.taken_by == click.slack_id else Refusal.BURST_TAKEN


def is_card(places: Places, card: str) -> bool:
    """Whether this is what the button of the burst's card carries."""
    return bool(places.card) and hmac.compare_digest(places.card.encode(), card.encode())


def line_of(places: Places) -> Question:
    """Return the line in the form of a question, for the look-up.

    Raises `ValueError` if there is no burst.
    """
    if places.burst is None:
        raise ValueError("a line needs a burst")
    line = places.burst.line
    request = TriageRequest(
        identifier=f"burst of {places.person}", alert="", summary="", user="", confidence=Confidence.LOWEST
    )
    return make_question(
        request=request,
        ref=line.ref,
        state=State.POSTING,
        accepted_at=places.burst.since,
        due_at=line.due_at,
        slack_id=places.slack_id,
        claimed_at=line.claimed_at,
        in_doubt_since=line.in_doubt_since,
    )


def claim_line(places: Places, now: datetime) -> Places | None:
    """Claim the line before it is posted; None if it is not due. It is in doubt until the result is known."""
    burst = places.burst
    if burst is None or burst.ended_at is not None or burst.line.is_over or burst.line.in_doubt_since:
        return None
    if burst.line.due_at is not None and burst.line.due_at > now:
        return None
    line = replace(burst.line, claimed_at=burst.line.claimed_at or now, in_doubt_since=now)
    return change_burst(places, line=line)


def end_line(places: Places, claimed: Line) -> Places | None:
    """Record that the line was posted, or never will be; None if another burst has begun."""
    if places.burst is None or places.burst.line.ref != claimed.ref:
        return None
    return change_burst(places, line=replace(places.burst.line, in_doubt_since=None, is_over=True))


def record_line_not_posted(places: Places, claimed: Line, due_at: datetime) -> Places | None:
    """Record that the line was definitely not posted; None if another worker has changed it."""
    burst = places.burst
    if burst is None or burst.line != claimed:
        return None
    line = replace(claimed, in_doubt_since=None, due_at=due_at, attempts=claimed.attempts + 1)
    return change_burst(places, line=line)


def _add(places: Places, question: Question, *, is_extra: bool = False) -> Places:
    place = Place(
        ref=question.ref,
        identifier=question.identifier,
        label=question.request.alert,
        is_extra=is_extra,
    )
    return replace(places, held=(*places.held, place))


def _count_extra(places: Places) -> int:
    return sum(each.is_extra for each in places.held)


def _has_label(places: Places, question: Question) -> bool:
    return any(each.label == question.request.alert for each in places.held)


def _count_called(places: Places, label: str) -> Places:
    if places.burst is None:
        return places
    called = places.burst.called
    if label not in called and len(called) >= LABELS_MAX:
        label = OTHER_LABELS
    return change_burst(places, called={**called, label: called.get(label, 0) + 1})


def _what_card_shows(burst: Burst) -> Sequence[object]:
    return (
        burst.waiting,
        burst.kinds,
        tuple(burst.first),
        tuple(burst.denied),
        burst.taken_by,
        burst.ended_at is None,
    )
