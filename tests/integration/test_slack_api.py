"""What each failure of a call to Slack means, seen through the real client of a real server."""

from __future__ import annotations

import asyncio
import socket
import struct
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from scripted_slack import Answer, ScriptedSlack, api_of, refuses, says, scripted_slack, writes

from bot.errors import (
    AmbiguousError,
    CannotGoOn,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownRefusal,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from bot.slack.api import SlackApi

WORKER = """not_authed invalid_auth account_inactive token_revoked token_expired not_allowed_token_type
    missing_scope no_permission access_denied accesslimited is_bot ekm_access_denied team_access_not_granted
    enterprise_is_restricted two_factor_setup_required messages_tab_disabled
    metadata_must_be_sent_from_app forbidden_team deprecated_endpoint method_deprecated insecure_request
    not_enabled unknown_method""".split()
PERSON = """users_not_found user_not_found user_disabled user_not_visible cannot_dm_bot
    invalid_user_combination app_access_restricted channel_not_found is_archived is_inactive not_in_channel
    team_not_found restricted_action restricted_action_read_only_channel""".split()
MESSAGE = """msg_too_long msg_blocks_too_long no_text invalid_blocks invalid_blocks_format
    invalid_attachments invalid_metadata_format invalid_metadata_schema metadata_too_large invalid_arguments
    invalid_arg_name""".split()
NOT_DONE = """ratelimited rate_limited service_unavailable request_timeout team_added_to_org
    org_login_required message_limit_exceeded""".split()
PERHAPS_DONE = ["internal_error", "fatal_error"]


async def failure(call: Awaitable[object]) -> TriageBotError:
    with pytest.raises(TriageBotError) as caught:
        await call
    return caught.value


def post(api: SlackApi) -> Awaitable[object]:
    return api.write("chat.postMessage", {"channel": "U0ADA", "text": "Was this you?"})


async def posting(answer: Answer, *, patience: aiohttp.ClientTimeout | None = None) -> TriageBotError:
    """Return what a post that is answered so means; it must have been sent exactly once."""
    async with scripted_slack(answer) as slack, api_of(slack, patience=patience) as api:
        error = await failure(post(api))
        assert slack.methods == ["chat.postMessage"]
        return error


async def reading(answer: Answer) -> TriageBotError:
    async with scripted_slack(answer) as slack, api_of(slack) as api:
        return await failure(api.read("users.lookupByEmail", {"email": "ada@example.com"}))


# Codes


@pytest.mark.parametrize("code", WORKER)
async def test_a_code_about_the_worker_stops_the_worker(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, CannotGoOn)
    assert error.code == code


@pytest.mark.parametrize("code", PERSON)
async def test_a_code_about_the_person_ends_the_request(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, Undeliverable)
    assert error.reason == code


@pytest.mark.parametrize("code", [*MESSAGE, "a_code_of_next_year"])
async def test_a_code_about_the_message_or_a_new_one_is_not_believed_at_once(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, UnknownRefusal)
    assert error.code == code


@pytest.mark.parametrize("code", NOT_DONE)
@pytest.mark.parametrize("status", [200, 503])
async def test_a_busy_slack_did_nothing(code: str, status: int) -> None:
    error = await posting(refuses(code, status=status, Retry_After="7"))

    assert type(error) is TransientError
    assert error.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("code", PERHAPS_DONE)
async def test_a_slack_that_failed_in_the_middle_perhaps_did_it(code: str) -> None:
    assert isinstance(await posting(refuses(code)), AmbiguousError)


# Rate limits


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"Retry_After": "30"}, 30),
        ({"retry_after": "1.5"}, 1.5),
        ({"Retry_After": "0"}, 0),
        ({"Retry_After": "999999999999"}, 3600),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-1"}, None),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "inf"}, None),
        ({"Retry_After": "9" * 40}, None),
        ({"Retry_After": ""}, None),
        ({}, None),
    ],
)
async def test_a_rate_limit_is_heard_however_it_is_said(
    header: dict[str, str], seconds: float | None
) -> None:
    spoken = await posting(refuses("ratelimited", status=429, **header))
    silent = await posting(writes("slow down", status=429, **header))

    expected = None if seconds is None else timedelta(seconds=seconds)
    for error in (spoken, silent):
        assert type(error) is TransientError
        assert error.retry_after == expected


# Answers that say nothing


@pytest.mark.parametrize(
    "answer",
    [
        writes("<html>Bad gateway</html>", status=502),
        writes("", status=500),
        says({"ok": False}, status=503),
        refuses("users_not_found", status=500),
        writes("<html>A proxy's own page</html>"),
        writes("ok", content_type="text/plain"),
        writes("", content_type="text/plain"),
        writes('{"ok": true, "channel"', content_type="application/json"),
        writes("", content_type="application/json"),
        writes("ok", content_type="application/json; charset=none-such"),
        says([]),
        says("ok"),
        says(None),
        says({}),
        says({"ok": False}),
        refuses(None),
        refuses({"code": "users_not_found"}),
        writes("<html>Not found</html>", status=404),
        writes("x", Content_Encoding="gzip"),
    ],
)
async def test_an_answer_that_says_nothing_means_perhaps_done(answer: Answer) -> None:
    assert isinstance(await posting(answer), AmbiguousError)


@pytest.mark.parametrize(
    "answer", [writes("", status=502), refuses("internal_error"), says([]), writes("ok")]
)
async def test_a_call_that_changes_nothing_is_never_ambiguous(answer: Answer) -> None:
    assert type(await reading(answer)) is TransientError


async def test_the_status_of_an_answer_that_says_nothing_is_kept() -> None:
    error = await posting(writes("gone", status=410))

    assert isinstance(error, AmbiguousError)
    assert error.status == 410


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


async def test_a_refused_connection_means_not_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    nowhere = ScriptedSlack(answers=[], url=f"http://127.0.0.1:{port}/")
    async with api_of(nowhere) as api:
        assert type(await failure(post(api))) is TransientError


async def test_a_name_that_does_not_exist_means_not_done() -> None:
    nowhere = ScriptedSlack(answers=[], url="http://slack.invalid/")

    async with api_of(nowhere) as api:
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
