"""What a failed call to Slack is said to be."""

from __future__ import annotations

import pytest
from aiohttp import ClientError, ConnectionTimeoutError, InvalidURL, NonHttpUrlRedirectClientError

from bot.slack.errors import classify_error

URL = "https://slack.com/api/users.lookupByEmail?email=ada@example.com"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionTimeoutError(f"Connection timeout to host {URL}"),
        InvalidURL(URL),
        NonHttpUrlRedirectClientError(f"login://portal/?from={URL}"),
    ],
)
def test_a_failure_does_not_tell_whom_the_call_was_about(error: ClientError) -> None:
    told = str(classify_error(error))

    assert "ada@example.com" not in told
    assert type(error).__name__ in told
