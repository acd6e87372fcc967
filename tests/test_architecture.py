"""The rooms of the house and which way is down, as docs/architecture.md draws it: read off every import.

A room is a folder of `bot/` with all that is in it, or a module that lies beside the folders. An import
counts wherever it stands: within a function, and for types alone, too.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "bot"

#: What lies in a folder, the lowest floor first. Imports lead down: never up, and nowhere on the same floor.
HOUSE = (
    {"__init__", "errors", "redaction", "printable", "threads", "backoff", "clock", "sandbox"},
    {"triage", "aws"},
    {"settings", "slack", "sqs", "store", "factor"},
    {"worker"},
    {"cli"},
    {"__main__"},
)

#: Likewise for the folders whose insides have an order; what is on one floor may use each other there.
STAIRS = {
    "slack/render": (
        {"blocks", "marks", "text"},
        {"rich_text", "templates"},
        {"inquiry", "modals", "question"},
        {"card"},
        {"burst", "home"},
        {"samples"},
    ),
    "store": ({"address", "records"}, {"sqlite", "dynamodb"}, {"__init__"}, {"migration"}),
    "triage": (
        {
            "assignments",
            "event_kinds",
            "factor",
            "foreign_text",
            "free_values",
            "inquiry",
            "log_events",
            "model",
            "outcomes",
            "people",
            "places",
            "working_time",
        },
        {"policy", "listing", "statistics", "trail"},
        {"reporting"},
        {
            "answer_rules",
            "asking_rules",
            "card_rules",
            "factor_rules",
            "inquiry_rules",
            "place_rules",
            "responder_rules",
            "restore_rules",
        },
        {"ports", "rate_limits"},
        {"recorder", "look_ups", "people_queue", "retention", "unknown_errors", "people_finder"},
        {"restores"},
        {
            "asking",
            "bursts",
            "cards",
            "inquiring",
            "proving",
            "reminding",
            "responders",
            "strangers",
            "sweeper",
        },
        {"service"},
    ),
}

#: What the house may have at the most, so that one can have all of it in mind.
ENTRIES_MAX, ROOMS_MAX, FLOORS_MAX, ARROWS_MAX = 16, 18, 7, 57
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 500, 50

MODULES = sorted(ROOT.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})

Arrow = tuple[str, str]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def imports_of(path: Path) -> frozenset[Path]:
    """Return the files of the package that a file imports anywhere."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)} has a relative import"
            named += [f"{node.module}.{alias.name}" for alias in node.names]
    return frozenset(chain.from_iterable(map(files_of, named)))


def files_of(name: str) -> Iterator[Path]:
    """Yield the file that a dotted name is, or is in."""
    package, *names = name.split(".")
    while package == "bot":
        place = ROOT.joinpath(*names)
        found = [each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file()]
        if found:
            yield found[0]
            return
        names.pop()


def arrows_in(folder: Path) -> set[Arrow]:
    """Return which entries of a folder, by their names, import which."""
    inside = [path for path in MODULES if path.is_relative_to(folder)]
    found = {
        (entry(path, folder), entry(imported, folder))
        for path in inside
        for imported in imports_of(path)
        if imported.is_relative_to(folder)
    }
    return {(upper, lower) for upper, lower in found if upper != lower}


def entry(path: Path, folder: Path) -> str:
    return Path(path.relative_to(folder).parts[0]).stem


def entries_of(folder: Path) -> set[str]:
    return {entry(path, folder) for path in MODULES if path.is_relative_to(folder)}


def height(room: str, arrows: Collection[Arrow]) -> int:
    """Return how many floors a room needs: its own, and those of the longest way down from it."""
    return 1 + max((height(lower, arrows) for upper, lower in arrows if upper == room), default=0)


def circle_among(arrows: Collection[Arrow]) -> set[Arrow]:
    """Return the arrows that are left when those that lead to the ground are taken away, again and again."""
    left = set(arrows)
    while grounded := {arrow for arrow in left if arrow[1] not in {upper for upper, _ in left}}:
        left -= grounded
    return left


def test_imports_lead_down_from_room_to_room() -> None:
    floor_of = {room: number for number, rooms in enumerate(HOUSE) for room in rooms}

    wrong = [arrow for arrow in arrows_in(ROOT) if floor_of[arrow[1]] >= floor_of[arrow[0]]]

    assert set(floor_of) == entries_of(ROOT)
    assert wrong == []


@pytest.mark.parametrize("name", STAIRS)
def test_imports_lead_down_within_a_room(name: str) -> None:
    floor_of = {each: number for number, floor in enumerate(STAIRS[name]) for each in floor}

    wrong = [arrow for arrow in arrows_in(ROOT / name) if floor_of[arrow[1]] > floor_of[arrow[0]]]

    assert set(floor_of) | {"__init__"} == entries_of(ROOT / name)
    assert wrong == []


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_nothing_in_a_folder_imports_in_a_circle(folder: Path) -> None:
    assert circle_among(arrows_in(folder)) == set()


def test_the_house_is_small_enough_to_have_in_mind() -> None:
    rooms, arrows = entries_of(ROOT), arrows_in(ROOT)

    assert len(rooms - {"__init__", "__main__"}) <= ENTRIES_MAX
    assert len(rooms) <= ROOMS_MAX
    assert max(height(room, arrows) for room in rooms) <= FLOORS_MAX
    assert len(arrows) <= ARROWS_MAX


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_every_folder_says_what_it_is(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_and_no_function_is_long(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    nodes = ast.walk(ast.parse(source))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = [each.name for each in functions if (each.end_lineno or 0) - each.lineno + 1 > FUNCTION_LINES_MAX]

    assert source.count("\n") <= MODULE_LINES_MAX
    assert long == []


def test_nothing_is_made_when_it_is_first_looked_at_and_only_the_settings_read_what_configures() -> None:
    sources = {path: path.read_text("utf-8") for path in MODULES}
    signs = ("os.environ", "getenv", "dotenv", "tomllib")

    readers = {entry(path, ROOT) for path in MODULES if any(sign in sources[path] for sign in signs)}

    assert readers - {"sandbox"} == {"settings"}
    assert [name_of(path) for path in MODULES if "cached_property" in sources[path]] == []
