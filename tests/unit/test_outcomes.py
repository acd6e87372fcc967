"""What is derived of the tables of outcomes, profiles and reasons: a row that somebody forgets fails here."""

from __future__ import annotations

import ast
import re
import runpy
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from drawn import a_question, assert_slack_takes
from fakes import NOON
from prometheus_client.parser import text_string_to_metric_families
from wording import WORDING

from bot.cli.output.plot import plot_statistics
from bot.cli.output.statistics import render_statistics
from bot.sandbox.mozdef import judge
from bot.sandbox.page_state import page_state
from bot.sandbox.trial import Trial
from bot.settings.messages import defaults_folder
from bot.settings.parsers import profile as read_profile
from bot.slack.render.card import CardLinks, card_message
from bot.slack.render.question import question_message
from bot.sqs.wire import write_report
from bot.triage import outcomes
from bot.triage.answer_rules import answer_question
from bot.triage.model import Answer, Choice, MessageRef, OutboxRow, Question
from bot.triage.outcomes import ENDINGS, OUTCOMES, PROFILES, TEXTS, Outcome, Profile, Reason
from bot.triage.padding import pad_reason
from bot.triage.policy import Policy
from bot.triage.reporting import report_on
from bot.triage.statistics import Tally
from bot.worker.health import StoreHealth, WorkerHealth
from bot.worker.metrics import Metrics
from bot.worker.views import statistics_view

ROOT = Path(__file__).parents[2]
TABLES = Path(outcomes.__file__)
DOCUMENTS = "".join(
    path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
)
LABELS = {outcome.value: facts.label for outcome, facts in OUTCOMES.items()}

each_outcome = pytest.mark.parametrize("outcome", Outcome)

NOWHERE = CardLinks(workspace="")


def ended(outcome: Outcome) -> Question:
    """Return a question that ended so."""
    said = Choice(outcome.value) if OUTCOMES[outcome].chosen else None
    placed = replace(a_question(), channel="D0ADA", ts="1.000001", asked_at=NOON, reports=1)
    at = NOON + timedelta(minutes=1)
    if said is None:
        return replace(placed, standing=outcome, settled_at=at)
    return replace(placed, standing=outcome, said=said, settled_at=at, answered_at=at, answers=1)


def report_of(outcome: Outcome, policy: Policy) -> OutboxRow:
    after = ended(outcome)
    before = replace(after, standing=None, said=None)
    return write_report(report_on(before, after, at=NOON, policy=policy), NOON)


@pytest.fixture
def start_with(tmp_path: Path) -> Callable[[str, str], None]:
    """Start with a copy of the tables in which the first match of a pattern reads otherwise."""

    def start(pattern: str, text: str) -> None:
        changed, count = re.subn(pattern, text, TABLES.read_text(encoding="utf-8"), count=1)
        assert count == 1
        copy = tmp_path / "changed_outcomes.py"
        copy.write_text(changed, encoding="utf-8")
        runpy.run_path(str(copy))

    return start


@pytest.mark.parametrize(
    ("pattern", "text", "error"),
    [
        ("    YES = ", '    SEVENTH = "seventh"\n    YES = ', TypeError("Outcome has no row for seventh")),
        (
            "    MOZDEF = ",
            '    SEVENTH = "seventh"\n    MOZDEF = ',
            TypeError("Profile has no row for seventh"),
        ),
        *(
            (
                rf"(Outcome\.YES: OutcomeFacts\((?s:.*?))\n +{column}=[^\n]+",
                r"\1",
                TypeError(f"required keyword-only argument: '{column}'"),
            )
            for column in "status chosen label ending counter card has_answer_text".split()
        ),
        (r"word=lambda outcome: outcome\.value,", 'word={Outcome.YES: "aye"}.__getitem__,', KeyError("no")),
    ],
)
def test_the_program_does_not_start_while_a_row_a_column_or_a_word_is_missing(
    start_with: Callable[[str, str], None], pattern: str, text: str, error: Exception
) -> None:
    with pytest.raises(type(error), match=re.escape(error.args[0])):
        start_with(pattern, text)


def test_the_tables_have_nothing_that_must_be_told_apart_twice() -> None:
    for fact in ("key", "label", "heading", "mark", "colour"):
        assert len({getattr(ending, fact) for ending in ENDINGS}) == len(ENDINGS)
    assert len(set(LABELS.values())) == len(Outcome)
    assert all(len(ending.mark) == 1 for ending in ENDINGS)


def test_a_person_chose_exactly_what_there_are_buttons_for() -> None:
    assert {outcome.value for outcome, facts in OUTCOMES.items() if facts.chosen} == set(Choice)


@pytest.mark.parametrize(("standing", "choice"), list(product(Outcome, Choice)))
def test_a_choice_is_ranked_against_what_stands_and_reported(standing: Outcome, choice: Choice) -> None:
    posted = MessageRef(channel="D0ADA", ts="1.000001")
    click = Answer(ref="", choice=choice, slack_id="U0ADA", same_workspace=True, message_ref=posted, at=NOON)

    step = answer_question(ended(standing), click, Policy())

    if standing.value == choice.value:
        assert step is None
    else:
        assert not isinstance(step, str)
        assert step is not None
        sternest = max(standing, Outcome(choice.value), key=lambda each: OUTCOMES[each].rank)
        expected = OUTCOMES[sternest].rank if OUTCOMES[standing].chosen else OUTCOMES[Outcome(choice)].rank
        assert step.question.standing is not None
        assert OUTCOMES[step.question.standing].rank == expected
        assert step.report is not None


