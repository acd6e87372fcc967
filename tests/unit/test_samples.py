"""The samples that Slack is asked about, and how a fault in one leads to the text of the site's."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from wording import WORDING

from bot.settings.alerts import load_alert_policies
from bot.slack.render.samples import samples_of
from bot.triage.policy import AlertPolicies, AlertPolicy

ALERTS = AlertPolicies(
    default=AlertPolicy(title="Alert", wording={"button_no": "No"}),
    by_label={
        "vpn": AlertPolicy(title="VPN", wording={"button_no": "No", "ask": "You?"}),
        "a.b": AlertPolicy(title="Alert", wording={"ask": "Hm?"}),
        "same": AlertPolicy(title="Alert", wording={"button_no": "No"}),
    },
)
SAMPLES = {sample.name: sample for sample in samples_of(WORDING, ALERTS)}


def test_every_text_stands_in_a_sample_and_is_known_by_its_mark() -> None:
    drawn = samples_of(WORDING, load_alert_policies())
    shown = set("".join(json.dumps(each.marked, ensure_ascii=False) for each in drawn))

    unseen = {str(place) for mark, place in drawn[0].places.items() if mark not in shown}
    assert unseen == {"[text] empty"}  # a text of its own only in place of none


def test_a_kind_of_alert_without_words_of_its_own_has_no_sample_of_its_own() -> None:
    assert [name for name in SAMPLES if name.startswith("the question of")] == [
        "the question of vpn",
        "the question of a.b",
    ]


@pytest.mark.parametrize(
    ("name", "pointer", "place"),
    [
        ("the question", "/text", "[question] notification"),
        ("the question", "/blocks/0/text/text", "[default] title"),
        ("the question", "/message/blocks/0/text/text", "[default] title"),
        ("the question", "/blocks/4/elements/0/elements/2/text", "[question] ask"),
        ("the question", "/blocks/5/elements/1/text/text", "[default.words] button_no"),
        ("the question", "/blocks/5/elements/1/confirm/title/text", "[confirm_no] title"),
        ("the question", "/blocks/5/elements/2/confirm/text", "[confirm_wrong_user] text"),
        ("the question of vpn", "/blocks/0", "[alert.vpn] title"),
        ("the question of vpn", "/blocks/4", "[alert.vpn.words] ask"),
        ("the question of vpn", "/blocks/5/elements/1/text", "[default.words] button_no"),
        ("the question of a.b", "/blocks/4", '[alert."a.b".words] ask'),
        ("the window for a note", "/view/title/text", "[note] title"),
        ("the window for a note", "/blocks/1/label", "[note] label"),
        ("the empty Home", "/blocks/1", "[home] none"),
        ("the question", "/blocks/99", "[question] ask"),
        ("the question", "", "[question] ask"),
        ("the question", "/metadata", "None"),
    ],
)
def test_a_pointer_leads_to_the_text_that_stands_there(name: str, pointer: str, place: str) -> None:
    assert str(SAMPLES[name].place_of(pointer)) == place


def test_a_long_text_is_to_blame_where_several_stand() -> None:
    wording = {**WORDING, "answer": {**WORDING["answer"], "no": "n" * 900}}
    sample = next(each for each in samples_of(wording, ALERTS) if each.name == "the question after no")

    assert str(sample.place_of("/blocks")) == "[answer] no"
    assert replace(sample, places={}).place_of("/blocks") is None
