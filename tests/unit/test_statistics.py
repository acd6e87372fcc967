"""How questions are summed up, and how that is shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from drawn import a_question
from fakes import NOON
from hypothesis import assume, given
from hypothesis import strategies as st
from service_harness import a_click

from bot.cli.output.plot import PlotNotWritten, plot_statistics, write_plot
from bot.cli.output.statistics import readable_seconds, render_statistics
from bot.triage.answer_rules import answer_question
from bot.triage.model import Choice, Step
from bot.triage.outcomes import ENDINGS, Outcome
from bot.triage.policy import Policy
from bot.triage.statistics import AlertStatistics, Tally, percentile
from bot.worker.views import statistics_view

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
