"""Whom the worker asks about an address, and that both ids of a person on Enterprise Grid are theirs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wording import WORDING
from world import World, until
from world.slack_views import modal_of, open_home

from bot.sandbox.fake_slack.workspace import Person

RULES = """strict = true
[domains]
"mozilla.com" = "example.com"
"example.com" = "example.com"
[people]
"ada@mozilla.com" = "katherine@example.com"
"Pinned@mozilla.com" = "U0ALANTU004"
"gone@mozilla.com" = "U0NOBODY"
"""

#: Somebody on Enterprise Grid, whose address nobody has confirmed, and whom Slack calls by either id.
BY_EMAIL = Person(
    id="U0MILEVA99",
    name="mileva",
    real_name="Mileva",
    email="mileva@example.com",
    is_email_confirmed=False,
    enterprise_teams=("T0SANDBOX01",),
)
OTHER = Person(id="W0MILEVA99", name="mileva", real_name="Mileva")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, create_shared_world: Callable[..., World]) -> World:
    folder = tmp_path_factory.mktemp("people")
    (folder / "people.toml").write_text(RULES, encoding="utf-8")
    world = create_shared_world(CONFIG_DIR=str(folder), ASK_UNCONFIRMED="true")
    world.slack.admit(BY_EMAIL)
    world.slack.admit(OTHER)
    world.start()
    return world


@pytest.mark.parametrize(
    ("address", "asked", "rule"),
    [
        ("ADA@mozilla.com", "U0KATHER003", '[people] "ada@mozilla.com" = "katherine@example.com"'),
        ("pinned@mozilla.com", "U0ALANTU004", '[people] "pinned@mozilla.com" = "U0ALANTU004"'),
        ("Grace@Mozilla.com", "U0GRACEH002", '[domains] "mozilla.com" = "example.com"'),
    ],
)
def test_the_person_that_is_meant_is_asked_and_the_report_keeps_the_address(
    world: World, address: str, asked: str, rule: str
) -> None:
    identifier = world.send(user=address)

    question = world.slack.question(identifier)
    world.slack.press(question, "no")

    row, details = world.until_asked(identifier), world.reports(identifier)[0].details
    assert (question.channel, row["foundBy"], row["user"]) == (f"D{asked[1:]}", rule, address)
    assert (details["user"]["email"], details["user"]["slack"]) == (address, asked)


@pytest.mark.parametrize(
    ("address", "reason"), [("ada@elsewhere.example", "not_mapped"), ("gone@mozilla.com", "user_not_found ")]
)
def test_whoever_is_not_listed_or_not_there_is_not_asked(world: World, address: str, reason: str) -> None:
    identifier = world.send(user=address)

    details = world.reports(identifier)[0].details

    assert (details["user"]["email"], details["triagebot"]["reason"]) == (address, reason)


@pytest.mark.slow
def test_both_ids_of_a_person_are_theirs(world: World) -> None:
    slack = world.slack
    identifier = world.send(user="mileva@mozilla.com")
    question = slack.question(identifier)
    assert question.channel == "D0MILEVA99"

    assert "answer-no" in str(open_home(slack, OTHER.id))
    assert slack.press(question, "no", user=OTHER.id).acknowledged
    assert slack.redrawn(identifier, WORDING["answer"]["no"])
    assert slack.press(question, "", action_id="note", user=OTHER.id).acknowledged
    view = until(lambda: modal_of(slack, OTHER.id), what="the window for a note")
    values = {"note": {"text": {"type": "plain_text_input", "value": "It was the cleaner."}}}
    slack.run(slack.stand_in.submit_view(user=OTHER.id, view_id=view["id"], values=values))

    answer, note = world.reports(identifier, 2)
    assert answer.details["user"]["slack"] == BY_EMAIL.id
    assert note.details["triagebot"]["comment"] == "It was the cleaner."
    assert world.known_row(identifier)["askedSlackOther"] == OTHER.id
    assert not slack.told(OTHER.id)
