"""What is installed in production: the lock, and the bill of materials."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[2]
LOCK = (CHECKOUT / "config" / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", LOCK, re.MULTILINE))


def write_bill() -> dict[str, Any]:
    written = subprocess.run(  # noqa: S603 - a script of this repository
        [sys.executable, str(CHECKOUT / "config" / "make_sbom.py")],
        check=True,
        capture_output=True,
        text=True,
    )
    document: dict[str, Any] = json.loads(written.stdout)
    return document


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return write_bill()


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_what_production_needs_is_locked_at_a_release_that_it_may_have(requirement: str) -> None:
    wanted = Requirement(requirement)

    assert LOCKED[wanted.name] in wanted.specifier


def test_every_locked_file_has_its_hash() -> None:
    entries = re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]

    assert len(entries) == len(LOCKED)
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_lock_names_no_place_to_get_it_from() -> None:
    assert not re.search(r"https?:|file:|--(index|extra-index|find-links|trusted-host)", LOCK)


def test_the_bill_names_what_is_installed_and_what_needs_what(bill: dict[str, Any]) -> None:
    components = {each["name"]: each for each in bill["components"]}
    needed = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}

    assert components.keys() >= {Requirement(each).name for each in PROJECT["dependencies"]}
    assert components["boto3"]["version"] == version("boto3")
    assert components["botocore"]["purl"] in needed[components["boto3"]["purl"]]
    assert components["boto3"]["purl"] in needed[bill["metadata"]["component"]["bom-ref"]]
    assert all(each.get("licenses") for each in components.values())


def test_the_bill_leaves_out_what_only_tests_need(bill: dict[str, Any]) -> None:
    names = {each["name"] for each in bill["components"]}

    assert names.isdisjoint({"pytest", "moto", "flask", "hypothesis", "ruff", "cyclonedx-python-lib"})


def test_the_same_set_gives_the_same_bill(bill: dict[str, Any]) -> None:
    assert write_bill() == bill


@pytest.mark.slow
def test_the_bill_is_what_cyclonedx_specifies(bill: dict[str, Any]) -> None:
    # The validator takes four seconds to import.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
