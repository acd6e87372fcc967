"""Windows (modals) and Homes. A failure affects that one action and holds up nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from bot.slack.client import SlackApi
from bot.slack.render.home import home_view, notices_view
from bot.slack.render.modals import note_errors, note_view
from bot.slack.render.templates import Wording, words_for
from bot.triage.answer_rules import Notice, Refusal
from bot.triage.model import Question
from bot.triage.policy import NoteRule, Policy


class SlackViews:
    """Opens windows and publishes Homes. Each method raises what `SlackApi.write` raises."""

    def __init__(self, api: SlackApi, wording: Wording, policy: Policy) -> None:
        self._api = api
        self._wording = wording
        self._policy = policy

    def requires_note(self, question: Question) -> bool:
        """Whether the alert's policy requires a note with the last answer."""
        said = question.said
        return said is not None and self._policy.note_rule(question, said) is NoteRule.REQUIRED

    def note_errors(self, refusal: Refusal) -> dict[str, str]:
        """Return the errors that the window shows for a refused note, by block."""
        return note_errors(refusal.value, self._wording)

    async def open_note(self, trigger_id: str, question: Question) -> None:
        """Open the window for a note. Slack takes a trigger for three seconds after the click."""
        words = words_for(self._policy.of(question), self._wording)
        required = question.said if self.requires_note(question) else None
        view = note_view(question, words, required_for=words["button"][required] if required else "")
        await self._api.write("views.open", {"trigger_id": trigger_id, "view": view})

    async def publish_home(
        self,
        slack_id: str,
        unanswered: Sequence[Question],
        answered: Sequence[Question],
        *,
        notice: Notice | None = None,
    ) -> None:
        """Show a person their Home, with the notice at the top if there is one."""
        view = home_view(unanswered, answered, self._wording, self._policy, notice=notice)
        await self._api.write("views.publish", {"user_id": slack_id, "view": view})

    async def publish_notices(self, slack_id: str, notices: Sequence[Notice]) -> None:
        """Show a person a Home with these notices and no questions."""
        view = notices_view(notices, self._wording)
        await self._api.write("views.publish", {"user_id": slack_id, "view": view})
