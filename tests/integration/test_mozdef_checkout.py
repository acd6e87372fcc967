"""The whole loop with MozDef's own code, on its Python with its packages and on this one with today's boto3.

It needs a checkout of mozilla/MozDef at d7d4dd1. `-s` prints the transcript:

    MOZDEF_CHECKOUT=/path/to/MozDef .venv/bin/pytest -m slow -n0 -s tests/integration/test_mozdef_checkout.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mozdef_checkout import MozDef, new_python, old_python
from mozdef_guide import guide_commands, run_commands
from mozdef_program import Program
from world import World, buttons, paragraphs, until
from world.slack import newcomer

from bot.sqs.wire import write_report
from bot.triage.model import Choice, Confidence, Report
from bot.triage.outcomes import Outcome

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "MOZDEF_CHECKOUT" not in os.environ,
        reason="MOZDEF_CHECKOUT does not name a checkout of mozilla/MozDef at d7d4dd1",
    ),
]

OLD = "MozDef's Python 3.6 and packages"
NEW = "this Python and today's boto3"


@pytest.fixture(scope="session")
def checkout() -> Path:
    return Path(os.environ["MOZDEF_CHECKOUT"]).resolve()


@pytest.fixture(scope="session", params=[OLD, NEW])
def python(request: pytest.FixtureRequest, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what MozDef imports."""
    folder = tmp_path_factory.mktemp("python") / "environment"
    python = old_python(checkout, folder) if request.param == OLD else new_python(folder)
    if python is None:
        pytest.skip("MozDef's Python 3.6 is neither on the PATH nor among pyenv's versions")
    return python


@pytest.fixture
def mozdef(checkout: Path, python: Path, tmp_path: Path, sqs_endpoint: str) -> Iterator[MozDef]:
    with MozDef(checkout, tmp_path, python=python, sqs=sqs_endpoint) as mozdef:
        yield mozdef


@pytest.fixture
def world(create_world: Callable[..., World], mozdef: MozDef) -> World:
    """Our side with the person of MozDef's fixtures in its Slack, and MozDef set up for its queues."""
    world = create_world()
    for name, address in (("tester", "tester@website.com"), ("guessed", "tester@mozilla.com")):
        world.slack.admit(replace(newcomer(name), email=address))
    mozdef.set_up_asking(world.requests.rpartition("/")[2])
    mozdef.set_up_reading(world.responses.url.rpartition("/")[2])
    return world


def ask(mozdef: MozDef) -> dict[str, str]:
    """Create MozDef's own four alerts; return the identifier of each by the fixture's name.

    Whose login it is, the person API knows when it is asked first, and no more when it is asked again.
    """
    mozdef.people.addresses["tester"] = "tester@website.com"
    fixtures = mozdef.actions.call("fixtures")
    for alert in fixtures.values():
        mozdef.rest.call("add_alert", alert=alert)
        mozdef.actions.call("alert", alert=alert)
        if mozdef.people.look_ups:
            mozdef.people.addresses.clear()
    return {name: alert["_id"] for name, alert in fixtures.items()}


def test_mozdefs_own_alerts_are_asked_answered_and_given_their_status_by_mozdef(
    mozdef: MozDef, world: World
) -> None:
    loaded = mozdef.actions.call("load")
    assert loaded["actions"] == ["actions.triage_bot_sqs"], mozdef.actions.log
    print(
        f"\nMozDef on Python {loaded['python']} with boto3 {loaded['boto3']} has loaded {loaded['actions']}."
    )
    world.start()
    mozdef.start_consumer()

    alerts = ask(mozdef)
    said = {
        alerts["_ssh_sensitive_host_alert"]: "yes",
        alerts["_duo_bypass_code_gen_alert"]: "no",
        alerts["_ssh_access_releng_alert"]: "wrongUser",
        alerts["_duo_bypass_code_used_alert"]: "notSure",
    }
    for identifier, choice in said.items():
        answer(world, identifier, choice)
    events = until(lambda: indexed(mozdef, len(said)), what="MozDef has indexed every answer")
    statuses = mozdef.rest.call("statuses")
    tell_what_became(events, statuses)

    assert statuses == dict(zip(said, ["acknowledged", "escalated", "manual", "manual"], strict=True))
    assert {name: event["details"]["triagebot"]["outcome"] for name, event in events.items()} == said
    assert {event["details"]["userresponse"] for event in events.values()} == {"yes", "no", "wrongUser"}
    assert all(event["details"]["email"].startswith("tester@") for event in events.values())
    assert len(mozdef.rest.call("chains")) == len(said)
    assert world.dead_letters.letters() == []
    assert "Traceback" not in mozdef.actions.log + mozdef.consumer_log


def answer(world: World, identifier: str, choice: str) -> None:
    """Answer a question in Slack, and say so."""
    question = world.slack.question(identifier)
    row = world.until_asked(identifier)
    offered = [one["action_id"].removeprefix("answer-") for one in buttons(question)]
    assert choice in offered
    assert world.slack.press(question, choice).acknowledged
    print(f"\n{identifier}  {row['alert']}, {row['user']}, confidence {row['identityConfidence']}")
    print(f"  asked     {paragraphs(question)[0].splitlines()[0]}")
    print(f"  answered  {choice}, out of {', '.join(offered)}")