@each_outcome
def test_mozdef_sets_the_tables_status_and_hears_of_nobody_who_did_not_choose(outcome: Outcome) -> None:
    after = ended(outcome)

    report = report_on(replace(after, standing=None, said=None), after, at=NOON, policy=Policy())

    assert judge(write_report(report, NOON).body).status == OUTCOMES[outcome].status
    assert report.slack_id == ("U0ADA" if OUTCOMES[outcome].chosen else "")
    assert report.asked_slack_id == "U0ADA"


@each_outcome
@pytest.mark.parametrize("profile", Profile)
def test_every_profile_has_a_word_for_every_outcome(outcome: Outcome, profile: Profile) -> None:
    assert (
        f'"response":"{PROFILES[profile].word(outcome)}"' in report_of(outcome, Policy(profile=profile)).body
    )


@each_outcome
def test_the_card_says_how_it_ended_and_the_question_where_the_table_wants_it(outcome: Outcome) -> None:
    cards = {each: card_message(ended(each), WORDING, Policy(), NOWHERE) for each in Outcome}
    message = question_message(ended(outcome), WORDING, Policy())

    assert_slack_takes(cards[outcome])
    assert_slack_takes(message)
    assert [each["text"] for each in cards.values()].count(cards[outcome]["text"]) == 1
    assert ("answer" in [each["block_id"] for each in message["blocks"]]) is OUTCOMES[outcome].has_answer_text


def test_what_ships_has_every_text_and_says_of_every_outcome_whether_it_has_a_card() -> None:
    text = (defaults_folder() / "alerts.toml").read_text(encoding="utf-8")

    cards = tomllib.loads(text)["default"]["security_channel"]

    assert cards == {outcome.value: facts.card for outcome, facts in OUTCOMES.items()}
    explained = re.search(r"^# \[….security_channel\].*\n#   (.+)$", text, re.MULTILINE)
    assert explained
    assert set(explained[1].split(", ")) == set(Outcome)
    assert set(TEXTS["card"]) == set(Outcome)
    assert all(set(keys) <= set(WORDING[table]) for table, keys in TEXTS.items())


@each_outcome
def test_the_statistics_their_bar_and_their_plot_count_it(outcome: Outcome) -> None:
    tally = Tally()
    tally.add("duo", standing=outcome, answer_time=None)

    [alert] = tally.result()
    view = statistics_view(alert)
    plot = ET.fromstring(plot_statistics([view], title="Questions"))  # noqa: S314 - it is our own document

    ending = OUTCOMES[outcome].ending
    table, legend = render_statistics([view]).split("\n\n")
    assert view["shares"] == {each.key: float(each is ending) for each in ENDINGS}
    assert table.splitlines()[1].endswith(ending.mark * 30)
    assert f"{ending.mark} {ending.label}" in legend
    drawn = [each.get("fill") for each in plot.iter() if each.get("height") == "18"]
    assert drawn[1:] == [ending.colour]
    assert ending.label in [each.text for each in plot.iter()]


@each_outcome
def test_the_metrics_count_it(outcome: Outcome) -> None:
    meter = Metrics(alerts=[], version="1")
    health = WorkerHealth(
        links_up=2, link_shared=False, rejection_code="", polled_at=NOON, store=StoreHealth()
    )

    meter.count_stored(replace(a_question(), asked_at=NOON), ended(outcome))

    text = meter.exposition(health, NOON).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counted = {each.name for each in samples if each.name.startswith("triage_questions_") and each.value}
    counter = OUTCOMES[outcome].counter
    assert counted == {f"triage_{counter.name if counter else 'questions_answered'}_total"}


def test_the_page_calls_every_outcome_by_its_label() -> None:
    trial = Trial()
    for outcome in Outcome:
        trial.ledger.take_response(report_of(outcome, Policy()).body)

    receipts = page_state(trial, LABELS, ended=None, failed=False)["receipts"]

    assert [receipt["label"] for receipt in receipts] == list(LABELS.values())


@pytest.mark.parametrize("profile", Profile)
def test_a_profile_can_be_chosen_and_whoever_chooses_reads_what_it_is(profile: Profile) -> None:
    example = (defaults_folder() / ".env.example").read_text(encoding="utf-8")
    about = f"{profile}: {PROFILES[profile].about}"

    assert read_profile(profile.upper()) is profile
    assert about in example
    assert about in DOCUMENTS.replace("`", "")
    with pytest.raises(ValueError, match=re.escape(f"{profile} ({PROFILES[profile].about})")):
        read_profile("other")


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_of_ours_goes_out_as_it_is_and_is_documented(reason: Reason) -> None:
    assert pad_reason(reason) == reason
    assert f"`{reason}`" in DOCUMENTS


def test_no_reason_is_written_out_but_in_its_table() -> None:
    """The types keep any other word from being passed as a reason; this keeps the table the only place."""
    rooms = ("triage", "worker", "store", "sqs", "cli")
    places = {path for room in rooms for path in (ROOT / "bot" / room).rglob("*.py")} - {TABLES}

    found = {
        (path.name, node.value)
        for path in places
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in set(Reason)
    }

    assert found == set()
