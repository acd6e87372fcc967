"""The reference's table of log events is the list in the code, and the code logs nothing else."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from bot.triage.log_events import EVENTS

ROOT = Path(__file__).parents[2]
SOURCES = [path for path in (ROOT / "bot").rglob("*.py") if "sandbox" not in path.parts]

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
    lines = iter((ROOT / "docs" / "reference.md").read_text(encoding="utf-8").splitlines())
    assert HEADING in lines
    next(lines)
    rows: list[str] = []
    for line in lines:
        if not line.startswith("| `"):
            break
        rows.append(line.split("`")[1])
    return rows


def test_every_event_is_documented_and_no_other() -> None:
    assert sorted(EVENTS) == sorted(set(documented()))


def test_each_event_is_documented_once_in_alphabetical_order() -> None:
    rows = documented()

    assert rows == sorted(set(rows))


def test_every_event_is_named_by_a_noun_and_what_happened_to_it() -> None:
    assert [event for event in EVENTS if not re.fullmatch(r"[a-z_]+\.[a-z_]+", event)] == []


def test_every_event_is_logged_somewhere() -> None:
    loggers = {node.name for _, node in nodes() if isinstance(node, ast.FunctionDef) and takes_an_event(node)}
    logged = {
        word.value
        for _, call in calls()
        if ast.unparse(call.func) in loggers
        for word in ast.walk(call.args[1])
        if isinstance(word, ast.Constant)
    }

    assert logged == set(EVENTS)


def test_nothing_is_logged_in_another_way() -> None:
    others = [
        f"{name}: {ast.unparse(call)}"
        for name, call in calls()
        if name != "log_events.py" and any(keyword.arg == "extra" for keyword in call.keywords)
    ]

    assert others == []
