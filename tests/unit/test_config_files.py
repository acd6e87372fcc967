"""The files that configure: what ships, and what the engineer puts over it.

`messages.toml` is the wording, `alerts.toml` the policies of the alerts, `people.toml` whom an address means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.sandbox.samples import SAMPLES
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import defaults_folder, load_messages
from bot.settings.people import load_people_rules
from bot.slack.render.templates import check_wording, words_for
from bot.triage.model import Choice
from bot.triage.outcomes import TEXTS, Outcome
from bot.triage.people import NOT_MAPPED, PeopleRules, Target
from bot.triage.policy import AlertPolicies, AlertPolicy, AskWhen, NoteRule, Wait

MESSAGES = """
[question]
ask = "Was this you, {email}?"
greeting = "Hello."
[answers]
yes = "Thanks, {name} ({email})."
"""
ALERTS = """
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
RULES = """
[domains]
"Mozilla.com" = "example.org"
"example.net" = "example.net"
[people]
"Ada@mozilla.com" = "ada.l@example.org"
"grace@mozilla.com" = "U024BE7LH"
"""
NEVER = Wait(is_set=True, after=None)


def of_outcomes(tables: Mapping[str, Sequence[str]]) -> str:
    """Return what must be there because of the outcomes, as TOML."""
    return "".join(
        f"[{table}]\n" + "".join(f'{key} = "Told."\n' for key in keys) for table, keys in tables.items()
    )


