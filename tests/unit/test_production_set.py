"""What is installed in production: the lock."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[2]
LOCK = (CHECKOUT / "config" / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", LOCK, re.MULTILINE))


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
