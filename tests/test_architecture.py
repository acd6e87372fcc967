"""The packages of `bot/`, their layers and their dependencies, as docs/architecture.md draws them.

A package is a folder of `bot/` with all that is in it, or a module next to the folders. Every import counts,
also one within a function or for types alone.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "bot"

#: The layers, the lowest first. A package imports only from layers below its own.
LAYERS = (
    {"__init__", "errors", "redaction", "printable", "threads", "backoff", "clock", "sandbox"},
    {"triage", "aws"},
    {"settings", "slack", "sqs", "store", "factor"},
    {"worker"},
    {"cli"},
    {"__main__"},
)

#: The layers within these packages. Here modules of one layer may also import each other.
INNER_LAYERS = {
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
            "untrusted_text",
            "padding",
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

#: Limits that keep the structure small enough to remember. `DEPTH_MAX` is of the longest chain of imports.
ENTRIES_MAX, PACKAGES_MAX, DEPTH_MAX, DEPENDENCIES_MAX = 16, 18, 7, 57
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 500, 50

MODULES = sorted(ROOT.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})

Dependency = tuple[str, str]  # the importer, and what it imports


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


def dependencies_in(folder: Path) -> set[Dependency]:
    """Return which entries of a folder import which others, by name."""
    inside = [path for path in MODULES if path.is_relative_to(folder)]
    found = {
        (entry(path, folder), entry(imported, folder))
        for path in inside
        for imported in imports_of(path)
        if imported.is_relative_to(folder)
    }
    return {(importer, imported) for importer, imported in found if importer != imported}


def entry(path: Path, folder: Path) -> str:
    return Path(path.relative_to(folder).parts[0]).stem


def entries_of(folder: Path) -> set[str]:
    return {entry(path, folder) for path in MODULES if path.is_relative_to(folder)}


def depth(package: str, dependencies: Collection[Dependency]) -> int:
    """Return the length of the longest chain of imports that begins at a package, itself included."""
    below = (depth(imported, dependencies) for importer, imported in dependencies if importer == package)
    return 1 + max(below, default=0)


def cycles_among(dependencies: Collection[Dependency]) -> set[Dependency]:
    """Return the dependencies that are part of a cycle, or lead to one."""
    left = set(dependencies)
    while acyclic := {each for each in left if each[1] not in {importer for importer, _ in left}}:
        left -= acyclic
    return left


def test_packages_import_only_from_lower_layers() -> None:
    layer_of = {package: number for number, layer in enumerate(LAYERS) for package in layer}

    wrong = [each for each in dependencies_in(ROOT) if layer_of[each[1]] >= layer_of[each[0]]]

    assert set(layer_of) == entries_of(ROOT)
    assert wrong == []


@pytest.mark.parametrize("name", INNER_LAYERS)
def test_modules_of_a_package_import_from_no_higher_layer(name: str) -> None:
    layer_of = {module: number for number, layer in enumerate(INNER_LAYERS[name]) for module in layer}

    wrong = [each for each in dependencies_in(ROOT / name) if layer_of[each[1]] > layer_of[each[0]]]

    assert set(layer_of) | {"__init__"} == entries_of(ROOT / name)
    assert wrong == []


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_no_folder_has_an_import_cycle(folder: Path) -> None:
    assert cycles_among(dependencies_in(folder)) == set()


def test_the_structure_is_small_enough_to_remember() -> None:
    packages, dependencies = entries_of(ROOT), dependencies_in(ROOT)

    assert len(packages - {"__init__", "__main__"}) <= ENTRIES_MAX
    assert len(packages) <= PACKAGES_MAX
    assert max(depth(package, dependencies) for package in packages) <= DEPTH_MAX
    assert len(dependencies) <= DEPENDENCIES_MAX


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_every_package_has_a_docstring(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_and_no_function_is_long(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    nodes = ast.walk(ast.parse(source))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = [each.name for each in functions if (each.end_lineno or 0) - each.lineno + 1 > FUNCTION_LINES_MAX]

    assert source.count("\n") <= MODULE_LINES_MAX
    assert long == []


def test_only_the_settings_read_configuration_and_nothing_is_a_cached_property() -> None:
    sources = {path: path.read_text("utf-8") for path in MODULES}
    signs = ("os.environ", "getenv", "dotenv", "tomllib")

    readers = {entry(path, ROOT) for path in MODULES if any(sign in sources[path] for sign in signs)}

    assert readers - {"sandbox"} == {"settings"}
    assert [name_of(path) for path in MODULES if "cached_property" in sources[path]] == []
