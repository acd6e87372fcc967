"""The policy of an alert: what it says, and what it leaves to the settings."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.settings.messages import load_messages
from bot.triage.model import Choice
from bot.triage.outcomes import Outcome
from bot.triage.policy import WORDS, AlertPolicies, AlertPolicy, NoteRule, Wait

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("setting", [None, HOUR])
def test_where_a_policy_says_nothing_the_setting_counts(setting: timedelta | None) -> None:
    assert AlertPolicy().remind_after.or_default(setting) == setting
    assert AlertPolicy().expire_after.or_default(setting) == setting


@pytest.mark.parametrize("after", [None, 2 * HOUR])
def test_what_a_policy_says_counts_and_never_is_something_to_say(after: timedelta | None) -> None:
    assert Wait(is_set=True, after=after).or_default(HOUR) == after


def test_a_note_is_offered_with_every_answer_but_a_yes() -> None:
    offered = {choice for choice, rule in AlertPolicy().notes.items() if rule is NoteRule.OFFERED}

    assert offered == set(Choice) - {Choice.YES}
    assert set(AlertPolicy().notes) == set(Choice)


def test_the_security_team_sees_all_but_a_yes() -> None:
    assert AlertPolicy().cards == set(Outcome) - {Outcome.YES}


def test_an_alert_is_known_by_its_label_to_the_letter() -> None:
    vpn = AlertPolicy(title="VPN")
    policies = AlertPolicies(by_label={"vpn": vpn})

    assert policies.of("vpn") is vpn
    assert policies.of("VPN") == AlertPolicy()


def test_an_alerts_own_words_stand_in_for_the_common_ones_and_change_nothing_else() -> None:
    common = load_messages()
    own = AlertPolicy(wording={"ask": "You?", "button_notSure": "Dunno"})

    wording = own.reword(common)

    assert wording["question"] == {**common["question"], "ask": "You?"}
    assert wording["button"] == {**common["button"], "notSure": "Dunno"}
    assert {**wording, "question": common["question"], "button": common["button"]} == common
    assert common == load_messages()


def test_every_word_that_an_alert_may_change_is_there() -> None:
    common = load_messages()

    assert all(common[table][key] for table, key in WORDS.values())
