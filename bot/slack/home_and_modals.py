"""Windows (modals) and Homes. A failure affects that one action and holds up nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bot.slack.client import SlackApi
from bot.slack.render.card import CardLinks
from bot.slack.render.home import home_view, notices_view
from bot.slack.render.inquiry import ask_back_view, reply_view, thanks_view
from bot.slack.render.modals import errors_at, hand_over_view, note_view
from bot.slack.render.templates import Wording, words_for
from bot.triage.answer_rules import Notice, Refusal
from bot.triage.assignments import CardClick
from bot.triage.inquiry import Inquiry
from bot.triage.listing import Listed
from bot.triage.model import Question
from bot.triage.policy import NoteRule, Policy


class SlackViews:
    """Opens windows and publishes Homes. Each method raises what `SlackApi.write` raises."""

    def __init__(
        self,
        api: SlackApi,
        wording: Wording,
        policy: Policy,
        *,
        links: Callable[[], CardLinks] = lambda: CardLinks(workspace=""),
    ) -> None:
        self._api = api
        self._links = links
        self._wording = wording
        self._policy = policy

    def requires_note(self, question: Question) -> bool:
        """Whether the alert's policy requires a note with the last answer, which counts or has ended."""
        said = question.said if question.standing is not None else None
        return said is not None and self._policy.note_rule(question, said) is NoteRule.REQUIRED

    def errors_at(self, block: str, refusal: Refusal) -> dict[str, str]:
        """Return the errors that a window shows at this field for what was refused, by block."""
        return errors_at(block, refusal.value, self._wording)

    async def open_hand_over(self, trigger_id: str, click: CardClick) -> None:
        """Open the window for a hand-over, as `open_note` does."""
        view = hand_over_view(click, self._wording)
        await self._api.write("views.open", {"trigger_id": trigger_id, "view": view})

    async def open_ask_back(self, trigger_id: str, click: CardClick) -> None:
        """Open the window in which somebody asks the person something, as `open_note` does."""
        view = ask_back_view(click, self._wording)
        await self._api.write("views.open", {"trigger_id": trigger_id, "view": view})

    async def open_reply(self, trigger_id: str, inquiry: Inquiry) -> None:
        """Open the window for a reply, as `open_note` does."""
        view = reply_view(inquiry, self._wording)
        await self._api.write("views.open", {"trigger_id": trigger_id, "view": view})

    def thanks(self) -> dict[str, Any]:
        """Return what the window for a reply shows once that is stored."""
        return thanks_view(self._wording)

    async def open_note(self, trigger_id: str, question: Question) -> None:
        """Open the window for a note. Slack takes a trigger for three seconds after the click."""
        words = words_for(self._policy.of(question), self._wording)
        required = question.said if self.requires_note(question) else None
        view = note_view(question, words, required_for=words["button"][required] if required else "")
        await self._api.write("views.open", {"trigger_id": trigger_id, "view": view})

    async def publish_home(
        self,
        slack_id: str,
        listed: Listed,
        *,
        notice: Notice | None = None,
    ) -> None:
        """Show a person their Home, with the notice at the top if there is one."""
        view = home_view(listed, self._wording, self._policy, notice=notice, links=self._links())
        await self._api.write("views.publish", {"user_id": slack_id, "view": view})

    async def publish_notices(self, slack_id: str, notices: Sequence[Notice]) -> None:
        """Show a person a Home with these notices and no questions."""
        view = notices_view(notices, self._wording)
        await self._api.write("views.publish", {"user_id": slack_id, "view": view})
