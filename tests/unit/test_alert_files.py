"""The policies of the alerts: what ships, and what the engineer puts over it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.sandbox.samples import SAMPLES
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import defaults_folder, load_messages
from bot.slack.render.templates import check_wording, words_for
from bot.triage.model import Choice
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, AskWhen, NoteRule, Wait

DEFAULTS = """
[default]
title = "Alert"
remind_after = "2h"
[alert.vpn]
title = "VPN"
expire_after = "3d"
[alert.vpn.words]
ask = "Was it you, {user}?"
[alert.vpn.note]
yes = "offered"
[alert.vpn.security_channel]
yes = true
"""
A_DURATION = "a duration such as 90s, 15m, 4h or 2d, or 0 for never"
NEVER = Wait(is_set=True, after=None)


@pytest.fixture
def defaults(tmp_path: Path) -> Path:
    folder = tmp_path / "defaults"
    folder.mkdir()
    (folder / "alerts.toml").write_text(DEFAULTS)
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def overlaid(mine: Path, defaults: Path, text: str) -> AlertPolicies:
    (mine / "alerts.toml").write_text(text, encoding="utf-8")
    return load_alert_policies(mine, defaults=defaults)


def problems(mine: Path, defaults: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        overlaid(mine, defaults, text)
    return caught.value.problems


def test_the_default_that_ships_is_the_one_that_counts_without_a_file() -> None:
    assert load_alert_policies().default == AlertPolicy()


def test_each_known_alert_has_a_title_of_its_own_and_words_that_slack_takes() -> None:
    policies, messages = load_alert_policies(), load_messages()

    assert set(policies.by_label) == set(SAMPLES)
    assert len({policies.of(label).title for label in SAMPLES} | {policies.default.title}) == 5
    assert all(policies.of(label).wording for label in SAMPLES)
    for label in SAMPLES:
        check_wording(words_for(policies.of(label), messages))


def test_the_file_that_ships_can_be_put_over_itself() -> None:
    assert load_alert_policies(defaults_folder()) == load_alert_policies()


def test_an_unknown_label_has_the_default(defaults: Path) -> None:
    policies = load_alert_policies(defaults=defaults)

    assert policies.of("brand_new") is policies.default
    assert policies.default.title == "Alert"


def test_what_an_alert_leaves_out_is_as_in_the_default(defaults: Path) -> None:
    vpn = load_alert_policies(defaults=defaults).of("vpn")

    assert vpn.title == "VPN"
    assert vpn.remind_after == Wait(is_set=True, after=timedelta(hours=2))
    assert vpn.expire_after == Wait(is_set=True, after=timedelta(days=3))
    assert vpn.ask is AskWhen.AT_ONCE
    assert vpn.notes == {
        Choice.YES: NoteRule.OFFERED,
        Choice.NO: NoteRule.OFFERED,
        Choice.NOT_SURE: NoteRule.OFFERED,
        Choice.WRONG_USER: NoteRule.OFFERED,
    }
    assert vpn.cards == frozenset(Outcome)


def test_a_folder_without_the_file_changes_nothing(mine: Path, defaults: Path) -> None:
    assert load_alert_policies(mine, defaults=defaults) == load_alert_policies(defaults=defaults)


def test_a_key_is_overridden_and_all_others_stay(mine: Path, defaults: Path) -> None:
    notes = 'note.yes = "required"\nnote.wrongUser = "never"\n'
    policies = overlaid(mine, defaults, f'[alert.vpn]\nask = "working-hours"\n{notes}')

    vpn = policies.of("vpn")
    assert vpn.ask is AskWhen.WORKING_HOURS
    assert vpn.notes[Choice.YES] is NoteRule.REQUIRED
    assert vpn.notes[Choice.WRONG_USER] is NoteRule.NEVER
    assert vpn.title == "VPN"
    assert vpn.wording == {"ask": "Was it you, {user}?"}
    assert policies.default == load_alert_policies(defaults=defaults).default


def test_a_new_default_holds_for_every_alert_that_does_not_differ(mine: Path, defaults: Path) -> None:
    text = "[default]\nremind_after = 0\nexpire_after = '0'\nsecurity_channel.no = false\ntitle = 'Mine'\n"

    policies = overlaid(mine, defaults, text)

    assert policies.of("vpn").remind_after == policies.default.remind_after == NEVER
    assert policies.default.expire_after == NEVER
    assert policies.of("vpn").expire_after.after == timedelta(days=3)
    assert Outcome.NO not in policies.of("vpn").cards | policies.default.cards
    assert (policies.of("vpn").title, policies.default.title) == ("VPN", "Mine")


def test_an_alert_that_does_not_ship_can_be_added(mine: Path, defaults: Path) -> None:
    policies = overlaid(mine, defaults, '[alert."new.sort of alert"]\ntitle = "Ärger, ¡hola!"\n')

    assert policies.of("new.sort of alert").title == "Ärger, ¡hola!"
    assert policies.of("new.sort of alert").remind_after == policies.default.remind_after


def test_braces_are_meant_as_in_the_other_wording(mine: Path, defaults: Path) -> None:
    text = '[alert.vpn.words]\nask = "{{a}} {user}"\nbutton_no = "{{b}}"\n'

    wording = overlaid(mine, defaults, text).of("vpn").reword(load_messages())

    assert wording["question"]["ask"].format(user="ada") == "{a} ada"
    assert wording["button"]["no"] == "{b}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[defaults]\ntitle = "x"', "[defaults] is not known; expected one of alert, default"),
        ('default = "x"', "default is not a table; expected [default] with keys below it"),
        ("alert = 1", "alert is not a table; expected [alert] with keys below it"),
        ('[alert]\ntitle = "x"', "[alert] title is not a table; expected [alert.LABEL] with keys below it"),
        ('[alert.""]', '[alert.""] has a label of the wrong length; expected 1 to 255 characters'),
        (
            '[default]\nnote = "never"',
            "[default] note is not a table; expected [default.note] with keys below it",
        ),
        (
            '[alert.vpn]\ntitel = "x"',
            (
                "[alert.vpn] titel is not known; expected one of"
                " ask, expire_after, note, remind_after, security_channel, title, words"
            ),
        ),
        (
            '[alert.vpn.note]\nwronguser = "never"',
            "[alert.vpn.note] wronguser is not known; expected one of no, notSure, wrongUser, yes",
        ),
        (
            "[default.security_channel]\nsometimes = true",
            (
                "[default.security_channel] sometimes is not known; expected one of"
                f" {', '.join(sorted(Outcome))}"
            ),
        ),
        (
            '[default.words]\nabout = "x"',
            (
                "[default.words] about is not known; expected one of"
                " ask, button_no, button_notSure, button_wrongUser, button_yes, notification"
            ),
        ),
        (
            '[default]\nask = "later"',
            '[default] ask is \'later\'; expected "at-once" or "working-hours"',
        ),
        (
            '[default.note]\nyes = "ask"',
            '[default.note] yes is \'ask\'; expected "never" or "offered" or "required"',
        ),
        (
            '[alert.vpn.note]\nno = "never"',
            '[alert.vpn.note] no is \'never\'; expected "offered" or "required"',
        ),
        (
            "[alert.vpn.note]\nnotSure = false",
            '[alert.vpn.note] notSure is False; expected "offered" or "required"',
        ),
        (
            '[alert."a.b".security_channel]\nno = "yes"',
            "[alert.\"a.b\".security_channel] no is 'yes'; expected true or false",
        ),
        ("[default.security_channel]\nno = 1", "[default.security_channel] no is 1; expected true or false"),
        (
            '[default]\nremind_after = "4 hours"',
            f"[default] remind_after is '4 hours'; expected {A_DURATION}",
        ),
        (
            "[default]\nexpire_after = 4",
            f"[default] expire_after is '4'; expected {A_DURATION}",
        ),
        ("[default]\ntitle = 5", "[default] title is 5; expected one line in quotes, at most 150 characters"),
        (
            '[default]\ntitle = "a\\nb"',
            "[default] title is 'a\\nb'; expected one line in quotes, at most 150 characters",
        ),
        ("[default.words]\nask = 5", "[default.words] ask is 5; expected a text in quotes"),
        (
            '[default.words]\nask = "{summary}?"',
            "[default.words] ask has the placeholder {summary}; expected {user}",
        ),
        (
            '[default.words]\nbutton_yes = "{user}"',
            "[default.words] button_yes has the placeholder {user}; expected no placeholder",
        ),
        (
            '[default.words]\nbutton_yes = "{"',
            "[default.words] button_yes has an unmatched brace; expected {{ or }} for a literal brace",
        ),
        (
            f'[default.words]\nbutton_yes = "{"x" * 76}"',
            "[default.words] button_yes has up to 76 characters; expected at most 75",
        ),
        (
            f'[default.words]\nask = "{"{user}" * 12}"',
            "[default.words] ask has up to 3048 characters; expected at most 3000",
        ),
    ],
)
def test_a_mistake_is_told_with_its_file_table_and_key(
    mine: Path, defaults: Path, text: str, sentence: str
) -> None:
    assert problems(mine, defaults, text) == (f"{mine / 'alerts.toml'}: {sentence}",)


def test_all_problems_of_the_file_are_told_together(mine: Path, defaults: Path) -> None:
    text = "[default]\ntitle = 1\nask = 2\n[alert.vpn]\nremind_after = -1\n[alert.vpn.note]\nno = 3\n"

    assert len(problems(mine, defaults, text)) == 4


@pytest.mark.parametrize("content", [b"[default", b'[default]\ntitle = "\xff"'])
def test_a_file_that_is_no_toml_is_named(mine: Path, defaults: Path, content: bytes) -> None:
    (mine / "alerts.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"alerts\.toml cannot be read") as caught:
        load_alert_policies(mine, defaults=defaults)

    assert "expected a TOML file" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("ask", "{user}" + "x" * (3000 - 254)),
        ("notification", "{user}{summary}" + "x" * (1000 - 554)),
        *((f"button_{choice}", "x" * 75) for choice in Choice),
    ],
)
def test_words_at_the_limit_are_taken_here_and_by_slack_and_one_more_is_too_much(
    mine: Path, defaults: Path, word: str, text: str
) -> None:
    policies = overlaid(mine, defaults, f'[alert.vpn.words]\n{word} = "{text}"\n')

    check_wording(words_for(policies.of("vpn"), load_messages()))
    assert len(problems(mine, defaults, f'[alert.vpn.words]\n{word} = "{text}x"\n')) == 1
