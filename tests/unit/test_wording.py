"""Which texts of `messages.toml` Slack would refuse, and how a refusal leads to its text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from drawn import LONG_ADDRESS, POLICY, a_question, assert_slack_takes, wording_with
from fakes import NOON
from wording import WORDING

from bot.errors import ConfigError
from bot.sandbox.fake_slack.limits import problems_of_view
from bot.settings.alerts import load_alert_policies
from bot.slack.render.card import CardLinks, card_message
from bot.slack.render.home import home_view
from bot.slack.render.modals import note_view
from bot.slack.render.question import question_message, reminder_message
from bot.slack.render.samples import samples_of
from bot.slack.render.templates import Wording, check_wording
from bot.triage.listing import Listed
from bot.triage.model import Choice, Confidence, Fact, Question, TriageRequest
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy

#: Each field is as long as it can be.
LONGEST = TriageRequest(
    identifier="x" * 255,
    alert="x" * 255,
    summary="x" * 5000,
    user=LONG_ADDRESS,
    confidence=Confidence.LOWEST,
    occurred_at=NOON,
    facts=(Fact(name="x" * 40, value="x" * 300),) * 8,
    left_out=("x" * 100,) * 10,
)


#: How long Slack lets each text be, or we do, so that all of a message fits.
LIMITS: dict[int, str] = {
    24: "note.title note.submit note.close",
    30: "confirm_no.deny confirm_wrong_user.confirm",
    75: "button.yes note.button card.take",
    100: "confirm_no.title text.cut card.identifier card.left_out card.retracted",
    150: "home.open home.answered home.real",
    250: "confirm_wrong_user.text",
    300: "confirm_no.text",
    2000: "question.about question.when question.deadline answer.no answer.given answer.another"
    " answer.timedOut refusal.closed note.label note.thanks note.required reminder.text_open"
    " reminder.link home.none home.explanation card.link",
    3000: "question.ask",
}
each_limit = pytest.mark.parametrize(
    ("table", "key", "limit"),
    [(*name.split("."), limit) for limit, names in LIMITS.items() for name in names.split()],
)


@each_limit
def test_a_text_beyond_slacks_limit_is_refused_by_its_name(table: str, key: str, limit: int) -> None:
    with pytest.raises(ConfigError) as caught:
        check_wording(wording_with(table, key, "x" * (limit + 1)))

    [problem] = [each for each in caught.value.problems if "changed" not in each]
    assert f"[{table}] {key}" in problem
    assert str(limit) in problem


@each_limit
def test_a_text_at_slacks_limit_is_taken_and_slack_takes_it_too(table: str, key: str, limit: int) -> None:
    wording = wording_with(table, key, "x" * limit)

    check_wording(wording)

    long_one = replace(a_question(), request=LONGEST, deadline=NOON, notes=1, answered_at=NOON)
    for said in [None, Choice.YES, Choice.NO]:
        standing = Outcome(said) if said else Outcome.TIMED_OUT
        assert_slack_takes_all_of(replace(long_one, said=said, standing=standing, answers=2), wording)


def assert_slack_takes_all_of(question: Question, wording: Wording) -> None:
    """Draw everything that can be drawn of a question."""
    link = "https://sandbox.slack.com/archives/D0ADA/p1764000001000100"
    assert_slack_takes(question_message(question, wording, POLICY))
    assert_slack_takes(reminder_message(question, wording, POLICY, link=link))
    assert_slack_takes(
        card_message(question, wording, POLICY, CardLinks(workspace="https://sandbox.slack.com"))
    )
    for view in (
        note_view(question, wording, required_for="x" * 75),
        home_view(
            Listed(unanswered=[question], answered=[question], taken=[question]),
            wording,
            POLICY,
            links=CardLinks(workspace="https://sandbox.slack.com", channel="C0SECURITY"),
        ),
    ):
        assert problems_of_view(view) == []


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_of_a_card_has_room_for_the_longest_title_and_name(outcome: Outcome) -> None:
    room = 2000 - len(WORDING["card"]["changed"].format(outcome=""))
    text = "{title}{who}" + "x" * (room - 150 - 254)

    wording = wording_with("card", outcome, text)

    check_wording(wording)
    assert_slack_takes_all_of(replace(a_question(user=LONG_ADDRESS), standing=outcome), wording)
    with pytest.raises(ConfigError, match=r"\[card\]"):
        check_wording(wording_with("card", outcome, text + "x"))


@pytest.mark.parametrize(
    ("table", "key", "text"),
    [
        ("question", "ask", "{user}" * 12),
        ("answer", "changed", "x" * 2990 + "{answer}"),
        ("answer", "changed", "{answer}" * 40),
        ("question", "notification", "{summary}" * 4),
        ("reminder", "text", "{user}" * 8),
        ("reminder", "text", "{deadline}" * 26),
        ("home", "asked", "{title}" * 14),
        ("home", "said", "{choice}" * 27),
        ("card", "no", "{who}" * 8),
        ("card", "changed", "{outcome}" * 90),
        ("card", "taken", "{who}{date}" * 6),
        ("answer", "given", "{choice}{date}" * 13),
        ("note", "required", "{choice}" * 27),
        ("question", "when", "{date}" * 26),
    ],
)
def test_placeholders_count_as_what_they_may_become(table: str, key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[{table}\] {key}"):
        check_wording(wording_with(table, key, text))


def test_a_confirm_dialog_that_names_the_address_twice_still_fits() -> None:
    wording = wording_with("confirm_wrong_user", "text", "{user}? Are you sure about {user}?" + "x" * 200)
    check_wording(wording)

    assert_slack_takes(question_message(a_question(user=LONG_ADDRESS), wording, POLICY))


def test_all_texts_that_are_too_long_are_named_together_and_none_that_ships_is() -> None:
    check_wording(WORDING)
    confirm = dict.fromkeys(WORDING["confirm_no"], "y" * 999)
    wording = {**wording_with("button", "yes", "x" * 76), "confirm_no": confirm}

    with pytest.raises(ConfigError) as caught:
        check_wording(wording)

    assert len(caught.value.problems) == 5


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
