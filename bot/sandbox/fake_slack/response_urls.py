"""The response URLs: a click carries one, at which the app may answer without a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot.sandbox.fake_slack import limits
from bot.sandbox.fake_slack.calls import Call, SlackError, read_parameters
from bot.sandbox.fake_slack.chat_methods import check_content
from bot.sandbox.fake_slack.objects import complete_blocks
from bot.sandbox.fake_slack.workspace import Message

if TYPE_CHECKING:
    from bot.sandbox.fake_slack.installation import Installation, ResponseUrl

_GONE: Final = frozenset({"used_url", "expired_url", "invalid_url"})


class ResponseUrls:
    """Answers `POST /actions/TEAM/SECRET`: 200; 404 if used up or expired; 400 with Slack's error code."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def handle(self, request: web.Request) -> web.Response:
        """Post an ephemeral or an ordinary message, or replace or delete the clicked one."""
        try:
            permission = self._permission(request.match_info["secret"])
            self._respond(permission, await read_parameters(request))
        except SlackError as refusal:
            answer: dict[str, Any] = {"ok": False, "error": refusal.code, **refusal.details}
            return web.json_response(answer, status=404 if refusal.code in _GONE else 400)
        return web.json_response({"ok": True})

    def _permission(self, secret: str) -> ResponseUrl:
        permission = self._installation.response_urls.get(secret)
        if permission is None:
            raise SlackError("invalid_url")
        if self._installation.clock() > permission.expires_at:
            raise SlackError("expired_url")
        if permission.uses_left == 0:
            raise SlackError("used_url")
        return permission

    def _respond(self, permission: ResponseUrl, parameters: dict[str, Any]) -> None:
        call = Call(installation=self._installation, parameters=parameters)
        if call.flag("delete_original"):
            self._installation.workspace.delete(self._original(permission))
        elif call.flag("replace_original"):
            self._replace(permission, call)
        else:
            self._post(permission, call)
        permission.uses_left -= 1

    def _original(self, permission: ResponseUrl) -> Message:
        message = self._installation.workspace.message(permission.message.channel, permission.message.ts)
        if message is None:
            raise SlackError("message_not_found")
        return message

    def _replace(self, permission: ResponseUrl, call: Call) -> None:
        """Replace text and blocks as a whole: blocks that are not given are gone."""
        if not self._installation.quirks.replaces_originals:
            raise SlackError("cant_update_message")
        original = self._original(permission)
        text, blocks, given = _content(call)
        kept = original.metadata if given is None else given
        self._installation.workspace.change(
            original,
            text=text,
            blocks=complete_blocks(blocks),
            metadata={"kept": kept, "given": given, "lost": None}[
                self._installation.quirks.replaced_metadata
            ],
            edited_ts=self._installation.next_ts(),
        )

    def _post(self, permission: ResponseUrl, call: Call) -> None:
        text, blocks, metadata = _content(call)
        is_public = (call.text("response_type") or "ephemeral") == "in_channel"
        self._installation.workspace.post(
            Message(
                channel=permission.message.channel,
                ts=self._installation.next_ts(),
                user=self._installation.workspace.bot.id,
                text=text,
                blocks=complete_blocks(blocks),
                metadata=metadata,
                thread_ts=call.text("thread_ts"),
                ephemeral_for=None if is_public else permission.user,
            )
        )


def _content(call: Call) -> tuple[str, list[Any], dict[str, Any] | None]:
    if call.text("response_type") not in {None, "ephemeral", "in_channel"}:
        raise SlackError("invalid_arguments")
    text, blocks, metadata = check_content(call, limits.POST_TEXT_LIMIT)
    if not text.strip() and not blocks:
        raise SlackError("no_text")
    return text, blocks or [], metadata
