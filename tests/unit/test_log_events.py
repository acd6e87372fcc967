"""The reference's table of log events is closed: what the sources write is in it, and nothing else is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = [path for path in (ROOT / "bot").rglob("*.py") if "sandbox" not in path.parts]

#: Functions that make a record's extra, and where among their arguments the event stands.
MAKERS = {"about": 1, "shape": 0}

#: How the table begins.
HEADING = "| event | when | fields |"


def events_in(path: Path) -> Iterator[str]:
    """Yield the events that a module logs. One that cannot be read off it is an error."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for keyword in [each for call in calls for each in call.keywords if each.arg == "extra"]:
        match keyword.value:
            case ast.Dict(
                keys=[ast.Constant(value="event"), ast.Constant(value="fields")], values=[event, _]
            ):
                yield from words(event, tree)
            case ast.Call(func=ast.Name(id=maker), args=arguments):
                yield from words(arguments[MAKERS[maker]], tree)
            case other:
                raise AssertionError(f"{path.name} logs {ast.unparse(other)}: which event is that?")


def words(node: ast.expr, tree: ast.AST) -> Iterator[str]:
    """Yield what an expression may be: a text, one of two, or what the module assigns to a name."""
    match node:
        case ast.Constant(value=str(word)):
            yield word
        case ast.IfExp(body=body, orelse=orelse):
            yield from words(body, tree)
            yield from words(orelse, tree)
        case ast.Name(id=name):
            assigned = [each for each in ast.walk(tree) if isinstance(each, ast.Assign)]
            for value in [each.value for each in assigned if ast.unparse(each.targets[0]) == name]:
                yield from words(value, tree)
        case other:
            raise AssertionError(f"which event is {ast.unparse(other)}?")


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


def test_every_event_that_is_logged_is_documented_and_no_other() -> None:
    logged = {event for path in SOURCES for event in events_in(path)}

    assert sorted(logged) == sorted(set(documented()))


def test_each_event_is_documented_once_in_alphabetical_order() -> None:
    rows = documented()

    assert rows == sorted(set(rows))


def test_every_event_is_named_by_a_noun_and_what_happened_to_it() -> None:
    assert [event for event in documented() if not re.fullmatch(r"[a-z_]+\.[a-z]+", event)] == []