@pytest.fixture
def defaults(tmp_path: Path) -> Path:
    """What ships, as these tests have it."""
    folder = tmp_path / "defaults"
    folder.mkdir()
    (folder / "messages.toml").write_text(MESSAGES + of_outcomes(TEXTS))
    (folder / "alerts.toml").write_text(ALERTS)
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def load(name: str, mine: Path, defaults: Path, content: str | bytes) -> object:
    (mine / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    if name == "people.toml":
        return load_people_rules(mine)
    return (load_messages if name == "messages.toml" else load_alert_policies)(mine, defaults=defaults)


def problems(name: str, mine: Path, defaults: Path, content: str | bytes) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(name, mine, defaults, content)
    return caught.value.problems


def overlaid(mine: Path, defaults: Path, text: str) -> AlertPolicies:
    policies = load("alerts.toml", mine, defaults, text)
    assert isinstance(policies, AlertPolicies)
    return policies


# What is wrong


#: What may be wrong in a file, and what is said of it.
IN_MESSAGES = """
[anwsers] → [anwsers] is not known; expected one of answer, answers, button, card, question
answers = "x" → answers is not a table; expected [answers] with keys below it
question.aks = "x" → [question] aks is not known; expected one of ask, greeting
question.ask = 5 → [question] ask is 5; expected a text in quotes
question.ask = " " → [question] ask is ' '; expected a text in quotes
question.ask = "\\u200b" → [question] ask is '\\u200b'; expected a text in quotes
question.ask = "{name}?" → [question] ask has the placeholder {name}; expected {email}
question.ask = "{}" → [question] ask has the placeholder {}; expected {email}
question.ask = "{email!r}" → [question] ask has the placeholder {email!r}; expected {email}
question.ask = "{email:>9}" → [question] ask has the placeholder {email:>9}; expected {email}
question.ask = "{email.x}" → [question] ask has the placeholder {email.x}; expected {email}
question.greeting = "Hi {email}" → [question] greeting has the placeholder {email}; expected no placeholder
question.ask = "{email" → [question] ask has an unmatched brace; expected {{ or }} for a literal brace
question.ask = "email}" → [question] ask has an unmatched brace; expected {{ or }} for a literal brace
"""
IN_ALERTS = """
defaults.title = "x" → [defaults] is not known; expected one of alert, default
default = "x" → default is not a table; expected [default] with keys below it
alert = 1 → alert is not a table; expected [alert] with keys below it
alert.title = "x" → [alert] title is not a table; expected [alert.LABEL] with keys below it
[alert.""] → [alert.""] has a label of the wrong length; expected 1 to 255 characters
default.note = "never" → [default] note is not a table; expected [default.note] with keys below it
alert.vpn.titel = "x" → [alert.vpn] titel is not known; expected one of KEYS
alert.vpn.note.nein = "x" → [alert.vpn.note] nein is not known; expected one of no, notSure, wrongUser, yes
default.security_channel.odd = true → [default.security_channel] odd is not known; expected one of OUTCOMES
default.words.about = "x" → [default.words] about is not known; expected one of WORDS
default.ask = "later" → [default] ask is 'later'; expected "at-once" or "working-hours"
default.note.yes = "ask" → [default.note] yes is 'ask'; expected "never" or "offered" or "required"
alert.vpn.note.no = "never" → [alert.vpn.note] no is 'never'; expected "offered" or "required"
alert.vpn.note.notSure = false → [alert.vpn.note] notSure is False; expected "offered" or "required"
alert."a.b".security_channel.no = "y" → [alert."a.b".security_channel] no is 'y'; expected true or false
default.security_channel.no = 1 → [default.security_channel] no is 1; expected true or false
default.remind_after = "4 hours" → [default] remind_after is '4 hours'; expected DURATION
default.expire_after = 4 → [default] expire_after is '4'; expected DURATION
default.title = 5 → [default] title is 5; expected one line in quotes, at most 150 characters
default.title = "\u3164" → [default] title is '\u3164'; expected one line in quotes, at most 150 characters
default.title = "a\\nb" → [default] title is 'a\\nb'; expected one line in quotes, at most 150 characters
default.words.ask = 5 → [default.words] ask is 5; expected a text in quotes
default.words.ask = "{summary}?" → [default.words] ask has the placeholder {summary}; expected {user}
alert.vpn.words.button_yes = "{user}" → BUTTON has the placeholder {user}; expected no placeholder
alert.vpn.words.button_yes = "{" → BUTTON has an unmatched brace; expected {{ or }} for a literal brace
default.words.button_yes = "76x" → [default.words] button_yes has up to 76 characters; expected at most 75
default.words.ask = "12{user}" → [default.words] ask has up to 3048 characters; expected at most 3000
"""
IN_PEOPLE = """
strict = 1 → strict is 1; expected true or false
[person] → person is not known; expected one of domains, factor, people, strict
people = 1 → people is not a table; expected [people] with keys below it
people.strict = true → [people] "strict" is below a table; expected it above the first one
domains.mozilla.com = "a.b" → [domains] "mozilla" is cut at a dot; expected the whole key in quotes
domains."@a.b" = "a.b" → [domains] "@a.b" is not a domain; expected a domain in quotes
domains."a.b" = "c@a.b" → [domains] "a.b" is 'c@a.b'; expected a domain in quotes
people."ada" = "U024BE7LH" → [people] "ada" is not an address; expected an address in quotes
people."a@b.c" = "ada" → [people] "a@b.c" is 'ada'; expected ADDRESS
people."a@b.c" = "u024be7lh" → [people] "a@b.c" is 'u024be7lh'; expected ADDRESS
people."a@b.c" = 7 → [people] "a@b.c" is 7; expected ADDRESS
people."a@b.c" = "d@é.e" → [people] "a@b.c" is 'd@é.e'; expected ADDRESS
people={"a@b.c"="U0A", "A@b.c"="U0B"} → [people] "A@b.c" appears twice, ignoring case; expected once
"""
#: What stands for more in them.
MORE = {
    "BUTTON": "[alert.vpn.words] button_yes",
    "ADDRESS": "an address, or a Slack id (U… or W…), in quotes",
    "KEYS": "ask, expire_after, factor, no_advice, note, remind_after, security_channel, title, words",
    "WORDS": "ask, button_no, button_notSure, button_wrongUser, button_yes, notification",
    "OUTCOMES": ", ".join(sorted(Outcome)),
    "DURATION": "a duration such as 90s, 15m, 4h or 2d, or 0 for never",
    "76x": "x" * 76,
    "12{user}": "{user}" * 12,
}


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        *(("messages.toml", line) for line in IN_MESSAGES.strip().splitlines()),
        *(("alerts.toml", line) for line in IN_ALERTS.strip().splitlines()),
        *(("people.toml", line) for line in IN_PEOPLE.strip().splitlines()),
    ],
)
def test_a_mistake_is_told_with_its_file_table_and_key(
    mine: Path, defaults: Path, name: str, mistake: str
) -> None:
    for word, meant in MORE.items():
        mistake = mistake.replace(word, meant)
    text, _, sentence = mistake.partition(" → ")

    [told] = problems(name, mine, defaults, text)

    assert told == f"{mine / name}: {sentence}"


def test_all_problems_of_a_file_are_told_together(mine: Path, defaults: Path) -> None:
    messages = '[question]\nask = 1\ngreeting = 2\n[other]\nkey = "x"\n'
    alerts = "[default]\ntitle = 1\nask = 2\n[alert.vpn]\nremind_after = -1\n[alert.vpn.note]\nno = 3\n"

    assert len(problems("messages.toml", mine, defaults, messages)) == 3
    assert len(problems("alerts.toml", mine, defaults, alerts)) == 4


