"""The sandbox's phone: what is done there decides what MozDef makes of a *yes*."""

from __future__ import annotations

import json

import pytest
from trial_waiting import until

from bot.sandbox.fake_slack.workspace import Message
from bot.sandbox.phone import PUSH_LIFETIME, Prompt
from bot.sandbox.trial import Trial
from bot.sandbox.trial_samples import SECOND_FACTOR

pytest_plugins = ["trial_fixtures"]
pytestmark = pytest.mark.slow


def message_about(trial: Trial, summary: str) -> Message | None:
    messages = [each for one in trial.workspace.conversations if one.person for each in one.newest(50)]
    return next((each for each in messages if summary in json.dumps(each.blocks)), None)


async def press_yes(trial: Trial, summary: str, address: str) -> None:
    await until(trial, lambda: message_about(trial, summary) is not None, what="the question")
    asked, person = message_about(trial, summary), trial.workspace.person_of_email(address)
    assert asked
    assert person
    click = await trial.slack.click(
        user=person.id, channel=asked.channel, ts=asked.ts, action_id="answer-yes", block_id="answers"
    )
    assert not click.warning


async def prompt_of(trial: Trial, address: str) -> Prompt:
    def shown() -> list[Prompt]:
        return [each for each in trial.phone.prompts if each.subject == address]

    await until(trial, lambda: bool(shown()), what="the push")
    return shown()[-1]


@pytest.mark.parametrize(
    ("action", "status"),
    [("approve", "acknowledged"), ("deny", "manual"), ("report", "escalated"), ("nothing", "manual")],
)
async def test_a_yes_counts_by_what_is_done_on_the_phone(trial: Trial, action: str, status: str) -> None:
    [address, *_] = trial.askable_addresses()
    sent = await trial.send_alert(
        alert=SECOND_FACTOR, summary="A role was given.", user=address, confidence="highest"
    )
    await press_yes(trial, "A role was given.", address)
    prompt = await prompt_of(trial, address)
    await until(trial, lambda: message_about(trial, prompt.code) is not None, what="the code in Slack")
    assert trial.ledger.responses(sent.identifier) == []

    if action == "nothing":
        prompt.shown_at -= PUSH_LIFETIME
    else:
        trial.phone.act(prompt.id, action)

    await until(trial, lambda: trial.ledger.status(sent.identifier) == status, what=f"the alert is {status}")
    with pytest.raises(LookupError):
        trial.phone.act(prompt.id, "approve")
