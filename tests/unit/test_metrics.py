"""What is counted, that nothing is counted twice, and how it is summed up and shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from drawn import a_question
from fakes import ADA, NOON, SteppedClock, a_request
from hypothesis import assume, given
from hypothesis import strategies as st
from memory_store import MemoryStore
from prometheus_client.parser import text_string_to_metric_families
from service_harness import a_click

from bot.cli.output.plot import PlotNotWritten, plot_statistics, write_plot
from bot.cli.output.statistics import readable_seconds, render_statistics
from bot.errors import StoreError
from bot.sqs.wire import decode_request, write_report
from bot.triage import asking_rules
from bot.triage.answer_rules import answer_question
from bot.triage.listing import Counts
from bot.triage.model import Choice, InvalidBody, Question, State, Step
from bot.triage.outcomes import ENDINGS, Outcome
from bot.triage.policy import Policy
from bot.triage.recorder import Recorder
from bot.triage.statistics import AlertStatistics, Tally, percentile
from bot.worker.health import StoreHealth, Trouble, WorkerHealth
from bot.worker.metrics import LABELS_MAX, OTHER, Metrics
from bot.worker.views import statistics_view

MINUTE = timedelta(minutes=1)
ALERT = a_request().alert
WORKER_HEALTH = WorkerHealth(
    links_up=2, link_shared=False, rejection_code="", polled_at=NOON, store=StoreHealth()
)


@pytest.fixture
def meter() -> Metrics:
    return Metrics(alerts=[ALERT], version="1.2.3")


def values(meter: Metrics, health: WorkerHealth = WORKER_HEALTH) -> dict[str, float]:
    """Return what is above 0, but for buckets and the process: name, or name{value of its label}."""
    text = meter.exposition(health, NOON + MINUTE).decode()
    found: dict[str, float] = {}
    for sample in (each for family in text_string_to_metric_families(text) for each in family.samples):
        name = sample.name.removeprefix("triage_")
        if sample.value > 0 and not name.endswith("_bucket") and not name.startswith("process_"):
            found[name + "".join(f"{{{label}}}" for label in sample.labels.values())] = sample.value
    return found


def counted(meter: Metrics) -> dict[str, float]:
    """Return what was counted so far."""
    known = values(Metrics(alerts=[ALERT], version="1.2.3"))
    return {name: value for name, value in values(meter).items() if value != known.get(name)}


def accepted(**changes: Any) -> Question:
    ref = asking_rules.new_ref(a_request().identifier, "0123456789abcdef" * 2)
    return replace(Question(request=a_request(), ref=ref, accepted_at=NOON, due_at=NOON), **changes)


def asked(**changes: Any) -> Question:
    return accepted(**{"state": State.ASKED, "asked_at": NOON + MINUTE, **changes})


def answered(choice: Choice, *, answers: int = 1, **changes: Any) -> Question:
    moment = NOON + 3 * MINUTE
    said = {"said": choice, "standing": Outcome(choice.value), "answered_at": moment}
    return asked(**{**said, "answers": answers, **changes})


INVALID = {"standing": Outcome.UNDELIVERABLE, "reason": "invalid_request"}
YES, NO = answered(Choice.YES), answered(Choice.NO, answers=2, answered_at=NOON + 9 * MINUTE)
EXPIRED = asked(standing=Outcome.TIMED_OUT)
ACCEPTED = "requests_accepted_total"
ASKED = {"questions_asked_total": 1, f"ask_seconds_sum{{{ALERT}}}": 60, f"ask_seconds_count{{{ALERT}}}": 1}
SAID_YES = {"questions_answered_total{yes}": 1, f"answer_seconds_count{{{ALERT}}}": 1}


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        pytest.param([None, accepted()], {ACCEPTED: 1}, id="accepted"),
        pytest.param(
            [None, accepted(**INVALID)], {"questions_undeliverable_total{invalid_request}": 1}, id="invalid"
        ),
        pytest.param(
            [accepted(**INVALID, state=State.CLOSED), accepted(reports=1), asked(reports=1)],
            {ACCEPTED: 1, **ASKED},
            id="reopened by a valid request, and asked",
        ),
        pytest.param([accepted(), asked(), asked(reminders=1)], ASKED, id="asked once, then reminded"),
        pytest.param(
            [accepted(), answered(Choice.YES, asked_at=NOON + 3 * MINUTE)],
            {**ASKED, f"ask_seconds_sum{{{ALERT}}}": 180, **SAID_YES},
            id="asked and answered in one, by a click that proves the post",
        ),
        pytest.param(
            [asked(), YES, NO, replace(NO, notes=1)],
            {**SAID_YES, f"answer_seconds_sum{{{ALERT}}}": 120, "questions_answered_total{no}": 1},
            id="every choice is counted, but only the first answer is timed",
        ),
        pytest.param(
            [asked(), EXPIRED, replace(EXPIRED, shown=1), YES],
            {"questions_expired_total": 1, **SAID_YES, f"answer_seconds_sum{{{ALERT}}}": 120},
            id="a deadline counts once however late the answer is",
        ),
    ],
)
def test_each_step_of_a_question_is_counted_once(
    meter: Metrics, course: list[Question | None], expected: dict[str, float]
) -> None:
    for before, after in pairwise(course):
        assert after
        meter.count_stored(before, after)

    assert counted(meter) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "not_json"),
        ("[]", "not_an_object"),
        ("{}", "several_fields"),
        ('{"identifier": "1", "alert": "a", "summary": "s", "user": "N/A"}', "user"),
    ],
)
def test_what_is_rejected_is_counted_by_what_was_wrong(meter: Metrics, body: str, reason: str) -> None:
    decoded = decode_request(body)
    assert isinstance(decoded, InvalidBody)

    meter.count_rejected(decoded)

    assert counted(meter) == {f"requests_rejected_total{{{reason}}}": 1}


def test_conflicts_and_reports_are_counted_by_what_became_of_them(meter: Metrics) -> None:
    meter.count_conflicted()
    meter.count_sent(3)
    meter.count_parked(2)

    assert counted(meter) == {
        "requests_conflicting_total": 1,
        "reports_sent_total": 3,
        "reports_parked_total": 2,
    }


def test_an_alert_that_the_policies_do_not_know_is_counted_with_all_the_others() -> None:
    meter = Metrics(alerts=["something_else"], version="1")

    meter.count_stored(accepted(), asked())

    found = counted(meter)
    assert found[f"ask_seconds_count{{{OTHER}}}"] == 1
    assert f"ask_seconds_count{{{ALERT}}}" not in found


@pytest.mark.parametrize("reason", ["ada@example.com", "U0123 456", "", "a" * 65, "new\nline"])
def test_a_reason_that_is_no_code_becomes_no_label(meter: Metrics, reason: str) -> None:
    meter.count_stored(accepted(), accepted(standing=Outcome.UNDELIVERABLE, reason=reason))

    assert counted(meter) == {f"questions_undeliverable_total{{{OTHER}}}": 1}


def test_the_number_of_labels_is_bounded(meter: Metrics) -> None:
    letters = [chr(ord("a") + number // 26) + chr(ord("a") + number % 26) for number in range(LABELS_MAX + 9)]

    for letter in letters:
        meter.count_retried(letter)

    assert counted(meter)[f"retries_total{{{letters[0]}}}"] == 1
    assert counted(meter)[f"retries_total{{{OTHER}}}"] == 9


def test_ages_are_those_of_the_moment_of_looking(meter: Metrics) -> None:
    signs = StoreHealth(oldest_open=NOON, oldest_unsent=NOON + 2 * MINUTE)

    found = values(meter, replace(WORKER_HEALTH, store=signs, links_up=0))

    assert found["oldest_open_question_seconds"] == 60
    assert "oldest_unsent_report_seconds" not in found  # it is not due yet: 0
    assert found["last_successful_poll_timestamp_seconds"] == NOON.timestamp()
    assert [name for name in found if name.startswith("problem")] == [f"problem{{{Trouble.NO_LINK}}}"]


def test_what_is_in_the_store_is_counted_and_unknown_while_that_does_not_answer(meter: Metrics) -> None:
    counts = Counts(open_questions=4, unsent_reports=3, parked_reports=2, invalid_requests=1)

    answering = values(meter, replace(WORKER_HEALTH, store=StoreHealth(counts=counts)))
    silent = meter.exposition(WORKER_HEALTH, NOON).decode()

    assert {name: answering[name] for name in asdict(counts)} == asdict(counts)
    assert all(f"triage_{name} NaN\n" in silent for name in asdict(counts))


def test_every_name_has_the_prefix(meter: Metrics) -> None:
    meter.count_stored(accepted(), asked())

    text = meter.exposition(WORKER_HEALTH, NOON).decode()

    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert names
    assert all(name.startswith("triage_") for name in names)
    assert "_created" not in text
    assert 'triage_build_info{version="1.2.3"} 1.0' in text


async def test_only_what_is_durable_is_counted(meter: Metrics) -> None:
    store = MemoryStore()
    recorder = Recorder(store, write_report, policy=Policy(), clock=SteppedClock(), meter=meter)
    step = asking_rules.accept(a_request(), accepted().ref, NOON, Policy())

    first, repeated = await recorder.add([step]), await recorder.add([step])
    lost_the_race = await recorder.save(accepted(), Step(question=asked(version=7)))
    store.fails.append(StoreError("disk full"))
    with pytest.raises(StoreError):
        await recorder.save(step.question, asking_rules.claim(step.question, ADA, NOON))

    assert (list(first), list(repeated), lost_the_race) == ([True], [False], None)
    assert counted(meter) == {ACCEPTED: 1}


SECOND = timedelta(seconds=1)
DURATIONS = st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30)), min_size=1)


def statistics(alert: str = "duo", /, **counts: int) -> AlertStatistics:
    return AlertStatistics(
        alert=alert,
        asked=sum(counts.values()),
        endings={ending.key: counts.get(ending.key, 0) for ending in ENDINGS},
        open=counts.get("open", 0),
        median=130 * SECOND,
        p90=3900 * SECOND,
    )


def drawn(views: list[dict[str, Any]]) -> ET.Element:
    return ET.fromstring(plot_statistics(views, title="Questions"))  # noqa: S314 - it is our own document


@given(taken=DURATIONS, percent=st.integers(1, 100))
def test_a_percentile_is_the_smallest_time_that_so_many_percent_do_not_exceed(
    taken: list[timedelta], percent: int
) -> None:
    found = percentile(sorted(taken), percent)

    assert found in taken
    assert sum(each <= found for each in taken) * 100 >= percent * len(taken)
    assert sum(each < found for each in taken) * 100 < percent * len(taken)
    assert percentile([], percent) is None


def test_the_first_answer_keeps_its_time_when_the_mind_is_changed() -> None:
    question = replace(a_question(), channel="D0ADA", ts="1764000000.000100", asked_at=NOON)
    moments = NOON + 60 * SECOND, NOON + 90 * SECOND

    for choice, at in zip((Choice.YES, Choice.NO), moments, strict=True):
        step = answer_question(question, replace(a_click(question, choice), at=at), Policy())
        assert isinstance(step, Step)
        question = step.question

    assert (question.first_answered_at, question.answered_at) == moments


def test_the_alert_that_asked_most_people_stands_first() -> None:
    tally = Tally()
    for alert in ("b", "c", "c", "a"):
        tally.add(alert, standing=Outcome.YES, answer_time=SECOND)

    assert [each.alert for each in tally.result()] == ["c", "a", "b"]


def test_shares_are_of_the_questions_that_have_ended() -> None:
    view = statistics_view(statistics(yes=3, no=1, open=6))
    unended = statistics_view(statistics(open=2))

    assert (view["asked"], view["open"]) == (10, 6)
    assert view["shares"] == {ending.key: 0 for ending in ENDINGS} | {"yes": 0.75, "no": 0.25}
    assert (view["medianSeconds"], view["p90Seconds"]) == (130, 3900)
    assert set(unended["shares"].values()) == {None}
    assert "-" in render_statistics([unended])
    assert drawn([unended]) is not None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (90000, "1d 01h"),
    ],
)
def test_a_time_is_read_in_its_two_largest_units(seconds: float | None, words: str) -> None:
    assert readable_seconds(seconds) == words


def test_the_table_has_a_line_with_a_bar_for_each_alert() -> None:
    table = render_statistics([statistics_view(statistics(yes=5, no=3, unanswered=2))])

    shares = {"yes": "50%", "no": "30%", "unanswered": "20%"}
    assert table.splitlines()[1].split() == [
        *("duo", "10", "-", *(shares.get(ending.key, "0%") for ending in ENDINGS)),
        *("2m", "10s", "1h", "05m"),
        "█" * 15 + "▓" * 9 + "·" * 6,
    ]


@given(counts=st.fixed_dictionaries({ending.key: st.integers(0, 50) for ending in ENDINGS}))
def test_every_bar_is_as_long_as_the_others(counts: dict[str, int]) -> None:
    assume(any(counts.values()))

    table = render_statistics([statistics_view(statistics(**counts))])

    bar = table.splitlines()[1].split()[-1]
    assert len(bar) == 30


def test_where_nothing_was_asked_that_is_said() -> None:
    assert render_statistics([]) == "None."
    assert "None." in plot_statistics([], title="x")


@given(alert=st.text(min_size=1))
def test_no_label_of_an_alert_breaks_the_table_or_the_plot(alert: str) -> None:
    view = statistics_view(statistics(alert, yes=1))

    table = render_statistics([view])
    plot = drawn([view])

    assert len(table.splitlines()) == 4
    assert all(line.isprintable() for line in table.split("\n"))
    assert {each.tag.rpartition("}")[2] for each in plot.iter()} == {"svg", "title", "rect", "text", "g"}


def test_the_bars_of_the_plot_are_as_long_as_the_shares() -> None:
    view = statistics_view(statistics(yes=3, no=1))

    plot = drawn([view])

    parts = [each.attrib for each in plot.iter() if each.tag.endswith("rect") and each.get("height") == "18"]
    frame, yes, no = parts
    assert float(yes["width"]) == 3 * float(no["width"])
    assert float(yes["width"]) + float(no["width"]) == float(frame["width"])


def test_a_plot_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "plot.svg"

    with pytest.raises(PlotNotWritten, match=r"missing/plot\.svg cannot be written"):
        write_plot(path, [], title="x")
