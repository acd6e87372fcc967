"""What each failure of a call to Slack means, and what `auth.test` may answer.

A method that Slack asks to wait with waits for everybody; the others go on. What may have been done is not
repeated.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fakes import SteppedClock
from scripted_slack import (
    Answer,
    ScriptedSlack,
    api_of,
    failure,
    post,
    posting,
    reading,
    refuses,
    says,
    scripted_slack,
    writes,
)
from world import eventually

from bot.errors import (
    AmbiguousError,
    AppRejected,
    StartRefused,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.slack.client import response_address
from bot.slack.errors import DEFAULT_WAIT, explain
from bot.slack.identity import Authentication, Identity
from bot.slack.link_urls import LinkUrls

WORKER = """not_authed invalid_auth account_inactive token_revoked token_expired not_allowed_token_type is_bot
    missing_scope not_enabled unknown_method deprecated_endpoint method_deprecated insecure_request""".split()
PERHAPS_WORKER = """no_permission access_denied accesslimited ekm_access_denied team_access_not_granted
    enterprise_is_restricted two_factor_setup_required messages_tab_disabled
    metadata_must_be_sent_from_app forbidden_team""".split()
PERSON = """users_not_found user_not_found user_disabled user_not_visible cannot_dm_bot
    invalid_user_combination app_access_restricted channel_not_found is_archived is_inactive not_in_channel
    team_not_found restricted_action restricted_action_read_only_channel""".split()
MESSAGE = """msg_too_long msg_blocks_too_long no_text invalid_blocks invalid_blocks_format
    invalid_attachments invalid_metadata_format invalid_metadata_schema metadata_too_large invalid_arguments
    invalid_arg_name""".split()
NOT_DONE = """ratelimited rate_limited service_unavailable request_timeout team_added_to_org
    org_login_required message_limit_exceeded""".split()
PERHAPS_DONE = ["internal_error", "fatal_error"]

# Codes


@pytest.mark.parametrize("code", WORKER)
async def test_a_code_about_the_worker_stops_the_worker(code: str) -> None:
    error = await posting(refuses(code))

    assert (type(error), getattr(error, "code", "")) == (AppRejected, code)


@pytest.mark.parametrize("code", PERSON)
async def test_a_code_about_the_person_ends_the_request(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, Undeliverable)
    assert error.reason == code


@pytest.mark.parametrize("code", [*MESSAGE, "a_code_of_next_year", *PERHAPS_WORKER])
async def test_a_code_that_may_mean_one_message_or_person_stops_nobody_else(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, UnknownErrorCode)
    assert error.code == code
    assert bool(error.remedy) is (code in PERHAPS_WORKER)
    assert error.remedy in str(error)


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
        ({"Retry_After": "0"}, 1),
        ({"Retry_After": "999999999999"}, 3600),
        ({"Retry_After": "soon"}, 1),
        ({"Retry_After": "-1"}, 1),
        ({"Retry_After": "nan"}, 1),
        ({"Retry_After": "inf"}, 1),
        ({"Retry_After": "9" * 40}, 1),
        ({"Retry_After": ""}, 1),
        ({}, 1),
    ],
)
async def test_a_rate_limit_is_heard_however_it_is_said(header: dict[str, str], seconds: float) -> None:
    spoken = await posting(refuses("ratelimited", status=429, **header))
    silent = await posting(writes("slow down", status=429, **header))

    expected = timedelta(seconds=seconds)
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


async def test_the_status_of_an_answer_that_says_nothing_is_kept() -> None:
    assert getattr(await posting(writes("gone", status=410)), "status", None) == 410


@pytest.mark.parametrize(
    "answer", [writes("", status=502), refuses("internal_error"), says([]), writes("ok")]
)
async def test_a_call_that_changes_nothing_is_never_ambiguous(answer: Answer) -> None:
    assert type(await reading(answer)) is TransientError


DONE = says({"ok": True, "channel": "D0ADA", "ts": "1.000001"})
UNSAID = DEFAULT_WAIT.total_seconds()


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (refuses("ratelimited", status=429, Retry_After="30"), 30),
        (refuses("ratelimited", status=429, Retry_After="1.5"), 1.5),
        (refuses("ratelimited", status=429, Retry_After="soon"), UNSAID),
        (refuses("ratelimited", status=429), UNSAID),
        (refuses("ratelimited", Retry_After="7"), 7),
        (refuses("ratelimited"), UNSAID),
        (refuses("rate_limited"), UNSAID),
        (refuses("ratelimited", status=429, Retry_After="99999"), 3600),
        (refuses("ratelimited", status=429, Retry_After="0"), UNSAID),
    ],
)
async def test_a_method_is_not_called_again_before_its_time(answer: Answer, seconds: float) -> None:
    clock = SteppedClock()
    async with scripted_slack(answer, DONE) as slack, api_of(slack, clock=clock) as api:
        await failure(post(api))

        clock.advance(seconds=seconds / 2)
        error = await failure(post(api))
        assert type(error) is TransientError
        assert error.retry_after == timedelta(seconds=seconds / 2)
        assert slack.methods == ["chat.postMessage"]

        clock.advance(seconds=seconds / 2)
        await post(api)
        assert slack.methods == ["chat.postMessage"] * 2


async def test_other_methods_go_on_and_a_failure_that_asks_for_no_wait_pauses_nothing() -> None:
    limited = refuses("ratelimited", status=429, Retry_After="30")
    async with scripted_slack(refuses("users_not_found"), limited, DONE) as slack, api_of(slack) as api:
        await failure(post(api))
        await failure(post(api))

        await api.write("chat.update", {"channel": "D0ADA", "ts": "1.000001", "text": "Thanks."})
        await api.read("conversations.history", {"channel": "D0ADA"})

        assert slack.methods == [*["chat.postMessage"] * 2, "chat.update", "conversations.history"]


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
    "code", "invalid_auth no_permission team_access_not_granted team_not_found restricted_action".split()
)
async def test_a_refusal_names_the_token_whomever_else_such_a_code_blames(code: str) -> None:
    with pytest.raises(StartRefused, match=rf"SLACK_BOT_TOKEN \({code}\)"):
        await introduce(refuses(code))


async def test_an_unknown_refusal_is_waited_for() -> None:
    _, trouble = await introduce(refuses("brand_new"))

    assert trouble
    assert "brand_new" in explain(trouble)


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
        await eventually(lambda: slack.received)

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
        (writes('{"a":' * 100_000), True),
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