def indexed(mozdef: MozDef, count: int) -> dict[str, dict[str, Any]]:
    """Return MozDef's events of answers by the alert's identifier, once there are this many."""
    assert "Traceback" not in mozdef.consumer_log, mozdef.consumer_log
    found = {one["details"]["identifier"]: one for one in mozdef.elasticsearch.documents}
    return found if len(found) >= count else {}


def tell_what_became(events: dict[str, dict[str, Any]], statuses: dict[str, str]) -> None:
    print("\nWhat MozDef made of it:")
    for identifier, event in events.items():
        print(f"  {identifier}  {statuses[identifier]:12}  {event['summary']}")
        print(f"  {'':20}  {'':12}  outcome {event['details']['triagebot']['outcome']}")


def test_without_the_person_api_mozdef_loads_it_and_loses_no_alert(mozdef: MozDef, world: World) -> None:
    mozdef.people.refuses_logins = True

    loaded = mozdef.actions.call("load")
    mozdef.actions.call("forget_login")
    alerts = ask(mozdef)

    world.start()
    users = {name: world.until_asked(identifier)["user"] for name, identifier in alerts.items()}
    assert loaded["actions"] == ["actions.triage_bot_sqs"]
    assert users == {
        "_ssh_sensitive_host_alert": "tester@mozilla.com",
        "_duo_bypass_code_gen_alert": "tester@website.com",
        "_duo_bypass_code_used_alert": "tester@website.com",
        "_ssh_access_releng_alert": "tester@mozilla.com",
    }
    assert mozdef.actions.log.count("No login to the person API") == 2
    assert "Traceback" not in mozdef.actions.log


def test_requests_that_found_no_queue_are_sent_from_mozdefs_log_with_the_guides_commands(
    mozdef: MozDef, world: World
) -> None:
    world.sqs.delete_queue(QueueUrl=world.requests)
    mozdef.actions.call("load")

    alerts = ask(mozdef)
    failures = mozdef.actions.log.count("Failed to dispatch request")
    world.sqs.create_queue(QueueName=world.requests.rpartition("/")[2])
    send_again(mozdef, world)

    world.start()
    asked = [world.until_asked(identifier)["identifier"] for identifier in alerts.values()]
    assert failures == len(alerts)
    assert asked == list(alerts.values())
    assert "Traceback" not in mozdef.actions.log


def send_again(mozdef: MozDef, world: World) -> None:
    """Send what MozDef's log has of failed requests, as the guide says."""
    commands = guide_commands(
        "What a failure looks like", "send --file -", (" LOG ", f" {mozdef.actions.log_file} ")
    )
    here = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    run_commands(commands, folder=world.worker.folder, environment={**world.worker.environment, **here})


def test_the_guides_test_alert_is_asked(mozdef: MozDef, world: World) -> None:
    printed = mozdef.send_test_alert("9Zo02m4B7gIfixq3c4Xh", "tester@website.com")

    world.start()
    row = world.until_asked("9Zo02m4B7gIfixq3c4Xh")
    assert len(printed.split()) == 1
    assert (row["user"], row["alert"]) == ("tester@website.com", "join_test")


# Trigger words

REPORT = Report(
    identifier="9Zo02m4B7gIfixq3c4Xh",
    sequence=0,
    outcome=Outcome.YES,
    response="yes",
    note=False,
    at=datetime(2026, 11, 24, 12, tzinfo=UTC),
    email="ada@example.com",
    slack_id="U1",
    slack_name="ada",
    confidence=Confidence.HIGHEST,
    alert="duo_bypass_codes_generated",
    said=Choice.YES,
)


def test_no_trigger_word_in_a_free_value_wakes_another_plugin(mozdef: MozDef) -> None:
    with mozdef.matcher() as matcher:
        words = {word for words in matcher.call("words").values() for word in words} - {"triagebot"}
        woken = {
            (field, note, spelled): woken_by(matcher, replace(REPORT, note=note, **{field: spelled}))
            for word in words
            for spelled in (word, word.upper())
            for field in ("alert", "comment", "slack_name", "reason")
            for note in (False, True)
        }

    assert len(words) > 30
    assert {case: plugins for case, plugins in woken.items() if plugins != ["plugins.triage_bot"]} == {}


def test_a_trigger_word_that_goes_out_as_it_is_would_wake_its_plugin(mozdef: MozDef) -> None:
    body = write_report(replace(REPORT, comment="nobody"), REPORT.at).body

    with mozdef.matcher() as matcher:
        woken = {
            (plugin, word): matcher.call("woken", body=body.replace('"nobody "', f'"{word}"'))
            for plugin, words in matcher.call("words").items()
            for word in words
        }

    assert all(plugin in plugins for (plugin, _), plugins in woken.items())


def woken_by(matcher: Program, report: Report) -> list[str]:
    """Return the plugins that MozDef would hand a report to."""
    plugins: list[str] = matcher.call("woken", body=write_report(report, report.at).body)
    return plugins
