"""The messenger: finds people, and posts, looks up and redraws questions."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from bot.errors import (
    AmbiguousError,
    NoConversation,
    PermanentError,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.slack.client import SlackApi
from bot.slack.identity import Identity
from bot.slack.input_cleaning import read_name, read_text
from bot.slack.render.burst import line_message
from bot.slack.render.inquiry import inquiry_message
from bot.slack.render.marks import is_inquiry, is_question, read_line, read_question
from bot.slack.render.question import notice_message, question_message, reminder_message
from bot.slack.render.templates import Wording
from bot.triage.answer_rules import Notice
from bot.triage.inquiry import Inquiry
from bot.triage.log_events import log_question
from bot.triage.model import Bookmark, FoundQuestion, HistoryPage, MessageRef, Person, Question
from bot.triage.policy import Policy

log = logging.getLogger(__name__)

#: How long before its first claim, by our clock, a question may be dated by Slack.
LOOK_BACK = timedelta(minutes=30)

#: The most messages per page of a look-up. Slack shows some apps only 15, once a minute.
PAGE = 200

#: Refusals of a redraw that a retry cannot fix.
_GONE = frozenset(
    """message_not_found cant_update_message edit_window_closed channel_not_found is_archived""".split()
)

#: Refusals that blame the message. It looks the same the next time.
_UNFIT = re.compile("invalid_(blocks|attachments|metadata|arg)|metadata_|msg_|no_text")

#: Slack's codes for a reply to a deleted message.
_NO_THREAD = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message"})

#: Slack's code if there is no conversation with a person, or if the app cannot see it.
_NO_CHANNEL = "channel_not_found"

#: Slack's own bot, which its API does not report as one.
_SLACKBOT = "USLACKBOT"


class SlackMessenger:
    """Implements the port `Messenger` of `triage.ports`, which states the contracts, for one workspace."""

    def __init__(self, api: SlackApi, identity: Identity, wording: Wording, policy: Policy) -> None:
        self._api = api
        self._identity = identity
        self._wording = wording
        self._policy = policy

    @property
    def can_look_up(self) -> bool:
        return "im:history" in self._identity.scopes

    async def find_person(self, wanted: str) -> Person:
        if "@" in wanted:
            return self._read_person(await self._api.read("users.lookupByEmail", {"email": wanted}))
        return self._read_person(await self._api.read("users.info", {"user": wanted}))

    async def post(self, question: Question, *, channel: str = "") -> MessageRef:
        return await self._post(question_message(question, self._wording, self._policy), question, channel)

    async def post_line(self, line: Question, *, channel: str = "") -> MessageRef:
        return await self._post(line_message(line, self._wording), line, channel)

    async def _post(self, message: Mapping[str, Any], question: Question, channel: str) -> MessageRef:
        try:
            answer = await self._api.post({**message, "channel": channel or question.slack_id})
        except Undeliverable as error:
            if error.reason == _NO_CHANNEL and not channel:
                raise NoConversation from error
            raise
        return _read_place(answer)

    async def post_inquiry(self, inquiry: Inquiry, question: Question) -> MessageRef:
        url = self._identity.workspace_url
        message = inquiry_message(inquiry, question, self._wording, self._policy, workspace=url)
        return _read_place(await self._api.post({**message, "channel": inquiry.channel}))

    async def open_conversation(self, question: Question) -> str:
        """See the port. If Slack finds no channel here, that says nothing about the person."""
        return await self._open(question.slack_id)

    async def _open(self, slack_id: str) -> str:
        users = {"users": slack_id}
        try:
            opened = await self._api.read("conversations.open", users, http_verb="POST")
        except Undeliverable as error:
            if error.reason == _NO_CHANNEL:
                raise UnknownErrorCode(error.reason) from error
            raise
        return _read_text(opened, "channel", "id")

    async def look_up(
        self, question: Question | Inquiry, *, after: Bookmark | None = None
    ) -> MessageRef | Bookmark | None:
        channel = after.channel if after else await self._channel_of(question)
        # A row may be dated by another clock: one that the former release took from a machine that was ahead.
        since = min(question.claimed_at or question.accepted_at, self._api.clock()) - LOOK_BACK
        page = {"oldest": f"{since.timestamp():.6f}", "limit": PAGE, **_page_after(after)}
        answer = await self._read_history(channel, page)
        for message in _read_messages(answer):
            if _is_it(message, question):
                return MessageRef(channel=channel, ts=_read_text(message, "ts"))
        return _next_page(answer, channel)

    async def _channel_of(self, question: Question | Inquiry) -> str:
        return question.channel if isinstance(question, Inquiry) else await self.open_conversation(question)

    async def read_message(self, message_ref: MessageRef) -> FoundQuestion | None:
        alone = {"oldest": message_ref.ts, "latest": message_ref.ts, "limit": 1}
        answer = await self._read_history(message_ref.channel, alone)
        found = (read_question(message, message_ref.channel) for message in _read_messages(answer))
        return next((each for each in found if each is not None and each.message_ref == message_ref), None)

    async def read_conversation(
        self, slack_id: str, since: datetime, *, after: Bookmark | None = None
    ) -> HistoryPage:
        channel = after.channel if after else await self._open(slack_id)
        page = {"oldest": f"{since.timestamp():.6f}", "limit": PAGE, **_page_after(after)}
        answer = await self._read_history(channel, page)
        own = (each for each in _read_messages(answer) if self._identity.is_author_of(each))
        found = (read_question(message, channel) or read_line(message, channel) for message in own)
        questions = tuple(replace(each, slack_id=slack_id) for each in found if each is not None)
        return HistoryPage(questions=questions, next=_next_page(answer, channel))

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        """See the port. A message that was deleted or can no longer be edited is left alone."""
        message = question_message(question, self._wording, self._policy)
        if response_url and await self._api.respond(response_url, {**message, "replace_original": True}):
            return
        place = {"channel": question.channel, "ts": question.ts}
        try:
            await self._api.update({**message, **place})
        except (PermanentError, UnknownErrorCode, AmbiguousError) as error:
            if not _is_final(error):
                if isinstance(error, AmbiguousError):
                    raise  # it may still take effect, even after the next one
                raise TransientError(str(error)) from error
            log_question(log.warning, "redraw.refused", question, "message left unchanged: %s", error)

    async def remind(self, question: Question, *, link: str) -> None:
        """See the port. The reminder is a reply in the question's thread, also shown in the conversation.

        If the question's message was deleted, it stands alone and points to the person's Home.
        """
        thread = {"thread_ts": question.ts, "reply_broadcast": True}
        try:
            sent = await self._post_reminder(question, link, **thread)
        except UnknownErrorCode as error:
            if error.code not in _NO_THREAD:
                raise
            log_question(log.info, "question.deleted", question, "the question was deleted: %s", error)
            await self._post_reminder(question, "")
            return
        if link and _stands_alone(sent):
            await self._point_to_home(question, sent)

    async def tell(self, response_url: str, notice: Notice) -> None:
        if not response_url or not await self._api.respond(
            response_url, notice_message(notice, self._wording)
        ):
            raise TransientError("there is no way to reach the person who clicked")

    async def link_to(self, question: Question) -> str:
        place = {"channel": question.channel, "message_ts": question.ts}
        try:
            return read_text((await self._api.read("chat.getPermalink", place)).get("permalink"))
        except (PermanentError, TransientError) as error:
            log_question(log.info, "permalink.missing", question, "no link to the question: %s", error)
            return ""

    async def _read_history(self, channel: str, page: Mapping[str, object]) -> Mapping[str, Any]:
        always = {"channel": channel, "inclusive": True, "include_all_metadata": True}
        return await self._api.read("conversations.history", {**always, **page})

    async def _post_reminder(self, question: Question, link: str, **thread: object) -> Mapping[str, Any]:
        reminder = reminder_message(question, self._wording, self._policy, link=link)
        return await self._api.post({**reminder, "channel": question.channel, **thread})

    async def _point_to_home(self, question: Question, sent: Mapping[str, Any]) -> None:
        """Edit a reminder whose link is dead: let it point to the person's Home."""
        log_question(log.info, "question.deleted", question, "the question was deleted")
        reminder = reminder_message(question, self._wording, self._policy, link="")
        place = {"channel": question.channel, "ts": read_text(sent.get("ts"))}
        try:
            await self._api.update({**reminder, **place})
        except (PermanentError, TransientError, AmbiguousError) as error:
            log_question(
                log.warning, "question.deleted", question, "the link in its reminder is dead: %s", error
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
            is_colleague=self._is_colleague(enterprise),
            unconfirmed=facts.get("is_email_confirmed") is False,
            time_zone=sys.intern(read_name(facts.get("tz"))),  # few distinct values, for thousands of people
            other_slack_id="" if other_id == slack_id else other_id,
        )

    def _is_colleague(self, enterprise: object) -> bool:
        ours = self._identity.enterprise_id
        return bool(ours) and isinstance(enterprise, dict) and enterprise.get("enterprise_id") == ours

    def _is_external(self, facts: Mapping[str, Any]) -> bool:
        user = facts.get("enterprise_user")
        listed = user.get("teams") if isinstance(user, dict) else None
        teams = listed if isinstance(listed, list) else []
        home = facts.get("team_id")
        elsewhere = bool(home) and home != self._identity.team_id and self._identity.team_id not in teams
        return elsewhere or bool(facts.get("is_stranger"))


def _read_place(answer: Mapping[str, Any]) -> MessageRef:
    """Return where Slack has posted a message. `AmbiguousError` if its answer does not say."""
    message_ref = MessageRef(channel=read_text(answer.get("channel")), ts=read_text(answer.get("ts")))
    if not message_ref.channel or not message_ref.ts:
        raise AmbiguousError("Slack did not say where the message is")
    return message_ref


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


def _is_it(message: Mapping[str, Any], question: Question | Inquiry) -> bool:
    is_wanted = is_inquiry if isinstance(question, Inquiry) else is_question
    return is_wanted(message, question.ref)


def _page_after(bookmark: Bookmark | None) -> Mapping[str, str]:
    return {"cursor": bookmark.cursor} if bookmark else {}


def _next_page(answer: Mapping[str, Any], channel: str) -> Bookmark | None:
    """Return where the page after this one begins; None if this is the last. `TransientError` if Slack does
    not say.
    """
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
    """Whether a retry of the redraw would fail again."""
    if isinstance(error, AmbiguousError):
        return HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, PermanentError):
        return True
    code = str(getattr(error, "code", ""))
    return code in _GONE or _UNFIT.match(code) is not None
