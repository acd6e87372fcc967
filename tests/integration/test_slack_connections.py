"""What a broken connection to Slack means: whether the call was done, and that it is not repeated."""

from __future__ import annotations

import asyncio
import socket
import struct

import aiohttp
import pytest
from aiohttp import web
from scripted_slack import Answer, ScriptedSlack, api_of, says, scripted_slack, writes
from slack_failures import failure, post, posting

from bot.errors import AmbiguousError, TransientError
from bot.slack.client import response_address

# Connections


async def cut(request: web.Request) -> web.StreamResponse:
    """Do the work, then close the connection without a word."""
    assert request.transport
    request.transport.close()
    return web.Response()


async def reset(request: web.Request) -> web.StreamResponse:
    """Do the work, then reset the connection."""
    assert request.transport
    connection: socket.socket = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
    return web.Response()


async def break_off(request: web.Request) -> web.StreamResponse:
    """Close the connection in the middle of the body."""
    response = web.StreamResponse(headers={"Content-Length": "100", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"ok": true,')
    assert request.transport
    request.transport.close()
    return response


@pytest.mark.parametrize("answer", [cut, reset, break_off])
async def test_a_connection_that_broke_after_the_request_means_perhaps_done_and_is_not_repeated(
    answer: Answer,
) -> None:
    assert isinstance(await posting(answer), AmbiguousError)


@pytest.mark.parametrize("patience", [aiohttp.ClientTimeout(total=0.2), aiohttp.ClientTimeout(sock_read=0.2)])
async def test_an_answer_that_never_comes_means_perhaps_done(patience: aiohttp.ClientTimeout) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    assert isinstance(await posting(hang, patience=patience), AmbiguousError)


async def test_a_refused_connection_or_a_name_that_does_not_exist_means_not_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    for url in (f"http://127.0.0.1:{port}/", "http://slack.invalid/"):
        async with api_of(ScriptedSlack(answers=[], url=url)) as api:
            assert type(await failure(post(api))) is TransientError


async def test_a_connection_that_could_not_be_had_in_time_means_not_done() -> None:
    go_on = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.json_response({"ok": True})

    patience = aiohttp.ClientTimeout(total=30, connect=0.2)
    async with scripted_slack(wait) as slack, api_of(slack, patience=patience, connections=1) as api:
        first = asyncio.ensure_future(post(api))
        while not slack.received:
            await asyncio.sleep(0.001)

        error = await failure(post(api))
        go_on.set()
        await first

    assert type(error) is TransientError
    assert len(slack.received) == 1


# A click's response_url


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (writes("ok", content_type="text/plain"), True),
        (says({"ok": True}), True),
        (says({"ok": False, "error": "expired_url"}), False),
        (writes("expired_url", content_type="text/plain", status=404), False),
        (writes("used_url", content_type="text/plain", status=410), False),
    ],
)
async def test_a_response_url_is_good_or_it_is_not(answer: Answer, *, taken: bool) -> None:
    async with scripted_slack(answer) as slack, api_of(slack) as api:
        assert await api.respond(f"{slack.url}response", {"text": "Thank you."}) is taken

        assert [call.values for call in slack.received] == [{"text": "Thank you."}]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (writes("", status=500), AmbiguousError),
        (cut, AmbiguousError),
        (writes("", status=429, Retry_After="5"), TransientError),
    ],
)
async def test_a_response_url_that_fails_is_judged_like_a_call(answer: Answer, kind: type[Exception]) -> None:
    async with scripted_slack(answer) as slack, api_of(slack) as api:
        error = await failure(api.respond(f"{slack.url}response", {"text": "Thank you."}))

    assert type(error) is kind
    assert len(slack.received) == 1


API = "https://api.example:8443/api/"


@pytest.mark.parametrize(
    "response_url",
    [
        "https://hooks.slack.com/actions/T1/1/x",
        "https://hooks.slack-gov.com/actions/T1/1/x",
        "https://HOOKS.Slack.com:443/actions/T1/1/x",
        "https://api.example:8443/actions/T1/1/x",
    ],
)
def test_a_response_url_of_slacks_is_used(response_url: str) -> None:
    assert response_address(response_url, API) is not None


@pytest.mark.parametrize(
    "response_url",
    [
        "",
        "hooks.slack.com/actions",
        "http://hooks.slack.com/actions",
        "https://hooks.slack.com:8443/actions",
        "https://slack.com/actions",
        "https://evil.example/hooks.slack.com",
        "https://hooks.slack.com.evil.example/",
        "https://evil-hooks.slack.com/",
        "https://hooks.slack.com./",
        "https://hooks.slack.com@evil.example/",
        "https://evil.example\\@hooks.slack.com/",
        "https://somebody:secret@hooks.slack.com/",
        "https://[::1]/",
        "https://[hooks.slack.com/",
        "http://169.254.169.254/latest/meta-data",
        "http://api.example:8443/actions",
        "https://api.example/actions",
        "https://api.example:8443:1/actions",
        "file:///etc/passwd",
        "//hooks.slack.com/actions",
        "https://hooks.slack.com:99999/",
        "\ud800",
        "{'url': 1}",
    ],
)
def test_a_response_url_that_leads_elsewhere_is_not_used(response_url: str) -> None:
    assert response_address(response_url, API) is None


async def test_nothing_is_posted_to_a_response_url_that_leads_elsewhere_at_once_or_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scripted_slack(says({"ok": True})) as elsewhere:
        onwards = writes("", status=307, Location=f"{elsewhere.url}response")
        async with scripted_slack(onwards) as slack, api_of(slack) as api:
            assert not await api.respond(f"{elsewhere.url}response", {"text": "Thank you."})
            assert "is not Slack's" in caplog.text
            assert not await api.respond(f"{slack.url}response", {"text": "Thank you."})

    assert elsewhere.received == []
