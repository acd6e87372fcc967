"""The reference, the dashboard and the lock say what the code says: nothing is missing, nothing made up."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cache
from itertools import combinations
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from documents import CHECKOUT, code_blocks, document, section, table_rows
from fakes import NOON
from packaging.requirements import Requirement
from prometheus_client.parser import text_string_to_metric_families

from bot import __version__
from bot.cli.parser import main
from bot.triage.log_events import EVENTS
from bot.triage.outcomes import OUTCOMES, RESPONSES, Profile
from bot.worker.health import StoreHealth, Trouble, WorkerHealth
from bot.worker.metrics import Metrics

REFERENCE = document("docs/reference.md")
EXAMPLE = document("config/.env.example")


def rows(heading: str) -> list[list[str]]:
    return list(table_rows(section(REFERENCE, heading)))


def exposition() -> str:
    health = WorkerHealth(
        links_up=2, link_shared=False, rejection_code="", polled_at=NOON, store=StoreHealth()
    )
    return Metrics(alerts=[], version="1.2.3").exposition(health, NOON).decode()


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

    exposed = re.findall(r"(?m)^# TYPE (\S+)", exposition())
    assert documented == {name for name in exposed if not name.startswith("triage_process_")}


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


SOURCES = [path for path in (CHECKOUT / "bot").rglob("*.py") if "sandbox" not in path.parts]

#: How the table begins.
HEADING = "| event | when | fields |"


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Return every node of the program, with the name of its file."""
    trees = [(path.name, ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES]
    return [(name, node) for name, tree in trees for node in ast.walk(tree)]


def calls() -> list[tuple[str, ast.Call]]:
    return [(name, node) for name, node in nodes() if isinstance(node, ast.Call)]


def takes_an_event(node: ast.FunctionDef) -> bool:
    """Whether a function logs what its caller names: its second parameter is an event."""
    parameters = [*node.args.posonlyargs, *node.args.args]
    return len(parameters) > 1 and ast.unparse(parameters[1].annotation or ast.Constant("")) == "Event"


def documented() -> list[str]:
    lines = iter((CHECKOUT / "docs" / "reference.md").read_text(encoding="utf-8").splitlines())
    assert HEADING in lines
    next(lines)
    rows: list[str] = []
    for line in lines:
        if not line.startswith("| `"):
            break
        rows.append(line.split("`")[1])
    return rows


def test_every_event_is_documented_once_in_alphabetical_order_and_no_other() -> None:
    assert documented() == sorted(EVENTS)
    # Each is named by a noun and what happened to it.
    assert [event for event in EVENTS if not re.fullmatch(r"[a-z_]+\.[a-z_]+", event)] == []


def test_every_event_is_logged_somewhere() -> None:
    loggers = {node.name for _, node in nodes() if isinstance(node, ast.FunctionDef) and takes_an_event(node)}
    logged = {
        word.value
        for _, call in calls()
        if isinstance(call.func, ast.Name) and call.func.id in loggers
        for word in ast.walk(call.args[1])
        if isinstance(word, ast.Constant)
    }

    assert logged == set(EVENTS)


def test_nothing_is_logged_in_another_way() -> None:
    others = [
        f"{name}: line {call.lineno}"
        for name, call in calls()
        if name != "log_events.py" and any(keyword.arg == "extra" for keyword in call.keywords)
    ]

    assert others == []


CONFIG = CHECKOUT / "config"
DASHBOARD: dict[str, Any] = json.loads((CONFIG / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]

#: What the metrics of a kind are called in queries, besides their own name.
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "info": ("_info",)}


def test_the_dashboard_and_the_alerting_rules_ask_only_for_metrics_that_there_are() -> None:
    exposed = {
        f"{family.name}{suffix}"
        for family in text_string_to_metric_families(exposition())
        for suffix in ("", *SUFFIXES.get(family.type, ()))
    }
    on_panels = {name for panel in PANELS for each in panel["targets"] for name in names_in(each["expr"])}
    in_rules = names_in((CONFIG / "prometheus-alerts.yml").read_text(encoding="utf-8"))

    assert on_panels
    assert in_rules
    assert on_panels | in_rules <= exposed


def test_every_panel_is_told_apart_says_what_it_shows_and_lies_over_no_other() -> None:
    places = [panel["gridPos"] for panel in PANELS]

    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        sources = [panel["datasource"], *(each["datasource"] for each in panel["targets"])]
        assert panel["title"]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])