@pytest.mark.parametrize("name", ["messages.toml", "alerts.toml", "people.toml"])
@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"[default", "at end of document"),
        (b'default "x"', "at line 1"),
        (b'title = "\xff"', "decode"),
        (b"a = " + b"[" * 9999, ""),
    ],
)
def test_what_is_no_toml_is_named(mine: Path, defaults: Path, name: str, content: bytes, detail: str) -> None:
    [told] = problems(name, mine, defaults, content)

    assert told.startswith(f"{mine / name} cannot be read (")
    assert detail in told
    assert told.endswith("expected a TOML file in UTF-8")


@pytest.mark.parametrize("name", ["messages.toml", "alerts.toml", "people.toml"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_to_no_file_is_told_and_the_defaults_do_not_count(
    mine: Path, name: str, target: str
) -> None:
    (mine / name).symlink_to(mine / (name if target == "itself" else "gone"))
    loads: Mapping[str, Callable[[Path], object]] = {
        "messages.toml": load_messages,
        "alerts.toml": load_alert_policies,
        "people.toml": load_people_rules,
    }

    with pytest.raises(ConfigError, match=f"{mine / name} cannot be read"):
        loads[name](mine)


@pytest.mark.parametrize("table", TEXTS)
def test_an_outcome_without_its_text_is_found_at_once(table: str, mine: Path, defaults: Path) -> None:
    *others, forgotten = TEXTS[table]
    (defaults / "messages.toml").write_text(of_outcomes({**TEXTS, table: others}))

    with pytest.raises(ConfigError, match=rf"messages\.toml: \[{table}\] {forgotten} is missing"):
        load_messages(mine, defaults=defaults)


# The wording


def test_the_wording_that_ships_can_be_read_and_put_over_itself(mine: Path, defaults: Path) -> None:
    messages = load_messages()

    assert messages
    assert all(text for keys in messages.values() for text in keys.values())
    assert load_messages(defaults_folder()) == messages
    assert load_messages(mine, defaults=defaults) == load_messages(defaults=defaults)  # mine has no file


def test_a_text_is_overridden_and_all_others_stay(mine: Path, defaults: Path) -> None:
    (mine / "messages.toml").write_text('[answers]\nyes = "Ta, {name}! {{braces}}"\n')

    messages = load_messages(mine, defaults=defaults)

    assert messages["answers"]["yes"].format(name="Ada") == "Ta, Ada! {braces}"
    assert messages["question"] == {"ask": "Was this you, {email}?", "greeting": "Hello."}


# The alerts


def test_the_default_that_ships_is_the_one_that_counts_without_a_file(mine: Path, defaults: Path) -> None:
    assert load_alert_policies().default == AlertPolicy()
    assert load_alert_policies(defaults_folder()) == load_alert_policies()
    assert load_alert_policies(mine, defaults=defaults) == load_alert_policies(defaults=defaults)


def test_each_known_alert_has_a_title_of_its_own_and_words_that_slack_takes() -> None:
    policies, messages = load_alert_policies(), load_messages()

    assert set(policies.by_label) == set(SAMPLES)
    assert len({policies.of(label).title for label in SAMPLES} | {policies.default.title}) == 5
    assert all(policies.of(label).wording for label in SAMPLES)
    for label in SAMPLES:
        check_wording(words_for(policies.of(label), messages))


def test_what_an_alert_leaves_out_is_as_in_the_default_and_so_is_an_unknown_one(defaults: Path) -> None:
    policies = load_alert_policies(defaults=defaults)

    assert policies.of("vpn") == AlertPolicy(
        title="VPN",
        remind_after=Wait(is_set=True, after=timedelta(hours=2)),
        expire_after=Wait(is_set=True, after=timedelta(days=3)),
        ask=AskWhen.AT_ONCE,
        notes=dict.fromkeys(Choice, NoteRule.OFFERED),
        cards=AlertPolicy().cards | {Outcome.YES},
        wording={"ask": "Was it you, {user}?"},
    )
    assert policies.of("brand_new") is policies.default
    assert policies.default.title == "Alert"


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
    assert len(problems("alerts.toml", mine, defaults, f'alert.vpn.words.{word} = "{text}x"\n')) == 1


# The people


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
def test_whom_no_rule_names_is_looked_up_unless_rules_are_strict(tmp_path: Path, address: str) -> None:
    assert rules_of(tmp_path, RULES).target(address) == Target(wanted=address)
    assert rules_of(tmp_path, f"strict = true\n{RULES}").target(address) == NOT_MAPPED


def test_the_people_that_ship_are_nobody_and_the_examples_are_valid(tmp_path: Path) -> None:
    shipped = (defaults_folder() / "people.toml").read_text().splitlines()
    lines = [line.removeprefix("#") for line in shipped if line.startswith(('#"', "#[", "#strict"))]

    assert load_people_rules() == load_people_rules(tmp_path) == PeopleRules()
    examples = rules_of(tmp_path, "\n".join(lines))
    assert (len(examples.people), len(examples.domains), examples.strict) == (2, 1, True)
