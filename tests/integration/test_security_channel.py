"""The security team's channel, through the real client of a server that answers as each test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON
from scripted_slack import (
    ANSWERED,
    LITERAL_POST,
    POLICY,
    UPDATED,
    Answer,
    ScriptedSlack,
    api_of,
    refuses,
    says,
    scripted_slack,
    writes,
)
from wording import WORDING

from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.slack.identity import Identity
from bot.slack.render.card import CardLinks, card_message
from bot.slack.security_channel import SecurityChannel, SlackSecurityTeam
from bot.triage.model import Choice
from bot.triage.outcomes import Outcome
from bot.triage.reporting import report_on

ALERT_URL = "https://mozdef.example/alerts/{identifier}"
LINKS = CardLinks(workspace="https://sandbox.slack.com", alert_url=ALERT_URL)
POSTED = says({"ok": True, "channel": "C0SECURITY", "ts": "7.000007"})
REFUSED = replace(
    ANSWERED, said=Choice.NO, standing=Outcome.NO, answered_at=NOON, settled_at=NOON, slack_name="ada"
)
KNOWN = replace(REFUSED, card_ts="5.000005", card_shown=1)
NOTED = replace(KNOWN, note="On a train.", notes=1, reports=2, settled_at=NOON + timedelta(minutes=1))

NOTE = report_on(KNOWN, NOTED, at=NOON, policy=POLICY, comment="On a train.")


@asynccontextmanager
async def team_of(*answers: Answer) -> AsyncIterator[tuple[SlackSecurityTeam, ScriptedSlack]]:
    identity = Identity(team_id="T0HOME", workspace_url=LINKS.workspace)
    channel = SecurityChannel(channel="C0SECURITY", alert_url=ALERT_URL)
    async with scripted_slack(*answers) as slack, api_of(slack) as api:
        yield SlackSecurityTeam(api, identity, (WORDING, POLICY), channel), slack


async def test_a_first_card_is_posted_into_the_channel_without_unfurling() -> None:
    async with team_of(POSTED) as (team, slack):
        ts = await team.show(REFUSED)

    assert ts == "7.000007"
    [call] = slack.received
    card = card_message(REFUSED, WORDING, POLICY, LINKS)
    assert call.method == "chat.postMessage"
    assert call.values == {**card, "channel": "C0SECURITY", **LITERAL_POST}


async def test_a_known_card_is_updated_in_its_place() -> None:
    async with team_of(UPDATED) as (team, slack):
        ts = await team.show(NOTED)

    assert ts == "5.000005"
    [update] = slack.received
    assert (update.method, update.values["ts"], update.values["parse"]) == ("chat.update", ts, "none")


async def test_what_happened_is_told_in_the_cards_thread_and_not_to_the_channel() -> None:
    async with team_of(POSTED) as (team, slack):
        await team.tell(NOTED, NOTE)

    [reply] = slack.received
    assert (reply.method, reply.values["thread_ts"]) == ("chat.postMessage", "5.000005")
    assert reply.values["text"] == WORDING["card"]["noted"].format(note="On a train.")
    assert "reply_broadcast" not in reply.values


@pytest.mark.parametrize("code", ["message_not_found", "cant_update_message", "edit_window_closed"])
async def test_a_card_that_somebody_deleted_is_posted_again(code: str) -> None:
    async with team_of(refuses(code), POSTED) as (team, slack):
        ts = await team.show(NOTED)

    assert ts == "7.000007"
    assert slack.methods == ["chat.update", "chat.postMessage"]
    assert "thread_ts" not in slack.received[1].values


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refuses("not_in_channel"), Undeliverable),
        (refuses("channel_not_found"), Undeliverable),
        (refuses("is_archived"), Undeliverable),
        (refuses("invalid_blocks"), UnknownErrorCode),
        (refuses("missing_scope"), AppRejected),
        (refuses("ratelimited", status=429, Retry_After="7"), TransientError),
        (writes("<html>", status=502), AmbiguousError),
        (says({"ok": True}), AmbiguousError),
    ],
)
async def test_what_a_failed_post_means_is_passed_on(answer: Answer, error: type[Exception]) -> None:
    async with team_of(answer) as (team, slack):
        with pytest.raises(error):
            await team.show(REFUSED)

    assert slack.methods == ["chat.postMessage"]


async def test_a_failed_update_posts_no_second_card() -> None:
    async with team_of(writes("<html>", status=502)) as (team, slack):
        with pytest.raises(AmbiguousError):
            await team.show(NOTED)

    assert slack.methods == ["chat.update"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refuses("restricted_action"), Undeliverable),
        (refuses("ratelimited", status=429), TransientError),
        (writes("<html>", status=502), AmbiguousError),
    ],
)
async def test_what_a_failed_line_means_is_passed_on(answer: Answer, error: type[Exception]) -> None:
    async with team_of(answer) as (team, _):
        with pytest.raises(error):
            await team.tell(NOTED, NOTE)
