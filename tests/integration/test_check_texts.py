"""What `check` asks Slack about the texts of a site, and what it makes of the answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from running_slack import BOT_TOKEN, RunningSlack, running

from bot.cli.checks.findings import CheckStatus, Finding
from bot.cli.checks.runner import PATIENCE
from bot.cli.checks.texts import CALLS_MAX, TEXTS, check_texts
from bot.sandbox.fake_slack.installation import Rate
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.slack.client import open_session, web_client
from bot.slack.render.samples import samples_of

ALL = len(samples_of(load_messages(), load_alert_policies()))


async def look(
    world: RunningSlack, folder: Path | None = None, *, patience: timedelta = 6 * PATIENCE
) -> Sequence[Finding]:
    async with open_session() as session:
        client = web_client(world.slack.api_url, session, token=BOT_TOKEN)
        return await check_texts(client, folder, patience=patience)


def answering(status: int = 200, *, after: int = 0, **body: Any) -> Any:
    """A middleware that answers `blocks.validate` with this, `after` a number of calls that Slack answers."""
    calls = Counter[str]()

    @web.middleware
    async def answer(request: web.Request, handler: Any) -> web.StreamResponse:
        calls[request.path] += 1
        if calls[request.path] <= after:
            response: web.StreamResponse = await handler(request)
            return response
        return web.json_response(body, status=status) if body else web.Response(status=status)

    return answer


async def test_slack_takes_the_texts_that_ship_and_is_asked_once_about_each() -> None:
    received: list[Any] = []

    @web.middleware
    async def record(request: web.Request, handler: Any) -> web.StreamResponse:
        received.append((request.method, await request.json()))
        response: web.StreamResponse = await handler(request)
        return response

    async with running(middlewares=[record]) as world:
        [finding] = await look(world)

    assert (finding.subject, finding.status) == (TEXTS, CheckStatus.OK)
    assert finding.detail == f"Slack accepts all {ALL} messages, windows and Homes it was asked about"
    assert len(received) == ALL == len({str(each) for each in received})
    assert {verb for verb, _ in received} == {"POST"}
    for _, [(kind, content)] in ((verb, body.items()) for verb, body in received):
        assert "blocks" in json.loads(content)
        assert kind in ("message", "view")


async def test_a_text_that_is_too_long_for_slack_is_named_with_file_table_and_key(tmp_path: Path) -> None:
    texts = {"question": {"ask": "a" * 2700, "about": "b" * 1990}, "answer": {"no": "n" * 2650}}
    content = "".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(text)}\n" for key, text in keys.items())
        for table, keys in texts.items()
    )
    (tmp_path / "messages.toml").write_text(content, encoding="utf-8")

    async with running() as world:
        [finding] = await look(world, tmp_path)

    assert finding.status is CheckStatus.FAILED
    where = f"{tmp_path / 'messages.toml'}: [question] ask"
    assert finding.detail == f"{where} is refused: Slack says must be less than 13201 characters in all"
    assert finding.remedy == "change this text so that Slack accepts it with the longest values"


@pytest.mark.parametrize(
    ("errors", "detail"),
    [
        (
            [{"pointer": "/blocks/0/text/text", "message": "no"}],
            "alerts.toml as it ships: [default] title is refused",
        ),
        ([{"pointer": "/metadata", "code": "odd"}], "Slack says odd"),
        ([{"pointer": ["/blocks"]}], "Slack says nothing more"),
        (None, "Slack says invalid_message"),
        ([7], "Slack says invalid_message"),
    ],
)
async def test_whatever_slack_says_of_a_fault_is_told(errors: Any, detail: str) -> None:
    refuses = answering(ok=False, error="invalid_message", errors=errors)
    async with running(middlewares=[refuses]) as world:
        findings = await look(world)

    assert {finding.status for finding in findings} == {CheckStatus.FAILED}
    assert detail in findings[0].detail
    assert len({finding.detail for finding in findings}) == len(findings)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answering(ok=False, error="unknown_method"), "unknown_method"),
        (answering(ok=False, error="invalid_arguments"), "invalid_arguments"),
        (answering(200, ok=False, error="ratelimited"), "wait"),
        (answering(429, ok=False, error="ratelimited"), "wait"),
        (answering(503), "503"),
        (answering(200), "Slack's answer"),
    ],
)
@pytest.mark.parametrize("after", [0, 3])
async def test_what_slack_does_not_judge_is_skipped_and_never_failed(
    answer: Any, why: str, after: int
) -> None:
    async with running() as world:
        world.slack.installation.quirks.limits["blocks.validate"] = Rate(
            calls=after, per=timedelta(minutes=1)
        )
        limited = await look(world)
    async with running(middlewares=[answer]) as world:
        [finding] = await look(world)

    expected = [CheckStatus.OK, CheckStatus.SKIPPED] if after else [CheckStatus.SKIPPED]
    assert [each.status for each in limited] == expected
    assert f"not checked: {ALL - after} of {ALL} messages, windows and Homes (" in limited[-1].detail
    assert finding.status is CheckStatus.SKIPPED
    assert why in finding.detail


async def test_a_slack_that_is_gone_or_slow_is_skipped_too() -> None:
    async with running() as world:
        [slow] = await look(world, patience=timedelta(0))
        await world.slack.stop()
        [gone] = await look(world)

    assert (slow.status, gone.status) == (CheckStatus.SKIPPED, CheckStatus.SKIPPED)
    assert "no answer within 0 s" in slow.detail
    assert "Slack cannot be reached" in gone.detail


async def test_fifty_calls_are_the_most(tmp_path: Path) -> None:
    alerts = "".join(f'[alert."label {number}"]\ntitle = "Kind {number}"\n' for number in range(50))
    (tmp_path / "alerts.toml").write_text(alerts, encoding="utf-8")

    async with running() as world:
        fine, skipped = await look(world, tmp_path)

    assert f"all {CALLS_MAX} messages" in fine.detail
    missed = f"{ALL + 50 - CALLS_MAX} of {ALL + 50} messages, windows and Homes"
    assert skipped.detail == f"not checked: {missed} (one check asks about 50 at most)"
