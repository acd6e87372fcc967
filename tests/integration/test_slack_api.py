"""What each failure of a call to Slack means, seen through the real client of a real server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scripted_slack import Answer, refuses, says, writes
from slack_failures import posting, reading

from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable, UnknownErrorCode

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

    assert isinstance(error, AppRejected)
    assert error.code == code


@pytest.mark.parametrize("code", PERSON)
async def test_a_code_about_the_person_ends_the_request(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, Undeliverable)
    assert error.reason == code


@pytest.mark.parametrize("code", [*MESSAGE, "a_code_of_next_year"])
async def test_a_code_about_the_message_or_a_new_one_is_not_believed_at_once(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, UnknownErrorCode)
    assert (error.code, error.remedy) == (code, "")


@pytest.mark.parametrize("code", PERHAPS_WORKER)
async def test_a_code_that_may_be_meant_for_one_person_stops_nobody_else(code: str) -> None:
    error = await posting(refuses(code))

    assert isinstance(error, UnknownErrorCode)
    assert error.code == code
    assert error.remedy in str(error)
    assert error.remedy


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


@pytest.mark.parametrize(
    "answer", [writes("", status=502), refuses("internal_error"), says([]), writes("ok")]
)
async def test_a_call_that_changes_nothing_is_never_ambiguous(answer: Answer) -> None:
    assert type(await reading(answer)) is TransientError


async def test_the_status_of_an_answer_that_says_nothing_is_kept() -> None:
    error = await posting(writes("gone", status=410))

    assert isinstance(error, AmbiguousError)
    assert error.status == 410
