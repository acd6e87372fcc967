"""The security team's channel: the port `SecurityTeam` of `triage.ports`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import AmbiguousError, PermanentError, TransientError
from bot.slack.cards import card_message, thread_lines
from bot.triage.events import about

if TYPE_CHECKING:
    from bot.slack.api import SlackApi
    from bot.slack.identity import Identity
    from bot.slack.wording import Wording
    from bot.triage.model import Question
    from bot.triage.policy import Policy

log = logging.getLogger(__name__)

_QUIET = {"unfurl_links": False, "unfurl_media": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityChannel:
    """Where the cards go, and where they lead."""

    channel: str  #: a channel's id
    alert_url: str  #: a template with {identifier}; "": no link


class SlackSecurityTeam:
    """Posts cards into one channel, which the bot must be a member of."""

    def __init__(
        self, api: SlackApi, identity: Identity, words: tuple[Wording, Policy], channel: SecurityChannel
    ) -> None:
        self._wording, self._policy = words
        self._api = api
        self._identity = identity
        self._channel = channel.channel
        self._alert_url = channel.alert_url

    async def show(self, question: Question) -> str:
        """See `triage.ports.SecurityTeam`."""
        team_id = self._identity.team_id
        card = card_message(question, self._wording, self._policy, team_id=team_id, alert_url=self._alert_url)
        if not question.card_ts:
            answer = await self._api.write("chat.postMessage", {**card, **_QUIET, "channel": self._channel})
            return str(answer["ts"])
        place = {"channel": self._channel, "ts": question.card_ts}
        await self._api.write("chat.update", {**card, **place, "parse": "none"})
        for line in thread_lines(question, self._wording, self._policy, team_id=team_id):
            await self._say(question, line)
        return question.card_ts

    async def _say(self, question: Question, line: str) -> None:
        """Add a line to the card's thread. The card says it all already, so a lost line is let be."""
        body = {"channel": self._channel, "thread_ts": question.card_ts, "text": line, **_QUIET}
        try:
            await self._api.write("chat.postMessage", body)
        except (AmbiguousError, PermanentError, TransientError) as error:
            log.warning("thread line lost: %s", error, extra=about(question, "card.unfinished"))
