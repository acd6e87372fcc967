"""What a failed call to Slack means: whether it was done, whether to retry it, and who has to act.

The codes are those of Slack's method pages (2026-11). The classes are right for the methods that ask a
question; callers of other methods decide for themselves what a failure means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientHttpProxyError,
    ClientResponseError,
    ConnectionTimeoutError,
    InvalidURL,
    RedirectClientError,
)
from slack_sdk.errors import SlackApiError

from bot.errors import (
    AmbiguousError,
    AppRejected,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.slack.input_cleaning import read_header, read_name

_RENEW = "Put a valid bot token (the app's page OAuth & Permissions) into SLACK_BOT_TOKEN and restart."
_WIDEN = "Add the missing scope to the app's bot scopes (OAuth & Permissions) and reinstall the app."
_ALLOW = "Ask an administrator of the workspace to allow this app to send direct messages."
_SHOW_MESSAGES = "Switch the Messages tab on, on the app's page App Home."
_UPGRADE = "Slack no longer offers this method: install a newer release of this bot."
_RENEW_APP = (
    "Put a valid app-level token with the scope connections:write (the app's page Basic Information) into"
    " SLACK_APP_TOKEN and restart."
)
_SWITCH_ON = "Switch Socket Mode on, on the app's page Socket Mode."

#: Code → remedy. Slack rejects the worker itself: its token, its scopes or the app.
_WORKER = {
    **dict.fromkeys(
        """not_authed invalid_auth account_inactive token_revoked token_expired not_allowed_token_type
        is_bot""".split(),
        _RENEW,
    ),
    "missing_scope": _WIDEN,
    "not_enabled": _ALLOW,
    **dict.fromkeys(
        "deprecated_endpoint method_deprecated insecure_request unknown_method".split(), _UPGRADE
    ),
}

#: Code → remedy, likewise for Socket Mode links, which have a token and a switch of their own.
_LINK = {
    **{code: _RENEW_APP for code, remedy in _WORKER.items() if remedy in {_RENEW, _WIDEN}},
    "not_enabled": _SWITCH_ON,
}

#: Code → remedy, in case the worker is to blame. Slack has also returned these for single people, so one of
#: them holds up nobody else.
_PERHAPS_WORKER = {
    **dict.fromkeys(
        """no_permission access_denied accesslimited ekm_access_denied team_access_not_granted
        enterprise_is_restricted two_factor_setup_required forbidden_team
        metadata_must_be_sent_from_app""".split(),
        _ALLOW,
    ),
    "messages_tab_disabled": _SHOW_MESSAGES,
}

#: The person cannot be asked.
_PERSON = frozenset(
    """users_not_found user_not_found user_disabled user_not_visible cannot_dm_bot invalid_user_combination
    app_access_restricted channel_not_found is_archived is_inactive not_in_channel team_not_found""".split()
)
_PERSON_PATTERN = re.compile("restricted_action")

#: Slack was busy; the call was not done.
_NOT_DONE = frozenset(
    """ratelimited rate_limited service_unavailable request_timeout team_added_to_org org_login_required
    message_limit_exceeded""".split()
)

#: The wait if Slack asks for one and does not say how long.
DEFAULT_WAIT = timedelta(seconds=1)

#: Slack failed during the call, which may have been done.
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error"})

#: The longest wait that is respected: a wrong number must not silence a question forever.
WAIT_MAX = timedelta(hours=1)

#: Errors of aiohttp from before anything was sent. They are subclasses of some that mean "perhaps done", so
#: they are tested first.
_NOT_SENT = (ClientConnectorError, ConnectionTimeoutError, ClientHttpProxyError)

#: Errors whose text repeats the URL of the call, which may contain an e-mail address.
_WITH_URL_IN_MESSAGE = (ClientResponseError, ConnectionTimeoutError, InvalidURL, RedirectClientError)


def classify_error(error: Exception) -> TriageBotError:
    """Return what a failed call means, as one of our errors."""
    if isinstance(error, _NOT_SENT):
        return TransientError(f"Slack cannot be reached ({_describe(error)})")
    if isinstance(error, SlackApiError):
        return _classify_response(error.response)
    if isinstance(error, ClientResponseError) and error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _asks_to_wait(error.headers or {}, error.status)
    if isinstance(error, ClientResponseError):
        return AmbiguousError(f"Slack's answer says nothing (HTTP {error.status})", status=error.status)
    return AmbiguousError(f"Slack's answer was lost ({type(error).__name__} {_describe(error)})")


def classify_link_refusal(error: TriageBotError) -> TriageBotError:
    """Return what a failed `apps.connections.open` means: the app-level token has remedies of its own."""
    if isinstance(error, AppRejected):
        return AppRejected(error.code, remedy=_LINK.get(error.code, error.remedy))
    return UnknownErrorCode(error.reason) if isinstance(error, Undeliverable) else error


def was_answered(error: TriageBotError) -> bool:
    """Whether the failed call was answered: if so, the network is not to blame."""
    return not isinstance(error.__cause__, (*_NOT_SENT, ClientConnectionError, OSError))


def explain(error: TriageBotError) -> str:
    """Return what an error says, and its remedy if there is one."""
    return f"{error}. {error.remedy}" if isinstance(error, AppRejected) else str(error)


def _describe(error: Exception) -> str:
    """Return an error's text; only its class if the text repeats the URL."""
    return type(error).__name__ if isinstance(error, _WITH_URL_IN_MESSAGE) else str(error)


def retry_after(headers: Mapping[str, Any]) -> timedelta | None:
    """Return the wait in a Retry-After header, at most an hour; None if it has no number of seconds."""
    try:
        seconds = float(read_header(headers, "retry-after"))
        return min(timedelta(seconds=seconds), WAIT_MAX) if seconds >= 0 else None
    except (ValueError, OverflowError):
        return None


def _asks_to_wait(headers: Mapping[str, Any], why: object) -> TransientError:
    return TransientError(f"Slack asks to wait ({why})", retry_after=retry_after(headers) or DEFAULT_WAIT)


def _classify_response(response: Any) -> TriageBotError:
    """Classify an answer. It is a bare aiohttp response if the SDK could not read it."""
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    code = _read_code(response)
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _NOT_DONE:
        return _asks_to_wait(response.headers, code or status)
    if not code or status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _PERHAPS_DONE:
        return AmbiguousError(
            f"Slack's answer says nothing (HTTP {status}{code and f' {code}'})", status=status
        )
    if code in _WORKER:
        return AppRejected(code, remedy=_WORKER[code])
    if code in _PERSON or _PERSON_PATTERN.match(code):
        return Undeliverable(code)
    return UnknownErrorCode(code, remedy=_PERHAPS_WORKER.get(code, ""))


def _read_code(response: Any) -> str:
    data = getattr(response, "data", None)
    return read_name(data.get("error")) if isinstance(data, dict) else ""
