"""The policies of alerts, and working hours, compared with a walk from minute to minute."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from drawn import a_question
from fakes import ADA, ADDRESS, NOON, a_request
from hypothesis import assume, given
from hypothesis import strategies as st
from service_harness import ServiceHarness

from bot.errors import TransientError
from bot.settings.messages import load_messages
from bot.triage.model import Choice, Person, State, Work
from bot.triage.outcomes import OUTCOMES, Outcome, Status
from bot.triage.policy import WORDS, AlertPolicies, AlertPolicy, AskWhen, NoteRule, Policy, Wait
from bot.triage.working_time import (
    WorkingHours,
    after_working_time,
    find_time_zone,
    next_working_moment,
    parse_working_hours,
)

HOUR = timedelta(hours=1)
HOURS = parse_working_hours("Mon-Fri 09:00-18:00")
LABEL = a_request().alert
PATIENT = AlertPolicies(by_label={LABEL: AlertPolicy(ask=AskWhen.WORKING_HOURS)})

#: Tuesday noon is NOON. New York is five hours behind UTC in November, Tokyo nine ahead.
NEW_YORK = replace(ADA, time_zone="America/New_York")
TOKYO = replace(ADA, time_zone="Asia/Tokyo")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


#: Reminds after two hours of work, and expires after four.
BRISK = Policy(hours=HOURS, expire_after=4 * HOUR, remind_after=2 * HOUR)


def harness_of(policy: Policy, person: Person = ADA) -> ServiceHarness:
    harness = ServiceHarness(policy)
    harness.messenger.people = {ADDRESS: person}
    return harness


@pytest.mark.parametrize(
    ("policy", "person", "now", "due_at", "deadline"),
    [
        pytest.param(Policy(), TOKYO, NOON, at(24, 16), at(25, 12), id="every hour counts"),
        # For whom it is seven in the morning: from 14:00 UTC, nine hours a day.
        pytest.param(Policy(hours=HOURS), NEW_YORK, NOON, at(24, 18), at(26, 20), id="in New York"),
        # Friday; UTC, for Ada's profile names no zone.
        pytest.param(BRISK, ADA, at(27, 17), at(30, 10), at(30, 12), id="over a weekend"),
    ],
)
async def test_clocks_run_only_in_the_persons_own_working_hours(
    policy: Policy, person: Person, now: datetime, due_at: datetime, deadline: datetime
) -> None:
    harness = harness_of(policy, person)
    harness.clock.now = now

    question = await harness.ask()

    assert question.time_zone == person.time_zone
    assert (question.due_at, question.deadline) == (due_at, deadline)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "x" * 300, "Europe/\0"])
async def test_a_zone_that_nobody_knows_is_the_default_one(name: str) -> None:
    policy = Policy(hours=HOURS, default_zone=ZoneInfo("Asia/Tokyo"), expire_after=9 * HOUR)
    harness = harness_of(policy, replace(ADA, time_zone=name))

    question = await harness.ask()  # 21:00 in Tokyo

    assert question.deadline == at(25, 9)  # the next day's 18:00 there


async def test_the_second_reminder_counts_working_hours_from_the_first() -> None:
    harness = harness_of(Policy(hours=HOURS, remind_times=2, expire_after=None))
    harness.clock.now = at(24, 12)
    await harness.ask()

    await harness.pass_time(until=at(27, 0))

    assert [moment for moment, _ in harness.messenger.reminders] == [at(24, 16), at(25, 11)]


@pytest.mark.parametrize(("microseconds", "is_due"), [(-1, True), (0, False), (1, False)])
def test_a_reminder_at_the_deadline_or_later_is_pointless(microseconds: int, *, is_due: bool) -> None:
    policy = Policy(remind_after=4 * HOUR)
    deadline = NOON + 4 * HOUR - timedelta(microseconds=microseconds)

    moment = policy.remind_at(replace(a_question(), deadline=deadline), NOON)

    assert (moment is not None) is is_due


@pytest.mark.parametrize(
    ("policy", "person"),
    [
        pytest.param(Policy(hours=HOURS), TOKYO, id="may not wait"),  # where it is nine in the evening
        pytest.param(Policy(hours=HOURS, alerts=PATIENT), ADA, id="during working hours"),
        pytest.param(Policy(alerts=PATIENT), TOKYO, id="every hour is a working hour"),
    ],
)
async def test_a_question_is_asked_at_once_unless_it_may_wait(policy: Policy, person: Person) -> None:
    question = await harness_of(policy, person).ask()

    assert (question.state, question.asked_at) == (State.ASKED, NOON)


async def test_an_alert_that_may_wait_is_asked_when_the_person_works_next() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT, expire_after=HOUR), TOKYO)

    waiting = await harness.ask()
    assert (waiting.state, waiting.due_at, waiting.claimed_at) == (State.ACCEPTED, at(25, 0), None)
    assert waiting.deadline == at(25, 1)
    await harness.pass_time(until=at(25, 0))

    question = await harness.question()
    assert (question.state, question.asked_at) == (State.ASKED, at(25, 0))
    assert [moment for moment, _ in harness.messenger.posts] == [at(25, 0)]
    assert await harness.reports() == []


async def test_whoever_cannot_be_asked_after_waiting_is_reported_at_the_moved_deadline() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT, expire_after=HOUR), TOKYO)
    waiting = await harness.ask()
    harness.messenger.people = {ADDRESS: TransientError("no network")}
    harness.clock.now = at(25, 0)
    await harness.service.work_on(waiting, Work.ASK)
    assert await harness.reports() == []

    harness.clock.now = at(25, 1)
    await harness.work()

    question = await harness.question()
    assert (question.standing, question.reason) == (Outcome.UNDELIVERABLE, "not_asked_in_time")


async def test_somebody_who_may_not_be_asked_is_reported_without_waiting_for_their_hours() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT), replace(TOKYO, deactivated=True))

    question = await harness.ask()

    assert (question.state, question.reason) == (State.CLOSED, "user_deactivated")


@pytest.mark.parametrize("setting", [None, HOUR])
@pytest.mark.parametrize("after", [None, 2 * HOUR])
def test_what_a_policy_says_counts_first(setting: timedelta | None, after: timedelta | None) -> None:
    assert AlertPolicy().remind_after.or_default(setting) == setting
    assert AlertPolicy().expire_after.or_default(setting) == setting
    assert Wait(is_set=True, after=after).or_default(setting) == after


def test_by_default_a_note_is_offered_for_all_but_a_yes_and_no_card_posted_for_what_is_acknowledged() -> None:
    offered = {choice for choice, rule in AlertPolicy().notes.items() if rule is NoteRule.OFFERED}

    assert offered == set(Choice) - {Choice.YES}
    assert set(AlertPolicy().notes) == set(Choice)
    acknowledged = {each for each, facts in OUTCOMES.items() if facts.status is Status.ACKNOWLEDGED}
    assert acknowledged.isdisjoint(AlertPolicy().cards)
    assert Outcome.NO in AlertPolicy().cards


def test_an_alert_is_known_by_its_label_to_the_letter() -> None:
    vpn = AlertPolicy(title="VPN")
    policies = AlertPolicies(by_label={"vpn": vpn})

    assert policies.of("vpn") is vpn
    assert policies.of("VPN") == AlertPolicy()


def test_an_alerts_own_words_stand_in_for_the_common_ones_and_change_nothing_else() -> None:
    common = load_messages()
    own = AlertPolicy(wording={"ask": "You?", "button_notSure": "Dunno"})

    wording = own.reword(common)

    assert wording["question"] == {**common["question"], "ask": "You?"}
    assert wording["button"] == {**common["button"], "notSure": "Dunno"}
    assert {**wording, "question": common["question"], "button": common["button"]} == common
    assert common == load_messages()
    assert all(common[table][key] for table, key in WORDS.values())


def test_notes_and_cards_are_as_the_alerts_policy_says_and_no_cards_without_a_channel() -> None:
    own = AlertPolicy(notes={Choice.YES: NoteRule.REQUIRED}, cards=frozenset({Outcome.YES}))
    policy = Policy(alerts=AlertPolicies(by_label={LABEL: own}), security_channel="C0SECURITY")
    question = a_question()
    elsewhere = replace(question, request=replace(question.request, alert="unheard-of"))

    assert policy.note_rule(question, Choice.YES) is NoteRule.REQUIRED
    assert policy.note_rule(question, Choice.NO) is NoteRule.NEVER
    assert policy.note_rule(elsewhere, Choice.NO) is NoteRule.OFFERED
    assert [outcome for outcome in Outcome if policy.wants_card(question, outcome)] == [Outcome.YES]
    assert not policy.wants_card(elsewhere, Outcome.YES)
    assert not any(Policy(security_channel="").wants_card(question, outcome) for outcome in Outcome)


MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MIDNIGHT = time(0)

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = parse_working_hours("Mon-Fri 09:00-18:00")

#: Clocks that leap by half an hour, by two, over midnight, over a whole day, or not at all.
ODD_ZONES = """
    Australia/Lord_Howe Antarctica/Troll America/Havana Asia/Beirut Asia/Tehran America/Goose_Bay
    America/Sao_Paulo Pacific/Apia Africa/Casablanca Asia/Pyongyang America/New_York Europe/Berlin
    Asia/Kolkata