def test_no_variable_is_used_that_is_not_defined() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS)))

    assert used == {"datasource", "__rate_interval"}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\btriage_\w+", text))


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return not (apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"])


LOCKS = {
    name: document(name)
    for name in (
        "config/requirements.lock",
        "config/build.lock",
        "config/sandbox.lock",
        "config/factor.lock",
        "scripts/release.lock",
    )
}
PROJECT = tomllib.loads(document("pyproject.toml"))
#: What each lock must have, at a release that is allowed.
WANTED = {
    "config/requirements.lock": PROJECT["project"]["dependencies"],
    "config/build.lock": PROJECT["build-system"]["requires"],
    "config/factor.lock": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["factor"],
    ],
    "config/sandbox.lock": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["sandbox"],
    ],
}


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", LOCKS[name], re.MULTILINE))


@pytest.mark.parametrize(
    ("lock", "requirement"), [(lock, each) for lock, wanted in WANTED.items() for each in wanted]
)
def test_what_is_installed_is_locked_at_a_release_that_it_may_have(lock: str, requirement: str) -> None:
    wanted = Requirement(requirement)

    assert locked(lock)[wanted.name] in wanted.specifier


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_file_has_its_hash_and_the_lock_names_no_place_to_get_it_from(name: str) -> None:
    entries = re.split(r"^(?=[a-z])", LOCKS[name], flags=re.MULTILINE)[1:]

    assert len(entries) == len(locked(name))
    assert [each for each in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", each)] == []
    assert not re.search(r"https?:|file:|--(index|extra-index|find-links|trusted-host)", LOCKS[name])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("config/requirements.lock", "config/sandbox.lock"),
        ("config/requirements.lock", "config/factor.lock"),
        ("config/factor.lock", "config/sandbox.lock"),
        ("config/build.lock", "config/requirements.lock"),
        ("config/build.lock", "config/sandbox.lock"),
        ("config/build.lock", "scripts/release.lock"),
    ],
)
def test_what_is_installed_together_is_locked_at_one_release(one: str, other: str) -> None:
    both = locked(one).keys() & locked(other).keys()

    assert {name: locked(one)[name] for name in both} == {name: locked(other)[name] for name in both}


@pytest.mark.parametrize("name", ["config/.env.example", "docs/install.md"])
def test_whoever_invites_the_bot_writes_its_name_in_slack(name: str) -> None:
    manifest = json.loads(document("config/slack-app-manifest.json"))
    bot = manifest["features"]["bot_user"]["display_name"]

    # What Slack's reference allows.
    assert re.fullmatch(r"[a-z0-9._-]{1,80}", bot)
    assert re.findall(r"/invite @([\w.-]+)", document(name)) == [bot]


INSTALL = document("docs/install.md")


@pytest.mark.parametrize(
    ("chapter", "words"),
    [
        ("Releases", "A release is a version tag"),
        ("1. Create the Slack app", "administrators must approve"),
        ("1. Create the Slack app", "*Copy link*: what follows the last `/`"),
        ("1. Create the Slack app", "`SECURITY_CHANNEL`"),
        ("2. Create the queues", "Run these commands where you administer AWS"),
        ("2. Create the queues", "OutputKey=='WorkerInstanceProfileName'"),
        ("2. Create the queues", "aws ec2 associate-iam-instance-profile"),
        ("2. Create the queues", "aws ssm put-parameter"),
        ("3. Install the worker", "sudoedit /etc/triage-bot/slack_bot_token"),
    ],
)
def test_the_installation_says_what_is_easily_left_out(chapter: str, words: str) -> None:
    assert words in " ".join(section(INSTALL, chapter).split())


def test_the_aws_commands_of_the_installation_are_those_of_aws() -> None:
    blocks = [
        text for language, text in code_blocks(section(INSTALL, "2. Create the queues")) if not language
    ]
    commands = [shlex.split(each) for each in re.split(r"^(?=aws )", "".join(blocks), flags=re.MULTILINE)[1:]]
    aws = botocore.session.get_session()

    for _, service, operation, *options in commands:
        if operation == "deploy":  # the command line's own
            continue
        model = aws.get_service_model(service)
        names = {xform_name(each): each for each in model.operation_names}
        takes = model.operation_model(names[operation.replace("-", "_")]).input_shape
        known = {xform_name(each) for each in takes.members} if takes else set()
        given = {each[2:].replace("-", "_") for each in options if each.startswith("--")}
        assert given - {"query", "output"} <= known
    assert len(commands) >= 8


def test_a_version_tag_makes_a_release_of_what_the_script_builds() -> None:
    workflow = document(".github/workflows/release.yml")

    assert 'on:\n  push:\n    tags: ["v*"]\n' in workflow
    assert "run: scripts/build_release dist\n" in workflow


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    [newest, *_] = re.findall(r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", document("CHANGELOG.md"), re.MULTILINE)

    assert newest == __version__
