"""Who is meant by an address: `people.toml`, and what its rules make of addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot.errors import ConfigError
from bot.settings.messages import defaults_folder
from bot.settings.people import load_people_rules
from bot.triage.people import NOT_MAPPED, PeopleRules, Target

if TYPE_CHECKING:
    from pathlib import Path

RULES = """
[domains]
"Mozilla.com" = "example.org"
"example.net" = "example.net"
[people]
"Ada@mozilla.com" = "ada.l@example.org"
"grace@mozilla.com" = "U024BE7LH"
"""


def rules_of(folder: Path, text: str) -> PeopleRules:
    (folder / "people.toml").write_text(text)
    return load_people_rules(folder)


@pytest.mark.parametrize(
    ("address", "wanted", "rule"),
    [
        ("ada@mozilla.com", "ada.l@example.org", '[people] "ada@mozilla.com" = "ada.l@example.org"'),
        ("ADA@MOZILLA.COM", "ada.l@example.org", '[people] "ada@mozilla.com" = "ada.l@example.org"'),
        ("grace@Mozilla.com", "U024BE7LH", '[people] "grace@mozilla.com" = "U024BE7LH"'),
        ("Alan.T@mozilla.COM", "Alan.T@example.org", '[domains] "mozilla.com" = "example.org"'),
        ("alan@example.net", "alan@example.net", '[domains] "example.net" = "example.net"'),
    ],
)
@pytest.mark.parametrize("strict", ["", "strict = true\n"])
def test_a_person_goes_before_a_domain_and_capitals_make_no_difference(
    tmp_path: Path, strict: str, address: str, wanted: str, rule: str
) -> None:
    assert rules_of(tmp_path, strict + RULES).target(address) == Target(wanted=wanted, rule=rule)


@pytest.mark.parametrize(
    "address", ["alan@example.org", "alan@sub.mozilla.com", "alan@mozilla.com.evil.example"]
)
def test_whom_no_rule_names_is_looked_up_as_they_come_unless_rules_are_strict(
    tmp_path: Path, address: str
) -> None:
    assert rules_of(tmp_path, RULES).target(address) == Target(wanted=address)
    assert rules_of(tmp_path, f"strict = true\n{RULES}").target(address) == NOT_MAPPED


def test_the_file_that_ships_says_nothing_and_its_examples_are_valid(tmp_path: Path) -> None:
    shipped = (defaults_folder() / "people.toml").read_text()
    lines = [
        line.removeprefix("#") for line in shipped.splitlines() if line.startswith(('#"', "#[", "#strict"))
    ]

    assert load_people_rules() == load_people_rules(tmp_path) == PeopleRules()
    examples = rules_of(tmp_path, "\n".join(lines))
    assert (len(examples.people), len(examples.domains), examples.strict) == (2, 1, True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("strict = 1", "strict is 1; expected true or false"),
        ("[person]", "person is not known; expected one of domains, people, strict"),
        ("people = 1", "people is not a table; expected [people] with keys below it"),
        (
            "[people]\nstrict = true",
            '[people] "strict" stands below a table; expected it above the first one',
        ),
        (
            '[domains]\nmozilla.com = "a.b"',
            '[domains] "mozilla" is cut at a dot; expected the whole key in quotes',
        ),
        ('[domains]\n"@a.b" = "a.b"', '[domains] "@a.b" is not a domain; expected a domain in quotes'),
        ('[domains]\n"a.b" = "c@a.b"', "[domains] \"a.b\" is 'c@a.b'; expected a domain in quotes"),
        ('[people]\n"ada" = "U024BE7LH"', '[people] "ada" is not an address; expected an address in quotes'),
        ('[people]\n"a@b.c" = "ada"', "[people] \"a@b.c\" is 'ada'; expected an address, or a Slack id"),
        (
            '[people]\n"a@b.c" = "u024be7lh"',
            "[people] \"a@b.c\" is 'u024be7lh'; expected an address, or a Sl",
        ),
        ('[people]\n"a@b.c" = 7', '[people] "a@b.c" is 7; expected an address, or a Slack id'),
        ('[people]\n"a@b.c" = "d@é.e"', "[people] \"a@b.c\" is 'd@é.e'; expected an address, or"),
        ('[people]\n"a@b.c"="U0A"\n"A@b.c"="U0B"', '[people] "A@b.c" is there twice; expected it once'),
        (
            '[people]\n"a@b.c" "U024BE7LH"',
            "cannot be read (Expected '=' after a key in a key/value pair (at line 2",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_key_or_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules_of(tmp_path, text)

    [told] = caught.value.problems
    assert told.removeprefix(str(tmp_path / "people.toml")).lstrip(": ").startswith(problem)
