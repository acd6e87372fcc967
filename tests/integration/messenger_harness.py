"""A Messenger before a server that answers as each test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fakes import ADA, NOON, SteppedClock, a_request
from scripted_slack import Answer, ScriptedSlack, api_of, says, scripted_slack, writes
from wording import WORDING

from bot.slack.identity import Identity
from bot.slack.messenger import SlackMessenger
from bot.triage import asking_rules
from bot.triage.model import Choice
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

POLICY = Policy()
ACCEPTED = asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question
CLAIMED = asking_rules.claim(ACCEPTED, ADA, NOON).question
ANSWERED = replace(
    CLAIMED, channel="D0ADA", ts="1.000001", said=Choice.YES, standing=Outcome.YES, answers=1, reports=1
)
MEMBER = {"id": "U0ADA", "name": "ada", "team_id": "T0HOME", "is_email_confirmed": True}
FOUND = says({"ok": True, "user": MEMBER})
OPENED = says({"ok": True, "channel": {"id": "D0ADA"}})
TAKEN = writes("ok", content_type="text/plain")
#: What keeps Slack from reading markup, links or mentions in a text, and from unfolding links.
LITERAL = {"parse": "none", "link_names": False}
LITERAL_POST = {**LITERAL, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
UPDATED = says({"ok": True, "channel": "D0ADA", "ts": "1.000001"})


@asynccontextmanager
async def messenger_of(
    *answers: Answer, clock: SteppedClock | None = None
) -> AsyncIterator[tuple[SlackMessenger, ScriptedSlack]]:
    identity = Identity(team_id="T0HOME", scopes=frozenset({"im:history"}))
    async with scripted_slack(*answers) as slack, api_of(slack, clock=clock) as api:
        yield SlackMessenger(api, identity, WORDING, POLICY), slack
