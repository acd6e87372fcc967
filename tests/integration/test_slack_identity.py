"""What `auth.test` may answer: who we are, a refusal in plain words, or nothing that could be believed."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import SteppedClock
from scripted_slack import Answer, api_of, refuses, says, scripted_slack

from bot.errors import StartRefused, TransientError, TriageBotError
from bot.slack.errors import explain
from bot.slack.identity import Authentication, Identity
from bot.slack.link_urls import LinkUrls

URL = {"ok": True, "url": "ws://127.0.0.1:1/link/"}


def known(**changes: Any) -> Answer:
    return says({"ok": True, "team_id": "T1", "user_id": "U1", "bot_id": "B1", **changes})


async def introduce(answer: Answer) -> tuple[Identity, TriageBotError | None]:
    """Return what was learned, and what keeps the worker waiting."""
    identity = Identity()
    async with scripted_slack(answer, says(URL)) as slack, api_of(slack) as api:
        urls = LinkUrls(api, clock=SteppedClock(), jitter=lambda: 0.0)
        authentication = Authentication(api, urls, identity, jitter=lambda: 0.0)
        await authentication.attempt()
        return identity, authentication.trouble


@pytest.mark.parametrize("team_id", [7, True, False, ["T1"], {"id": "T1"}])
async def test_a_workspace_that_is_no_text_is_waited_for(team_id: object) -> None:
    identity, trouble = await introduce(known(team_id=team_id))

    assert isinstance(trouble, TransientError)
    assert identity == Identity()


@pytest.mark.parametrize("fact", [{"team_id": ""}, {"team_id": "E1"}, {"is_enterprise_install": True}])
async def test_an_organisation_is_refused(fact: dict[str, Any]) -> None:
    with pytest.raises(StartRefused, match="whole organisation"):
        await introduce(known(**fact))


async def test_what_else_is_no_text_is_left_out() -> None:
    answer = known(enterprise_id=5, user_id=["U1"], bot_id={}, is_enterprise_install="false")

    assert await introduce(answer) == (Identity(team_id="T1"), None)


@pytest.mark.parametrize(
    "code",
    "invalid_auth no_permission team_access_not_granted team_not_found restricted_action".split(),
)
async def test_a_refusal_names_the_token_whomever_else_such_a_code_blames(code: str) -> None:
    with pytest.raises(StartRefused, match=rf"SLACK_BOT_TOKEN \({code}\)"):
        await introduce(refuses(code))


async def test_an_unknown_refusal_is_waited_for() -> None:
    _, trouble = await introduce(refuses("brand_new"))

    assert trouble
    assert "brand_new" in explain(trouble)
