"""The Web API: the table of methods, and what is common to them (token, scope, answer)."""

from __future__ import annotations

from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot.sandbox.fake_slack import (
    block_methods,
    chat_methods,
    conversation_methods,
    people_methods,
    view_methods,
)
from bot.sandbox.fake_slack.calls import Call, Method, SlackError, TooManyCallsError, read_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.fake_slack.installation import Installation
    from bot.sandbox.fake_slack.workspace import Json

_HISTORY: Final = ("im:history", "channels:history")
_OPEN: Final = ("im:write", "channels:manage")

#: All supported methods; `ok` is added to each answer.
METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "auth.test": Method(work=people_methods.show_identity),
        "apps.connections.open": Method(
            work=people_methods.open_connection, caller="app", scopes=("connections:write",)
        ),
        "users.lookupByEmail": Method(work=people_methods.look_up_by_email, scopes=("users:read.email",)),
        "users.info": Method(work=people_methods.show_user, scopes=("users:read",)),
        "conversations.open": Method(work=conversation_methods.open_conversation, scopes=_OPEN),
        "conversations.history": Method(work=conversation_methods.read_history, scopes=_HISTORY),
        "conversations.replies": Method(work=conversation_methods.read_replies, scopes=_HISTORY),
        "chat.postMessage": Method(work=chat_methods.post_message, scopes=("chat:write",)),
        "chat.update": Method(work=chat_methods.update_message, scopes=("chat:write",)),
        "chat.getPermalink": Method(work=chat_methods.find_permalink),
        "blocks.validate": Method(work=block_methods.validate),
        "views.open": Method(work=view_methods.open_view),
        "views.push": Method(work=view_methods.push_view),
        "views.update": Method(work=view_methods.update_view),
        "views.publish": Method(work=view_methods.publish_view),
    }
)


class WebApi:
    """Answers `/api/METHOD`. As in Slack, a refusal is an HTTP 200 whose body says `"ok": false`.

    Only a method that is called too often is refused with HTTP 429.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call; a `SlackError` becomes the error code in the body."""
        name = request.match_info["method"]
        headers: dict[str, str] = {}
        status = HTTPStatus.OK
        try:
            answer = {"ok": True, **await self._answer(name, request, headers)}
        except SlackError as refusal:
            answer = {"ok": False, "error": refusal.code, **refusal.details}
            if isinstance(refusal, TooManyCallsError):
                status, headers["Retry-After"] = HTTPStatus.TOO_MANY_REQUESTS, str(refusal.seconds)
        return web.json_response(answer, status=status, headers=headers)

    async def _answer(self, name: str, request: web.Request, headers: dict[str, str]) -> Json:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        parameters = await read_parameters(request)
        scopes = self._scopes_of_token(_token(request, parameters), method)
        headers["x-oauth-scopes"] = ",".join(sorted(scopes))
        if method.scopes:
            headers["x-accepted-oauth-scopes"] = ",".join(method.scopes)
        _require_any(method.scopes, scopes)
        if name in self._installation.quirks.refusals:
            raise SlackError(self._installation.quirks.refusals[name])
        wait = self._installation.count_call(name)
        if wait:
            raise TooManyCallsError(wait)
        return method.work(Call(installation=self._installation, parameters=parameters))

    def _scopes_of_token(self, token: str, method: Method) -> frozenset[str]:
        """Return the scopes of the token; `SlackError` if it is not valid for the method."""
        if not token:
            raise SlackError("not_authed")
        app = self._installation.app
        caller = {app.bot_token: "bot", app.app_token: "app"}.get(token)
        if caller is None:
            raise SlackError("invalid_auth")
        if caller != method.caller:
            raise SlackError("not_allowed_token_type")
        return app.scopes if caller == "bot" else frozenset({"connections:write"})


def _require_any(needed: tuple[str, ...], provided: frozenset[str]) -> None:
    if needed and provided.isdisjoint(needed):
        raise SlackError("missing_scope", needed=",".join(needed), provided=",".join(sorted(provided)))


def _token(request: web.Request, parameters: Mapping[str, Any]) -> str:
    """Return the token from the header or the form; Slack no longer accepts one in the query or in JSON."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    is_form = request.method == "POST" and request.content_type != "application/json"
    return str(parameters.get("token", "")) if is_form and "token" not in request.query else ""
