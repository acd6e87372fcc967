"""docs/reference.md says what the code says: no name is missing in its tables, and none is made up."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import redirect_stdout

import pytest
from documents import CHECKOUT, code_blocks, document, section, table_rows
from fakes import NOON

from bot.cli.parser import main
from bot.triage.outcomes import OUTCOMES, RESPONSES, Profile
from bot.worker.health import StoreHealth, Trouble, WorkerHealth
from bot.worker.metrics import Metrics

REFERENCE = document("docs/reference.md")
EXAMPLE = document("config/.env.example")


def rows(heading: str) -> list[list[str]]:
    return list(table_rows(section(REFERENCE, heading)))


def words(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def commands() -> Mapping[str, list[str]]:
    """Return each command that is documented, with the words of its row."""
    documented = [row for row in rows("Commands") if row[0].startswith("`triage-bot ")]
    return {words(row[0])[0].split()[1]: words(" ".join(row)) for row in documented}


def help_of(*command: str) -> str:
    with redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit):
        main([*command, "--help"])
    return said.getvalue()


def test_every_setting_is_documented_and_no_other() -> None:
    documented = [words(row[0])[0] for row in rows("Settings")]

    assert sorted(documented) == sorted(re.findall(r"(?m)^#?([A-Z_]+)=", EXAMPLE))


def test_every_default_is_the_one_of_the_example_file() -> None:
    defaults = {words(row[0])[0]: words(row[1]) for row in rows("Settings")}

    wrong = [
        name for name, default in defaults.items() if default and f"#{name}={default[0]}\n" not in EXAMPLE
    ]

    assert wrong == []


def test_every_command_is_documented_and_no_other() -> None:
    offered = re.findall(r"(?m)^    (\w+) ", help_of())

    assert sorted(commands()) == sorted(offered)


@pytest.mark.parametrize("command", commands())
def test_every_option_of_a_command_is_documented_and_no_other(command: str) -> None:
    documented = {
        word for each in commands()[command] for word in each.split() if re.fullmatch("--[a-z-]+", word)
    }

    offered = set(re.findall(r"--[a-z][a-z-]*", help_of(command).partition("\n\n")[0])) - {"--help"}

    assert documented == offered


def test_every_metric_is_documented_and_no_other() -> None:
    documented = {name.partition("{")[0] for row in rows("Metrics") for name in words(row[0])}

    assert documented == {name for name in _exposed() if not name.startswith("triage_process_")}


def test_every_health_problem_is_documented_and_no_other() -> None:
    assert [words(row[0])[0] for row in rows("Health")] == [trouble.value for trouble in Trouble]


def test_every_outcome_is_documented_with_the_word_that_mozdef_gets_and_its_status() -> None:
    table = {words(row[0])[0]: (words(row[2])[0], row[3]) for row in rows("Report") if len(row) == 4}

    expected = RESPONSES[Profile.MOZDEF]
    assert table == {each.value: (expected[each], facts.status.value) for each, facts in OUTCOMES.items()}


def test_every_reason_that_is_documented_is_one_that_the_program_gives() -> None:
    paragraph = next(each for each in REFERENCE.split("\n\n") if each.startswith("**Reasons**"))
    sources = "".join(path.read_text(encoding="utf-8") for path in (CHECKOUT / "bot").rglob("*.py"))

    unknown = [reason for reason in words(paragraph)[1:] if not re.search(rf"\b{reason}\b", sources)]

    assert unknown == []


def test_the_benchmarks_are_those_that_were_measured() -> None:
    measured = document("tests/bench/RESULT.txt").splitlines()
    blocks = [text for language, text in code_blocks(document("docs/benchmarks.md")) if language == "text"]

    assert len(blocks) == 5
    assert [line for text in blocks for line in text.splitlines() if line not in measured] == []


def _exposed() -> set[str]:
    worker_health = WorkerHealth(
        links_up=2, link_shared=False, rejection_code="", polled_at=NOON, store=StoreHealth()
    )
    text = Metrics(alerts=[], version="1.2.3").exposition(worker_health, NOON).decode()
    return set(re.findall(r"(?m)^# TYPE (\S+)", text))