""".split()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def open_minutes(start: datetime, hours: WorkingHours, zone: tzinfo, days: int) -> list[datetime]:
    """Return each minute from `start` on at which a clock that is never put back is within the hours."""
    opens, closes = (clock.hour * 60 + clock.minute for clock in (hours.opens, hours.closes))
    found = []
    latest = wall(start - DAY, zone)
    for number in range(-1440, days * 1440):
        moment = start + number * MINUTE
        latest = max(latest, wall(moment, zone))
        is_open = opens <= latest.hour * 60 + latest.minute < (closes or 1440)
        if number >= 0 and is_open and latest.weekday() in hours.days:
            found.append(moment)
    return found


@cache
def changes(name: str, year: int) -> list[datetime]:
    """Return the days of a year, as midnights in UTC, after which the offset of a zone is another one."""
    zone = ZoneInfo(name)
    days = [datetime(year, 1, 1, tzinfo=UTC) + number * DAY for number in range(366)]
    offsets = [day.astimezone(zone).utcoffset() for day in days]
    return [day for day, now, then in zip(days, offsets, offsets[1:], strict=False) if now != then]


zones = st.one_of(st.sampled_from(ODD_ZONES), st.sampled_from(sorted(available_timezones())))
minutes = st.integers(0, 1439)


@st.composite
def schedules(draw: st.DrawFn) -> WorkingHours:
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    opens, closes = sorted(
        draw(st.tuples(minutes, st.integers(1, 1440)).filter(lambda both: both[0] != both[1]))
    )
    return WorkingHours(
        days=days, opens=time(*divmod(opens, 60)), closes=time(closes // 60 % 24, closes % 60)
    )


@st.composite
def starts(draw: st.DrawFn, zone: str) -> datetime:
    """Draw a whole minute, mostly in the days around a change of the clocks."""
    year = draw(st.integers(2000, 2040))
    near = changes(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]
    return draw(st.sampled_from(near)) + draw(st.integers(-3 * 1440, 1440)) * MINUTE


@given(st.data())
def test_working_time_is_what_a_walk_from_minute_to_minute_counts_and_adds_up(data: st.DataObject) -> None:
    name, hours = data.draw(zones), data.draw(schedules())
    zone, start = ZoneInfo(name), data.draw(starts(name))
    worked = open_minutes(start, hours, zone, days=5)
    assume(worked)
    number = data.draw(st.integers(1, len(worked)))

    ended = after_working_time(start, number * MINUTE, hours, zone)

    assert ended == worked[number - 1] + MINUTE
    assert next_working_moment(start, hours, zone) == worked[0]
    first, second = (data.draw(st.timedeltas(timedelta(0), 3 * HOUR)) for _ in range(2))
    paused = after_working_time(start, first, hours, zone)
    assert after_working_time(paused, second, hours, zone) == after_working_time(
        start, first + second, hours, zone
    )


@pytest.mark.parametrize(
    ("schedule", "start", "hours", "end"),
    [
        (OFFICE, "2026-11-27T16:00", 4, "2026-11-30T11:00"),  # over a weekend
        (OFFICE, "2026-11-28T16:00", 9, "2026-11-30T17:00"),  # to the minute at which it closes
        (OFFICE, "2026-03-27T16:00", 4, "2026-03-30T10:00"),  # summer time has begun meanwhile
        (OFFICE, "2026-10-23T15:00", 4, "2026-10-26T11:00"),  # and ended
        (OFFICE, "2026-11-24T09:00", 0, "2026-11-24T09:00"),
        (None, "2026-11-28T03:00", 30, "2026-11-29T09:00"),  # every hour of a Saturday
        # Time is counted as it really passes, while the clocks change.
        ("Sun 00:00-24:00", "2026-03-28T23:00", 6, "2026-03-29T05:00"),  # an hour is skipped
        ("Sun 00:00-24:00", "2026-10-24T22:00", 6, "2026-10-25T04:00"),  # an hour is repeated
        ("Sun 02:30-10:00", "2026-03-28T23:00", 6, "2026-03-29T07:00"),  # opens in the skipped hour
        ("Sun 02:30-10:00", "2026-10-24T22:00", 6, "2026-10-25T06:30"),  # … in the repeated: the first time
        ("Sat-Sun 20:30-21:00", "2026-03-28T22:00", 3, "2026-04-18T19:00"),
    ],
)
def test_clocks_run_only_while_the_person_works(
    schedule: str | WorkingHours | None, start: str, hours: int, end: str
) -> None:
    working = parse_working_hours(schedule) if isinstance(schedule, str) else schedule

    assert after_working_time(utc(start), hours * HOUR, working, BERLIN) == utc(end)


@pytest.mark.parametrize(
    ("start", "moment"),
    [
        ("2026-11-24T08:00", "2026-11-24T08:00"),
        ("2026-11-24T16:59:59", "2026-11-24T16:59:59"),
        ("2026-11-24T17:00", "2026-11-25T08:00"),
        ("2026-11-24T07:59:59.5", "2026-11-24T08:00"),
        ("2026-11-27T17:00", "2026-11-30T08:00"),
    ],
)
def test_a_question_waits_until_the_person_works(start: str, moment: str) -> None:
    assert next_working_moment(utc(start), OFFICE, BERLIN) == utc(moment)
    assert next_working_moment(utc(start), None, BERLIN) == utc(start)


def test_a_day_that_a_country_skipped_is_no_working_day() -> None:
    thursday_evening = utc("2011-12-30T05:00")  # 19:00 in Apia, where Saturday came next
    hours = parse_working_hours("Mon-Sat 09:00-18:00")

    moment = next_working_moment(thursday_evening, hours, ZoneInfo("Pacific/Apia"))

    assert wall(moment, ZoneInfo("Pacific/Apia")) == datetime(2011, 12, 31, 9)  # noqa: DTZ001 - a wall clock


def test_nobody_is_waited_for_longer_than_ten_years() -> None:
    start = utc("2026-11-24T09:00")
    minute_a_week = parse_working_hours("Mon 09:00-09:01")

    ended = after_working_time(start, timedelta(days=999_999), minute_a_week, BERLIN)

    assert timedelta(days=3650) < ended - start < timedelta(days=3660)


@pytest.mark.parametrize(
    ("text", "days", "opens", "closes"),
    [
        ("Mon-Fri 09:00-18:00", {0, 1, 2, 3, 4}, time(9), time(18)),
        ("Sun-Thu 08:30-17:00", {6, 0, 1, 2, 3}, time(8, 30), time(17)),
        ("Mon,Wed,Fri 10:00-16:00", {0, 2, 4}, time(10), time(16)),
        ("Fri-Mon 9:00-24:00", {4, 5, 6, 0}, time(9), MIDNIGHT),
        ("mon, thu-fri  00:00-24:00", {0, 3, 4}, MIDNIGHT, MIDNIGHT),
        ("Sat 23:00-23:59", {5}, time(23), time(23, 59)),
    ],
)
def test_a_schedule_is_read(text: str, days: set[int], opens: time, closes: time) -> None:
    assert parse_working_hours(text) == WorkingHours(days=frozenset(days), opens=opens, closes=closes)


@pytest.mark.parametrize(
    "text",
    [
        *("", "always", "Mon-Fri", "09:00-18:00", "Mon-Fri 9-18", "Mon-Fri 09:00-25:00"),
        *("Mon-Fri 24:00-24:00", "Mon-Fri 09:60-18:00", "Mon-Fri 18:00-09:00", "Mon-Fri 09:00-09:00"),
        *("Mon-Fri 09:00-00:00", "Mon-Wed-Fri 09:00-18:00", "Mon, 09:00-18:00"),
        *("Montag-Freitag 09:00-18:00", "Mon-Fri 09:00-18:00 Sat 10:00-12:00"),
        "Mon-Fri \N{ARABIC-INDIC DIGIT ZERO}9:00-18:00",
    ],
)
def test_a_wrong_schedule_is_shown_with_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected ") as caught:
        parse_working_hours(text)

    assert str(caught.value).startswith(f"is {text!r}; expected ")


@pytest.mark.parametrize(
    ("days", "opens", "closes"),
    [(set(), time(9), time(18)), ({7}, time(9), time(18)), ({0}, time(9), time(9)), ({0}, time(9), time(8))],
)
def test_hours_that_never_come_cannot_be_made(days: set[int], opens: time, closes: time) -> None:
    with pytest.raises(ValueError, match="working hours"):
        WorkingHours(days=frozenset(days), opens=opens, closes=closes)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "Europe", "Europe/", "Europe/Atlantis", "UTC\n", "a\0b", "\ud800", "x" * 5000),
        *("/etc/passwd", "../../etc/passwd", "tzdata.zi", "__init__.py", "Europe/__init__.py", "a..b/c"),
    ],
)
def test_a_zone_is_found_by_its_name_and_one_that_nobody_knows_is_not(name: str) -> None:
    assert find_time_zone(name) is None
    assert [find_time_zone(known) for known in ("America/New_York", "UTC")] == [
        ZoneInfo("America/New_York"),
        ZoneInfo("UTC"),
    ]


@given(st.text())
def test_no_name_of_a_zone_can_do_harm(name: str) -> None:
    assert isinstance(find_time_zone(name), ZoneInfo | None)
