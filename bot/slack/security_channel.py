"""The security team's channel: the port `SecurityTeam` of `triage.ports`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.errors import AmbiguousError, UnknownErrorCode
from bot.slack.client import SlackApi
from bot.slack.identity import Identity
from bot.slack.input_cleaning import read_text
from bot.slack.render.burst import burst_card
from bot.slack.render.card import CardLinks, card_message, thread_line
from bot.slack.render.templates import Wording
from bot.triage.assignments import Assignment
from bot.triage.model import Question, Report
from bot.triage.places import Places
from bot.triage.policy import Policy

#: Refusals after which only a new card can help.
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityChannel:
    """Where cards are posted, and what they link to."""

    channel: str  #: a channel's id
    alert_url: str  #: a template with {identifier}; "": no link

    def links(self, identity: Identity) -> CardLinks:
        """Return where cards lead, as far as the app's identity is known by now."""
        return CardLinks(workspace=identity.workspace_url, alert_url=self.alert_url, channel=self.channel)


class SlackSecurityTeam:
    """Posts cards into one channel, which the bot must be a member of."""

    def __init__(
        self, api: SlackApi, identity: Identity, words: tuple[Wording, Policy], channel: SecurityChannel
    ) -> None:
        self._wording, self._policy = words
        self._api = api
        self._identity = identity
        self._place = channel
        self._channel = channel.channel

    async def show(self, question: Question) -> str:
        card = card_message(question, self._wording, self._policy, self._links)
        return await self._show(card, question.card_ts)

    async def show_burst(self, places: Places) -> str:
        card = burst_card(places, self._wording, self._policy, self._links)
        return await self._show(card, places.burst.card_ts if places.burst else "")

    async def tell(self, question: Question, event: Report | Assignment) -> None:
        line = thread_line(question, event, self._wording, self._policy, self._links)
        await self._api.post({**line, "channel": self._channel, "thread_ts": question.card_ts})

    @property
    def _links(self) -> CardLinks:
        return self._place.links(self._identity)

    async def _show(self, card: Mapping[str, Any], ts: str) -> str:
        if not ts or not await self._update(ts, card):
            return await self._post(card)
        return ts

    async def _post(self, card: Mapping[str, Any]) -> str:
        answer = await self._api.post({**card, "channel": self._channel})
        ts = read_text(answer.get("ts"))
        if not ts:
            raise AmbiguousError("Slack did not say where the card is")
        return ts

    async def _update(self, ts: str, card: Mapping[str, Any]) -> bool:
        """Update the card; return False if it was deleted, or is in another channel."""
        place = {"channel": self._channel, "ts": ts}
        try:
            await self._api.update({**card, **place})
        except UnknownErrorCode as error:
            if error.code not in _GONE:
                raise
            return False
        return True
