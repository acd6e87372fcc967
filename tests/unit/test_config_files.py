"""The wording: what ships, and what the engineer puts over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.settings.messages import defaults_folder, load_messages
from bot.triage.outcomes import TEXTS

DEFAULTS = """
[question]
ask = "Was this you, {email}?"
greeting = "Hello."
[answers]
yes = "Thanks, {name} ({email})."
"""


def of_outcomes(tables: Mapping[str, Sequence[str]]) -> str:
    """Return what must be there because of the outcomes, as TOML."""
    return "".join(
        f"[{table}]\n" + "".join(f'{key} = "Told."\n' for key in keys) for table, keys in tables.items()
    )


@pytest.fixture
def defaults(tmp_path: Path) -> Path:
    folder = tmp_path / "defaults"
    folder.mkdir()
    (folder / "messages.toml").write_text(DEFAULTS + of_outcomes(TEXTS))
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def problems(mine: Path, defaults: Path, text: str) -> tuple[str, ...]:
    (mine / "messages.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_messages(mine, defaults=defaults)
    return caught.value.problems


def test_the_wording_that_ships_can_be_read() -> None:
    messages = load_messages()

    assert messages
    assert all(text for keys in messages.values() for text in keys.values())


def test_the_wording_that_ships_can_be_put_over_itself() -> None:
    assert load_messages(defaults_folder()) == load_messages()


def test_a_key_is_overridden_and_all_others_stay(mine: Path, defaults: Path) -> None:
    (mine / "messages.toml").write_text('[answers]\nyes = "Ta, {name}! {{braces}}"\n')

    messages = load_messages(mine, defaults=defaults)

    assert messages["answers"]["yes"].format(name="Ada") == "Ta, Ada! {braces}"
    assert messages["question"] == {"ask": "Was this you, {email}?", "greeting": "Hello."}


def test_a_folder_without_the_file_changes_nothing(mine: Path, defaults: Path) -> None:
    assert load_messages(mine, defaults=defaults) == load_messages(defaults=defaults)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[anwsers]\nyes = "x"',
            "[anwsers] is not known; expected one of answer, answers, button, card, question",
        ),
        ('answers = "x"', "answers is not a table; expected [answers] with keys below it"),
        ('[question]\naks = "x"', "[question] aks is not known; expected one of ask, greeting"),
        ("[question]\nask = 5", "[question] ask is 5; expected a text in quotes"),
        ('[question]\nask = " "', "[question] ask is ' '; expected a text in quotes"),
        ('[question]\nask = "{name}?"', "[question] ask has the placeholder {name}; expected {email}"),
        ('[question]\nask = "{}"', "[question] ask has the placeholder {}; expected {email}"),
        ('[question]\nask = "{email!r}"', "[question] ask has the placeholder {email!r}; expected {email}"),
        ('[question]\nask = "{email:>9}"', "[question] ask has the placeholder {email:>9}; expected {email}"),
        ('[question]\nask = "{email.x}"', "[question] ask has the placeholder {email.x}; expected {email}"),
        (
            '[question]\ngreeting = "Hi {email}"',
            "[question] greeting has the placeholder {email}; expected no placeholder",
        ),
        (
            '[question]\nask = "{email"',
            "[question] ask has an unmatched brace; expected {{ or }} for a literal brace",
        ),
        (
            '[question]\nask = "email}"',
            "[question] ask has an unmatched brace; expected {{ or }} for a literal brace",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_file_and_table(
    mine: Path, defaults: Path, text: str, sentence: str
) -> None:
    assert problems(mine, defaults, text) == (f"{mine / 'messages.toml'}: {sentence}",)


def test_all_problems_of_the_file_are_told_together(mine: Path, defaults: Path) -> None:
    text = '[question]\nask = 1\ngreeting = 2\n[other]\nkey = "x"\n'

    assert len(problems(mine, defaults, text)) == 3


@pytest.mark.parametrize("content", [b"[question", b'[question]\nask = "\xff"'])
def test_a_file_that_is_no_toml_is_named(mine: Path, defaults: Path, content: bytes) -> None:
    (mine / "messages.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"messages\.toml cannot be read") as caught:
        load_messages(mine, defaults=defaults)

    assert "expected a TOML file" in caught.value.problems[0]


@pytest.mark.parametrize("table", TEXTS)
def test_an_outcome_without_its_text_is_found_before_anybody_needs_it(
    table: str, mine: Path, defaults: Path
) -> None:
    *others, forgotten = TEXTS[table]
    (defaults / "messages.toml").write_text(of_outcomes({**TEXTS, table: others}))

    with pytest.raises(ConfigError, match=rf"messages\.toml: \[{table}\] {forgotten} is missing"):
        load_messages(mine, defaults=defaults)
