"""Imports point inwards, and files stay small: the layout of docs/architecture.md, asserted."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "bot"

#: What each part of the package may import of it, beside itself. What is not listed is a mistake.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "printable": set(),
    "redaction": set(),
    "triage": {"errors"},
    "slack": {"errors", "findings", "skew", "triage"},
    "sqs": {"errors", "findings", "skew", "threads", "triage"},
    "store": {"errors", "findings", "threads", "triage"},
    "findings": set(),
    "threads": set(),
    "worker": {"errors"},
    "control": {"errors"},
    "views": {"triage"},
    "rendering": {"printable", "views"},
    "store_commands": {"control", "errors", "stats_view", "triage", "views"},
    "stats_view": {"printable", "rendering", "triage", "views"},
    "migrating": {"config", "rendering", "store", "views"},
    "stats_plot": {"errors", "printable", "stats_view", "views"},
    "health": {"errors", "triage"},
    "metrics": {"health", "triage"},
    "metrics_server": {"errors", "health", "metrics", "triage"},
    "backup": {"errors"},
    "variables": {"redaction", "triage"},
    "variable_table": {"variables"},
    "config": {"credentials", "errors", "redaction", "triage", "variable_table"},
    "config_files": {"errors"},
    "alert_files": {"config_files", "errors", "triage", "variables"},
    "log": {"printable", "redaction"},
    "sending": {"errors", "sandbox"},
    "sandbox": set(),
    "parts": {"config", "health", "slack", "sqs", "store", "triage", "vigil"},
    "vigil": {"", "config", "health", "metrics", "notify", "slack", "store", "triage", "watchdog"},
    "store_access": {"config", "control", "store", "store_commands", "triage", "views"},
    "app": {
        "condition",
        "config",
        "control",
        "errors",
        "metrics_server",
        "notify",
        "parameters",
        "parts",
        "slack",
        "sqs",
        "store",
        "store_commands",
        "triage",
        "watchdog",
        "worker",
    },
    "skew": {"findings"},
    "condition": {"control", "errors"},
    "credential_check": {"credentials", "findings"},
    "worker_checks": {"condition", "config", "control", "findings", "slack", "store"},
    "parameters": {"config", "errors", "redaction", "sqs", "threads", "variables"},
    "notify": set(),
    "watchdog": {"notify"},
    "credentials": set(),
    "checking": {
        "alert_files",
        "config",
        "config_files",
        "credential_check",
        "errors",
        "findings",
        "parameters",
        "slack",
        "sqs",
        "store",
        "triage",
        "worker_checks",
    },
    "cli": {"", "commands", "errors", "variables"},
    "commands": {
        "alert_files",
        "app",
        "backup",
        "checking",
        "config",
        "config_files",
        "control",
        "errors",
        "findings",
        "log",
        "migrating",
        "printable",
        "rendering",
        "sandbox",
        "sending",
        "stats_plot",
        "stats_view",
        "store",
        "store_access",
        "triage",
        "variable_table",
        "views",
        "worker",
    },
}

#: Within the triage: nouns, decisions, ports, verbs.
TRIAGE_LAYERS = (
    {"model", "changing", "working_time"},
    {"clicks", "events", "policies", "statistics"},
    {"policy"},
    {"reporting"},
    {"rules", "card_rules", "ratchet"},
    {"ports", "refusals", "pacing"},
    {"recorder", "looking", "retention"},
    {"asking", "cards", "reminding", "sweeper"},
    {"service"},
)

MODULES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> set[str]:
    """Return the modules of the package that a file imports anywhere, dotted, without `bot.`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "bot":
            found |= {f"bot.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
            found |= {"bot." for alias in node.names if alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.removeprefix("bot.") for name in found if name.startswith("bot.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    part = part_of(path)

    imported = {name.partition(".")[0] for name in imports_of(path)} - {part}

    assert imported <= ALLOWED[part], f"{path.name} may not import {sorted(imported - ALLOWED[part])}"


def test_the_triage_is_layered() -> None:
    rank = {name: layer for layer, names in enumerate(TRIAGE_LAYERS) for name in names}
    modules = [path for path in MODULES if part_of(path) == "triage" and path.stem != "__init__"]

    upward = [
        f"{path.stem} imports {name}"
        for path in modules
        for name in (each.rpartition(".")[2] for each in imports_of(path) if each.startswith("triage."))
        if rank[name] > rank[path.stem]
    ]

    assert {path.stem for path in modules} == set(rank)
    assert upward == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_and_no_function_is_long(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > 50]

    assert source.count("\n") <= 250
    assert long == []


def test_only_the_settings_read_the_environment() -> None:
    readers = [
        path.name
        for path in MODULES
        if part_of(path) != "sandbox" and ("os.environ" in (text := path.read_text()) or "getenv" in text)
    ]

    assert readers == ["config.py"]
