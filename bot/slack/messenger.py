"""The Messenger: finds people, puts questions, looks for them, redraws them."""

from __future__ import annotations

import logging
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from bot.errors import (
    AmbiguousError,
    NoConversation,
    PermanentError,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.slack.received import read_name, read_text
from bot.slack.render.question import is_question, notice_message, question_message, reminder_message
from bot.triage.log_events import log_event
from bot.triage.model import Bookmark, MessageRef, Person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.errors import TriageBotError
    from bot.slack.client import SlackApi
    from bot.slack.identity import Identity
    from bot.slack.render.templates import Wording
    from bot.triage.answer_rules import Notice
    from bot.triage.model import Question
    from bot.triage.policy import Policy

log = logging.getLogger(__name__)

#: How long before its first claim a question may stand in Slack: their clock and ours differ.
LOOK_BACK = timedelta(minutes=30)

#: Messages a page of a look-up, at the most: to some apps Slack shows 15, once a minute.
PAGE = 200

#: Refusals of a redraw that no repetition mends.
_GONE = frozenset(
    """message_not_found cant_update_message edit_window_closed channel_not_found is_archived""".split()
)

#: How Slack refuses a reply to a message that was deleted.
_NO_THREAD = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message"})

#: How Slack refuses to post to a person with whom there is no conversation, or where it cannot be seen.
_NO_CHANNEL = "channel_not_found"

#: Slack's own bot, which its API does not call one.
_SLACKBOT = "USLACKBOT"


class SlackMessenger:
    """Speaks to people in one workspace: the port `Messenger` of `triage.ports`."""

    def __init__(self, api: SlackApi, identity: Identity, wording: Wording, policy: Policy) -> None:
        self._api = api
        self._identity = identity
        self._wording = wording
        self._policy = policy

    @property
    def can_look_up(self) -> bool:
        """See `triage.ports.Messenger`."""
        return "im:history" in self._identity.scopes

    async def find_person(self, wanted: str) -> Person:
        """See `triage.ports.Messenger`."""
        if "@" in wanted:
            return self._read_person(await self._api.read("users.lookupByEmail", {"email": wanted}))
        return self._read_person(await self._api.read("users.info", {"user": wanted}))

    async def post(self, question: Question, *, channel: str = "") -> MessageRef:
        """See `triage.ports.Messenger`."""
        message = {
            **question_message(question, self._wording, self._policy),
            "channel": channel or question.slack_id,
        }
        try:
            answer = await self._api.post(message)
        except Undeliverable as error:
            if error.reason == _NO_CHANNEL and not channel:
                raise NoConversation from error
            raise
        message_ref = MessageRef(channel=read_text(answer.get("channel")), ts=read_text(answer.get("ts")))
        if not message_ref.channel or not message_ref.ts:
            raise AmbiguousError("Slack did not say where the message is")
        return message_ref

    async def open_conversation(self, question: Question) -> str:
        """See `triage.ports.Messenger`. That it is not found here says nothing of the person."""
        users = {"users": question.slack_id}
        try:
            opened = await self._api.read("conversations.open", users, http_verb="POST")
        except Undeliverable as error:
            if error.reason == _NO_CHANNEL:
                raise UnknownErrorCode(error.reason) from error
            raise
        return _read_text(opened, "channel", "id")

    async def look_up(
        self, question: Question, *, after: Bookmark | None = None
    ) -> MessageRef | Bookmark | None:
        """See `triage.ports.Messenger`."""
        channel = after.channel if after else await self.open_conversation(question)
        since = (question.claimed_at or question.accepted_at) - LOOK_BACK
        page = {
            "channel": channel,
            "oldest": f"{since.timestamp():.6f}",
            "inclusive": True,
            "include_all_metadata": True,
            "limit": PAGE,
            **({"cursor": after.cursor} if after else {}),
        }
        answer = await self._api.read("conversations.history", page)
        for message in _read_messages(answer):
            if is_question(message, question.ref):
                return MessageRef(channel=channel, ts=_read_text(message, "ts"))
        following = _next_page(answer, channel)
        if following is not None and following == after:
            raise TransientError("Slack's answer leads to the same page again")
        return following

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        """See `triage.ports.Messenger`. A message that is gone or closed to changes is left unchanged."""
        message = question_message(question, self._wording, self._policy)
        if response_url and await self._api.respond(response_url, {**message, "replace_original": True}):
            return
        place = {"channel": question.channel, "ts": question.ts}
        try:
            await self._api.update({**message, **place})
        except (PermanentError, UnknownErrorCode, AmbiguousError) as error:
            if not _is_final(error):
                if isinstance(error, AmbiguousError):
                    raise  # perhaps it is still done, after the next one
                raise TransientError(str(error)) from error
            log_event(
                log.warning,
                "redraw.refused",
                "message left as it is: %s",
                error,
                identifier=question.identifier,
            )

    async def remind(self, question: Question, *, link: str) -> None:
        """See `triage.ports.Messenger`: a reply in the question's thread that the conversation shows, too.

        If the question's message was deleted, it stands alone and points to the Home.
        """
        thread = {"thread_ts": question.ts, "reply_broadcast": True}
        try:
            sent = await self._post_reminder(question, link, **thread)
        except UnknownErrorCode as error:
            if error.code not in _NO_THREAD:
                raise
            log_event(
                log.info,
                "question.deleted",
                "the question was deleted: %s",
                error,
                identifier=question.identifier,
            )
            await self._post_reminder(question, "")
            return
        if link and _stands_alone(sent):
            await self._point_to_home(question, sent)

    async def tell(self, response_url: str, notice: Notice) -> None:
        """See `triage.ports.Messenger`."""
        if not response_url or not await self._api.respond(
            response_url, notice_message(notice, self._wording)
        ):
            raise TransientError("there is no way to reach the clicker")

    async def link_to(self, question: Question) -> str:
        """See `triage.ports.Messenger`."""
        place = {"channel": question.channel, "message_ts": question.ts}
        try:
            return read_text((await self._api.read("chat.getPermalink", place)).get("permalink"))
        except (PermanentError, TransientError) as error:
            log_event(
                log.info,
                "permalink.missing",
                "no link to the question: %s",
                error,
                identifier=question.identifier,
            )
            return ""

    async def _post_reminder(self, question: Question, link: str, **thread: object) -> Mapping[str, Any]:
        reminder = reminder_message(question, self._wording, self._policy, link=link)
        return await self._api.post({**reminder, "channel": question.channel, **thread})

    async def _point_to_home(self, question: Question, sent: Mapping[str, Any]) -> None:
        """Change a reminder that was sent with a link to nothing."""
        log_event(log.info, "question.deleted", "the question was deleted", identifier=question.identifier)
        reminder = reminder_message(question, self._wording, self._policy, link="")
        place = {"channel": question.channel, "ts": read_text(sent.get("ts"))}
        try:
            await self._api.update({**reminder, **place})
        except (PermanentError, TransientError, AmbiguousError) as error:
            log_event(
                log.warning,
                "question.deleted",
                "its reminder leads nowhere: %s",
                error,
                identifier=question.identifier,
            )

    def _read_person(self, answer: Mapping[str, Any]) -> Person:
        user = answer.get("user")
        slack_id = _read_text(answer, "user", "id")
        facts: Mapping[str, Any] = user if isinstance(user, dict) else {}
        enterprise = facts.get("enterprise_user")
        other_id = read_name(enterprise.get("id")) if isinstance(enterprise, dict) else ""
        return Person(
            slack_id=slack_id,
            slack_name=read_name(facts.get("name")),
            deactivated=bool(facts.get("deleted")),
            is_bot=bool(facts.get("is_bot")) or slack_id == _SLACKBOT,
            is_guest=bool(facts.get("is_restricted") or facts.get("is_ultra_restricted")),
            is_external=self._is_external(facts),
            unconfirmed=facts.get("is_email_confirmed") is False,
            time_zone=read_name(facts.get("tz")),
            other_slack_id="" if other_id == slack_id else other_id,
        )

    def _is_external(self, facts: Mapping[str, Any]) -> bool:
        user = facts.get("enterprise_user")
        listed = user.get("teams") if isinstance(user, dict) else None
        teams = listed if isinstance(listed, list) else []
        home = facts.get("team_id")
        elsewhere = bool(home) and home != self._identity.team_id and self._identity.team_id not in teams
        return elsewhere or bool(facts.get("is_stranger"))


def _read_text(answer: Mapping[str, Any], *path: str) -> str:
    """Return the text at a path of an answer. `TransientError` if Slack's answer has none."""
    value: Any = answer
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise TransientError(f"Slack's answer has no {'.'.join(path)}")
    return value


def _read_messages(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = answer.get("messages")
    if not isinstance(messages, list):
        raise TransientError("Slack's answer has no messages")
    return [message for message in messages if isinstance(message, dict)]


def _next_page(answer: Mapping[str, Any], channel: str) -> Bookmark | None:
    """Return where the page after this one begins; None if this is the last. `TransientError` if unsaid."""
    metadata = answer.get("response_metadata")
    cursor = read_text(metadata.get("next_cursor")) if isinstance(metadata, dict) else ""
    if cursor:
        return Bookmark(channel=channel, cursor=cursor)
    if answer.get("has_more"):
        raise TransientError("Slack's answer has more messages and does not say where")
    return None


def _stands_alone(answer: Mapping[str, Any]) -> bool:
    """Whether a reply became a message of its own: Slack's answer shows it, and names no thread."""
    message = answer.get("message")
    return isinstance(message, dict) and not message.get("thread_ts")


def _is_final(error: TriageBotError) -> bool:
    """Whether no repetition of a redraw would end otherwise."""
    if isinstance(error, AmbiguousError):
        return HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, PermanentError):
        return True
    code = str(getattr(error, "code", ""))
    return code in _GONE or code.startswith("invalid_blocks")
